"""The contact sheet: is the window right? Samples of every VOI source show it faster than a table."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from fastrace.files import write_atomic
from fastrace.manifest import shard_name

_COLUMNS, _TILE, _CAPTION, _MOST = 8, 150, 14, 48
_FACTS = ("voi_source", "photometric")


def contact_sheet(data: Path, scale: int, file: Path) -> None:
    """Write a PNG with up to 48 samples, spread over VOI sources, each captioned with its source and photometric.

    It shows patients' images, so it belongs into the private folder. Whatever the size of the dataset, it reads four columns of
    the index and 48 images.

    Parameters
    ----------
    data : Path
        A dataset whose shards and index are written.
    scale : int
        Stored value of display value 1.
    file : Path
    """
    columns = pq.read_table(data / "index.parquet", columns=[*_FACTS, "shard", "row"], read_dictionary=list(_FACTS))
    samples = _samples(columns.to_pandas())
    lines = -(-len(samples) // _COLUMNS)
    sheet = Image.new("L", (_COLUMNS * _TILE, lines * (_TILE + _CAPTION)), 32)
    draw = ImageDraw.Draw(sheet)
    for place, facts in enumerate(samples.to_dict("records")):
        left, top = place % _COLUMNS * _TILE, place // _COLUMNS * (_TILE + _CAPTION)
        shard = np.load(data / shard_name(facts["shard"]), mmap_mode="r", allow_pickle=False)
        tile = Image.fromarray((shard[facts["row"]].astype(np.float32) * (255 / scale)).astype(np.uint8))
        tile.thumbnail((_TILE - 2, _TILE - 2))
        sheet.paste(tile, (left, top))
        voi, photometric = (facts[name] if isinstance(facts[name], str) else "" for name in _FACTS)
        draw.text((left + 2, top + _TILE), f"{voi} {photometric}"[:24], fill=200)
    content = io.BytesIO()
    sheet.save(content, format="PNG")
    write_atomic(file, content.getvalue(), 0o600)


def _samples(index: pd.DataFrame) -> pd.DataFrame:
    """Evenly spaced rows of each VOI source in turn, so that a rare source is seen too."""
    groups = [group for _, group in index.groupby(index["voi_source"].astype(object).fillna(""), sort=True)]
    share = max(1, _MOST // len(groups))
    chosen = [
        group.index[i * len(group) // min(share, len(group))] for group in groups for i in range(min(share, len(group)))
    ]
    return index.loc[sorted(chosen[:_MOST])]
