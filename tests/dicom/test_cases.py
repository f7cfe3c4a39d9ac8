"""The cases of ../cases/dicom: what each file is read as, against pydicom or DCMTK where those are right."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest

from fastrace.dicom import open_frames
from fastrace.dicom.display import Window
from fastrace.errors import RejectedInput

STORED = Window(2048, 4096)  # the window that most of the cases carry


def kinds(path: Path, **options: object) -> set[str]:
    return {note.kind for note in open_frames(path, **options).frame(0).notes}  # type: ignore[arg-type]


def values_of(path: Path) -> np.ndarray:
    frame = open_frames(path, voi="full").frame(0)
    return frame.display.words.values()[frame.display.words.patterns(frame.pixels)]


def refused(path: Path, **options: object) -> RejectedInput:
    with pytest.raises(RejectedInput) as caught:
        open_frames(path, **options).frame(0)  # type: ignore[arg-type]
    return caught.value


def dcmtk_values(path: Path, shown: Path) -> np.ndarray:
    """What DCMTK makes of a 12-bit image with the window that shows 0 to 4095 as they are, in 12 bits."""
    subprocess.run(["dcm2pnm", "+Ww", "2048", "4096", "+opn", "12", str(path), str(shown)], check=True)
    lines = [line for line in shown.read_text().splitlines() if not line.startswith("#")]
    return np.array(" ".join(lines[3:]).split(), np.int64)


# What pydicom reads, and the notes that the file deserves.
AS_PYDICOM = {
    "jpll_whole": set(),
    "D2_px/base": set(), "D2_px/b8in16": set(), "D2_px/odd": set(), "D2_px/dup1": set(),
    "D2_px/dup2_other_pixels": set(), "D2_px/grouplen_odd": set(), "D2_px/mono1_inverse": set(),
    "D2_px/mono2_inverse": set(), "D2_px/nopid": set(), "D2_px/nul_pid": set(), "D2_px/nopreamble": set(),
    "D2_px/pad_tissue": set(), "D2_px/privsq_icc": set(), "D2_px/samepx_otherpatient": set(), "D2_px/sigmoid": set(),
    "D2_px/sigmoid_typo": {"spelling"}, "D2_px/signed_as_unsigned": set(), "D2_px/slope_neg": set(),
    "D2_px/spacing_ns": set(), "D2_px/aspect21": set(), "D2_px/wc_multi": set(),
    "D2_px/ts_says_implicit": {"syntax"},
    "D2_px/top_bits_set": {"bits_above"}, "D2_px/bits_exceed": {"bits_above"},
    "D3_ct/ok": set(), "D3_ct/pad2000": set(), "D3_ct/scout": set(), "D3_ct/norescale": set(), "D3_ct/type_US": set(),
}  # fmt: skip


@pytest.mark.parametrize("name", AS_PYDICOM)
def test_pixels_are_those_that_pydicom_reads(cases: Path, name: str) -> None:
    path = cases / "dicom" / f"{name}.dcm"
    expected = pydicom.dcmread(path, force=True).pixel_array
    assert kinds(path) == AS_PYDICOM[name]
    np.testing.assert_array_equal(values_of(path), expected)


@pytest.mark.parametrize("name", ["rle_pad_20", "rle_pad_ff", "rle_pad_none"])
def test_rle_with_any_padding_is_decoded(cases: Path, name: str) -> None:
    path = cases / "dicom" / f"{name}.dcm"
    expected = np.load(cases / "dicom" / "rle_pad_none.npy") if name == "rle_pad_none" else None
    np.testing.assert_array_equal(values_of(path), pydicom.dcmread(path).pixel_array if expected is None else expected)


def test_a_deeper_codestream_is_clamped_to_bits_stored(cases: Path) -> None:
    path = cases / "dicom" / "j2k_overshoot.dcm"
    overshooting = pydicom.dcmread(path).pixel_array  # pydicom hands on what the codestream holds
    assert overshooting.max() > 4095
    np.testing.assert_array_equal(values_of(path), np.clip(overshooting, 0, 4095))
    assert kinds(path) == {"clamped"}


def test_a_cut_stream_with_an_end_marker_is_refused_and_the_whole_one_read(cases: Path) -> None:
    error = refused(cases / "dicom" / "jpll_cut_eoi.dcm")
    assert (error.reason, "cut short" in error.message) == ("truncated", True)
    assert kinds(cases / "dicom" / "jpll_whole.dcm") == set()


@pytest.mark.parametrize(
    ("name", "noted"),
    [
        ("stored_bits_12_high_15", {"high_bit"}),
        ("D2_px/highbit15_right", {"high_bit"}),
        ("D2_px/highbit15", {"high_bit", "bits_above"}),
    ],
)
def test_high_bit_is_followed_as_dcmtk_does_and_noted(cases: Path, tmp_path: Path, name: str, noted: set[str]) -> None:
    """pydicom ignores High Bit (0028,0102)."""
    path = cases / "dicom" / f"{name}.dcm"
    assert kinds(path) == noted
    stored = np.frombuffer(pydicom.dcmread(path).PixelData, "<u2").astype(np.int64)
    np.testing.assert_array_equal(values_of(path).ravel(), stored >> 4)
    if shutil.which("dcm2pnm"):
        np.testing.assert_allclose(dcmtk_values(path, tmp_path / "shown.pgm"), stored >> 4, atol=1)


def test_a_term_in_small_letters_is_that_term(cases: Path) -> None:
    path = cases / "dicom" / "D2_px" / "pi_lower.dcm"
    assert kinds(path) == {"spelling"}
    assert open_frames(path).header.photometric == "MONOCHROME2"
    ds = pydicom.dcmread(path)
    np.testing.assert_array_equal(values_of(path).ravel(), np.frombuffer(ds.PixelData, "<u2"))


def test_without_meta_information_the_encoding_is_found(cases: Path) -> None:
    base = values_of(cases / "dicom" / "D2_px" / "base.dcm")
    assert values_of(cases / "dicom" / "D2_px" / "nometa.dcm").shape == base.shape


@pytest.mark.parametrize(
    ("name", "reason", "said"),
    [
        ("window_width_zero", "bad_window", "Window Width (0028,1051) is 0"),
        ("D2_px/wc_multi2", "bad_window", "Window Width (0028,1051) is 0 in window 1"),
        ("D2_px/ww_empty", "bad_window", "has 0 value(s)"),
        ("D2_px/ww_neg", "bad_window", "is -4096"),
        ("D2_px/ww_small", "bad_window", "is 0.4"),
        ("D2_px/func_unknown", "bad_window", "VOI LUT Function (0028,1056) is a term that is not known"),
        ("D2_px/slope0", "bad_header", "Rescale Slope (0028,1053) is 0"),
        ("D2_px/spp3", "color", "MONOCHROME2 with 3 samples"),
        ("D2_px/ts_says_jpegll", "bad_header", "not in fragments"),
    ],
)
def test_what_cannot_be_read_right_is_refused_with_a_remedy(cases: Path, name: str, reason: str, said: str) -> None:
    error = refused(cases / "dicom" / f"{name}.dcm")
    assert error.reason == reason
    assert said in error.message
    if reason == "bad_window":
        assert "--voi auto --voi robust" in error.message


@pytest.mark.parametrize("name", ["window_width_zero", "D2_px/ww_neg", "D2_px/func_unknown"])
def test_a_repeated_voi_falls_back_for_that_file_alone(cases: Path, name: str) -> None:
    options = ("auto", "robust")
    frame = open_frames(cases / "dicom" / f"{name}.dcm", voi=options).frame(0)
    assert frame.display.voi_source == "option robust"
    assert {note.kind for note in frame.notes} == {"voi_fallback"}
    other = open_frames(cases / "dicom" / "D2_px" / "base.dcm", voi=options).frame(0)
    assert (other.display.voi_source, other.display.voi, other.notes) == ("window_1", STORED, ())


def test_where_no_voi_applies_each_says_why(cases: Path) -> None:
    with pytest.raises(RejectedInput, match=r"--voi lut:1: .* no usable item 1 .*; --voi auto: Window Width .* is 0"):
        open_frames(cases / "dicom" / "window_width_zero.dcm", voi=("lut:1", "auto"))


@pytest.mark.parametrize("name", ["norescale", "type_US"])
def test_ct_values_that_are_not_hu_are_never_windowed_as_hu(cases: Path, name: str) -> None:
    path = cases / "dicom" / "D3_ct" / f"{name}.dcm"
    error = refused(path, preset_window=(40, 400))
    assert error.reason == "not_hu"
    assert "--voi window:1" in error.message
    assert open_frames(path, voi="window:1", preset_window=(40, 400)).frame(0).display.voi == STORED
    assert open_frames(path).frame(0).display.voi == STORED  # `any` has no window of its own
    fallen = open_frames(path, voi=("auto", "robust"), preset_window=(40, 400)).frame(0)
    assert {note.kind for note in fallen.notes} == {"voi_fallback"}


def test_a_slope_without_an_intercept_is_no_hu(cases: Path, tmp_path: Path) -> None:
    ds = pydicom.dcmread(cases / "dicom" / "D3_ct" / "ok.dcm")
    del ds.RescaleIntercept
    ds.save_as(tmp_path / "image.dcm")
    with pytest.raises(RejectedInput, match=r"Rescale Intercept \(0028,1052\) is missing: .* not known to be in HU"):
        open_frames(tmp_path / "image.dcm", preset_window=(40, 400)).frame(0)


@pytest.mark.parametrize("name", ["ok", "pad2000"])
def test_ct_with_a_rescale_is_windowed_in_hu(cases: Path, name: str) -> None:
    display = open_frames(cases / "dicom" / "D3_ct" / f"{name}.dcm", preset_window=(40, 400)).frame(0).display
    assert (display.voi, display.voi_source) == (Window(40, 400), "preset")


def test_a_localizer_without_rescale_type_is_not_taken_for_hu(cases: Path) -> None:
    error = refused(cases / "dicom" / "D3_ct" / "scout.dcm", preset_window=(40, 400))
    assert (error.reason, "LOCALIZER" in error.message) == ("not_hu", True)


def test_a_name_in_an_enumerated_attribute_is_not_repeated(cases: Path) -> None:
    assert "MUELLER" not in refused(cases / "hostile" / "photname.dcm").message.upper()


def test_every_case_of_pixels_is_tested_here(cases: Path) -> None:
    """A file that is added to the folder fails this until it has its place."""
    text = Path(__file__).read_text()
    listed = [*(cases / "dicom").glob("*.dcm"), *(cases / "dicom" / "D2_px").glob("*.dcm")]
    assert [path.name for path in listed if path.stem not in text] == []


def test_seg_fractional_is_no_image_of_a_body(cases: Path) -> None:
    with pytest.raises(RejectedInput) as error:
        open_frames(cases / "dicom" / "seg_fractional.dcm")
    assert error.value.reason == "other_object"
