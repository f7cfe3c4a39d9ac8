"""Tables come back as they were written, whatever the encoding, the separator and the program: every cell as text."""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import math
import re
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from workbooks import number, text, workbook

from fastrace.cohort.answers import same_values
from fastrace.cohort.bins import parse_bins
from fastrace.cohort.labels import read_labels
from fastrace.cohort.numbers import column_numbers
from fastrace.cohort.policy import codes_of, encode, patients_with, resolve
from fastrace.cohort.spreadsheet import _text
from fastrace.cohort.tables import read_table
from fastrace.console.tables import harmless
from fastrace.errors import UsageError

ENCODINGS = {
    "utf-8": "utf-8", "utf-8-sig": "utf-8-sig", "utf-16": "utf-16", "utf-16-le": "utf-16-le", "utf-16-be": "utf-16-be",
    "utf-32": "utf-32", "cp1252": "cp1252",
}  # fmt: skip
CELLS = st.text(st.sampled_from("aZ09 ,;\t|\"'\n\\=.é€ßñ"), max_size=6).filter(
    lambda cell: not cell.startswith("\ufeff")
)


def written(rows: list[list[str]], separator: str, ends: str, quoting: int) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator=ends, quoting=quoting).writerows(rows)
    return out.getvalue()


@given(
    st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=5),
    st.sampled_from(sorted(ENCODINGS)),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_a_text_table_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    body: list[tuple[str, ...]],
    encoding: str,
    separator: str,
    ends: str,
    quoting: int,
) -> None:
    rows = [["id", "race, or so", 'a "b"; c'], *map(list, body)]
    file = tmp_path_factory.mktemp("table") / "labels.csv"
    raw = written(rows, separator, ends, quoting).encode(ENCODINGS[encoding])
    # "ß€" in Windows-1252 is one letter in UTF-8: nobody can tell.
    assume(encoding != "cp1252" or not re.search(rb"[\xdf\xe9\xf1]\x80", raw))
    file.write_bytes(raw)
    kept = [list(row) for row in body if any(cell.strip() for cell in row)]
    assert read_table(file).cells.to_numpy().tolist() == kept


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16"),
        ("utf-32", "UTF-32"),
        ("latin-1", "Windows-1252"),
    ],
)
def test_another_encoding_than_utf_8_is_named(tmp_path: Path, encoding: str, name: str) -> None:
    file = tmp_path / "labels.csv"
    file.write_bytes("patient_id,race\np1,métis\n".encode(encoding))
    labels = read_labels(file)
    assert labels.find({"patient": ["p1"]})[1]["race"] == "métis"
    assert any(f"the table is read as {name}" in note for note in labels.notes)


