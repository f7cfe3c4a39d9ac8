"""Before images are used: are they those that were written?

`check` compares every shard that is going to be read with its digest in dataset.json, once in a process; ``--trust`` leaves that
out. What is promised: accidents are found (a bit flipped, a file cut short, exchanged or copied halfway). Against intention
there is the fingerprint, written down in another place; `fastrace.digest` tells the two apart.

The cost is one reading of the shards: 6.5 GB/s from memory on one processor, else what the disk gives. They are read again
afterwards in any case, then from memory where it is large enough.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fastrace.console.progress import Progress
from fastrace.dataset import Dataset


@dataclass(frozen=True)
class Checked:
    """What was compared with its digest before use.

    Attributes
    ----------
    shards : int
        Those that hold the images.
    compared : int
        Of these, how many were compared, now or earlier in this process: all, or none with ``--trust``.
    bytes : int
        Read for it now; 0 where all were compared before.
    seconds : float
    """

    shards: int
    compared: int
    bytes: int
    seconds: float

    def __str__(self) -> str:
        several = f"{self.shards} shard{'s' * (self.shards != 1)}"
        if not self.compared:
            return f"pixels: {several}, not compared with their digests (--trust)"
        if not self.bytes:
            return f"pixels: {several}, compared with their digests before"
        rate = self.bytes / 1e9 / max(self.seconds, 1e-9)
        return f"pixels: {several} as written ({self.bytes / 1e9:.2f} GB in {self.seconds:.2f} s, {rate:.1f} GB/s)"

    def to_json(self) -> dict[str, Any]:
        """Plain types for ``run.json``."""
        return asdict(self)


def check(dataset: Dataset, rows: Sequence[int] | np.ndarray, *, trust: bool, progress: Progress) -> Checked:
    """Compare the shards of these images with their digests.

    Parameters
    ----------
    dataset : Dataset
    rows : sequence of int
        Index rows that are going to be read.
    trust : bool
        Compare nothing.
    progress : Progress
        Gets the steps, and one line with the cost.

    Raises
    ------
    DatasetError
        Naming the first file that is missing or not the one that was written.
    """
    wanted = np.unique(dataset.index["shard"].to_numpy(dtype=np.int64)[np.asarray(rows, dtype=np.int64)]).tolist()
    started, read = time.perf_counter(), 0
    if not trust:
        progress.begin("check", len(wanted), "shards")
        for number in wanted:
            read += dataset.check_shard(number)
            progress.step()
        progress.end()
    found = Checked(len(wanted), 0 if trust else len(wanted), read, round(time.perf_counter() - started, 4))
    progress.line(str(found))
    return found
