"""Ids that are written differently: what is offered works, nothing is guessed, and a person never becomes two."""

from __future__ import annotations

import contextlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastrace.cohort.matching import TRANSFORMATIONS, Keys, Offers, canonical, check_match, sentences
from fastrace.cohort.patients import Naming, Patients
from fastrace.errors import RejectedInput, UsageError

IDS = st.text("0123aB. _-", min_size=1, max_size=8).map(str.strip).filter(bool)
# How a table may write an id that the header writes otherwise, and what must be ignored for it.
WRITTEN = {
    "zeros": lambda one: "000" + one,
    "decimals": lambda one: one + ".0",
    "case": str.upper,
    "spaces": lambda one: one[:2] + "  " + one[2:],
    "extension": lambda one: one + ".dcm",
    "folder": lambda one: "mnt/nas/" + one,
    "slashes": lambda one: "x/" + one,
}


@pytest.mark.parametrize(
    ("name", "table", "header"),
    [
        ("zeros", "123", "000123"), ("zeros", "P_12", "P_00012"), ("zeros", "0", "000"), ("decimals", "10001.0", "10001"),
        ("decimals", "10001,00", "10001"), ("case", "ab1", "AB1"), ("spaces", "ab  3", "ab3"), ("spaces", "a\u00a0b", "ab"),
        ("extension", "view1.jpg", "view1.png"), ("extension", "a.nii.gz", "a"), ("folder", "x/y/im0.dcm", "im0.dcm"),
        ("slashes", "a\\b\\c", "a/b/c"), ("exponent", "1.0001E4", "10001"), ("exponent", "1,50E+2", "150"),
    ],
)  # fmt: skip
def test_a_transformation_ignores_what_it_names(name: str, table: str, header: str) -> None:
    assert canonical(table, (name,)) == canonical(header, (name,))
    assert canonical(table, ()) != canonical(header, ())


@pytest.mark.parametrize(
    ("one", "other"),
    [("1.2.840.10", "1.2.840.1"), ("10", "1"), ("a.b", "a"), ("1.05", "1.5"), ("1e4", "1e5"), ("P1", "P11")],
)
def test_different_ids_stay_different_whatever_is_ignored(one: str, other: str) -> None:
    assert canonical(one, tuple(TRANSFORMATIONS)) != canonical(other, tuple(TRANSFORMATIONS))


@pytest.mark.parametrize("table", ["1.23E+12", "1,23e+12", "1E+05", "1.5E+2"])
def test_an_id_that_lost_digits_is_that_of_nobody(table: str) -> None:
    """A spreadsheet writes 1230000000000 and 1230000000001 alike."""
    number = str(int(float(table.replace(",", "."))))
    images = [{"patient": [one]} for one in (number, str(int(number) + 1))]
    keys = Keys("patient", [table], ("exponent",))
    assert [keys.find(image) for image in images] == [None, None]
    assert {Offers(Keys("patient", [table]), {}).of(image) for image in images} == {None}
    assert keys.find({"patient": [table]}) == table  # a header that says the same text


def test_numbers_behind_the_name_of_a_file_are_an_extension() -> None:
    keys = Keys("path", ["a/I000001.dcm", "a/I000002.dcm"])
    image = {"path": ["a/I000002.001"], "absolute": ["/data/a/I000002.001"]}
    assert Offers(keys, {}).of(image) == "--match extension"
    assert Keys("path", keys.keys, ("extension",)).find(image) == "a/I000002.dcm"
    named = Keys("path", ["a/I000002.001.png", "a/I000002.002.png"], ("extension",))
    assert named.find(image) == "a/I000002.001.png"  # where the number tells files apart, it does


