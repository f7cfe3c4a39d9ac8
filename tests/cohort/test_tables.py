"""The label join: every table the public sets and hospitals bring, and one clear sentence for every broken one."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastrace.cohort.ages import age_in_text, age_of_cell, is_age
from fastrace.cohort.labels import Labels, read_labels
from fastrace.cohort.tables import read_categories
from fastrace.errors import RejectedInput, UsageError


def table(tmp_path: Path, text: str, name: str = "labels.csv", encoding: str = "utf-8") -> Path:
    file = tmp_path / name
    file.write_bytes(text.encode(encoding))
    return file


def test_a_patient_table_gives_its_row(tmp_path: Path) -> None:
    labels = read_labels(table(tmp_path, "patient_id,race\np1,Black\np2,White\n"))
    assert labels.key == "patient"
    assert labels.columns == {"race": "categorical"}
    assert labels.find({"patient": ["p1"]})[1]["race"] == "Black"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_separator_and_byte_order_mark_do_not_matter(tmp_path: Path, separator: str, encoding: str) -> None:
    text = "patient_id,race\r\np1,Asiatique é\r\n".replace(",", separator)
    labels = read_labels(table(tmp_path, text, encoding=encoding))
    assert labels.find({"patient": ["p1"]})[1] == {"race": "Asiatique é"}


def test_parquet_keys_that_are_numbers_are_compared_as_text(tmp_path: Path) -> None:
    file = tmp_path / "labels.parquet"
    pd.DataFrame({"subject_id": [10, 11], "race": ["a", None]}).to_parquet(file)
    labels = read_labels(file)
    assert labels.find({"patient": ["10"]})[1]["race"] == "a"
    assert labels.find({"patient": ["11"]})[1]["race"] == "unknown"


def test_parquet_with_missing_integers_and_lists_is_read(tmp_path: Path) -> None:
    """pandas' NA has no truth value, and neither has a list."""
    file = tmp_path / "labels.parquet"
    densities = pd.array([1, None, 2], dtype="Int64")
    pd.DataFrame({"patient_id": ["a", "b", "c"], "density": densities, "codes": [[1, 2], [], None]}).to_parquet(file)
    labels = read_labels(file)
    assert [labels.find({"patient": [name]})[1]["density"] for name in "abc"] == ["1", "unknown", "2"]


@pytest.mark.parametrize("rows", [2, 40_000])
def test_a_quote_that_is_never_closed_is_refused(tmp_path: Path, rows: int) -> None:
    """Else all rows behind it, patients' names included, would become one label."""
    file = table(tmp_path, 'patient_id,race\np1,"Black\n' + "p2,White\n" * rows)
    with pytest.raises(UsageError, match=r"labels\.csv: line \d+: .*; is a quote not closed"):
        read_labels(file)


def test_the_most_specific_key_is_used(tmp_path: Path) -> None:
    labels = read_labels(table(tmp_path, "patient_id,image_id,group,view\np1,i1,A,pa\np1,i2,A,ap\n"))
    assert labels.key == "image"
    _, row = labels.find({"patient": ["p1"], "image": ["i2.png", "i2"]})
    assert row == {"group": "A", "view": "AP", "patient_id": "p1"}


def test_a_named_key_wins(tmp_path: Path) -> None:
    file = table(tmp_path, "image_id,local_number,group\ni1,p1,A\n")
    assert read_labels(file, key="patient=local_number").find({"patient": ["p1"]})[1]["group"] == "A"
    with pytest.raises(UsageError, match="no column 'nope'"):
        read_labels(file, key="nope")
    with pytest.raises(UsageError, match="state what it identifies"):
        read_labels(file, key="local_number")


def test_views_of_one_patient_are_no_contradiction(tmp_path: Path) -> None:
    labels = read_labels(table(tmp_path, "patient_id,group,view\np1,A,CC\np1,A,MLO\n"))
    assert labels.find({"patient": ["p1"]})[1] == {"group": "A"}
    assert any("merged" in note for note in labels.notes)


def test_rows_of_one_key_are_said_to_repeat_values_only_where_they_do(tmp_path: Path) -> None:
    rows = "p0,White\np0,Black\np1,White\np1,unknown\np2,White\np2,White\np2,White\n"
    notes = read_labels(table(tmp_path, f"patient_id,race\n{rows}"), policy="majority").notes
    assert "labels: 2 rows repeat another row's patient key and values; merged" in notes
    assert (
        "labels: 2 rows have the patient key of a row before them and other values: --policy majority says which count"
        in notes
    )