@pytest.mark.parametrize(
    "raw",
    [
        b"patient_id,race\nKENN0001,A\n" * 20 + b"\0x",
        b"PNG\0\0\1\2\3\xff\xfe\0\0\xd8\0\xd8",
        b"\xff\xfea",
        b"\xef\xbb\xbfid,race\n1,\xe9\n",
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "labels.csv"
    file.write_bytes(raw)
    with pytest.raises(UsageError, match=r"labels\.csv: .*save") as refused:
        read_table(file)
    assert str(refused.value).isascii()  # no row, read as Chinese


def test_a_packed_table_and_excels_first_line_are_read(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv.gz"
    file.write_bytes(gzip.compress(b"sep=;\r\nid;race\r\n007;A, or B\r\n"))
    assert read_table(file).cells.to_dict("list") == {"id": ["007"], "race": ["A, or B"]}
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(UsageError, match="damaged gzip file"):
        read_table(file)


def excel(path: Path, cells: list[list[str]]) -> Path:
    return workbook(path, {"S": cells})


def test_ids_of_an_excel_table_are_text_again(tmp_path: Path) -> None:
    """A number has no leading zeros in the file, and no '.0' for who reads it; its name does not matter."""
    rows = [[text("PatientID"), text("race"), text("bmi")], [text("007"), text("A"), number("23.5")]]
    rows += [
        [number("10001"), '<c t="b"><v>1</v></c>', "<c/>"],
        [number("1.5"), '<c t="e"><v>#N/A</v></c>', number("30")],
    ]
    file = excel(tmp_path / "labels.csv", rows)
    assert read_table(file).cells.to_numpy().tolist() == [
        ["007", "A", "23.5"],
        ["10001", "True", ""],
        ["1.5", "", "30"],
    ]


def test_an_opendocument_table_is_read(tmp_path: Path) -> None:
    office = "urn:oasis:names:tc:opendocument:xmlns:"
    rows = (("string", "", "PatientID"), ("string", "", "007"), ("float", ' office:value="8"', "8"))
    body = "".join(
        f'<table:table-row><table:table-cell office:value-type="{kind}"{value}><text:p>{said}</text:p></table:table-cell>'
        "</table:table-row>"
        for kind, value, said in rows
    )
    names = " ".join(f'xmlns:{name}="{office}{name}:1.0"' for name in ("office", "table", "text"))
    of_all = f'manifest:media-type="{(kind := "application/vnd.oasis.opendocument.spreadsheet")}"'
    with zipfile.ZipFile(tmp_path / "labels.ods", "w") as file:
        file.writestr("mimetype", kind)
        file.writestr(
            "META-INF/manifest.xml",
            f'<manifest:manifest xmlns:manifest="{office}manifest:1.0"><manifest:file-entry manifest:full-path="/" {of_all}/>'
            "</manifest:manifest>",
        )
        file.writestr(
            "content.xml",
            f'<office:document-content {names}><office:body><office:spreadsheet><table:table table:name="T">{body}'
            "</table:table></office:spreadsheet></office:body></office:document-content>",
        )
    cells = read_table(tmp_path / "labels.ods").cells
    assert list(cells.columns) == ["PatientID"]
    assert cells.to_numpy().tolist() == [["007"], ["8"]]


def test_what_excel_may_have_changed_is_noted(tmp_path: Path) -> None:
    rows = [[text("PatientID"), text("race")], [number("1234567890123456000"), text("A")]]
    assert any("more than 15 digits" in note for note in read_table(excel(tmp_path / "a.xlsx", rows)).notes)
    assert [_text(cell) for cell in (datetime.datetime(2026, 1, 2), datetime.date(2026, 1, 2), 3.0)] == [
        "2026-01-02"
    ] * 2 + ["3"]
    (tmp_path / "b.xlsx").write_bytes((tmp_path / "a.xlsx").read_bytes()[:300])
    with pytest.raises(UsageError, match="not a readable Excel"):
        read_table(tmp_path / "b.xlsx")


def test_whole_numbers_of_parquet_keep_all_their_digits(tmp_path: Path) -> None:
    """Through pandas those beside a missing one would become floats: exact to 2^53."""
    table = pa.table({"PatientID": pa.array([2**53 + 1, None], pa.int64()), "x": pa.array([1.0, math.nan])})
    pq.write_table(table, tmp_path / "labels.parquet")
    assert read_table(tmp_path / "labels.parquet").cells.to_numpy().tolist() == [["9007199254740993", "1"], ["", ""]]


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["63,5", "44", "71.0"], [63.5, 44.0, 71.0]),
        (["1.234,5", "2.345"], [1234.5, 2345.0]),
        (["1,234.5", "12"], [1234.5, 12.0]),
        (["1,234,567"], [1234567.0]),
        (["1e3", None, "-.5"], [1000.0, None, -0.5]),
        (["1,2,3"], None), (["A"], None), (["nan"], None), (["1e999"], None), ([None], None),
    ],
)  # fmt: skip
def test_numbers_are_read_as_the_column_writes_them(cells: list, numbers: list | None) -> None:
    assert column_numbers("bmi", cells) == numbers


def test_a_comma_that_may_mean_two_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("patient_id;bmi\n1;23,456\n2;12,345\n")
    with pytest.raises(
        UsageError,
        match=r"labels\.csv: column 'bmi': the comma in row 2 may be decimal or part thousands; write its numbers",
    ):
        read_labels(tmp_path / "labels.csv")


@given(st.floats(0, 1e6, allow_nan=False).map(lambda one: f"{one:.2f}"))
def test_a_decimal_comma_and_a_decimal_point_are_the_same_number(shown: str) -> None:
    assert column_numbers("x", [shown.replace(".", ","), "0,5"]) == column_numbers("x", [shown, "0.5"])


@given(
    st.lists(st.sampled_from(["White", "white", "WHITE ", "Black", "1", "1.0", "01", None]), max_size=12), st.booleans()
)
def test_the_spelling_that_is_kept_depends_on_counts_alone(cells: list, codes: bool) -> None:
    kept = same_values(cells, codes)
    assert kept == same_values(list(reversed(cells)), codes)
    assert set(kept) == {cell for cell in cells if cell is not None}
    assert all(kept.get(one, one) == one for one in kept.values())


