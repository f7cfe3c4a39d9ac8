"""Is the background of a radiograph as dark as it should be? Noted, never corrected.

Where no body is, the whole beam arrives, and that is shown black: under MONOCHROME2 by a small value (PS3.3 C.7.6.3.1.2). A
file whose values were exchanged and whose Photometric Interpretation was not shows it white, and nothing in its header
says so. The background is what lies at the edge of the image: it is taken as exchanged where most of that edge and a good part
of the image are as bright as the brightest pixels, and hardly anything is as dark as the darkest. A bright frame, of a
collimator or of film, with a dark background inside is another matter and gets its own note. A chest that fills its image
has no background, and nothing is said of it.
"""

from __future__ import annotations

import numpy as np

from fastrace.dicom.notes import Note

_NEAR = 0.06  # of the range: how far noise spreads a background
_MOSTLY, _PARTLY = 0.5, 0.3  # of the edge
_LARGE, _HARDLY = 0.15, 0.1  # of the image
_FULL = 0.95  # of a row or column that belongs to a frame
_DEEP = 0.45  # of the height or width: a frame is no deeper
_JUDGED = (None, "MG", "CR", "DX", "RG", "RF", "OT")


def background_notes(image: np.ndarray, modality: str | None) -> tuple[Note, ...]:
    """Notes on the background of an image.

    Parameters
    ----------
    image : ndarray [H, W]
        Display values, any scale.
    modality : str or None
        Modality (0008,0060): slices have no such background.
    """
    if modality not in _JUDGED or min(image.shape) < 16:
        return ()
    low, high = np.percentile(image, (0.5, 99.5))
    if not high > low:
        return ()
    scaled = (image - low) / (high - low)
    bright, dark = scaled >= 1 - _NEAR, scaled <= _NEAR
    edge = _edge(bright.shape)
    if all(line.mean() >= _FULL for line in (bright[0], bright[-1], bright[:, 0], bright[:, -1])):
        top, bottom, left, right = _peel(bright)
        inner = dark[top:bottom, left:right]
        if inner[_edge(inner.shape)].mean() >= _PARTLY:
            return (Note("frame", "a bright frame surrounds the image"),)
    if bright[edge].mean() >= _MOSTLY and bright.mean() >= _LARGE and dark.mean() <= _HARDLY and not bright.all():
        return (
            Note(
                "polarity", "the background is brighter than the tissue; check Photometric Interpretation (0028,0004)"
            ),
        )
    return ()


def _peel(bright: np.ndarray) -> tuple[int, int, int, int]:
    """What is left without the rows and columns at the edge that are bright all along."""
    top, left = 0, 0
    bottom, right = bright.shape
    least_rows, least_columns = (round(length * (1 - 2 * _DEEP)) for length in bright.shape)
    changed = True
    while changed and bottom - top > least_rows and right - left > least_columns:
        changed = False
        part = bright[top:bottom, left:right]
        if part[0].mean() >= _FULL:
            top, changed = top + 1, True
        if part[-1].mean() >= _FULL:
            bottom, changed = bottom - 1, True
        if part[:, 0].mean() >= _FULL:
            left, changed = left + 1, True
        if part[:, -1].mean() >= _FULL:
            right, changed = right - 1, True
    return top, bottom, left, right


def _edge(shape: tuple[int, ...]) -> np.ndarray:
    edge = np.zeros(shape, bool)
    edge[[0, -1]] = True
    edge[:, [0, -1]] = True
    return edge