def test_two_labels_of_one_patient_are_no_label_and_both_are_kept(tmp_path: Path) -> None:
    labels = read_labels(table(tmp_path, "patient_id,race\np1,Black\np1,White\np2,White\n"))
    _, row = labels.find({"patient": ["p1"]})
    assert row["race"] == "contradictory"
    assert labels.values is not None
    assert [labels.values["race_recorded"][int(code)] for code in str(row["race_recorded"]).split(",")] == [
        "Black",
        "White",
    ]
    assert labels.find({"patient": ["p2"]})[1]["race"] == "White"


def test_two_patients_of_one_image_reject_it(tmp_path: Path) -> None:
    labels = read_labels(table(tmp_path, "path,patient_id,race\na.png,p1,Black\na.png,p2,Black\nb.png,p2,Black\n"))
    with pytest.raises(RejectedInput, match="different values of patient_id for this path") as error:
        labels.find({"path": ["a.png"]})
    assert error.value.reason == "contradictory_label"
    assert labels.find({"path": ["b.png"]})[1]["patient_id"] == "p2"


def test_unknown_and_declined_are_strata(tmp_path: Path) -> None:
    text = "patient_id,race\n1,UNABLE TO OBTAIN\n2,\n3,Declined\n4,White\n"
    labels = read_labels(table(tmp_path, text))
    races = [labels.find({"patient": [str(n)]})[1]["race"] for n in (1, 2, 3, 4)]
    assert races == ["unknown", "unknown", "declined", "White"]


def test_a_category_map_must_name_every_value(tmp_path: Path) -> None:
    file = table(tmp_path, "patient_id,race\n1,African American  or Black\n2,Caucasian or White\n3,Unknown\n")
    mapping = table(tmp_path, '# comment\n"African American  or Black" = Black\n', "map.txt")
    with pytest.raises(UsageError, match="does not name 'Caucasian or White'"):
        read_labels(file, categories=mapping)
    mapping.write_text('"African American  or Black" = Black\nCaucasian or White = "White"\n')
    labels = read_labels(file, categories=mapping)
    assert [labels.find({"patient": [n]})[1]["race"] for n in "123"] == ["Black", "White", "unknown"]
    mapping.write_text('"African American or Black" = Black\n* = Other\n')
    assert read_labels(file, categories=mapping).find({"patient": ["2"]})[1]["race"] == "Other"


@pytest.mark.parametrize(("text", "message"), [("novalue\n", "line 1: expected"), ("a = B\nA = C\n", "mapped twice")])
def test_a_broken_category_map_names_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_categories(table(tmp_path, text, "map.txt"))


def test_only_known_columns_are_kept_unless_named(tmp_path: Path) -> None:
    file = table(tmp_path, "patient_id,race,surname,crp\np1,Black,Doe,3.5\n")
    labels = read_labels(file)
    assert set(labels.columns) == {"race"}
    assert any("surname, crp" in note for note in labels.notes)
    assert read_labels(file, columns=["crp"]).find({"patient": ["p1"]})[1] == {"race": "Black", "crp": 3.5}


def test_a_column_of_many_numbers_is_numeric_and_codes_are_categories(tmp_path: Path) -> None:
    rows = "".join(f"p{n},{20 + n / 10},{n % 4 + 1}\n" for n in range(40))
    labels = read_labels(table(tmp_path, "patient_id,bmi,density\n" + rows))
    assert labels.columns == {"bmi": "numeric", "density": "categorical"}
    assert labels.find({"patient": ["p5"]})[1] == {"bmi": 20.5, "density": "2"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the table is empty"),
        ("a,b\n1,2\n", "no column names a patient"),
        ("patient_id,race,race\n1,a,b\n", "'race' occurs twice"),
        ("patient_id,race\n1\n", "row 2 has 1 cells"),
    ],
)
def test_a_broken_table_is_refused_in_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_labels(table(tmp_path, text))


def test_unreadable_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"missing\.csv: cannot be read"):
        read_labels(tmp_path / "missing.csv")
    file = table(tmp_path, "patient_id,race\n1,é\n2,é\n")
    file.write_bytes(file.read_bytes() + b"3,\xe9\n")
    with pytest.raises(UsageError, match="byte 28 is not UTF-8, though 2 other"):
        read_labels(file)
    with pytest.raises(UsageError, match="not a readable Parquet"):
        read_labels(table(tmp_path, "no", "labels.parquet"))
    with pytest.raises(UsageError, match="no column 'x'"):
        read_labels(table(tmp_path, "patient_id,race\n1,a\n"), columns=["x"])


