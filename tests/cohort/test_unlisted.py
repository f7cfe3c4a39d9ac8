"""A column that is not known to name patients, but groups the ids of the headers as one: asked about, and nothing else is."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from fastrace.cohort.key_columns import choose_keys
from fastrace.cohort.unlisted import Spare, Unlisted

R = random.Random(0)


def asked(
    column: list[str], headers: list[str], said: list[Mapping[str, str | None]], *more: list[str], files: int = 1
) -> str | None:
    keys = [f"im{n}" for n in range(len(column))]
    columns = {"code": column, **{f"other {n}": cells for n, cells in enumerate(more)}}
    found = Unlisted(Spare.of(keys, columns))
    for header, key, words in zip(headers, keys, said, strict=True):
        found.add(header, key, words)
    return found.question("path=file", lambda _: "f00")


PERSONS = [n // 4 for n in range(320)]  # 80 persons, four images each
FRESH = [f"fresh {n}" for n in range(320)]
RACES = [R.choice("AB") for _ in range(80)]
SEXES = [R.choice("MF") for _ in range(320)]
BY_PERSON = [{"race": RACES[n]} for n in PERSONS]


def test_fresh_ids_that_a_column_groups_are_asked_about() -> None:
    question = asked([f"x{n}" for n in PERSONS], FRESH, BY_PERSON)
    assert question is not None
    assert (
        "on 320 files Patient ID (0010,0020) names 320, each has one of 80 values, and 80 values have several"
        in question
    )
    assert "add --key path=file --key patient=code --patient-from table" in question
    assert "add --patient-from header" in question
    assert "By keyed hash: f00 = header f00, f00, f00 and 1 more; f00 = " in question
    assert "fresh" not in question


@pytest.mark.parametrize("several", [1, 4])
def test_a_few_persons_of_several_ids_are_enough(several: int) -> None:
    """Ids of the headers are those of persons, but for one in ten, who came back under a new one."""
    headers = [f"{n}" if n % 10 else f"{n}, image {k % several}" for k, n in enumerate(PERSONS)]
    question = asked([f"x{n}" for n in PERSONS], headers, BY_PERSON)
    assert (question is not None) is (several > 1)


def test_of_a_patient_and_a_study_the_patient_is_named() -> None:
    studies = [f"s{n // 2}" for n in range(320)]
    question = asked([f"x{n}" for n in PERSONS], FRESH, BY_PERSON, studies)
    assert question is not None
    assert "(so do columns 'other 0')" in question
    assert "patient=code" in question


PATIENTS = [f"P{n}" for n in range(320)]
STRANGERS = [{"race": R.choice("AB")} for _ in range(320)]


@pytest.mark.parametrize(
    "column",
    [
        [f"site {n % 4}" for n in range(320)],
        [f"site {R.randrange(40)}" for _ in range(320)],  # as few patients each as a person has images
        [f"2020-{R.randint(1, 12):02}-{R.randint(1, 28):02}" for _ in range(320)],
        [f"{R.randint(1, 28)}.{R.randint(1, 12)}.2020 10:{R.randint(10, 59)}" for _ in range(320)],
        [str(R.randint(20, 89)) for _ in range(320)],  # an age
        [f"{R.randint(150, 199) / 10}" for _ in range(320)],
        [f"accession {n}" for n in range(320)],
        [f"{R.choice(['normal', f'finding {n}'])}" for n in range(320)],
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_what_groups_strangers_is_not(column: list[str], known: bool) -> None:
    """Each Patient ID is a person. Where nothing tells strangers, codes are asked about; dates and amounts never are."""
    question = asked(column, PATIENTS, STRANGERS if known else [{}] * 320)
    assert question is None or (not known and len(set(column)) == 40)


def test_a_label_that_follows_a_code_does_not_make_it_a_person() -> None:
    """A code of a finding decides the label; the sex of those who share it does not agree."""
    codes = [R.randrange(40) for _ in range(320)]
    said = [{"label": "AB"[code % 2], "sex": sex} for code, sex in zip(codes, SEXES, strict=True)]
    assert asked([f"D{code}" for code in codes], PATIENTS, said) is None


def test_studies_of_a_patient_share_an_id_and_are_not_grouped() -> None:
    headers = [f"P{n}" for n in PERSONS]
    assert asked([f"exam {n // 2}" for n in range(320)], headers, BY_PERSON) is None
    assert asked([f"exam {n}" for n in range(320)], headers, BY_PERSON) is None
    assert asked([f"x{n}" for n in PERSONS], headers, BY_PERSON) is None


def test_an_id_that_all_share_is_no_patient() -> None:
    assert asked([f"x{n}" for n in PERSONS], ["ANONYMOUS"] * 320, BY_PERSON) is None


@pytest.mark.parametrize(
    "name",
    [
        "participant_id", "person_id", "subject_no", "case_id", "CaseID", "anon_id", "patnr", "eid", "individual",
        "individual_id", "Person", "study_subject", "dbGaP_Subject_ID", "patientid_anon", "pat_no", "Patientennummer",
        "Study Patient ID", "anon_patient_no", "USUBJID", "Participant", "patient-number",
    ],
)  # fmt: skip
def test_usual_names_of_patients_are_known(name: str) -> None:
    assert choose_keys(Path("t.csv"), ["path", name, "race"], ()).patient == name
    both = choose_keys(Path("t.csv"), [name, "patient_id"], ())
    assert (both.patient, both.others) == ("patient_id", (("patient", name),))


@pytest.mark.parametrize(
    "name",
    ["id", "ID", "case", "research_id", "image id", "study_id", "series", "personal", "staff", "scan_id", "code"],
)
def test_names_of_anything_are_no_patients(name: str) -> None:
    assert choose_keys(Path("t.csv"), ["path", name], ()).patient is None
