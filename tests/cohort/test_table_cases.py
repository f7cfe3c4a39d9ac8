"""Every case of the tables that went wrong once, and of who a patient is: from the files to the dataset, with what is right."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fastrace import api
from fastrace.audit.document import read
from fastrace.cohort.alike import alike
from fastrace.cohort.labels import Labels, read_labels
from fastrace.cohort.matching import sentences
from fastrace.cohort.policy import POLICIES, by_policy
from fastrace.dataset import Dataset
from fastrace.dicom import open_frames
from fastrace.errors import DatasetError, RejectedInput, UsageError
from fastrace.preprocess.identify import Identifiers
from fastrace.preprocess.scan import scan
from fastrace.preprocess.summary import Summary


def run(folder: Path, out: Path, **options: Any) -> Summary:
    options.setdefault("labels", folder / "labels.csv")
    return api.preprocess(folder / options.pop("src", "src"), out, modality="any", size=(32, 32), jobs=1, **options)


def index(out: Path) -> pd.DataFrame:
    return Dataset.open(out).index


@pytest.fixture(scope="session")
def leak(cases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two archives of the same pixels and table: headers that name every image another patient, and headers that name none."""
    folder = tmp_path_factory.mktemp("leak")
    script = shutil.copytree(cases / "statistics", folder / "made") / "leak.py"
    subprocess.run([sys.executable, "-W", "ignore", script, folder], check=True, capture_output=True)
    (folder / "salt").write_bytes(bytes(range(32)))
    return folder