@pytest.mark.parametrize(
    ("table", "path", "absolute", "key"),
    [
        (["1.dcm", "x/b/1.dcm"], "b/1.dcm", "/data/b/1.dcm", "x/b/1.dcm"),
        (["1.dcm", "b/1.dcm", "x/b/1.dcm"], "b/1.dcm", "/data/b/1.dcm", "b/1.dcm"),
        (["1.dcm", "b/1.dcm"], "a/b/1.dcm", "/data/a/b/1.dcm", "b/1.dcm"),
        (["1.dcm", "b/1.dcm", "x/1.dcm"], "1.dcm", "/data/b/1.dcm", None),
        (["b/1.dcm", "x/1.dcm"], "1.dcm", "/data/b/1.dcm", "b/1.dcm"),
        (["1.dcm", "x/b/1.dcm", "y/b/1.dcm"], "b/1.dcm", "/data/b/1.dcm", None),
    ],
)
def test_the_longest_common_end_of_a_path_counts(table: list[str], path: str, absolute: str, key: str | None) -> None:
    """A row '1.dcm' was taken for b/1.dcm, though another one ended with its whole path."""
    image = {"path": [path], "absolute": [absolute]}
    if key is not None:
        assert Keys("path", table).find(image) == key
        return
    with pytest.raises(RejectedInput, match="name a SRC further up"):
        Keys("path", table).find(image)


@pytest.mark.parametrize(
    ("kind", "table", "image"),
    [("image", "1.2.840.113", "1.2.840.113.004"), ("image", "IM.001", "IM.002"), ("patient", "C12.003", "C12.004")],
)
def test_numbers_that_name_are_no_extension(kind: str, table: str, image: str) -> None:
    assert Keys(kind, [table], ("extension",)).find({kind: [image]}) is None


@given(IDS, st.sets(st.sampled_from(sorted(TRANSFORMATIONS))))
def test_ignoring_twice_is_ignoring_once_and_never_leaves_nothing(one: str, names: set[str]) -> None:
    once = canonical(one, names)
    assert once
    if not names & {"exponent", "decimals"}:  # 1.0.0 has two zeros behind a point
        assert canonical(once, names) == once


@pytest.mark.parametrize("name", [name for name in WRITTEN if name not in ("folder", "slashes")])
def test_what_is_offered_joins(name: str) -> None:
    headers = [f"pq{number}r{number + 3}" if name == "case" else f"{number}57" for number in range(1, 9)]
    keys = Keys("patient", [WRITTEN[name](one) for one in headers])
    images = [{"patient": [one]} for one in headers]
    assert [keys.find(image) for image in images] == [None] * 8
    assert {Offers(keys, {}).of(image) for image in images} == {f"--match {name}"}
    again = Keys("patient", keys.keys, (name,))
    assert [again.find(image) for image in images] == [WRITTEN[name](one) for one in headers]


def test_several_differences_at_once_are_offered_together() -> None:
    keys = Keys("path", ["D:\\CXR\\train\\P001\\A.JPG", "D:\\CXR\\train\\P002\\A.JPG"])
    image = {"path": ["train/p1/a.png"], "absolute": ["/data/train/p1/a.png"]}
    offer = Offers(keys, {}).of(image)
    assert offer == "--match slashes --match extension --match case --match zeros"
    assert (
        Keys("path", keys.keys, ("slashes", "extension", "case", "zeros")).find(image) == "D:\\CXR\\train\\P001\\A.JPG"
    )


def test_the_folder_is_offered_only_where_names_are_unique() -> None:
    image = {"path": ["new/7.png"], "absolute": ["/data/new/7.png"]}
    assert Offers(Keys("path", ["old/7.png", "old/8.png"]), {}).of(image) == "--match folder"
    assert Offers(Keys("path", ["old/7.png", "older/7.png"]), {}).of(image) is None


def test_two_rows_that_become_the_same_are_not_guessed() -> None:
    keys = Keys("patient", ["0123", "00123", "9"], ("zeros",))
    assert keys.find({"patient": ["0123"]}) == "0123"  # as it is written comes first
    with pytest.raises(
        RejectedInput, match="2 patient keys of the label table are the same to it with --match zeros"
    ) as error:
        keys.find({"patient": ["123"]})
    assert error.value.reason == "contradictory_label"
    assert Offers(Keys("patient", ["0123", "00123"]), {}).of({"patient": ["123"]}) is None


