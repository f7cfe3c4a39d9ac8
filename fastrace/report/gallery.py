"""What the filtered images look like, shown on a computed phantom: no patient is in a report.

The real operations of `fastrace.degrade` act on an image of the dataset's size. Results without a mean (high-pass, band) are
shown around grey, scaled to their own contrast, and labelled so: unscaled many of them would look blank.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastrace.audit.document import Audit
from fastrace.console.words import clip
from fastrace.errors import FastraceError

if TYPE_CHECKING:
    import numpy as np

# Experiment -> what its row of pictures is called, in this order; at most so many pictures each.
ROWS = {
    "C1a": "Low-pass",
    "C1b": "High-pass",
    "C1c": "Band-pass",
    "C1d": "Notch",
    "C2a": "Resolution",
    "C2b": "Gaussian noise",
}
BODIES = {"mammo": "a computed mammogram", "cxr": "a computed chest radiograph"}
PER_ROW = 5
LONGEST = 320  # pixels of a thumbnail's longer side
IDS = 1  # the noise of the gallery's image


@dataclass(frozen=True)
class Picture:
    """One thumbnail: where it comes from, in words, and its PNG as a data URI."""

    caption: str
    alt: str
    source: str
    scaled: bool


@dataclass(frozen=True)
class Row:
    """Pictures of one kind of degradation."""

    title: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Gallery:
    """All pictures, and the words that describe them."""

    rows: tuple[Row, ...]
    body: str
    size: tuple[int, int]
    shown_size: tuple[int, int]


def gallery(audit: Audit) -> Gallery | None:
    """Make the pictures for the degradations that the audit used; None where it used none of them."""
    wanted = {title: _choose(audit, experiment) for experiment, title in ROWS.items()}
    if not any(wanted.values()):
        return None
    import numpy as np

    from fastrace import phantom

    try:
        image = np.asarray(phantom.sample(audit.dataset.modality, audit.dataset.size), dtype=np.float32)
    except FastraceError:  # images too small for an anatomy
        return None
    rows = [Row("As it is", (_picture(image, "none", "clean"),))]
    for title, degradations in wanted.items():
        pictures = tuple(one for text in degradations if (one := _degraded(image, text, audit.seed)))
        if pictures:
            rows.append(Row(title, pictures))
    body = BODIES[phantom.stand_in(audit.dataset.modality)]
    factor = _factor(audit.dataset.size)
    return Gallery(
        tuple(rows), body, audit.dataset.size, (audit.dataset.size[0] // factor, audit.dataset.size[1] // factor)
    )


def _choose(audit: Audit, experiment: str) -> list[str]:
    """Up to five degradations of an experiment, spread over its range."""
    found = {cell.degradation: cell for cell in audit.of(experiment)}
    cells = sorted(found.values(), key=lambda c: (c.x_low or c.x or 0.0, c.x_high or 0.0))
    if experiment == "C1b":  # beyond the corner of the spectrum nothing is left to show
        cells = [c for c in cells if c.x is None or c.x < sum(side**2 for side in audit.dataset.size) ** 0.5 / 2]
    if len(cells) > PER_ROW:
        cells = [cells[round(k * (len(cells) - 1) / (PER_ROW - 1))] for k in range(PER_ROW)]
    return [cell.degradation for cell in cells]


def _degraded(image: np.ndarray, text: str, seed: int) -> Picture | None:
    import torch

    from fastrace.degrade.operations import apply
    from fastrace.degrade.parser import parse

    try:
        degradation = parse(text)
        degradation.check((image.shape[0], image.shape[1]), None)
        ids = torch.tensor([IDS], dtype=torch.int64)
        result = apply(degradation, torch.from_numpy(image)[None], ids, seed=seed)[0].numpy()
    except FastraceError:  # written by another version, or in lp/mm, which a phantom does not have
        return None
    return _picture(result, text, text)


def _picture(image: np.ndarray, text: str, caption: str) -> Picture:
    import numpy as np

    scaled = abs(float(image.mean())) < 0.01 and float(image.min()) < -1e-6
    shown = image
    if scaled:
        reach = float(np.percentile(np.abs(image), 99.5)) or 1.0
        shown = 0.5 + 0.5 * image / reach
    about = "the phantom as it is" if text == "none" else f"the phantom after {text}"
    return Picture(
        clip(caption, 40),
        f"{clip(about, 80)}{', contrast scaled around grey' if scaled else ''}",
        "data:image/png;base64," + base64.b64encode(_png(_small(shown))).decode(),
        scaled,
    )


def _factor(size: Sequence[int]) -> int:
    return -(-max(size) // LONGEST)


def _small(image: np.ndarray) -> np.ndarray:
    """Average whole blocks of pixels, so that nothing is resampled."""
    factor = _factor(image.shape)
    height, width = (max(side // factor, 1) for side in image.shape)
    if factor == 1:
        return image
    return image[: height * factor, : width * factor].reshape(height, factor, width, factor).mean(axis=(1, 3))


def _png(image: np.ndarray) -> bytes:
    import imagecodecs
    import numpy as np

    grey = np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)
    return bytes(imagecodecs.png_encode(grey, level=9))