def test_a_column_of_the_index_is_not_written_twice(tmp_path: Path) -> None:
    file = table(tmp_path, "image_id,patient_id,sex,model\ni1,p1,f,x\n")
    labels = read_labels(file, columns=["sex"])
    assert labels.columns == {}
    assert labels.find({"image": ["i1"]})[1]["sex"] == "F"
    with pytest.raises(UsageError, match="'model' has the name of a column of the index"):
        read_labels(file, columns=["model"])


def test_a_column_that_is_asked_for_is_a_label_or_said_to_be_in_the_index(tmp_path: Path) -> None:
    """``--column sex`` did nothing without a word."""
    file = table(tmp_path, "image_id,Gender,age\ni1,f,44\ni2,m,50\n")
    labels = read_labels(file, columns=["Gender", "age"])
    assert labels.columns == {"Gender": "categorical", "age": "numeric"}
    assert labels.rows["i1"] == {"sex": "F", "age_years": 44.0, "Gender": "f", "age": 44.0}
    with pytest.raises(UsageError, match=r"no column 'age_years'; it has .*; age_years of the index comes from 'age'"):
        read_labels(file, columns=["age_years"])
    notes = read_labels(table(tmp_path, "image_id,race,sex\ni1,A,f\n"), columns=["sex"]).notes
    line = "labels: --column sex: column 'sex' is sex of the index, where the header has none (--sex-and-age-from table: always)"
    assert line in notes


def test_an_age_of_a_patient_is_taken_and_said_to_be_the_same_for_all_studies(tmp_path: Path) -> None:
    file = table(tmp_path, "patient_id,race,age\np1,A,44\np1,A,44\np2,B,50\np2,B,51\np3,A,about 40\np4,A,not known\n")
    labels = read_labels(file)
    assert {key: row["age_years"] for key, row in labels.rows.items()} == {"p1": 44, "p2": None, "p3": None, "p4": None}
    line = "age_years from 'age', one for each patient: the same for all studies of a patient"
    assert labels.notes[0].endswith(f"label columns: race; for the index, where the header has none: {line}")
    assert "labels: 2 rows contradict another row's age_years ('age'): none is taken" in labels.notes
    assert (
        "labels: column 'age': 1 row has no age that can be read (44, 044Y, 44 years, 90+ can; from 0 to 130): left empty"
        in labels.notes
    )


def test_whose_sex_and_age_count_is_said(tmp_path: Path) -> None:
    file = table(tmp_path, "path,race,sex,view\na.png,A,f,PA\n")
    notes = read_labels(file, over_headers=True).notes
    assert notes[0].endswith(
        "; for the index, instead of the header's: sex from 'sex'; where the header has none: view from 'view'"
    )


def path_labels(tmp_path: Path) -> Labels:
    rows = ["p1/s1/view1.jpg,p1,A", "p2/s1/view1.jpg,p2,B"]
    return read_labels(table(tmp_path, "Path,patient_id,group\n" + "".join(f"train/{row}\n" for row in rows)))


@pytest.mark.parametrize("found", ["train/p2/s1/view1.jpg", "CheXpert/train/p2/s1/view1.jpg", "p2/s1/view1.jpg"])
def test_a_path_matches_when_one_ends_with_the_other(tmp_path: Path, found: str) -> None:
    _, row = path_labels(tmp_path).find({"path": [found], "absolute": ["/data/" + found]})
    assert row == {"group": "B", "patient_id": "p2"}


def test_a_path_of_another_patient_with_the_same_file_name_does_not_match(tmp_path: Path) -> None:
    with pytest.raises(RejectedInput, match="its path is in no row"):
        path_labels(tmp_path).find({"path": ["train/p3/s1/view1.jpg"], "absolute": ["/x/train/p3/s1/view1.jpg"]})


def test_a_path_that_fits_two_rows_is_not_guessed(tmp_path: Path) -> None:
    text = "path,patient_id,group\ntrain/p1/a.png,p1,A\nvalid/p1/a.png,p9,B\ntrain/p2/a.png,p2,A\ntrain/p2/a.png,p2,B\n"
    labels = read_labels(table(tmp_path, text))
    with pytest.raises(RejectedInput, match="the end of 2 paths of the label table; name a SRC further up"):
        labels.find({"path": ["p1/a.png"], "absolute": ["/data/p1/a.png"]})
    assert labels.find({"path": ["p1/a.png"], "absolute": ["/data/valid/p1/a.png"]})[1]["group"] == "B"
    assert labels.find({"path": ["p2/a.png"], "absolute": ["/data/p2/a.png"]})[1]["group"] == "contradictory"


