"""Every real file of the collection: frames or the right reason, and the display values of DCMTK and pydicom."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.uid import JPEG2000, JPEG2000Lossless, JPEGLSNearLossless, RLELossless

from fastrace.dicom import Frame, open_frames
from fastrace.errors import RejectedInput

# pydicom warns of the values that these files are made of.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

STEP = 1 / 4095  # one 12-bit step

# file: what comes out without options, as "source of the VOI" or "rejected: reason"; why, where it is not plain.
EXPECTED = {
    "693_UNCI.dcm": "window_1",
    "CR-ModalitySequenceLUT.dcm": "robust_range",  # a modality LUT beside an identity rescale, and no VOI
    "D_CLUNIE_CT1_RLE_FRAGS.dcm": "robust_range",  # one RLE frame in many fragments
    "GH1261.dcm": "rejected: bad_window",  # Window Width 0; its pixels are all 0 besides
    "GH133.dcm": "voi_lut_1",  # a VOI LUT goes before the three windows
    "GH177_D_CLUNIE_CT1_IVRLE_BigEndian_ELE_undefinded_length.dcm": "robust_range",
    "GH184.dcm": "robust_range",
    "GH227.dcm": "robust_range",  # deflated
    "GH342.dcm": "window_1",
    "IM-0001-0001-0001.dcm": "window_1",
    "J2K_pixelrep_mismatch.dcm": "window_1",
    "JPEGLosslessP14SV1_1s_1f_u_16_16.dcm": "robust_range",  # LUT sequences with empty items
    "JPEGLossless_1s_1f_i_16_16_bad.dcm": "window_1",  # every decoder reads the same damage: it was encoded so
    "MR-SIEMENS-DICOM-WithOverlays.dcm": "window_1",
    "MR2_J2KR.dcm": "window_1",
    "OT-PAL-8-face.dcm": "rejected: color",  # palette; no preamble, no meta information
    "OutOfBoundsOverlay.dcm": "window_1",
    "RG1_J2KI.dcm": "window_1",
    "RG2_JLSN.dcm": "window_1",
    "RG2_JPLL.dcm": "window_1",
    "RG2_JPLY_fixed.dcm": "window_1",  # 12-bit JPEG Extended
    "RG3_J2KR.dcm": "window_1",
    "TOSHIBA_J2K_SIZ0_PixRep1.dcm": "window_1",
    "TOSHIBA_J2K_SIZ1_PixRep0.dcm": "window_1",
    "bad_sequence.dcm": "window_1",
    "ct.dcm": "window_1",
    "dx_image.dcm": "window_1",
    "eCT_Supplemental.dcm": "window_1",  # from the functional groups
    "emri_small_big_endian.dcm": "robust_range",
    "explicit_VR-UN.dcm": "robust_range",
    "mlut_18.dcm": "robust_range",
    "vlut_04.dcm": "voi_lut_1",
}

# Where DCMTK's conventions are others (docs/dcmtk.md): compared all the same, after undoing the convention.
PADDING_SHOWN = {"GH177_D_CLUNIE_CT1_IVRLE_BigEndian_ELE_undefinded_length.dcm", "D_CLUNIE_CT1_RLE_FRAGS.dcm"}
EIGHT_BITS_SHIFTED = {"GH227.dcm"}
OURS_REFUSES = {"GH1261.dcm"}
INDEPENDENT_PLUGIN = {
    JPEG2000: "pillow",
    JPEG2000Lossless: "pillow",
    JPEGLSNearLossless: "pyjpegls",
    RLELossless: "pydicom",
}
EMPTY_LUT = {"JPEGLosslessP14SV1_1s_1f_u_16_16.dcm"}


def shown(frame: Frame) -> np.ndarray:
    """Return float64 display values at full size."""
    return frame.display.table()[frame.display.words.patterns(frame.pixels)]


def rows(test_data: Path) -> dict[str, dict[str, str]]:
    with (test_data / "dicom.csv").open() as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def test_the_table_names_every_file(test_data: Path) -> None:
    assert sorted(EXPECTED) == sorted(p.name for p in (test_data / "dicom").glob("*.dcm"))


@pytest.mark.parametrize("name", EXPECTED)
def test_frames_come_out_or_the_right_reason(test_data: Path, name: str) -> None:
    row = rows(test_data)[name]
    expected = EXPECTED[name]
    if expected.startswith("rejected"):
        with pytest.raises(RejectedInput) as caught:
            open_frames(test_data / "dicom" / name)
        assert f"rejected: {caught.value.reason}" == expected
        assert "\n" not in caught.value.message
        return
    frames = open_frames(test_data / "dicom" / name)
    assert len(frames) == int(row["NumberOfFrames"] or 1)
    for frame in frames:
        assert frame.pixels.shape == (int(row["Rows"]), int(row["Columns"]))
        assert frame.pixels.dtype in (np.uint8, np.uint16)
        assert frame.display.voi_source == expected
        assert frame.header.modality == row["Modality"]
        assert frame.header.transfer_syntax == row["transfer_syntax"]
        values = shown(frame)
        assert values.min() >= 0
        assert values.max() <= 1


@pytest.mark.parametrize("name", [n for n in EXPECTED if n not in OURS_REFUSES])
def test_display_values_equal_dcmtk_within_one_12_bit_step(test_data: Path, name: str) -> None:
    reference = test_data / "dcmtk" / f"{Path(name).stem}.png"
    if not reference.exists():
        assert rows(test_data)[name]["dcmtk_result"] == "none"
        return
    options = rows(test_data)[name]["dcmtk_options"]
    voi = "window:1" if "+Wi" in options else "lut:1" if "+Wl" in options and name not in EMPTY_LUT else "full"
    frame = open_frames(test_data / "dicom" / name, voi=voi).frame(0)
    theirs = imagecodecs.png_decode(reference.read_bytes()) / 65535
    ours = shown(frame)
    if name in PADDING_SHOWN:
        padding = frame.display.padding
        assert padding is not None
        values = frame.display.words.values()[frame.display.words.patterns(frame.pixels)]
        is_padding = (values >= padding[0]) & (values <= padding[1])
        assert (ours[is_padding] == 0).all()
        ours, theirs = ours[~is_padding], theirs[~is_padding]
    if name in EIGHT_BITS_SHIFTED:
        theirs = theirs * 65535 / (255 * 256)
    assert np.abs(ours - theirs).max() <= STEP


@pytest.mark.parametrize("name", [n for n, e in EXPECTED.items() if "rejected" not in e])
def test_stored_values_equal_pydicom(test_data: Path, name: str) -> None:
    frames = open_frames(test_data / "dicom" / name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(test_data / "dicom" / name)
        plugin = INDEPENDENT_PLUGIN.get(ds.file_meta.TransferSyntaxUID)
        if plugin in get_decoder(ds.file_meta.TransferSyntaxUID).available_plugins:
            ds.pixel_array_options(decoding_plugin=plugin)
        theirs = ds.pixel_array
    theirs = theirs if len(frames) > 1 else theirs[None]
    for frame, their in zip(frames, theirs, strict=True):
        words = frame.display.words
        ours = words.values()[words.patterns(frame.pixels)]
        if name == "TOSHIBA_J2K_SIZ1_PixRep0.dcm":
            # The header's sign is wrong. pydicom's plugins disagree on it among themselves; pillow's adds 2**15.
            their = their.astype(np.int64) - (1 << 15)
        np.testing.assert_array_equal(ours, their)


@pytest.mark.parametrize(
    "name", ["RG1_J2KI.dcm", "RG3_J2KR.dcm", "MR2_J2KR.dcm", "RG2_JLSN.dcm", "J2K_pixelrep_mismatch.dcm"]
)
def test_display_values_equal_pydicom_where_dcmtk_has_no_decoder(test_data: Path, name: str) -> None:
    frame = open_frames(test_data / "dicom" / name, voi="window:1").frame(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(test_data / "dicom" / name)
        theirs = apply_voi_lut(apply_modality_lut(ds.pixel_array, ds), ds, prefer_lut=False)
    slope, intercept = float(ds.get("RescaleSlope", 1)), float(ds.get("RescaleIntercept", 0))
    low = -(1 << ds.BitsStored - 1) if ds.PixelRepresentation else 0
    ymin = low * slope + intercept
    theirs = (theirs - ymin) / (((1 << ds.BitsStored) - 1) * slope)
    if ds.PhotometricInterpretation == "MONOCHROME1":
        theirs = 1 - theirs
    assert np.abs(shown(frame) - theirs).max() < 1e-9


def test_both_toshiba_files_show_the_same_kind_of_image(test_data: Path) -> None:
    """One has the wrong sign in the codestream, the other in the header; air is near -1000 HU in both."""
    for name in ("TOSHIBA_J2K_SIZ0_PixRep1.dcm", "TOSHIBA_J2K_SIZ1_PixRep0.dcm"):
        frame = open_frames(test_data / "dicom" / name).frame(0)
        values = frame.display.words.values()[frame.display.words.patterns(frame.pixels)]
        assert -4096 <= values.min() < -900
        assert values.max() < 5000


def test_words_outside_the_stored_bits_are_reported(test_data: Path) -> None:
    frame = open_frames(test_data / "dicom" / "mlut_18.dcm").frame(0)
    assert any("outside Bits Stored (0028,0101) = 12" in note.text for note in frame.notes)


def test_no_identifying_value_is_in_a_message_or_a_note(test_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in EXPECTED:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ds = pydicom.dcmread(test_data / "dicom" / name, force=True, stop_before_pixels=True)
        identifying = {str(ds.get(k, "")) for k in ("PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID")}
        try:
            text = " ".join(note.text for note in open_frames(test_data / "dicom" / name).frame(0).notes)
        except RejectedInput as error:
            text = error.message
        assert not any(value and value in text for value in identifying if len(value) > 3)
        assert str(test_data) not in text
