"""All conventions show the same image: pydicom's transforms against the image that was meant."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from phantom_reader import dicom_files, display, read, stored_words
from pydicom import dcmread

from fastrace.dicom import open_frames
from fastrace.kernels.window import window
from fastrace.phantom import PhantomSpec, write
from fastrace.phantom.conventions import CONVENTIONS
from fastrace.phantom.patients import patients, shots
from fastrace.phantom.render import display_image


def meant(spec):
    """SOP Instance UID -> the display image before it was stored, its anatomy and its convention."""
    images = {}
    for patient in patients(spec):
        for shot in shots(spec, patient):
            name = write.uid(spec.seed, spec.modality, patient.number, "image", shot.instance)
            images[name] = (*display_image(spec, patient, shot), patient.convention)
    return images


def test_what_pydicom_shows_is_what_was_meant_in_every_convention(archive):
    images = meant(archive.spec)
    for path in dicom_files(archive.out):
        ds = read(path)
        clean, anatomy, convention = images[ds.SOPInstanceUID]
        shown = display(ds)
        assert np.corrcoef(shown.ravel(), clean.ravel())[0, 1] > 0.999
        # One step of the stored words, as wide as the display makes it, and black that SIGMOID cannot reach.
        used = convention.display_table[convention.used[0] : convention.used[1] + 1].astype(np.float64)
        step = max(np.abs(np.diff(used)).max(), 0.0025)
        if convention.voi != "NONE":  # without VOI a reader has no scale but the pixels' own
            assert np.abs(shown - clean).max() <= step
            assert np.abs(shown - convention.display_table[stored_words(ds)]).max() < 1e-4
        assert (shown[~anatomy.exposed] <= 0.0025).all() or convention.voi == "NONE"


def test_what_fastrace_shows_is_what_was_meant_in_every_convention(archive):
    images = meant(archive.spec)
    for path in dicom_files(archive.out):
        frame = open_frames(path).frame(0)
        clean, _, convention = images[read(path).SOPInstanceUID]
        shown = window([frame.pixels], [frame.transfer])[0].numpy() / 65535
        assert np.corrcoef(shown.ravel(), clean.ravel())[0, 1] > 0.999
        if convention.voi == "NONE":
            assert frame.display.voi_source == "robust_range"
        else:
            assert np.abs(shown - clean).max() <= 0.0026


@pytest.mark.parametrize("convention", CONVENTIONS, ids=lambda c: f"{c.bits_stored}-{c.photometric}-{c.voi}-{c.syntax}")
def test_storing_and_showing_is_the_identity_up_to_one_stored_step(convention):
    levels = np.linspace(0, 1, 4001, dtype=np.float32).reshape(1, -1)
    words = convention.store(levels, np.ones(levels.shape, dtype=bool))
    assert words.min() >= convention.used[0]
    assert words.max() <= convention.used[1]
    shown = convention.display_table[words]
    table = convention.display_table[convention.used[0] : convention.used[1] + 1]
    assert np.abs(shown - levels).max() <= max(np.abs(np.diff(table)).max(), 0.0026)


@pytest.mark.parametrize("convention", CONVENTIONS, ids=lambda c: f"{c.bits_stored}-{c.photometric}-{c.voi}-{c.syntax}")
def test_pixels_never_take_the_padding_value_and_the_border_always_does(convention):
    display_values = np.random.default_rng(0).random((50, 50), dtype=np.float32) * 1.4 - 0.2
    exposed = np.ones((50, 50), dtype=bool)
    exposed[:5] = False
    words = convention.store(display_values, exposed)
    assert convention.display_table[words[~exposed]].max() <= 0.0025
    if convention.padding is not None:
        first, last = convention.padding
        assert ((words >= first) & (words <= last) == ~exposed).all()


@pytest.mark.parametrize("bits", [12, 14, 16])
@pytest.mark.parametrize("shape", [(64, 64), (65, 127), (67, 129), (64, 300)])
@pytest.mark.parametrize("content", ["noise", "constant", "half", "stripes"])
def test_words_are_kept_by_every_transfer_syntax(bits, shape, content):
    rng = np.random.default_rng(bits)
    words = rng.integers(0, 2**bits, shape, dtype=np.uint16)
    if content == "constant":
        words[:] = 3
    elif content == "half":
        words[:, shape[1] // 2 :] = 0
    elif content == "stripes":
        words = np.repeat(words, 3, axis=1)[:, : shape[1]].copy()
    spec = PhantomSpec(patients=2)
    shot = shots(spec, patients(spec)[0])[0]
    for convention in CONVENTIONS:
        if convention.bits_stored == bits:
            ds = dcmread(BytesIO(write.file_bytes(words, shot, convention)))
            np.testing.assert_array_equal(stored_words(ds), words)


def test_jpeg_lossless_is_selection_value_1():
    words = np.random.default_rng(0).integers(0, 4096, (64, 64), dtype=np.uint16)
    for convention in CONVENTIONS:
        if convention.syntax == "jpeg_lossless":
            stream = write._encode(words, convention)
            scan = stream.index(b"\xff\xda")  # SOS: length, 1 component, its tables, then the predictor
            assert stream[scan + 7] == 1