def test_headers_that_split_persons_are_refused_before_anything_is_written(leak: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        run(leak / "A1", tmp_path / "out")
    message = str(error.value)
    assert "on 320 files the table names 80 patients and Patient ID (0010,0020) of the header 320" in message
    assert "80 ids of the table have several in the headers" in message
    assert "--patient-from table, --patient-from header, or --patient-from FILE" in message
    assert re.findall(
        r"table [0-9a-f]{8} = header [0-9a-f]{8}, [0-9a-f]{8}, [0-9a-f]{8} and 1 more \(\S+p000_0\.dcm\)", message
    )
    assert "P_0000" not in message
    assert list(tmp_path.iterdir()) == []


def test_the_same_persons_give_the_same_dataset_whatever_the_headers_say(leak: Path, tmp_path: Path) -> None:
    """So that both archives end with the same answer to every question."""
    for name, options in {"A1": {"patient_from": "table"}, "A2": {}}.items():
        summary = run(leak / name, tmp_path / name, salt=leak / "salt", **options)
        assert (summary.indexed, summary.patients) == (320, 80)
        assert summary.of_patients == [
            "patients: 80; images of a patient: min 4, median 4, max 4; patients of an id in the table: min 1, median 1, max 1"
        ]
    for name in ("index.parquet", "images-00000.npy"):
        assert (tmp_path / "A1" / name).read_bytes() == (tmp_path / "A2" / name).read_bytes()


@pytest.mark.slow
def test_an_audit_of_split_persons_keeps_one_patient_of_each(leak: Path, tmp_path: Path) -> None:
    """320 images of 80 persons, four each: 480 pairs, and no pair of two persons. All 320 read a random label at .97."""
    summary = run(leak / "A1", tmp_path / "data", patient_from="header")
    assert (
        summary.of_patients[1]
        == "patients: 80 ids of the table are several patients here, since --patient-from is header"
    )
    found = alike(index(tmp_path / "data"))
    assert (found.pairs, found.patients, found.compared, len(found.repeated)) == (480, 320, 320, 240)
    api.audit(tmp_path / "data", tmp_path / "audit", target="race", only=("A1",), readers=(), permutations=99)
    audit = read(tmp_path / "audit")
    assert audit.dataset.patients == 80
    assert audit.limits[0].startswith("240 patients left out for images that are almost equal to those of another")
    assert not audit.of("A1")[0].finding


def test_a_file_may_say_who_is_who(leak: Path, tmp_path: Path) -> None:
    file = tmp_path / "who.csv"
    rows = [f"Mass-Training_P_{person:05d}_{image},person {person}" for person in range(80) for image in range(4)]
    file.write_text("header,patient\n" + "\n".join(rows[:-1]) + "\n")
    summary = run(leak / "A1", tmp_path / "out", patient_from=str(file))
    assert (summary.patients, summary.indexed, summary.rejected) == (81, 320, {})
    assert "1 of 320 Patient IDs are not in the file of --patient-from, and stay what they are" in summary.of_patients


def joined(folder: Path, **options: Any) -> tuple[Labels, dict[str, Mapping[str, Any]], Counter[str | None]]:
    """The table, the row of each file that has one, and what is offered for the others: the join alone, without pixels."""
    labels = read_labels(folder / "labels.csv", **options)
    rows, offers = {}, Counter[str | None]()
    for source in scan([folder / "src"]):
        identifiers = Identifiers(None).of(source, vars(open_frames(source.path).header))
        try:
            rows[source.relative] = labels.find(identifiers)[1]
        except RejectedInput:  # no_label: these tables contradict themselves in nothing but race
            offers[labels.offers.of(identifiers)] += 1
    return labels, rows, offers


def column(rows: Mapping[str, Mapping[str, Any]], name: str) -> list[Any]:
    return sorted(row[name] for row in rows.values())


def test_l1_lost_zeros_are_offered_and_not_guessed(cases: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match="3 of 3 images would match if leading zeros were ignored: add --match zeros"
    ):
        run(cases / "tables/L1_zeros", tmp_path / "out")
    assert column(joined(cases / "tables/L1_zeros", match=("zeros",))[1], "race") == ["A", "A", "B"]


def test_l2_ids_that_became_floats_are_offered(cases: Path) -> None:
    _, rows, offers = joined(cases / "tables/L2_float")
    assert (rows, offers) == ({}, {"--match decimals": 3})
    assert len(joined(cases / "tables/L2_float", match=("decimals",))[1]) == 3


def test_l3_another_case_is_offered_for_those_that_do_not_match(cases: Path, tmp_path: Path) -> None:
    summary = run(cases / "tables/L3_case", tmp_path / "out")
    assert (summary.indexed, summary.rejected) == (1, {"no_label": 2})
    offer = (
        "labels: 3 of 3 images would match if upper and lower case were ignored: add --match case, with another --out"
    )
    assert any(note.startswith(offer) for note in summary.notes)
    with pytest.raises(DatasetError, match="another --out"):
        run(cases / "tables/L3_case", tmp_path / "out", match=["case"])
    assert run(cases / "tables/L3_case", tmp_path / "again", match=["case"]).indexed == 3
    assert len(joined(cases / "tables/L3_case", match=("case",))[1]) == 3


def test_l5_a_number_with_a_comma_is_a_number(cases: Path) -> None:
    labels, rows, _ = joined(cases / "tables/L5_semi", columns=["age"])
    assert column(rows, "bmi") == [23.4, 27.9, 31.0]
    assert column(rows, "age") == [44.0, 63.5, 71.25]
    assert labels.columns == {"race": "categorical", "bmi": "numeric", "age": "numeric"}


def test_l16_an_age_with_a_comma_can_be_a_target(cases: Path, tmp_path: Path) -> None:
    run(cases / "tables/L16_age", tmp_path / "out", bins=["age=50,65"])
    found = index(tmp_path / "out")
    assert sorted(found["bmi"]) == [23.4, 27.9, 30.0]
    assert dict(zip(found["age_years"], found["age_bin"], strict=True)) == {63.5: "50-65", 44.0: "<50", 71.0: ">=65"}


def test_l6_all_recorded_values_are_kept_and_every_policy_can_be_asked_for_later(cases: Path, tmp_path: Path) -> None:
    folder = cases / "tables/L6_conf"
    summary = run(folder, tmp_path / "out")
    assert any(
        "1 of 3 patients have different recorded values; --policy consistent is taken" in note
        and "first 1, last 1, majority 1, any 1" in note
        for note in summary.notes
    )
    dataset = Dataset.open(tmp_path / "out")
    assert sorted(dataset.index["race"]) == ["ASIAN", "BLACK/AFRICAN AMERICAN", "contradictory"]
    assert dataset.labels == ["race"]
    for policy in POLICIES:
        swept = by_policy(dataset.index, dataset.meta["labels"], "race", policy)
        assert sorted(swept) == column(joined(folder, policy=policy)[1], "race")
    assert "WHITE" in column(joined(folder, policy="majority")[1], "race")


def test_l7_an_answer_that_is_none_is_no_class(cases: Path) -> None:
    labels, rows, _ = joined(cases / "tables/L7_embed")
    assert Counter(column(rows, "RACE_DESC")) == {
        "unknown": 2, "declined": 1, "African American or Black": 1, "Caucasian or White": 1, "white": 1
    }  # fmt: skip
    assert any("read as declined: 'Patient Declines' 1" in note for note in labels.notes)


def test_l8_patient_ids_with_the_view_in_them_are_asked_about(cases: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the table names 3 patients .* of the header 6"):
        run(cases / "tables/L8_cbis", tmp_path / "out")
    assert run(cases / "tables/L8_cbis", tmp_path / "out", patient_from="table").patients == 3
    pattern = {"patient_pattern": r"(P_\d+)_", "labels": cases / "tables/L8_cbis/labels.csv"}
    assert run(cases / "tables/L8_cbis", tmp_path / "pattern", **pattern).patients == 3


def test_l9_the_other_path_column_is_offered(cases: Path) -> None:
    labels, rows, offers = joined(cases / "tables/L9_paths")
    assert (labels.column, rows, offers) == ("png_path", {}, {"--key path=anon_dicom_path": 3})
    assert sentences(offers, 0, 3) == [
        "3 of 3 images would match by column 'anon_dicom_path' (path): add --key path=anon_dicom_path"
    ]
    labels, rows, _ = joined(cases / "tables/L9_paths", key="path=anon_dicom_path")
    assert len(rows) == 3
    assert (
        "labels: other columns that could be the key: path=png_path, patient=empi_anon; choose with --key"
        in labels.notes
    )


def test_l11_one_code_in_several_spellings_is_one_value(cases: Path) -> None:
    labels, rows, _ = joined(cases / "tables/L11_codes")
    assert (set(column(rows, "scanner")), set(column(rows, "race"))) == ({"0", "1"}, {"TRUE"})
    assert any("column 'race': one value in several spellings: 'True' as 'TRUE'" in note for note in labels.notes)
    assert labels.columns == dict.fromkeys(("race", "site", "scanner"), "categorical")


def test_l12_other_extensions_are_offered_and_the_path_may_name_the_patient(cases: Path, tmp_path: Path) -> None:
    folder = cases / "tables/L12_cxp"
    with pytest.raises(
        DatasetError, match="3 of 3 images would match if file extensions were ignored: add --match extension"
    ):
        run(folder, tmp_path / "out")
    summary = run(folder, tmp_path / "out", match=["extension"])
    assert (summary.indexed, summary.patients) == (3, 3)
    by_path = run(folder, tmp_path / "pattern", key="patient=deid_patient_id", patient_pattern=r"train/(patient\d+)/")
    assert (by_path.indexed, by_path.patients) == (3, 3)


def test_l14_na_is_an_id_and_no_answer(cases: Path) -> None:
    _, rows, _ = joined(cases / "tables/L14_na")
    assert column(rows, "race") == ["A", "B", "unknown"]


def test_one_column_may_name_image_and_patient(cases: Path, tmp_path: Path) -> None:
    folder = cases / "statistics/id_is_image_and_patient"
    summary = run(folder, tmp_path / "out", src="png", key=["image=id", "patient=id"], columns=["male"])
    assert (summary.indexed, summary.patients) == (4, 4)
    assert sorted(index(tmp_path / "out")["male"]) == ["False", "False", "True", "True"]
    assert read_labels(folder / "labels.csv", key=["image=id", "patient=id"]).columns == {}  # a ValueError once


def test_formulas_are_text_in_the_table_that_people_open(cases: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text((cases / "hostile/formula_labels.csv").read_text() + "2,A\n")
    summary = run(cases / "tables/L14_na", tmp_path / "out", labels=labels)
    with (summary.private / "labels_without_images.csv").open(newline="") as file:
        listed = [row[0] for row in csv.reader(file)][1:]
    before = [row.split(",")[0] for row in (cases / "hostile/formula_labels.csv").read_text().splitlines()[1:]]
    assert not [cell for cell in listed if cell[0] in "=+-@\t\r"]
    assert sorted(cell.removeprefix("'") for cell in listed) == sorted(before)  # nothing is lost


def test_the_command_prints_what_was_joined(cases: Path, tmp_path: Path) -> None:
    folder = cases / "tables/L8_cbis"
    command = [sys.executable, "-m", "fastrace.cli", "preprocess", folder / "src", "--out", tmp_path / "out"]
    command += ["--modality", "any", "--size", "32x32", "--labels", folder / "labels.csv", "--jobs", "1"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "P_0000" not in re.sub(r"\(\S+\)", "", refused.stderr)  # paths are named as typed
    done = subprocess.run([*command, "--patient-from", "table", "--json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["of_patients"][0].startswith(
        "patients: 3; images of a patient: min 2, median 2, max 2"
    )
