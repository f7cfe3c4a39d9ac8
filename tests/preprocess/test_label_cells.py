"""A label table brings nobody into a dataset or onto the terminal, whatever its columns are called."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fastrace import api
from fastrace.cohort.known_terms import is_known
from fastrace.cohort.labels import read_labels
from fastrace.dataset import Dataset
from fastrace.errors import UsageError
from fastrace.preprocess.summary import Summary
from fastrace.preprocess.vocabulary import withheld_lines

WriteDicom = Callable[..., Path]


def run(
    folder: Path, write_dicom: WriteDicom, table: str, people: int = 4, **options: Any
) -> tuple[Summary, pd.DataFrame]:
    """One image of each of `people`, Black^Ann and others, of Patient ID KH-77120 on, and a table."""
    names = ("Black^Ann", "Strauß^Jürgen", "Doe^Jane", "Ng^Bo")
    for number in range(people):
        name = names[number % 4] if number < 4 else f"Qu{chr(97 + number) * 4}^X"
        write_dicom(
            folder / "src" / f"{number}.dcm", PatientID=f"KH-{77120 + number}", PatientName=name, PatientBirthDate="19330903",
            ReferringPhysicianName="Blumenfeld^Otto", SpecificCharacterSet="ISO_IR 192",
        )  # fmt: skip
    (folder / "labels.csv").write_text(table, encoding="utf-8")
    summary = api.preprocess(
        folder / "src", folder / "out", modality="any", size=(16, 16), jobs=1, labels=folder / "labels.csv", **options
    )
    return summary, Dataset.open(folder / "out").index.sort_values("shard", kind="stable")


def everything(summary: Summary) -> str:
    """All that a reader of the dataset and of the terminal sees as text."""
    index = pd.read_parquet(summary.data / "index.parquet")
    said = "\n".join([*summary.notes, *withheld_lines(summary.withheld), *summary.of_patients])
    texts = [str(value) for name in index for value in index[name].dropna().unique()]
    return "\n".join(
        [*texts, (summary.data / "dataset.json").read_text(), (summary.data / "README.md").read_text(), said]
    )


@pytest.mark.parametrize(
    "cell",
    [
        "Strauss, J.",
        "STRAUSS geb. 03.09.1933",
        "Praxis Dr. Blumenfeld",
        "kh-77121",
        "KH77121",
        "77121",
        "born 1933",
        "3 Sep 1933",
    ],
)
def test_a_cell_that_names_somebody_is_missing_and_counted(tmp_path: Path, write_dicom: WriteDicom, cell: str) -> None:
    rows = f'KH-77120,White,x\nKH-77121,White,"{cell}"\nKH-77122,White,x\nKH-77123,White,y\n'
    summary, index = run(tmp_path, write_dicom, f"patient_id,race,site\n{rows}")
    assert sorted(index["site"].dropna()) == ["x", "x", "y"]
    assert summary.withheld["site"] == {"personal": 1}
    assert cell not in everything(summary)
    assert "| `site` | 1 | it repeats a name" in (summary.data / "README.md").read_text()


def test_a_known_term_stays_whoever_it_is_also_the_name_of(tmp_path: Path, write_dicom: WriteDicom) -> None:
    """Ann Black is black; Bo Ng, whose id is a code of the table as well, has it."""
    rows = "KH-77120,Black or African American,False\nKH-77121,White,1\nKH-77122,Asian,True\nKH-77123,W,False\n"
    table = "patient_id,race,male\n" + rows
    summary, index = run(tmp_path, write_dicom, table, columns=["male"])
    assert index["race"].notna().all()
    assert index["male"].notna().all()
    assert "race" not in summary.withheld


def test_a_category_map_makes_a_value_known(tmp_path: Path, write_dicom: WriteDicom) -> None:
    (tmp_path / "map.txt").write_text("strauss = Strauss\n* = other\n")
    table = "patient_id,site\nKH-77120,a\nKH-77121,strauss\nKH-77122,b\nKH-77123,c\n"
    _, index = run(tmp_path, write_dicom, table, categories=tmp_path / "map.txt")
    assert sorted(index["site"]) == ["Strauss", "other", "other", "other"]


def test_recorded_values_name_nobody_in_the_index_and_in_dataset_json(tmp_path: Path, write_dicom: WriteDicom) -> None:
    """Also not those of rows that no image has."""
    rows = (
        "KH-77121,A\nKH-77121,Strauss\nKH-77120,A\nKH-77120,B\nnobody,Hidden Person\nnobody,B\nKH-77122,A\nKH-77123,B\n"
    )
    table = "patient_id,group\n" + rows
    summary, index = run(tmp_path, write_dicom, table)
    meta = json.loads((summary.data / "dataset.json").read_text())
    assert sorted(filter(None, meta["labels"]["group_recorded"]["values"])) == ["A", "B"]
    assert index["group_recorded"].notna().sum() == 3
    assert "Strauss" not in everything(summary)
    assert "Hidden" not in everything(summary)


def test_a_number_that_is_an_id_or_a_date_is_missing(tmp_path: Path, write_dicom: WriteDicom) -> None:
    table = "patient_id,a,b\nKH-77120,77120.0,20240517\nKH-77121,2.5,1.5\nKH-77122,3.5,19330903\nKH-77123,4000,7\n"
    summary, index = run(tmp_path, write_dicom, table, columns=["a", "b"])
    assert sorted(index["a"].dropna()) == [2.5, 3.5, 4000.0]
    assert sorted(index["b"].dropna()) == [1.5, 7.0]
    assert (summary.withheld["a"], summary.withheld["b"]) == ({"personal": 1}, {"personal": 2})


def test_numbers_that_are_ids_for_half_of_the_patients_are_left_out(tmp_path: Path, write_dicom: WriteDicom) -> None:
    rows = "".join(f"{name},{101 + n if n < 3 else 7.5 + n},{n + 0.5}\n" for n, name in enumerate("abcdef"))
    for n, name in enumerate("abcdef"):
        write_dicom(tmp_path / "src" / f"{name}.dcm", PatientID=str(101 + n))
    (tmp_path / "labels.csv").write_text(f"image,density,dose\n{rows}")
    options: dict[str, Any] = {"modality": "any", "size": (16, 16), "jobs": 1, "labels": tmp_path / "labels.csv"}
    summary = api.preprocess(tmp_path / "src", tmp_path / "out", columns=["density", "dose"], **options)
    index = Dataset.open(tmp_path / "out").index
    assert index["density"].isna().all()
    assert index["dose"].notna().all()
    assert summary.withheld == {"density": {"personal": 6}}
    assert any("column 'density' is missing: its numbers are ids" in line for line in summary.warnings)


def test_a_date_that_a_spreadsheet_made_a_number_is_missing(tmp_path: Path, write_dicom: WriteDicom) -> None:
    table = "patient_id,a,label\nKH-77120,12300,x\nKH-77121,10838.25,12300\nKH-77122,12301,x\nKH-77123,1.5,y\n"
    _, index = run(tmp_path, write_dicom, table, columns=["a"])
    assert sorted(index["a"].dropna()) == [1.5, 12301]
    assert sorted(index["label"].dropna()) == ["x", "x", "y"]


def test_a_race_that_is_a_surname_too_is_kept_for_all_of_its_patients(tmp_path: Path, write_dicom: WriteDicom) -> None:
    rows = "".join(f"KH-{77120 + n},{'Strauss' if n < 13 else 'Negro'}\n" for n in range(15))
    summary, index = run(tmp_path, write_dicom, f"patient_id,race\n{rows}", people=15)
    assert sorted(index["race"]) == ["Negro"] * 2 + ["Strauss"] * 13
    assert "race" not in summary.withheld


def test_what_names_one_patient_is_no_value_of_another(tmp_path: Path, write_dicom: WriteDicom) -> None:
    table = "patient_id,site\nKH-77120,Strauss\nKH-77121,Strauss\nKH-77122,x\nKH-77123,x\n"
    summary, index = run(tmp_path, write_dicom, table)
    assert sorted(index["site"].dropna()) == ["x", "x"]
    assert summary.withheld["site"] == {"personal": 2}


def test_a_view_of_the_table_names_nobody(tmp_path: Path, write_dicom: WriteDicom) -> None:
    table = "image,laterality\n0,L\n1,Strauss\n2,Strauss\n3,R\n"
    summary, index = run(tmp_path, write_dicom, table)
    assert set(index["laterality"].dropna()) == {"L", "R"}
    assert "STRAUSS" not in everything(summary)


def test_a_column_that_names_patients_is_kept_only_if_it_is_asked_for(tmp_path: Path) -> None:
    rows = "".join(f"p{number},case {number:x}z{number:x},{'ab'[number % 2]}\n" for number in range(24))
    file = tmp_path / "labels.csv"
    file.write_text(f"patient_id,label,group\n{rows}")
    labels = read_labels(file)
    assert list(labels.columns) == ["group"]
    assert any("column 'label' is left out: 24 of its 24 values belong to one patient alone" in n for n in labels.notes)
    assert any("--column label keeps it" in note for note in labels.notes)
    assert list(read_labels(file, columns=["label"]).columns) == ["label", "group"]


def test_a_remark_of_one_patient_is_no_value(tmp_path: Path, write_dicom: WriteDicom) -> None:
    """'Refused by Mr. Huber, Tom' stood in the part of the dataset that may be shared."""
    cells = ["White", "Black", "Refused by Mr. Huber, Tom", "Mrs Tom", "Only hers", "White"]
    table = "patient_id,race\n" + "".join(f'KH-7712{n},"{cell}"\n' for n, cell in enumerate(cells))
    summary, index = run(tmp_path, write_dicom, table, people=6)
    assert sorted(index["race"].dropna()) == ["Black", "Only hers", "White", "White"]
    assert "uber" not in everything(summary)


def test_a_long_finding_of_one_patient_is_kept(tmp_path: Path, write_dicom: WriteDicom) -> None:
    cells = [
        "Atelectasis|Consolidation|Effusion|Edema",
        "Invasive ductal carcinoma with DCIS",
        "MR thorax",
        "a",
        "a",
        "a",
    ]
    table = "patient_id,label\n" + "".join(f"KH-7712{n},{cell}\n" for n, cell in enumerate(cells))
    _, index = run(tmp_path, write_dicom, table, people=6)
    assert sorted(index["label"].dropna()) == sorted(cells)


def test_a_class_is_nobodys_initials_without_points(tmp_path: Path, write_dicom: WriteDicom) -> None:
    """'pos' was missing for all since one patient was Paul Otto Schmidt."""
    for n in range(8):
        write_dicom(
            tmp_path / "src" / f"{n}.dcm", PatientID=f"K{n}", PatientName="Schmidt^Paul^Otto" if n == 1 else f"Q{n}"
        )
    cells = ["pos", "pos", "neg", "neg", "pos", "neg", "P.O.S.", "neg"]
    (tmp_path / "labels.csv").write_text("patient_id,label\n" + "".join(f"K{n},{c}\n" for n, c in enumerate(cells)))
    out = tmp_path / "out"
    api.preprocess(tmp_path / "src", out, labels=tmp_path / "labels.csv", modality="any", size=(16, 16), jobs=1)
    assert sorted(Dataset.open(out).index["label"].dropna()) == [
        "P.O.S.",
        "neg",
        "neg",
        "neg",
        "neg",
        "pos",
        "pos",
        "pos",
    ]


def test_lines_show_known_terms_and_what_patients_share(tmp_path: Path, write_dicom: WriteDicom) -> None:
    rows = [
        "0,white,Doe Jane,Doe Jane 1950",
        "2,White,DOE JANE,M",
        "1,White,Site one,F",
        "3,White,SITE ONE,F",
        "4,White,SITE ONE,F",
    ]
    table = "patient_id,race,site,sex\n" + "".join(f"KH-7712{row}\n" for row in rows)
    assert not any("Doe" in note or "ONE" in note for note in read_labels_of(tmp_path, table).notes)
    summary, _ = run(tmp_path, write_dicom, table, people=5)
    said = "\n".join(summary.notes)
    assert "'white' as 'White'" in said
    assert "'Site one' as 'SITE ONE', 1 value that one patient alone has or that may name somebody" in said
    assert "no known sex, read as missing (write F, M or O): 1 value that" in said
    assert "doe" not in everything(summary).lower()


def read_labels_of(folder: Path, table: str, **options: Any) -> Any:
    (folder / "table.csv").write_text(table, encoding="utf-8")
    return read_labels(folder / "table.csv", **options)


def test_an_error_about_a_value_names_its_row(tmp_path: Path) -> None:
    (tmp_path / "map.txt").write_text("White = W\n")
    with pytest.raises(UsageError, match=r"does not name the value of row 3; add") as error:
        read_labels_of(tmp_path, "patient_id,race\n1,White\n2,Doe Jane\n", categories=tmp_path / "map.txt")
    assert "Doe" not in str(error.value)
    with pytest.raises(UsageError, match="does not name 'Black'"):
        read_labels_of(tmp_path, "patient_id,race\n1,White\n2,Black\n", categories=tmp_path / "map.txt")


@pytest.mark.parametrize(
    ("column", "value", "known"),
    [
        ("race", "BLACK/AFRICAN AMERICAN", True), ("race", "White - Russian", True), ("race", "Miller", False),
        ("site", "White", False), ("language", "Portuguese", True), ("label", "1", True), ("label", "M U L L E R", False),
        ("label", "03 09 33", False), ("density", "c", True), ("sex", "Nonbinary", True), ("site", "Patient refused", True),
    ],
)  # fmt: skip
def test_known_terms_are_words_of_their_column(column: str, value: str, known: bool) -> None:
    assert is_known(column, value) == known
