"""Which display parameters are taken from a file, and which files are refused for theirs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import smooth, write
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian

from fastrace.dicom import Frame, open_frames
from fastrace.dicom.display import Lut, Rescale, Window, between
from fastrace.dicom.notes import Note
from fastrace.errors import RejectedInput

# pydicom warns of the values that these files are made of.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

VALUES = smooth(bits=12)


def lut(first: int = 0, entries: int = 4096, bits: int = 12, **changes: Any) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = changes.get("LUTDescriptor", [entries % 65536, first, bits])
    item["LUTDescriptor"].VR = "SS" if first < 0 else "US"
    item.LUTData = changes.get("LUTData", np.linspace(0, (1 << bits) - 1, entries).astype(int).tolist())
    item["LUTData"].VR = changes.get("vr", "US")
    return item


def first_frame(tmp_path: Path, voi: str | None = None, **options: Any) -> Frame:
    return open_frames(write(tmp_path / "image", options.pop("values", VALUES), **options), voi=voi).frame(0)


HU = {"RescaleSlope": 1, "RescaleIntercept": -1024}
WINDOWS = {"WindowCenter": [2000, 1000], "WindowWidth": [3000, 500]}


@pytest.mark.parametrize(
    ("options", "voi", "preset", "source", "expected"),
    [
        ({}, None, None, "robust_range", None),
        (WINDOWS, None, None, "window_1", Window(2000, 3000)),
        (WINDOWS | {"VOILUTFunction": "sigmoid"}, None, None, "window_1", Window(2000, 3000, "SIGMOID")),
        (WINDOWS | {"VOILUTSequence": [lut()]}, None, None, "voi_lut_1", "lut"),
        (WINDOWS | {"VOILUTSequence": [Dataset(), lut()]}, None, None, "voi_lut_2", "lut"),
        (WINDOWS | {"VOILUTSequence": [lut()]} | HU, None, (40, 400), "preset", Window(40, 400)),
        (WINDOWS | {"VOILUTSequence": [lut()]}, "window:2", (40, 400), "option", Window(1000, 500)),
        (WINDOWS | {"VOILUTSequence": [lut()]}, "lut:1", None, "option", "lut"),
        (WINDOWS, "7,1", None, "option", Window(7, 1)),
        (WINDOWS, "robust", None, "option", None),
        (WINDOWS, "full", None, "option", between(0, 4095)),
        ({"WindowCenter": "", "WindowWidth": ""}, None, None, "robust_range", None),
        ({"WindowCenter": "00500\\00500", "WindowWidth": "01000\\01000"}, None, None, "window_1", Window(500, 1000)),
        ({"VOILUTSequence": []}, None, None, "robust_range", None),
    ],
)
def test_voi_is_chosen_in_the_order_of_the_design(
    tmp_path: Path,
    options: dict[str, Any],
    voi: str | None,
    preset: tuple[float, float] | None,
    source: str,
    expected: Window | str | None,
) -> None:
    path = write(tmp_path / "image", VALUES, **options)
    display = open_frames(path, voi=voi, preset_window=preset).frame(0).display
    assert display.voi_source == source
    if expected == "lut":
        assert isinstance(display.voi, Lut)
    elif expected is None:
        low, high = np.percentile(VALUES, (0.5, 99.5), method="inverted_cdf")
        assert display.voi == between(low, high)
    else:
        assert display.voi == expected


@pytest.mark.parametrize(
    ("options", "voi", "parts"),
    [
        ({"WindowCenter": 1, "WindowWidth": 0}, None, ["Window Width (0028,1051) is 0", "at least 1", "--voi robust"]),
        ({"WindowCenter": 1, "WindowWidth": 0.5}, None, ["(0028,1051) is 0.5", "LINEAR demands at least 1"]),
        (
            {"WindowCenter": 1, "WindowWidth": 0, "VOILUTFunction": "SIGMOID"},
            None,
            ["SIGMOID demands greater than 0"],
        ),
        (
            {"WindowCenter": 1, "WindowWidth": -4, "VOILUTFunction": "LINEAR_EXACT"},
            None,
            ["is -4", "greater than 0"],
        ),
        (
            {"WindowCenter": 1, "WindowWidth": 9, "VOILUTFunction": "CUBIC"},
            None,
            ["(0028,1056) is a term that is not known"],
        ),
        ({"WindowCenter": 1}, None, ["Window Width (0028,1051) has 0 value(s)"]),
        ({"WindowWidth": 1}, None, ["Window Center (0028,1050) has 0 value(s)"]),
        (WINDOWS, "window:3", ["has 2 value(s), window 3 needs one"]),
        (WINDOWS, "lut:1", ["VOI LUT Sequence (0028,3010) has no usable item 1 of 0"]),
    ],
)
def test_a_window_that_is_none_is_refused_by_name_value_and_remedy(
    tmp_path: Path, options: dict[str, Any], voi: str | None, parts: list[str]
) -> None:
    with pytest.raises(RejectedInput) as caught:
        open_frames(write(tmp_path / "image", VALUES, **options), voi=voi)
    assert caught.value.reason == "bad_window"
    for part in (*parts, "--voi"):
        assert part in caught.value.message


def test_an_invalid_stored_window_does_not_matter_where_another_voi_is_requested(tmp_path: Path) -> None:
    frame = first_frame(tmp_path, voi="robust", WindowCenter=1, WindowWidth=0)
    assert frame.display.voi_source == "option"


def patched(path: Path, old: bytes, new: bytes) -> Path:
    """Change bytes of a file to what pydicom would not write."""
    content = path.read_bytes()
    assert content.count(old) == 1
    assert len(old) == len(new)
    path.write_bytes(content.replace(old, new))
    return path


@pytest.mark.parametrize(
    ("keyword", "bad", "reason"),
    [
        ("WindowWidth", b"12x4  ", "bad_window"),
        ("WindowCenter", b"nan   ", "bad_window"),
        ("RescaleSlope", b"nan   ", "bad_header"),
        ("RescaleSlope", b"9e307 ", "bad_header"),  # finite, but its product with 4095 is not
        ("RescaleSlope", b"0.0000", "bad_header"),
        ("RescaleSlope", b"1e-999", "bad_header"),
        ("RescaleIntercept", b"-inf  ", "bad_header"),
    ],
)
def test_numbers_that_are_none_are_refused_by_name(tmp_path: Path, keyword: str, bad: bytes, reason: str) -> None:
    options = {"WindowCenter": 1, "WindowWidth": 9, "RescaleSlope": 1, "RescaleIntercept": 0} | {keyword: "7.2500"}
    path = patched(write(tmp_path / "image", VALUES, **options), b"7.2500", bad)
    with pytest.raises(RejectedInput) as caught:
        open_frames(path)
    assert caught.value.reason == reason
    assert re.search(r"\(0028,105[0123]\)", caught.value.message)


@pytest.mark.parametrize(
    ("slope", "intercept", "refused"),
    [(1, 0, False), (None, 0, False), (None, None, False), (2, 0, True), (1, -5, True), (None, -5, True)],
)
def test_rescale_beside_a_modality_lut_is_refused_unless_it_is_the_identity(
    tmp_path: Path, slope: float | None, intercept: float | None, refused: bool
) -> None:
    options = {"RescaleSlope": slope, "RescaleIntercept": intercept, "ModalityLUTSequence": [lut()]}
    if refused:
        with pytest.raises(RejectedInput, match=r"contradict Modality LUT Sequence \(0028,3000\)") as caught:
            first_frame(tmp_path, **options)
        assert caught.value.reason == "bad_header"
    else:
        assert isinstance(first_frame(tmp_path, **options).display.modality, Lut)


def test_half_a_rescale_is_completed_and_noted(tmp_path: Path) -> None:
    frame = first_frame(tmp_path, RescaleIntercept=-1024)
    assert frame.display.modality == Rescale(1, -1024)
    assert frame.notes == (Note("assumed", "Rescale Slope (0028,1053) is missing, taken as 1"),)


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted"),
    [
        ("MONOCHROME2", None, False),
        ("MONOCHROME1", None, True),
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME1", "INVERSE", True),
        ("MONOCHROME1", "IDENTITY", True),
        ("MONOCHROME2", "IDENTITY", False),
    ],
)
def test_an_image_is_inverted_once_or_not_at_all(
    tmp_path: Path, photometric: str, shape: str | None, inverted: bool
) -> None:
    frame = first_frame(tmp_path, PhotometricInterpretation=photometric, PresentationLUTShape=shape)
    assert frame.display.inverted is inverted


@pytest.mark.parametrize(
    ("signed", "vr", "stored", "limit", "expected"),
    [
        (False, "US", 0, None, (0, 0)),
        (False, "US", 0, 30, (0, 30)),
        (False, "US", 4095, 4000, (4000, 4095)),
        (True, "SS", -2000, None, (-2000, -2000)),
        (True, "US", 63536, None, (-2000, -2000)),  # a wrong VR
        (False, "US", 5000, None, None),  # no 12-bit word can hold it
        (True, "SS", -32768, -2048, (-32768, -2048)),
    ],
)
def test_padding_has_the_sign_of_the_pixels(
    tmp_path: Path, signed: bool, vr: str, stored: int, limit: int | None, expected: tuple[int, int] | None
) -> None:
    ds_options: dict[str, Any] = {"PixelPaddingValue": stored, "PixelPaddingRangeLimit": limit}
    path = tmp_path / "image"
    from dicom_files import dataset

    ds = dataset(smooth(signed=signed), signed=signed, **ds_options)
    ds["PixelPaddingValue"].VR = vr
    if limit is not None:
        ds["PixelPaddingRangeLimit"].VR = vr
    ds.save_as(path, enforce_file_format=True)
    frame = open_frames(path).frame(0)
    assert frame.display.padding == expected
    assert bool(frame.notes) == (expected is None)


@pytest.mark.parametrize(
    ("item", "signed", "expected"),
    [
        (lut(), False, (0, 4096, 12)),
        (lut(entries=65536, bits=16), False, (0, 65536, 16)),  # 65536 is written as 0
        (lut(first=-1024, entries=2048), True, (-1024, 2048, 12)),
        (lut(LUTDescriptor=[4096, 64512, 12]), True, (-1024, 4096, 12)),  # -1024 in an unsigned VR
        (lut(LUTDescriptor=[4096, 64512, 12]), False, (64512, 4096, 12)),
        (lut(LUTDescriptor=[4096, 0, 10]), False, (0, 4096, 12)),  # the entries need 12 bits
        (lut(LUTDescriptor=[4096, 0, 0]), False, (0, 4096, 12)),
        (lut(LUTDescriptor=[4, 0, 8], LUTData=b"\x01\x02\x03\xff", vr="OW"), False, (0, 4, 8)),  # two to a word
        (lut(LUTDescriptor=[3, 0, 8], LUTData=b"\x01\x02\x03\x00", vr="OW"), False, (0, 3, 8)),
        (lut(LUTDescriptor=[2, 0, 16], LUTData=b"\x01\x02\x03\xff", vr="OW"), False, (0, 2, 16)),
        (lut(LUTDescriptor=[2, 0, 16], LUTData=[1, 2, 3]), False, (0, 2, 16)),  # more data than entries
    ],
)
def test_lut_descriptors_are_read_with_their_quirks(
    tmp_path: Path, item: Dataset, signed: bool, expected: tuple[int, int, int]
) -> None:
    frame = first_frame(tmp_path, values=smooth(signed=signed), signed=signed, VOILUTSequence=[item])
    found = frame.display.voi
    assert isinstance(found, Lut)
    assert (found.first, len(found.entries), found.bits) == expected
    if item["LUTData"].VR == "OW" and expected[2] == 8:
        np.testing.assert_array_equal(found.entries, list(item.LUTData)[: expected[1]])


def test_a_big_endian_lut_of_bytes_is_read_in_its_order(tmp_path: Path) -> None:
    item = lut(LUTDescriptor=[2, 0, 16], LUTData=b"\x01\x02\x03\x04", vr="OW")
    frame = first_frame(tmp_path, VOILUTSequence=[item], TransferSyntaxUID=ExplicitVRBigEndian)
    assert isinstance(frame.display.voi, Lut)
    np.testing.assert_array_equal(frame.display.voi.entries, [0x0102, 0x0304])


@pytest.mark.parametrize("sequence", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize(
    "item",
    [
        lut(LUTDescriptor=[4096, 0, 12], LUTData=[1, 2, 3]),
        lut(LUTDescriptor=[4096, 0], LUTData=[1, 2, 3]),
        lut(LUTData=None),
        lut(LUTDescriptor=None),
    ],
)
def test_a_lut_that_does_not_fit_its_descriptor_is_refused(tmp_path: Path, sequence: str, item: Dataset) -> None:
    with pytest.raises(RejectedInput, match=r"LUT Descriptor \(0028,3002\)") as caught:
        first_frame(tmp_path, **{sequence: [item]})
    assert caught.value.reason == "bad_header"


@pytest.mark.parametrize("sequence", ["VOILUTSequence", "ModalityLUTSequence"])
def test_a_lut_that_was_cleaned_out_is_ignored_and_noted(tmp_path: Path, sequence: str) -> None:
    frame = first_frame(tmp_path, **{sequence: [lut(LUTDescriptor=None, LUTData=None)]}, **WINDOWS)
    assert frame.display.voi_source == "window_1"
    assert len(frame.notes) == 1


def test_functional_groups_give_each_frame_its_own_display(tmp_path: Path) -> None:
    def group(**attributes: Any) -> Dataset:
        outer, inner = Dataset(), Dataset()
        for keyword, value in attributes.items():
            setattr(inner, keyword, value)
        name = "FrameVOILUTSequence" if "WindowCenter" in attributes else "PixelValueTransformationSequence"
        setattr(outer, name, [inner])
        return outer

    shared = group(RescaleSlope=2, RescaleIntercept=-1000, RescaleType="HU")
    per_frame = [group(WindowCenter=100 * i, WindowWidth=50) for i in range(3)]
    frames = open_frames(
        write(
            tmp_path / "image",
            np.stack([VALUES] * 3),
            SharedFunctionalGroupsSequence=[shared],
            PerFrameFunctionalGroupsSequence=per_frame,
            WindowCenter=7,
            WindowWidth=8,
        )
    )
    assert [frame.display.voi for frame in frames] == [Window(100 * i, 50) for i in range(3)]
    assert all(frame.display.modality == Rescale(2, -1000) for frame in frames)