def test_offers_say_how_many_images_each_would_join() -> None:
    offers = Counter({"--match zeros": 300, "--match case --match zeros": 12, "--key path=p": 5})
    assert sentences(offers, 3, 320) == [
        "315 of 320 images would match if upper and lower case and leading zeros were ignored: add --match case --match zeros",
        "303 of 320 images would match if leading zeros were ignored: add --match zeros",
        "8 of 320 images would match by column 'p' (path): add --key path=p",
    ]
    with pytest.raises(UsageError, match="--match zero: unknown; choose from slashes"):
        check_match(["zero"])


def seen(*pairs: tuple[str | None, str | None], match: tuple[str, ...] = ()) -> Naming:
    naming = Naming(match)
    for number, (header, table) in enumerate(pairs):
        naming.add(header, table, f"im{number}.dcm")
    return naming


@pytest.mark.parametrize(
    ("pairs", "agrees"),
    [
        ([("a", "a"), ("b", "b")], True),
        ([(None, "a"), (None, "b")], True),  # no header names anyone
        ([("a", None), ("b", None)], True),
        ([("a", "a"), (None, "a"), ("a", None)], True),  # gaps on both sides, one name
        ([("a1", "a"), ("a2", "a")], False),  # the table knows that they are one person
        ([("a", "a1"), ("a", "a2")], False),
        ([("a", "x"), ("b", "y")], False),  # one to one, but other names: gaps could split
        ([("a", None), (None, "x")], False),  # nothing connects them
        ([("a", "a"), ("a", "b")], False),
        ([("007", "7")], False),
    ],
)
def test_names_agree_only_one_to_one(pairs: list, agrees: bool) -> None:
    assert seen(*pairs).agrees is agrees


def test_names_that_differ_in_zeros_are_offered_as_match_and_are_one_person() -> None:
    assert "All would agree if leading zeros were ignored: or add --match zeros" in seen(("007", "7")).question(str)
    naming = seen(("007", "7"), (None, "7"), ("008", None), (None, "8"), match=("zeros",))
    assert naming.agrees
    patients = Patients.choose(None, naming)
    assert {patients.of("007", "7"), patients.of(None, "7")} == {"007"}
    assert {patients.of("008", None), patients.of(None, "8")} == {"008"}
    assert not seen(("007", "7"), ("07", "7"), match=("zeros",)).agrees


PEOPLE = st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.booleans()), min_size=1, max_size=20)


@given(PEOPLE)
def test_one_person_is_one_patient_whatever_is_missing(images: list[tuple[int, bool, bool]]) -> None:
    """Header and table use the same names, each with gaps: never two patients of one person, never one of two."""
    pairs = [(f"p{one}" if header else None, f"p{one}" if table else None) for one, header, table in images]
    naming = seen(*pairs)
    patients = Patients.choose(None, naming)
    if naming.agrees:
        found = {(one, patients.of(*pair)) for (one, *_), pair in zip(images, pairs, strict=True) if any(pair)}
        assert len({one for one, _ in found}) == len(found) == len({patient for _, patient in found})


@given(PEOPLE, st.sampled_from(["table", "header"]))
def test_the_side_that_counts_never_splits_its_own_patients(images: list[tuple[int, bool, bool]], side: str) -> None:
    """Header and table name people differently; an image that the side leaves out gets its name through the other, or none."""
    pairs = [(f"h{one}" if header else None, f"t{one}" if table else None) for one, header, table in images]
    patients = Patients.choose(side, seen(*pairs))
    names: dict[int, set[str]] = {}
    for (one, *_), pair in zip(images, pairs, strict=True):
        with contextlib.suppress(RejectedInput):  # no_patient
            name = patients.of(*pair)
            names.setdefault(one, set()).add(name)
    assert all(found == {f"{side[0]}{one}"} for one, found in names.items())


def test_an_id_of_several_patients_is_not_guessed_where_the_side_that_counts_is_silent() -> None:
    patients = Patients.choose("table", seen(("h", "a"), ("h", "b"), ("h", None)))
    with pytest.raises(RejectedInput, match="the label table names no patient for it, and --patient-from is table"):
        patients.of("h", None)
