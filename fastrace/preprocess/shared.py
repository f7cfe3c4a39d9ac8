"""Studies, and identical pixels, that several patients of a dataset have: one person under two ids, or a stranger's image.

A study is of one patient (PS3.3 A.1.2, 7.3.1). Identical pixels may be an anonymised copy. Both are counted, and nothing is
changed: which id is right is in no header, and an audit leaves such patients out. It costs 32 bytes for each study of a patient,
and 40 for each image.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fastrace.preprocess.label_cells import LABEL

_KEY = 2  # words of 8 bytes


class Shared:
    """State: keys of studies and pixels with those of their patients, and a digest of the labels of pixels."""

    def __init__(self, columns: Mapping[str, Mapping[str, Any]]) -> None:
        self._labels = [LABEL + name for name, facts in columns.items() if facts["kind"] == "categorical"]
        self._studies, self._pixels = bytearray(), bytearray()

    def see(self, kept: pd.DataFrame) -> None:
        """Take up the indexed rows of a part."""
        pairs = kept[["study_key", "patient_key"]].drop_duplicates()
        self._studies += b"".join(map(bytes.fromhex, pairs["study_key"] + pairs["patient_key"]))
        labels = kept.reindex(columns=self._labels).astype(object)
        labels = (
            labels.where(labels.notna(), "").agg("\x1f".join, axis=1) if self._labels else pd.Series("", kept.index)
        )
        digests = pd.util.hash_pandas_object(labels, index=False).to_numpy(np.uint64)
        for key, digest in zip(kept["pixel_hash"] + kept["patient_key"], digests, strict=True):
            self._pixels += bytes.fromhex(key) + digest.tobytes()

    def counts(self) -> dict[str, int]:
        """Fields of `fastrace.cohort.persons.Doubts`."""
        studies = _several(_words(self._studies, 2 * _KEY))
        pixels = _words(self._pixels, 2 * _KEY + 1)
        shared = _several(pixels[:, : 2 * _KEY])
        labelled = _several(pixels[:, [0, 1, 4]]) & shared
        return {
            "shared_studies": len(studies),
            "shared_pixels": len(shared),
            "shared_pixels_other_labels": len(labelled),
        }


def _words(content: bytearray, width: int) -> np.ndarray:  # [rows, width] uint64
    return np.frombuffer(content, np.uint64).reshape(-1, width)


def _several(rows: np.ndarray) -> set[bytes]:
    """Keys, at the beginning of a row, behind which different things stand."""
    found = np.unique(rows, axis=0)
    same = (found[1:, :_KEY] == found[:-1, :_KEY]).all(axis=1)
    return {row.tobytes() for row in found[1:, :_KEY][same]}
