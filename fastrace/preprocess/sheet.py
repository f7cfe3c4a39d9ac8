"""The contact sheet: is the window right? Samples of every VOI source show it faster than a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from fastrace.dataset import Dataset

_COLUMNS, _TILE, _CAPTION, _MOST = 8, 150, 14, 48


def contact_sheet(dataset: Dataset, file: Path) -> None:
    """Write a PNG with up to 48 samples, spread over VOI sources, each captioned with its source and photometric.

    It shows patients' images, so it belongs into the private folder.
    """
    rows = _samples(dataset)
    lines = -(-len(rows) // _COLUMNS)
    sheet = Image.new("L", (_COLUMNS * _TILE, lines * (_TILE + _CAPTION)), 32)
    draw = ImageDraw.Draw(sheet)
    images = dataset.images(rows).astype(np.float32) * (255 / dataset.scale)
    for place, (row, image) in enumerate(zip(rows, images, strict=True)):
        left, top = place % _COLUMNS * _TILE, place // _COLUMNS * (_TILE + _CAPTION)
        tile = Image.fromarray(image.astype(np.uint8))
        tile.thumbnail((_TILE - 2, _TILE - 2))
        sheet.paste(tile, (left, top))
        facts = dataset.index.iloc[row]
        draw.text((left + 2, top + _TILE), f"{facts['voi_source']} {facts['photometric'] or ''}"[:24], fill=200)
    part = file.with_name(file.name + ".part")
    sheet.save(part, format="PNG")
    part.replace(file)


def _samples(dataset: Dataset) -> list[int]:
    """Evenly spaced rows of each VOI source in turn, so that a rare source is seen too."""
    sources = dataset.index["voi_source"].fillna("").to_numpy()
    groups = [np.flatnonzero(sources == name).tolist() for name in sorted(set(sources))]
    share = max(1, _MOST // len(groups))
    chosen = [
        group[i * len(group) // min(share, len(group))] for group in groups for i in range(min(share, len(group)))
    ]
    return sorted(chosen[:_MOST])
