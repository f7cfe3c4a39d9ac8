"""Frames of an enhanced object are judged one by one: kind, body part and window may be those of a frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage

from fastrace.dataset import Dataset as Made
from fastrace.dicom import open_frames
from fastrace.errors import DatasetError
from fastrace.preprocess.dry_run import dry_run
from fastrace.preprocess.recipe import Job, job_for
from fastrace.preprocess.run import preprocess

WriteDicom = Callable[..., Path]
CHEST, HEAD = "816094009", "69536005"
SLICE = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]


def item(**attributes: Any) -> Dataset:
    found = Dataset()
    for keyword, value in attributes.items():
        setattr(found, keyword, value)
    return found


def group(
    kind: list[str] = SLICE, part: str = CHEST, width: float = 400, technique: str = "NONE", hu: bool = True
) -> Dataset:
    """The functional groups of one frame; without ``hu`` it has no rescale."""
    region = item(CodeValue=part, CodingSchemeDesignator="SCT", CodeMeaning="x")
    return item(
        CTImageFrameTypeSequence=[item(FrameType=kind, VolumeBasedCalculationTechnique=technique)],
        FrameAnatomySequence=[item(FrameLaterality="U", AnatomicRegionSequence=[region])],
        PixelValueTransformationSequence=[item(RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU")] if hu else [],
        FrameVOILUTSequence=[item(WindowCenter=40, WindowWidth=width)],
    )


FRAMES = (
    group(part=HEAD),
    group(),
    group(["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"]),
    group(["DERIVED", "PRIMARY", "VOLUME", "MAX_IP"]),
    group(["DERIVED", "PRIMARY", "VOLUME", "MIXED"], technique="MIN_IP"),
    group(),
)


@pytest.fixture
def archive(tmp_path: Path, write_dicom: WriteDicom) -> Callable[..., Path]:
    def write(frames: tuple[Dataset, ...], shared: Dataset | None = None, **attributes: Any) -> Path:
        attributes = {"ImageType": ["MIXED", "PRIMARY", "MIXED", "MIXED"], **attributes}
        write_dicom(
            tmp_path / "archive" / "volume",
            np.random.default_rng(1).integers(0, 4096, (len(frames), 32, 32)),
            Modality="CT",
            SOPClassUID=EnhancedCTImageStorage,
            ViewPosition=None,
            WindowCenter=None,
            WindowWidth=None,
            SharedFunctionalGroupsSequence=[shared or Dataset()],
            PerFrameFunctionalGroupsSequence=list(frames),
            **attributes,
        )
        return tmp_path / "archive"

    return write


def made_of(source: Path, modality: str = "ct", **options: Any) -> Job:
    return job_for((source,), source.parent / "out", modality, size=(16, 16), jobs=1, **options)


def test_each_frame_is_judged_by_its_type_and_anatomy(archive: Callable[..., Path]) -> None:
    job = made_of(archive(FRAMES))
    expected = {"other_body_part": 1, "localizer": 1, "derived": 2}
    found = dry_run(job)
    assert (found.images, found.rejected) == (2, expected)
    assert found.by["body_part"] == {"CHEST": 2}
    summary = preprocess(job)
    assert (summary.indexed, summary.rejected) == (2, expected)
    assert "Anatomic Region Sequence (0008,2218) is 'HEAD'" in summary.examples["other_body_part"]
    assert "Frame Type (0008,9007) contains LOCALIZER" in summary.examples["localizer"]
    dataset = Made.open(job.out)
    assert sorted(dataset.index["frame"]) == [1, 5]
    assert dataset.index["image_type"].unique().tolist() == ["ORIGINAL\\PRIMARY\\VOLUME\\NONE"]
    sources = pd.read_parquet(job.out.parent / "out.private" / "sources.parquet")
    assert sources["reason"].fillna("").tolist() == ["other_body_part", "", "localizer", "derived", "derived", ""]


def test_a_file_that_is_left_out_as_a_whole_counts_once(archive: Callable[..., Path]) -> None:
    source = archive(FRAMES, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"])
    assert dry_run(made_of(source)).rejected == {"localizer": 1}


def test_what_all_frames_share_is_read_too(archive: Callable[..., Path]) -> None:
    source = archive((Dataset(), Dataset()), shared=group(part=HEAD))
    assert dry_run(made_of(source)).rejected == {"other_body_part": 1}
    frames = open_frames(source / "volume")
    assert frames.look is None
    assert frames.header.body_part == "HEAD"


def test_the_anatomy_of_a_frame_goes_before_that_of_its_series(archive: Callable[..., Path]) -> None:
    frames = open_frames(archive((group(part=HEAD), group()), BodyPartExamined="CHEST") / "volume")
    first, second = (frames.frame(number).header for number in (0, 1))
    assert (first.body_part, [note.kind for note in first.notes]) == ("HEAD", ["contradiction"])
    assert (second.body_part, second.notes) == ("CHEST", ())


def test_a_window_that_cannot_be_used_costs_its_frame(archive: Callable[..., Path]) -> None:
    job = made_of(archive((group(width=0), group(), group())), "any")
    found = dry_run(job)
    assert (found.images, found.rejected) == (2, {"bad_window": 1})
    summary = preprocess(job)
    assert (summary.indexed, summary.rejected) == (2, {"bad_window": 1})


def test_a_dry_run_leaves_out_a_frame_that_is_not_in_hu_as_the_run_does(archive: Callable[..., Path]) -> None:
    job = made_of(archive((group(), group(hu=False), group(part=HEAD, hu=False))))
    expected = {"not_hu": 1, "other_body_part": 1}
    found = dry_run(job)
    assert (found.images, found.rejected) == (1, expected)
    summary = preprocess(job)
    assert (summary.indexed, summary.rejected) == (1, expected)
    assert found.examples["not_hu"].split(": ", 1)[1] == summary.examples["not_hu"].split(": ", 1)[1]


def test_a_dry_run_leaves_out_slices_that_are_not_in_hu(tmp_path: Path, write_dicom: WriteDicom) -> None:
    source = tmp_path / "archive"
    for number, frames in enumerate(((32, 32), (3, 32, 32))):
        pixels = np.random.default_rng(1).integers(0, 4096, frames)
        write_dicom(source / f"{number}", pixels, Modality="CT", BodyPartExamined="CHEST", ViewPosition=None)
    found = dry_run(made_of(source))
    assert (found.images, found.rejected, found.bytes, found.timed) == (0, {"not_hu": 4}, 0, 0)
    assert "Rescale Intercept" in found.examples["not_hu"]
    with pytest.raises(DatasetError, match="not_hu 4"):
        preprocess(made_of(source))
    assert dry_run(made_of(source, voi=("auto", "robust"))).images == 4