def race(tmp_path: Path, cells: str, **options: object) -> tuple[list, tuple[str, ...]]:
    """The values of a column of race whose cells are written in a row, and the lines about them."""
    rows = "".join(f"p{number};{cell}\n" for number, cell in enumerate(cells.split(";")))
    (tmp_path / "labels.csv").write_text("PatientID;race\n" + rows)
    labels = read_labels(tmp_path / "labels.csv", **options)
    return [row["race"] for row in labels.rows.values()], labels.notes


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        ("01;1;02;2;02;1", "1;1;2;2;2;1"),
        ("1;1.0;1,0;001", "1;1;1;1"),
        ("01;02;02", "01;02;02"),
        ("01;1;03", "1;1;3"),
        ("0;00;10", "0;0;10"),
        ("01;1;A", "01;1;A"),
        ("0;0.0;1;1,0;Other", "0;0;1;1;Other"),
        ("1.00;1;0;0.0;true", "1;1;0;0;true"),
        ("1.5;1.0;v1.0;2.10", "1.5;1;v1.0;2.10"),
    ],
)
def test_codes_that_are_one_number_are_one_value(tmp_path: Path, cells: str, values: str) -> None:
    """A value written in one way keeps it, zeros before a number go where all of a column are numbers, and ids keep theirs."""
    assert race(tmp_path, cells)[0] == values.split(";")


def test_numbers_among_words_are_named(tmp_path: Path) -> None:
    """'99' was an answer beside White without a word."""
    values, notes = race(tmp_path, "White;Black;White;Asian;99;9")
    assert values[-2:] == ["99", "9"]
    line = "numbers among words (if they are codes for no answer, map them with --categories FILE): '9' 1, '99' 1"
    assert f"labels: column 'race': {line}" in notes
    for cells in ("1;2;9", "1;2;2;A", "White;Black"):
        assert not any("among words" in note for note in race(tmp_path, cells)[1])


@pytest.mark.parametrize(
    ("name", "cells", "values"),
    [
        ("label", "+;-;++;", "+;-;++;unknown"),
        ("label", "pos;-;neg", "pos;unknown;neg"),
        ("label", "No response;Response", "No response;Response"),
        ("site", "MSK;NYU;UNK", "MSK;NYU;unknown"),
        ("race", "MSK;White;NI", "unknown;White;unknown"),
        ("Ethnicity_desc", "NI;A", "unknown;A"),
        ("trace", "NI;A", "NI;A"),
    ],
)
def test_a_column_decides_what_is_no_answer(tmp_path: Path, name: str, cells: str, values: str) -> None:
    rows = "".join(f"p{number},{cell}\n" for number, cell in enumerate(cells.split(";")))
    (tmp_path / "labels.csv").write_text(f"PatientID,{name}\n" + rows)
    labels = read_labels(tmp_path / "labels.csv", columns=[name])
    assert [row[name] for row in labels.rows.values()] == values.split(";")


def test_rows_without_an_answer_are_counted(tmp_path: Path) -> None:
    _, notes = race(tmp_path, "White;;?;Unknown;99 Unknown;Declined;7 - Refused")
    assert "labels: column 'race': 4 rows read as unknown: '99 Unknown' 1, 'Unknown' 1, missing 2" in notes
    assert "labels: column 'race': 2 rows read as declined: '7 - Refused' 1, 'Declined' 1" in notes
    assert "labels: column 'race': 1 row read as unknown: missing 1" in race(tmp_path, "White;;Black")[1]


def test_an_answer_and_none_in_one_value_stays_one_and_is_named(tmp_path: Path) -> None:
    values, _ = race(tmp_path, "White;Other/Unknown;Other;Unknown or other")
    assert values == ["White", "Other/Unknown", "Other", "Unknown or other"]
    said = read_labels(tmp_path / "labels.csv").lines(lambda column, value: True)
    line = "kept as an answer though it may be none (if it is, map it with --categories FILE)"
    assert f"labels: column 'race': {line}: 'Other/Unknown' 1, 'Unknown or other' 1" in said


@given(
    st.dictionaries(
        st.text("abc", min_size=1), st.lists(st.sampled_from(["A", "B", "unknown", "declined"]), min_size=1)
    )
)
def test_a_policy_takes_a_recorded_answer_or_none(recorded: dict[str, list[str]]) -> None:
    patients = patients_with(recorded)
    codes = codes_of(recorded)
    words = list(codes)
    for values in recorded.values():
        answers = [value for value in values if value not in ("unknown", "declined")]
        assert [words[int(code)] for code in encode(values, codes).split(",")] == values
        for policy in ("consistent", "first", "last", "majority", "any"):
            one = resolve(values, policy, patients)
            assert one in ({*answers, "contradictory"} if answers else set(values))
            assert len(set(answers)) != 1 or one == answers[0]
            assert one == resolve(
                values, policy, {word: place for place, word in enumerate(words)}
            )  # as the index knows it
    assert resolve(["A", "B", "B"], "any", {"A": 1, "B": 5}) == "A"
    assert resolve(["A", "B"], "majority", {}) == "contradictory"


