"""The patient column of a table: one id in two spellings is said, joined where the user says so, and never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastrace.cohort.labels import Labels, read_labels


def read(tmp_path: Path, *patients: str, races: str = "AABB", **options: object) -> Labels:
    file = tmp_path / "labels.csv"
    rows = "".join(f"im{n}.png,{one},{race}\n" for n, (one, race) in enumerate(zip(patients, races, strict=False)))
    file.write_text("image,patient_id,race\n" + rows)
    return read_labels(file, **options)  # type: ignore[arg-type]


def patients(labels: Labels) -> list[str | None]:
    return [row["patient_id"] for row in labels.rows.values()]  # type: ignore[misc]


SPELLINGS = {
    "case": ("P1", "p1", "P2", "p2"),
    "decimals": ("1", "1.0", "2", "2.0"),
    "zeros": ("1", "001", "2", "02"),
    "spaces": ("P 1", "P1", "P 2", "P2"),
}


@pytest.mark.parametrize(("name", "ids"), SPELLINGS.items())
def test_spellings_of_one_patient_are_said_and_the_remedy_joins_them(
    tmp_path: Path, name: str, ids: tuple[str, ...]
) -> None:
    labels = read(tmp_path, *ids)
    assert patients(labels) == list(ids)
    (line,) = (one for one in labels.notes if "differ from another one" in one)
    assert line.startswith("labels: 4 ids of column 'patient_id' differ from another one in ")
    assert line.endswith(f"are patients of their own: if two are one person, add --match {name}")
    joined = read(tmp_path, *ids, match=(name,))
    assert patients(joined) == [ids[0], ids[0], ids[2], ids[2]]
    assert f"labels: column 'patient_id': 2 read as another spelling of an id before: --match {name}" in joined.notes
    assert not any("differ from another one" in one for one in joined.notes)


def test_several_differences_name_the_options_that_are_needed_together(tmp_path: Path) -> None:
    labels = read(tmp_path, "P01", "p1", "Q", "R")
    assert any(one.endswith("add --match case --match zeros") for one in labels.notes)
    assert patients(read(tmp_path, "P01", "p1", "Q", "R", match=("case", "zeros"))) == ["P01", "P01", "Q", "R"]


def test_the_policy_counts_a_person_of_two_spellings_once(tmp_path: Path) -> None:
    ids = ("P1", "p1", "P1", "Q")
    labels = read(tmp_path, *ids, races="ABAC", match=("case",), policy="majority")
    assert [row["race"] for row in labels.rows.values()] == ["A", "A", "A", "C"]


def test_a_folder_that_is_ignored_in_paths_makes_no_two_patients_one(tmp_path: Path) -> None:
    ids = ("siteA/1", "siteB/1", "a.dcm", "a.png")
    assert patients(read(tmp_path, *ids, match=("folder", "extension", "slashes", "exponent"))) == list(ids)


def test_patients_that_lost_digits_are_nobody_and_counted(tmp_path: Path) -> None:
    """Three persons once had one race, by the majority of their votes."""
    labels = read(tmp_path, "1.23E+12", "1.23E+12", "1.23E+12", "7", races="AABB", policy="majority")
    assert patients(labels) == [None, None, None, "7"]
    assert [row["race"] for row in labels.rows.values()] == ["A", "A", "B", "B"]
    assert any(
        "column 'patient_id': 3 cells are numbers in scientific notation that lost digits" in n for n in labels.notes
    )


def test_a_line_about_a_table_of_patients_names_no_option_that_would_not_help(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("patient_id,race\nP1,A\np1,B\nQ,A\n")
    (line,) = (one for one in read_labels(file).notes if "differ from another one" in one)
    assert line.endswith("if two are one person, correct the table, or say with --patient-from FILE")
