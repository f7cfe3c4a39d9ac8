"""Whose sex and age the index has, the header's or the table's: as the lines say, down to the classes of an audit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastrace import api
from fastrace.cli.preprocess import _summary_text
from fastrace.cohort.selection import labelled
from fastrace.dataset import Dataset
from fastrace.preprocess.summary import Summary

WriteDicom = Callable[..., Path]


@pytest.fixture
def archive(tmp_path: Path, write_dicom: WriteDicom) -> Path:
    """Eight women of 30 by their headers, the last without an age; by the table half of them are men, and all are 71 or more."""
    for n in range(8):
        write_dicom(
            tmp_path / "src" / f"{n}.dcm", PatientID=f"P{n}", PatientSex="F", PatientAge="030Y" if n < 7 else ""
        )
    rows = [f"P{n},White,{'FM'[n % 2]},{71 + n}" for n in range(8)]
    (tmp_path / "labels.csv").write_text("\n".join(["PatientID,race,sex,age", *rows]) + "\n")
    return tmp_path


def run(archive: Path, **options: Any) -> tuple[Summary, dict[str, list[Any]]]:
    options = {"labels": archive / "labels.csv", "modality": "any", "size": (16, 16), "jobs": 1, **options}
    summary = api.preprocess(archive / "src", archive / "out", **options)
    index = Dataset.open(archive / "out").index
    return summary, {name: sorted(index[name].dropna()) for name in index}


def test_a_table_of_patients_gives_an_age_where_the_header_has_none(archive: Path) -> None:
    summary, index = run(archive)
    assert index["age_years"] == [30.0] * 7 + [78.0]
    assert index["sex"] == ["F"] * 8
    line = "age_years from 'age', one for each patient: the same for all studies of a patient"
    assert summary.notes[0].endswith(f"; for the index, where the header has none: sex from 'sex', {line}")
    said = "sex of 4 of 8 patients, age of 7 of 7 patients (by more than 2 years) differs between header and table"
    assert summary.of_patients[-1] == f"{said}: the header's is kept"


def test_with_table_the_index_has_the_tables_sex_and_age_and_an_audit_its_classes(archive: Path) -> None:
    summary, index = run(archive, sex_and_age_from="table", bins=["age=75"])
    assert index["age_years"] == [71.0 + n for n in range(8)]
    assert index["age_bin"] == ["<75"] * 4 + [">=75"] * 4
    assert "; for the index, instead of the header's: sex from 'sex', age_years from 'age'" in summary.notes[0]
    assert summary.of_patients[-1].endswith("the table's is kept")
    cohort = labelled(Dataset.open(archive / "out"), "sex")
    assert (cohort.classes, cohort.labels.tolist().count(1)) == (("F", "M"), 4)


def test_a_table_of_which_no_attribute_is_kept_ends_with_a_warning(archive: Path) -> None:
    """'label columns: none' stood far above, and the audit then had nothing to ask."""
    (archive / "labels.csv").write_text("PatientID,male,ward\n" + "".join(f"P{n},{n % 2},x\n" for n in range(8)))
    summary, _ = run(archive)
    line = "no column of the label table is kept as an attribute, so that none of it can be audited"
    line += ": add --column NAME (male, ward), with another --out"
    assert summary.warnings == [line]
    assert _summary_text(summary).splitlines()[-1] == f"warning: {line}"
    for columns in (["male"], []):
        text = "PatientID,male,sex\n" if not columns else "PatientID,male,ward\n"
        (archive / "labels.csv").write_text(text + "".join(f"P{n},{n % 2},F\n" for n in range(8)))
        options = {"labels": archive / "labels.csv", "modality": "any", "size": (16, 16), "jobs": 1, "columns": columns}
        assert api.preprocess(archive / "src", archive / f"out{len(columns)}", **options).warnings == []


def test_what_the_table_says_of_an_image_stands_in_the_index_as_headers_say_it(
    tmp_path: Path, write_dicom: WriteDicom
) -> None:
    """'LEFT' stood beside 'L', 'MEDIOLATERAL OBLIQUE' beside 'MLO', and sex U was another sex."""
    for n in range(4):
        write_dicom(tmp_path / "src" / f"{n}.dcm", PatientID=f"P{n}", PatientSex="", ViewPosition="")
    rows = ("0.dcm,a,U,left,mediolateral oblique", "1.dcm,a,f,L,MLO", "2.dcm,b,1,,R CC", "3.dcm,b,M,,CC rolled lateral")
    (tmp_path / "labels.csv").write_text("\n".join(["image,label,sex,laterality,view", *rows]) + "\n")
    _, index = run(tmp_path)
    assert (index["sex"], index["laterality"], index["view"]) == (
        ["F", "M"],
        ["L", "L", "R"],
        ["CC", "CC", "MLO", "MLO"],
    )
    assert index["view_modifiers"] == ["rolled_lateral"]
