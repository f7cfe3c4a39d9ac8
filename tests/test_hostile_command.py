"""The command on files made to break it: each is one row with its reason, nothing of a file is printed, the rest is indexed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent / "dicom"))  # the makers of files lie beside their tests
from dicom_files import smooth, write
from hostile_files import HOSTILE

NAME = "QXMUELLER"


@pytest.fixture(scope="module")
def done(
    cases: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str], pd.DataFrame]:
    top = tmp_path_factory.mktemp("hostile")
    archive = top / "archive"
    archive.mkdir()
    for name in ("fuzz_2103.bin", "photname.dcm", "tiff_spp60000.tif", "formula_labels.csv"):
        shutil.copyfile(cases / "hostile" / name, archive / name)
    for name in (
        "private element of 2 GiB",
        "fragment of 3 GiB",
        "a gibibyte of zeros, deflated",
        "900 texts of 8 MiB in a PNG",
    ):
        HOSTILE[name][0](archive / name)
    write(
        archive / "body part", smooth(seed=1), BodyPartExamined=f"{NAME} EVA", PatientID="1", SOPInstanceUID="1.2.3.1"
    )
    write(archive / "window", smooth(seed=2), WindowCenter="1", WindowWidth="5", VOILUTFunction=NAME, PatientID="2")
    write(archive / "good", smooth(seed=3), PatientID="3", SOPInstanceUID="1.2.3.3", Modality=NAME[:16])
    command = [
        sys.executable,
        "-m",
        "fastrace.cli",
        "preprocess",
        str(archive),
        "--out",
        str(top / "out"),
        "--modality",
        "any",
    ]
    command += ["--size", "16x16", "--jobs", "1", "--json"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return top, run, pd.read_parquet(top / "out.private" / "sources.parquet")


def test_each_file_is_one_row_with_its_reason(
    done: tuple[Path, subprocess.CompletedProcess[str], pd.DataFrame],
) -> None:
    _, run, sources = done
    assert run.returncode == 0
    found = dict(zip(map(os.path.basename, sources["path"]), sources["reason"].fillna("indexed"), strict=True))
    assert found == {
        "fuzz_2103.bin": "bad_header",
        "photname.dcm": "color",
        "tiff_spp60000.tif": "bad_header",
        "formula_labels.csv": "not_an_image",
        "fragment of 3 GiB": "bad_header",
        "a gibibyte of zeros, deflated": "too_large",
        "window": "bad_window",
        "900 texts of 8 MiB in a PNG": "no_patient",
        **dict.fromkeys(("private element of 2 GiB", "body part", "good"), "indexed"),
    }


def test_nothing_of_a_file_is_printed_or_handed_on(
    done: tuple[Path, subprocess.CompletedProcess[str], pd.DataFrame],
) -> None:
    top, run, sources = done
    assert "Traceback" not in run.stderr
    assert "Warning" not in run.stderr + run.stdout
    everything = run.stdout + run.stderr + " ".join(sources["message"].dropna())
    for file in (top / "out").iterdir():
        everything += file.read_bytes().decode("latin-1")
    index = pd.read_parquet(top / "out" / "index.parquet")
    everything += index.to_csv()
    assert NAME not in everything.upper()
    assert set(index["modality"].dropna()) == {"DX", "unlisted"}
    assert index["body_part"].isna().all()
    assert json.loads(run.stdout)["inputs"] == len(os.listdir(top / "archive"))