def test_policies_of_race_are_decided_over_all_rows_of_a_patient(tmp_path: Path) -> None:
    """Else two studies of one patient would have two races, and the patient none."""
    rows = ["a.png,p1,White,1", "b.png,p1,Black,2", "c.png,p1,White,3", "d.png,p2,Black,1"]
    (tmp_path / "labels.csv").write_text("path,patient_id,race,density\n" + "\n".join(rows) + "\n")
    labels = read_labels(tmp_path / "labels.csv", policy="majority")
    assert [row["race"] for row in labels.rows.values()] == ["White"] * 3 + ["Black"]
    assert [row["density"] for row in labels.rows.values()] == ["1", "2", "3", "1"]
    assert any("1 of 2 patients have different recorded values" in note for note in labels.notes)


def test_a_row_without_a_patient_takes_nothing_of_a_patient_who_is_called_as_its_key(tmp_path: Path) -> None:
    """Accession 100 names no patient; patient 100 is somebody else, whose race it got."""
    for first in ("Unknown", "White"):
        rows = f"accession,patient_id,race\n100,,{first}\n200,100,Black\n300,300,Asian\n300,300,Asian\n"
        (tmp_path / "labels.csv").write_text(rows)
        labels = read_labels(tmp_path / "labels.csv")
        own = "unknown" if first == "Unknown" else first
        assert {key: row["race"] for key, row in labels.rows.items()} == {"100": own, "200": "Black", "300": "Asian"}
        assert "race_recorded" not in labels.columns


def test_bins_hold_their_lower_edge() -> None:
    bins = parse_bins("age=40,60.5")
    assert (bins.name, bins.classes) == ("age_bin", ("<40", "40-60.5", ">=60.5"))
    assert [bins.of(age) for age in (39.9, 40, 60.4, 60.5, None, math.nan)] == [
        "<40",
        "40-60.5",
        "40-60.5",
        ">=60.5",
        "unknown",
        "unknown",
    ]
    for wrong in ("age", "age=", "=4", "age=4,3", "age=4,4", "age=x"):
        with pytest.raises(UsageError, match="--bins"):
            parse_bins(wrong)


@given(st.text())
def test_a_harmless_cell_gives_the_cell_back_and_is_no_formula(cell: str) -> None:
    shown = harmless(cell)
    assert shown in (cell, "'" + cell)
    assert shown == cell or not cell.lstrip() or shown[1:] == cell
    assert not shown.lstrip().startswith(("=", "+", "-", "@"))


def test_columns_that_describe_the_image_are_named(tmp_path: Path) -> None:
    """'label columns: none' was printed though sex and age were used."""
    pd.DataFrame({"image": ["a"], "gender": ["1"], "age": ["44"]}).to_csv(tmp_path / "labels.csv", index=False)
    notes = read_labels(tmp_path / "labels.csv").notes
    assert notes[0].endswith(
        "label columns: none; for the index, where the header has none: sex from 'gender', age_years from 'age'"
    )
    assert any("no known sex, read as missing (write F, M or O): '1'" in note for note in notes)


def test_sexes_are_read_in_the_words_of_other_languages(tmp_path: Path) -> None:
    """'weiblich' was O, another sex."""
    words = {
        "weiblich": "F",
        "Männlich": "M",
        "femme": "F",
        "Homme": "M",
        "mujer": "F",
        "masculino": "M",
        "divers": "O",
        "Other": "O",
        "X": "O",
        "F.": "F",
        "♂": "M",
        "U": None,
        "N": None,
        "Unknown": None,
        "1": None,
        "2": None,
        "zz": None,
        "kvinna": "F",
    }
    pd.DataFrame({"image": list(words), "sex": list(words)}).to_csv(tmp_path / "labels.csv", index=False)
    labels = read_labels(tmp_path / "labels.csv")
    assert {key: row["sex"] for key, row in labels.rows.items()} == words
    lines = labels.lines(lambda column, value: True)
    assert "labels: column 'sex': no known sex, read as missing (write F, M or O): '1', '2', 'zz'" in lines
    assert "labels: column 'sex': read as O, another sex than F or M: 'Other', 'X', 'divers'" in lines


def test_side_and_view_are_read_in_the_words_of_headers(tmp_path: Path) -> None:
    rows = ("left,mediolateral oblique", "L,MLO", "RIGHT,L MLO", "bilateral,spot CC", "middle,sideways", "unknown,")
    lines = "".join(f"{number},{row}\n" for number, row in enumerate(rows))
    (tmp_path / "labels.csv").write_text("image,laterality,view\n" + lines)
    labels = read_labels(tmp_path / "labels.csv")
    found = [(row["laterality"], row["view"]) for row in labels.rows.values()]
    assert found == [("L", "MLO"), ("L", "MLO"), ("R", "L MLO"), ("B", "SPOT CC"), (None, "other"), (None, None)]
    said = labels.lines(lambda column, value: True)
    assert "labels: column 'laterality': no known side, read as missing (write L, R or B): 'middle'" in said
    assert "labels: column 'view': no known view, read as other: 'sideways'" in said