@given(
    st.dictionaries(
        st.text(
            st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]), min_size=1, max_size=8
        ),
        st.sampled_from(["A", "B", "C"]),
        min_size=1,
        max_size=8,
    )
)
def test_any_table_written_by_the_csv_module_comes_back(tmp_path_factory: pytest.TempPathFactory, rows: dict) -> None:
    file = tmp_path_factory.mktemp("labels") / "labels.csv"
    with file.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([("patient_id", "group"), *rows.items()])
    labels = read_labels(file)
    assert {key: row["group"] for key, row in labels.rows.items()} == rows


@pytest.mark.parametrize(
    ("name", "cells", "kept"),
    [
        ("age2", "93 94 41", [90.0, 90.0, 41.0]),
        ("AgeAtScan", "93.25 64.5 0.4", [90.0, 64.5, 0.4]),
        ("age_months", "1100 18 30", [1080.0, 18.0, 30.0]),
        ("patient_age", "095Y 064Y 90+", [90.0, 64.0, 90.0]),
        ("age_band", "90-94 60-69 95+", ["90+", "60-69", "90+"]),
        ("age_group", "1 2 3", ["1", "2", "3"]),
        ("stage", "93 64.5 95", [93.0, 64.5, 95.0]),
        ("Alter", "93 94 41", [90.0, 90.0, 41.0]),
        ("Altersgruppe", "90-94 80-89", ["90+", "80-89"]),
        ("edad_meses", "1100 18 30", [1080.0, 18.0, 30.0]),
        ("âge", "93 64.5", [90.0, 64.5]),
        ("età", "93 64.5", [90.0, 64.5]),
        ("AgeHours", "120 800000.5", [120.0, 788940.0]),
        ("ageing_score", "93 94.5", [93.0, 94.5]),
        ("bone_age", "93 140.5", [93.0, 140.5]),
        ("age_gap", "-3.5 95", [-3.5, 95.0]),
        ("age_group", ">90 85-89 >89 60+", ["90+", "85-89", "90+", "60+"]),
        ("age", "999 200 -1 0 44.5", [None, None, None, 0.0, 44.5]),
        ("age_months", "1561 18", [None, 18.0]),
        ("age_group", "1 2 999", ["1", "2", "unknown"]),
    ],
)
def test_every_column_of_ages_ends_at_90(tmp_path: Path, name: str, cells: str, kept: list) -> None:
    rows = "".join(f"p{number},{cell}\n" for number, cell in enumerate(cells.split()))
    labels = read_labels(table(tmp_path, f"patient_id,{name}\n{rows}"), columns=[name])
    assert [row[name] for row in labels.rows.values()] == kept


@pytest.mark.parametrize(
    "name", ["idade", "leeftijd", "ålder", "wiek", "yaş", "alder", "ikä", "Patientenalter", "나이", "AGEGR1"]
)
def test_ages_are_known_in_other_languages(name: str) -> None:
    assert is_age(name)


@pytest.mark.parametrize("name", ["agent", "average", "stage", "image", "language", "eta", "AgeingIndex", "boneage"])
def test_words_that_only_look_like_ages_are_none(name: str) -> None:
    assert not is_age(name)


@pytest.mark.parametrize(
    "cell", [">90", "90 and over", "90+", ">= 90", "over 89", "90 or older", "90 u. älter", "90-94", "95 years"]
)
def test_90_and_more_is_known_in_words(cell: str) -> None:
    assert (age_in_text(cell), age_of_cell(cell)) == ("90+", 90.0)


@pytest.mark.parametrize("cell", ["85+", "85-90", "under 90", "up to 90", "60 and over"])
def test_other_groups_of_ages_stay(cell: str) -> None:
    assert (age_in_text(cell), age_of_cell(cell)) == (cell, None)


def test_codes_for_no_age_are_none_and_counted(tmp_path: Path) -> None:
    """999 became 90; 0 is an age, as in headers."""
    cells = ("999", "200", "-1", "0", "99", "130", "44")
    rows = "".join(f"p{number},A,{cell},{cell}\n" for number, cell in enumerate(cells))
    labels = read_labels(table(tmp_path, "patient_id,race,age,age2\n" + rows), columns=["age2"])
    for name in ("age_years", "age2"):
        assert [row[name] for row in labels.rows.values()] == [None, None, None, 0.0, 90.0, 90.0, 44.0]
    said = "0 in 1 row and 99 in 1 row read as an age (0 of an infant, 99 kept as 90)"
    said += ": if it is a code for no answer, empty the cell"
    assert {f"labels: column {name!r}: {said}" for name in ("age", "age2")} <= set(labels.notes)
    assert (
        "labels: column 'age': 3 rows have no age that can be read (44, 044Y, 44 years, 90+ can; from 0 to 130): left empty"
        in labels.notes
    )
    assert "labels: column 'age2': 3 rows have no age from 0 to 130 years: left empty" in labels.notes
