"""A DICOMDIR lists files of its own folder, in any case; whatever leads out of it is refused."""

from __future__ import annotations

import warnings
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.fileset import FileSet
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MediaStorageDirectoryStorage, generate_uid

from fastrace.errors import UsageError
from fastrace.preprocess.scan import scan


def dicomdir(path: Path, *references: list[str]) -> Path:
    """Write a DICOMDIR that lists the references."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    ds.DirectoryRecordSequence = []
    path.parent.mkdir(exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names that are none
        for reference in references:
            record = Dataset()
            record.DirectoryRecordType = "IMAGE"
            record.ReferencedFileID = reference
            ds.DirectoryRecordSequence.append(record)
        ds.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("name", ["DICOMDIR", "dicomdir", "index.dcm", "Dicomdir;1"])
def test_it_is_told_by_its_content_and_its_files_by_any_case(tmp_path: Path, name: str) -> None:
    disc = tmp_path / "disc"
    (disc / "images" / "Ser1").mkdir(parents=True)
    for file in ("im01", "IM02.;1", "not_listed"):
        (disc / "images" / "Ser1" / file).write_bytes(b"x")
    source = dicomdir(disc / name, ["IMAGES", "SER1", "IM01"], ["IMAGES", "SER1", "IM02"], ["IMAGES", "SER1", "IM03"])
    found = scan([source])
    assert [(one.relative, one.size) for one in found] == [
        ("images/Ser1/IM02.;1", 1),
        ("images/Ser1/IM03", -1),  # not there: rejected by its name
        ("images/Ser1/im01", 1),
    ]


def test_a_name_that_two_files_have_in_other_cases_is_not_guessed(tmp_path: Path) -> None:
    for file in ("im01", "Im01"):
        (tmp_path / file).write_bytes(b"x")
    assert [one.size for one in scan([dicomdir(tmp_path / "DICOMDIR", ["IM01"])])] == [-1]


@pytest.mark.parametrize(
    "reference",
    [
        ["..", "secret"],
        ["A", "..", "..", "secret"],
        ["/etc/passwd"],
        ["A/../../secret"],
        ["LINK", "secret"],
        ["DIRECT"],
        ["."],
    ],
    ids=str,
)
def test_a_reference_out_of_its_folder_is_refused_and_not_repeated(tmp_path: Path, reference: list[str]) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    disc = tmp_path / "disc"
    disc.mkdir()
    (disc / "LINK").symlink_to(tmp_path)
    (disc / "DIRECT").symlink_to(tmp_path / "secret")
    (disc / "GOOD").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"1 of 2 Referenced File IDs \(0004,1500\) lead out of its folder") as caught:
        scan([dicomdir(disc / "DICOMDIR", ["GOOD"], reference)])
    assert "secret" not in str(caught.value)


def test_the_case_that_leads_out_is_refused(cases: Path) -> None:
    with pytest.raises(UsageError, match="4 of 4"):
        scan([cases / "hostile" / "dicomdir_escape" / "DICOMDIR"])


def test_a_record_that_is_not_in_use_leaves_out_its_file_and_all_below_it(tmp_path: Path) -> None:
    """PS3.3 F.3.2.2; a folder that is a source too finds the file all the same."""
    for name in ("ONE", "TWO", "THREE"):
        write(tmp_path / "disc" / name)
    source = tmp_path / "disc" / "DICOMDIR"
    make_dicomdir(tmp_path / "disc", source)
    ds = pydicom.dcmread(source)
    images = [record for record in ds.DirectoryRecordSequence if record.DirectoryRecordType == "IMAGE"]
    patients = [record for record in ds.DirectoryRecordSequence if record.DirectoryRecordType == "PATIENT"]
    assert (len(images), len(patients)) == (3, 3)
    images[0].RecordInUseFlag = patients[1].RecordInUseFlag = 0
    ds.save_as(source)
    found = scan([source])
    assert (len(found), found.not_in_use) == (1, 2)
    both = scan([source, tmp_path / "disc"])
    assert (len([one for one in both if not one.relative.endswith("DICOMDIR")]), both.not_in_use) == (3, 0)


def write(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.PatientID, ds.PatientName, ds.StudyDate, ds.StudyTime = path.name, "", "20200101", "1"
    ds.StudyID, ds.AccessionNumber, ds.StudyDescription, ds.Modality = "1", "", "", "CT"
    ds.SeriesNumber = ds.InstanceNumber = 1
    ds.save_as(path, enforce_file_format=True)


def make_dicomdir(folder: Path, file: Path) -> None:
    """One that pydicom writes, with offsets, for files that it copies; the copies are its content."""
    files = FileSet()
    for path in sorted(folder.iterdir()):
        files.add(path)
    files.write(folder)
    assert file.is_file()
    for path in folder.iterdir():
        if path.is_file() and path != file:
            path.unlink()
