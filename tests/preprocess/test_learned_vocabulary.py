"""A text of a header is in the dataset if several patients have it, or if it is a word of the standard; dates are distances."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from fastrace.dataset import INDEX_COLUMNS, keyed_hash
from fastrace.dicom.identity import Withheld
from fastrace.preprocess.learned import PART_COLUMNS, Learned
from fastrace.preprocess.study_days import StudyDays
from fastrace.preprocess.vocabulary import Vocabulary, part_cell, part_names, withheld_lines

SALT = bytes(range(32))


def part(*rows: dict[str, Any]) -> pd.DataFrame:
    """Rows as a run writes them: ``patient`` is hashed, ``repeats`` is [(column, how, value)]."""
    made = []
    for row in rows:
        found = [Withheld(*one) for one in row.get("repeats", ())]
        made.append(
            {"outcome": "indexed", **row}
            | {"patient_key": keyed_hash(SALT, "patient", row["patient"]), "withheld": part_cell(SALT, found)}
        )
    return pd.DataFrame(made, columns=list(dict.fromkeys(["outcome", *PART_COLUMNS, *INDEX_COLUMNS])))


def learned(*parts: pd.DataFrame) -> tuple[Vocabulary, list[pd.DataFrame]]:
    vocabulary = Vocabulary(SALT)
    for rows in parts:
        vocabulary.see(rows)
    return vocabulary, [vocabulary.apply(rows) for rows in parts]


def models(*owners: str, model: str = "Selenia", **more: Any) -> list[dict[str, Any]]:
    return [{"patient": owner, "model": model, **more} for owner in owners]


def test_a_value_of_two_patients_is_kept_and_one_of_one_patient_is_not() -> None:
    rows = part(*models("a", "b"), *models("c", "c", model="Only hers"))
    vocabulary, [found] = learned(rows)
    assert vocabulary.allowed("model") == {"Selenia"}
    assert list(found["model"]) == ["Selenia", "Selenia", None, None]
    assert vocabulary.counts() == {"model": {"rare": 2}}
    assert list(rows["model"])[2:] == ["Only hers"] * 2, "the rows of the part stay as they are"


def test_two_patients_of_two_parts_make_a_value_known() -> None:
    _, found = learned(part(*models("a")), part(*models("b")))
    assert [list(rows["model"]) for rows in found] == [["Selenia"], ["Selenia"]]


def test_an_archive_of_one_patient_keeps_the_words_of_the_standard_alone() -> None:
    _, [found] = learned(
        part({"patient": "a", "model": "M", "body_part": "BREAST", "grid": "NONE", "view": "CC", "kvp": 28.0})
    )
    assert found.loc[0, ["model", "body_part", "grid", "view", "kvp"]].tolist() == [None, "BREAST", "NONE", "CC", 28.0]


def test_a_scanner_of_one_patient_each_is_withheld_and_counted() -> None:
    vocabulary, [found] = learned(part(*(row for n in range(5) for row in models(f"p{n}", model=f"Scanner {n}"))))
    assert found["model"].isna().all()
    assert vocabulary.counts() == {"model": {"rare": 5}}


def test_rejected_rows_teach_nothing() -> None:
    vocabulary, _ = learned(part(*models("a"), *models("b", outcome="rejected")))
    assert vocabulary.allowed("model") == frozenset()


def test_what_repeats_somebodys_name_needs_ten_patients_for_each_such_row() -> None:
    his = {"patient": "h", "model": None, "repeats": [("model", "stands", "Philips")]}
    few, [found] = learned(part(his, *models(*map(str, range(9)), model="Philips")))
    assert found["model"].isna().all()
    assert few.counts() == {"model": {"personal": 10}}
    many, [found] = learned(part(his, *models(*map(str, range(10)), model="Philips")))
    assert list(found["model"]) == [None, *["Philips"] * 10]
    assert many.counts() == {"model": {"personal": 1}}


def test_letters_that_meet_by_chance_cost_nothing_where_many_have_them() -> None:
    glued = {"patient": "ann", "model": "Scanner", "repeats": [("model", "glued", "Scanner")]}
    _, [found] = learned(part(glued, *models(*map(str, range(9)), model="Scanner")))
    assert found["model"].isna().all()
    _, [found] = learned(part(glued, *models(*map(str, range(10)), model="Scanner")))
    assert set(found["model"]) == {"Scanner"}


def test_a_word_of_all_identifiers_is_kept_where_ten_patients_share_the_value() -> None:
    rows = [
        {"patient": f"p{n}", "manufacturer": "HOLOGIC", "repeats": [("manufacturer", "shared", "HOLOGIC")]}
        for n in range(10)
    ]
    assert set(learned(part(*rows))[1][0]["manufacturer"]) == {"HOLOGIC"}
    assert learned(part(*rows[:9]))[1][0]["manufacturer"].isna().all()


def test_a_value_that_is_a_name_in_one_column_is_not_known_in_another() -> None:
    hers = {"patient": "a", "body_part": None, "repeats": [("body_part", "stands", "QXMUELLER09")]}
    _, [found] = learned(part(hers, *models("b", "c", model="QXMUELLER09")))
    assert found["model"].isna().all()


def cells(count: int, value: str | None, start: int = 0, **more: Any) -> list[dict[str, Any]]:
    return [{"patient": f"p{start + n}", "label:race": value, **more} for n in range(count)]


def races(*rows: dict[str, Any]) -> tuple[Vocabulary, list[Any]]:
    made = part(*rows)
    made["label:race"] = [row["label:race"] for row in rows]
    made["names"] = [row.get("names") for row in rows]
    vocabulary = Vocabulary(SALT)
    vocabulary.see(made)
    return vocabulary, [None if pd.isna(cell) else cell for cell in vocabulary.apply(made)["label:race"]]


HERS = {"label:race": None, "repeats": [("label:race", "stands", "Blanco")]}


def test_a_value_of_eleven_other_patients_is_a_term_for_all() -> None:
    named = [{"patient": f"h{n}", **HERS} for n in range(2)]
    vocabulary, found = races(*named, *cells(11, "Blanco"), *cells(13, "Negro", 20))
    assert found == ["Blanco"] * 13 + ["Negro"] * 13
    assert (vocabulary.counts(), vocabulary.lines()) == ({}, [])
    vocabulary, found = races(*named, *cells(10, "Blanco"), *cells(13, "Negro", 20))
    assert found == [None] * 12 + ["Negro"] * 13
    assert vocabulary.counts() == {"race": {"personal": 12}}
    [line] = vocabulary.lines()
    assert "column 'race': a value of 12 patients is missing" in line
    assert "--categories FILE" in line
    assert "Blanco" not in line


def test_a_place_is_no_term_however_many_have_it() -> None:
    there = {"label:race": None, "repeats": [("label:race", "place", "MGH")]}
    vocabulary, found = races({"patient": "x", **there}, *cells(200, "MGH"))
    assert found == [None] * 201
    assert "a value of 101 patients is missing" in vocabulary.lines()[0]


def test_the_whole_name_of_anybody_is_no_value_of_somebody_else() -> None:
    names = part_names(SALT, ["LINDQVIST MAJA"])
    _, found = races(
        {"patient": "a", "label:race": "x", "names": names}, *cells(10, "Maja Lindqvist"), *cells(2, "Maja")
    )
    assert found == ["x", *[None] * 10, "Maja", "Maja"]


def test_keys_and_words_of_ours_are_no_text_of_a_header() -> None:
    one = {
        "patient": "a",
        "image_key": "0f",
        "voi_source": "preset",
        "sex": "F",
        "institution_key": "ab",
        "pixel_hash": "cd",
    }
    _, [found] = learned(part(one))
    assert found.loc[0, ["image_key", "voi_source", "sex", "institution_key", "pixel_hash"]].tolist() == [
        "0f", "preset", "F", "ab", "cd",
    ]  # fmt: skip


def test_what_a_label_table_says_of_a_view_passes_the_vocabulary_too() -> None:
    rows = part(
        {"patient": "a", "view": "PA MUELLER", "laterality": "LEFT MUELLER", "official_split": "eva 1933"},
        {"patient": "b"},
    )
    _, [found] = learned(rows)
    assert found[["view", "laterality", "official_split"]].isna().all(axis=None)
    _, [found] = learned(
        part({"patient": "a", "view": "LORDOTIC", "laterality": "L", "official_split": "val", "modality": "MG"})
    )
    assert found.loc[0, ["view", "laterality", "official_split", "modality"]].tolist() == ["LORDOTIC", "L", "val", "MG"]


def test_memory_is_bounded_and_what_comes_too_late_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastrace.preprocess.vocabulary._MOST_VALUES", 3)
    rows = part(*(row for n in range(6) for row in models("a", "b", model=f"value {n}")))
    vocabulary, [found] = learned(rows)
    assert found["model"].notna().sum() == 6
    assert vocabulary.counts() == {"model": {"unlearned": 6}}


def test_the_counts_in_words_hold_no_value() -> None:
    assert withheld_lines({"model": {"rare": 1, "personal": 2}}) == [
        "model: left out of the index for 1 image, since fewer than 2 patients have it",
        "model: left out of the index for 2 images, since it repeats a name, number or date of a header, or an id of "
        "the label table",
    ]


def test_days_count_from_the_patients_first_study_wherever_it_comes_in_the_archive() -> None:
    days = StudyDays()
    first = part({"patient": "a", "study_day": 737000}, {"patient": "b", "study_day": 737100}, {"patient": "a"})
    second = part({"patient": "a", "study_day": 736635}, {"patient": "b", "study_day": 700000, "outcome": "rejected"})
    days.see(first)
    days.see(second)
    assert days.apply(first)["days_since_first_study"].tolist()[:2] == [365, 0]
    assert days.apply(first)["days_since_first_study"].isna().tolist() == [False, False, True]
    assert days.apply(second)["days_since_first_study"][0] == 0


def test_an_archive_without_dates_has_no_days() -> None:
    rows = part({"patient": "a"}, {"patient": "b"})
    days = StudyDays()
    days.see(rows)
    assert days.apply(rows)["days_since_first_study"].isna().all()


def test_what_is_known_of_the_acquisition_is_counted() -> None:
    rows = part(
        {"patient": "a", "kvp": 28.0, "ethnic_group": True},
        {"patient": "b", "kvp": None, "ethnic_group": False, "model": "M"},
    )
    both = Learned(SALT)
    both.see(rows)
    both.apply(rows)
    counts = both.counts()
    assert (counts["acquisition"]["kvp"], counts["acquisition"]["model"], counts["ethnic_group"]) == (1, 0, 1)
    assert counts["withheld"] == {"model": {"rare": 1}}
