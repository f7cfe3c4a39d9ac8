"""One archive with everything that goes wrong in archives: the rest is indexed, every file is named with its reason."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from fastrace.verify import verify

# What must not be found anywhere in the dataset folder, nor in a message.
IDENTIFYING = ("MRN-4711", "Doe", "19700131", "ACC-99", "1.2.826.0.1.3680043")


def dicom(path: Path, **attributes: Any) -> Path:
    """Write a 12-bit radiograph with identifying values; attributes replace the defaults, None leaves one out."""
    rng = np.random.default_rng(sum(path.name.encode()))
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = DigitalXRayImageStorageForPresentation
    uid = attributes.get("SOPInstanceUID") or generate_uid(prefix="1.2.826.0.1.3680043.", entropy_srcs=[path.name])
    ds.file_meta.MediaStorageSOPInstanceUID = uid
    described = {
        "SOPInstanceUID": uid, "StudyInstanceUID": "1.2.826.0.1.3680043.7", "AccessionNumber": "ACC-99",
        "PatientID": "MRN-4711-good", "PatientName": "Doe^Jane", "PatientBirthDate": "19700131", "Modality": "DX",
        "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "Rows": 40, "Columns": 30,
        "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0,
        "WindowCenter": 2048, "WindowWidth": 4096,
        "PixelData": rng.integers(0, 4096, 1200).astype("<u2").tobytes(),
    }  # fmt: skip
    for keyword, value in (described | attributes).items():
        if value is not None:
            setattr(ds, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def change(path: Path, old: bytes, new: bytes) -> None:
    """Replace bytes that occur once: what no writer would write."""
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))


def huge(path: Path) -> None:
    """Rows and Columns of 10^5: more than two bytes can hold, so as decimal text under a VR that allows it."""
    dicom(path)
    for element, number in ((b"\x10", 40), (b"\x11", 30)):
        old = b"\x28\0" + element + b"\0US\2\0" + number.to_bytes(2, "little")
        change(path, old, b"\x28\0" + element + b"\0IS\6\x00100000")


def cut(path: Path) -> None:
    content = dicom(path).read_bytes()
    path.write_bytes(content[:-700])


def other_syntax(path: Path) -> None:
    dicom(path)
    change(path, b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0")


@dataclass(frozen=True)
class Case:
    """How a hostile file is made, and how it must be rejected: the reason, and parts of the message."""

    write: Any
    reason: str
    message: tuple[str, ...]


def header(**attributes: Any) -> Any:
    return lambda path: dicom(path, **attributes)


RGB = {
    "SamplesPerPixel": 3,
    "PhotometricInterpretation": "RGB",
    "PixelData": bytes(range(240)) * 30,
    "PlanarConfiguration": 0,
}
MODALITY_LUT = Dataset()
MODALITY_LUT.LUTDescriptor, MODALITY_LUT.ModalityLUTType = [2, 0, 16], "US"
MODALITY_LUT.LUTData = b"\0\0\xff\xff"

CASES = {
    "truncated": Case(cut, "truncated", ("Pixel Data (7FE0,0010)", "1700 bytes", "again")),
    "empty": Case(lambda path: path.write_bytes(b""), "empty", ("0 bytes", "again")),
    "letter.pdf": Case(lambda path: path.write_bytes(b"%PDF-1.7 Doe"), "not_an_image", ("neither DICOM nor PNG",)),
    "report": Case(header(PixelData=None), "no_pixel_data", ("Pixel Data (7FE0,0010) is missing",)),
    "no-bits": Case(header(BitsStored=None), "bad_header", ("Bits Stored (0028,0101) is missing",)),
    "width-0": Case(header(WindowWidth=0), "bad_window", ("Window Width (0028,1051) is 0", "--voi robust")),
    "slope-0": Case(header(RescaleSlope=0, RescaleIntercept=1), "bad_header", ("Rescale Slope (0028,1053) is 0",)),
    "lut-and-slope": Case(
        header(ModalityLUTSequence=[MODALITY_LUT], RescaleSlope=2, RescaleIntercept=0),
        "bad_header",
        ("Rescale Slope (0028,1053) = 2", "contradict Modality LUT Sequence (0028,3000)", "repair"),
    ),
    "syntax": Case(other_syntax, "unknown_syntax", ("Transfer Syntax UID (0002,0010)", "1.2.840.10008.9.9.9", "transcode")),
    "huge": Case(huge, "too_large", ("Rows (0028,0010)", "100000 x 100000", "--max-pixels")),
    "palette": Case(
        header(PhotometricInterpretation="PALETTE COLOR"), "color", ("(0028,0004) is PALETTE COLOR", "convert it")
    ),
    "rgb": Case(header(**RGB), "color", ("Photometric Interpretation (0028,0004) is RGB", "some pixels have a colour")),
    "float": Case(
        header(PixelData=None, FloatPixelData=bytes(4800)), "float_pixels", ("Float Pixel Data (7FE0,0008)",)
    ),
    "colour.png": Case(
        lambda path: Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(path),
        "color",
        ("PNG in colour, expected grey",),
    ),
    "constant": Case(header(PixelData=b"\7\0" * 1200), "constant", ("are 7",)),
    "fifo": Case(os.mkfifo, "unreadable", ("no regular file",)),
    "dangling": Case(lambda path: path.symlink_to("nowhere"), "unreadable", ("links",)),
    "nobody": Case(header(PatientID="MRN-4711-nobody"), "no_label", ("in no row of the label table",)),
    "twofold": Case(
        header(PatientID="MRN-4711-twice"), "contradictory_label", ("different values of official_split", "(row 4)")
    ),
}  # fmt: skip
GOOD = ("first", "second", "third.jpg")


@dataclass(frozen=True)
class Run:
    """What the command left behind."""

    out: Path
    archive: Path
    done: subprocess.CompletedProcess[str]
    sources: pd.DataFrame


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    top = tmp_path_factory.mktemp("hostile")
    archive = top / "archive"
    for name in GOOD:
        dicom(archive / name)
    for name, case in CASES.items():
        case.write(archive / name)
    labels = archive / "labels.csv"
    rows = [
        ("good", "A", "test"),
        ("twice", "A", "train"),
        ("twice", "A", "test"),
        ("good", "A", "test"),
        ("absent", "B", ""),
    ]
    text = "patient_id;group;split\r\n" + "".join(f"MRN-4711-{';'.join(row)}\r\n" for row in rows)
    labels.write_bytes(text.encode("utf-8-sig"))
    command = [sys.executable, "-m", "fastrace.cli", "preprocess", str(archive), "--out", str(top / "out")]
    command += ["--modality", "cxr", "--size", "16x16", "--labels", str(labels), "--jobs", "1", "--strict", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Run(top / "out", archive, done, pd.read_parquet(top / "out.private" / "sources.parquet"))


def row_of(run: Run, name: str) -> pd.Series:
    rows = run.sources[run.sources["path"] == str(run.archive / name)]
    assert len(rows) == 1
    return rows.iloc[0]


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_is_rejected_with_its_reason_and_one_helpful_line(name: str, run: Run) -> None:
    case, row = CASES[name], row_of(run, name)
    assert (row["outcome"], row["reason"]) == ("rejected", case.reason)
    assert "\n" not in row["message"]
    for part in case.message:
        assert part in row["message"]
    assert not [value for value in IDENTIFYING if value in row["message"]]


def test_the_rest_of_the_archive_is_indexed(run: Run) -> None:
    assert [row_of(run, name)["outcome"] for name in GOOD] == ["indexed"] * 3
    assert verify(run.out) == []


def test_the_counts_add_up_everywhere(run: Run) -> None:
    summary = json.loads(run.done.stdout)
    files = [name for name in os.listdir(run.archive) if name != "labels.csv"]
    assert summary["files"] == len(files) == len(run.sources) == summary["inputs"]
    assert summary["indexed"] + sum(summary["rejected"].values()) == summary["inputs"]
    found = run.sources["reason"].value_counts().to_dict()
    assert summary["rejected"] == found
    meta = json.loads((run.out / "dataset.json").read_text())
    assert meta["counts"]["rejected"] == found
    for reason, count in found.items():
        assert f"| {reason} | {count} |" in (run.out / "README.md").read_text()
    assert summary["patients"] == 1


def test_the_command_reports_them_without_a_traceback(run: Run) -> None:
    assert run.done.returncode == 3  # --strict: done, but inputs were rejected
    assert "Traceback" not in run.done.stderr + run.done.stdout
    assert "Warning" not in run.done.stderr  # pydicom quotes values in its warnings
    for reason, example in json.loads(run.done.stdout)["examples"].items():
        path, message = re.fullmatch(r"(.*?): (.*)", example).groups()  # type: ignore[union-attr]
        assert path.startswith(str(run.archive)), reason  # the file as typed
        assert message


def test_no_identifying_value_and_no_leftover_is_in_the_dataset(run: Run) -> None:
    files = sorted(file.name for file in run.out.iterdir())
    assert files == ["README.md", "dataset.json", "images-00000.npy", "index.parquet"]
    everything = b"".join((run.out / name).read_bytes() for name in files) + run.done.stderr.encode()
    for value in (*IDENTIFYING, str(run.archive)):
        assert value.encode() not in everything
    index = pd.read_parquet(run.out / "index.parquet").astype(str)
    assert not [
        value for value in IDENTIFYING if index.apply(lambda cells, v=value: cells.str.contains(v)).any(axis=None)
    ]
    assert not list(Path(f"{run.out}.private").rglob("*.part"))


def test_label_rows_without_images_are_listed_for_the_custodian(run: Run) -> None:
    with (Path(f"{run.out}.private") / "labels_without_images.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["patient"], ["MRN-4711-absent"]]
    notes = json.loads(run.done.stdout)["notes"]
    assert any("1 rows repeat" in note for note in notes)  # a duplicate id that agrees is merged
    assert any("1 patient keys have contradictory rows" in note for note in notes)
