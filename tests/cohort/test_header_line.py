"""Tables that begin with a title, in a later line, or on another sheet; and tables that begin with a row."""

from __future__ import annotations

from pathlib import Path

import pytest
from workbooks import number, text, workbook

from fastrace.cohort.labels import Labels, read_labels
from fastrace.errors import UsageError


def labels(tmp_path: Path, lines: str, **options: object) -> Labels:
    (tmp_path / "labels.csv").write_text(lines)
    return read_labels(tmp_path / "labels.csv", **options)


FROM_LINE = "labels: the names of the columns are read from line {}; what is above is no part of the table"


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        ("Export of RIS;;;;\n\nPatientID;race;bmi;x;y\n1;A;23,5;;\n2;B;21;;\n", 3),
        ("Export of RIS\n\nPatientID;race;bmi\n1;A;23,5\n2;B;21\n", 3),
        ("Export of RIS, by Radiology\nfrom,2026-01-02\nPatientID\trace\tbmi\n1\tA\t23.5\n2\tB\t21\n", 3),
        ('sep=;\n"Export\nof RIS"\nPatientID;race;bmi\n1;A;23,5\n2;B;21\n', 4),
        ("\n\nPatientID;race;bmi\n1;A;23,5\n2;B;21\n", None),
    ],
)
def test_the_names_of_the_columns_may_stand_below_a_title(tmp_path: Path, lines: str, line: int | None) -> None:
    found = labels(tmp_path, lines)
    assert {key: (row["race"], row["bmi"]) for key, row in found.rows.items()} == {"1": ("A", 23.5), "2": ("B", 21.0)}
    assert (FROM_LINE.format(line) in found.notes) == (line is not None)


@pytest.mark.parametrize("title", ["Study", "Patient", "Study,,", "Study,,\n,,", "File: x.csv,,"])
def test_a_padded_title_of_one_word_is_no_line_of_names(tmp_path: Path, title: str) -> None:
    """'Study,,' named a column of studies, and no image had a row."""
    found = labels(tmp_path, f"{title}\npatient_id,race,label\nQ1000,White,a\nQ1001,Black,b\n")
    assert (found.key, [row["race"] for row in found.rows.values()]) == ("patient", ["White", "Black"])


def test_a_first_line_with_a_key_stays_the_names_where_the_rows_are_no_names(tmp_path: Path) -> None:
    for lines in (
        "patient_id,\nann,study\n",
        "patient_id,,\nann,patient,x\n",
        "patient_id\nstudy\n",
        "study,\n1,patient\n",
    ):
        found = labels(tmp_path, lines)
        assert found.column in ("patient_id", "study")
        assert len(found.rows) == 1


def test_a_key_that_is_typed_finds_its_line(tmp_path: Path) -> None:
    lines = "Export of RIS;;\nNummer;race;x\n1;A;\n"
    found = labels(tmp_path, lines, key="patient=Nummer")
    assert found.rows["1"]["race"] == "A"
    assert FROM_LINE.format(2) in found.notes
    with pytest.raises(
        UsageError, match="seem to be in line 2, not in line 1, which has one cell: delete the lines above"
    ):
        labels(tmp_path, lines)
    with pytest.raises(UsageError, match="seem to be in line 3, not in line 1"):
        labels(tmp_path, "Export of RIS\n\nNummer;race;x\n1;A;\n")


@pytest.mark.parametrize(
    "lines",
    [
        "who,role\n1,patient\n2,path\n",
        "who,role\nann,patient\nbob,path\n",
        ",role\nann,patient\n",
        "who,role,\nann,study,x\n",
        "patient_id\nann\n",
    ],
)
def test_a_row_that_holds_the_name_of_a_key_is_a_row(tmp_path: Path, lines: str) -> None:
    """Whatever is known of the first line: it is as wide as the rows."""
    first = lines.split("\n")[0].split(",")[0] or "column 1"
    found = labels(tmp_path, lines, key=f"patient={first}")
    assert len(found.rows) == lines.count("\n") - 1
    assert not any("are read from line" in note for note in found.notes)


def test_a_table_that_begins_with_a_row_is_refused_without_its_cells(tmp_path: Path) -> None:
    for lines in ("10001,Meier,White\n10002,Huber,Black\n", "Meier;1950-02-03;White\nHuber;1951-02-03;Black\n"):
        for key in (None, "PatientID"):
            with pytest.raises(UsageError, match="line 1 has numbers and no column known") as error:
                labels(tmp_path, lines, key=key)
            assert "Meier" not in str(error.value)


@pytest.mark.parametrize(
    "lines",
    [
        "Mueller Anna,White\nSmith Bob,Black\n",
        "Mueller,Mueller,White\nSmith,Smith,Black\n",
        "anna@x,White\nbob@x,Black\n",
    ],
)
@pytest.mark.parametrize("options", [{}, {"key": "patient=id"}, {"key": "id", "columns": ["race"]}])
def test_no_cell_of_a_first_line_that_may_be_a_row_is_quoted(tmp_path: Path, lines: str, options: dict) -> None:
    with pytest.raises(UsageError, match=r"columns ha(s|ve)|columns 1 and 2 have the same name") as error:
        labels(tmp_path, lines, **options)
    assert not any(cell in str(error.value) for cell in ("Mueller", "Anna", "anna", "White"))


def test_a_repeated_name_is_quoted_where_it_is_a_usual_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="column 'race' occurs twice") as error:
        labels(tmp_path, "patient_id,Mueller,Mueller,race,race\n1,2,3,4,5\n")
    assert "Mueller" not in str(error.value)


def test_a_table_of_names_alone_has_no_rows(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the table has no rows"):
        labels(tmp_path, "PatientID,race\n")


def test_the_sheet_with_a_key_is_read_and_the_others_are_named(tmp_path: Path) -> None:
    info = [[text("Export of RIS")], [text("made"), text("2026-01-02")]]
    rows = [[text("Cohort")], [text("PatientID"), text("race")], [number("7"), text("A")]]
    other = [[text("PatientID"), text("race")], [number("7"), text("B")]]
    found = read_labels(workbook(tmp_path / "labels.xlsx", {"Info": info, "Data": rows, "Old": other}))
    assert found.rows["7"]["race"] == "A"
    assert (
        "labels: sheet 'Data' is read, the first of 3 with a column that names patients or images (others: 'Info', 'Old'); save "
        "another as its own file"
    ) in found.notes
    assert FROM_LINE.format(2) in found.notes


def test_the_first_sheet_is_read_where_none_has_a_key(tmp_path: Path) -> None:
    sheets = {"A": [[text("no"), text("race")], [text("1"), text("A")]], "B": [[text("x"), text("y")]]}
    with pytest.raises(UsageError, match="it has 'no', 'race'"):
        read_labels(workbook(tmp_path / "labels.xlsx", sheets))
    found = read_labels(workbook(tmp_path / "labels.xlsx", sheets), key="patient=no")
    assert "labels: sheet 'A' is read, the first of 2 with a column" in found.notes[0]
