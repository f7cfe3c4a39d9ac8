"""Pairs of almost equal images of different patients: the sign of a person with two ids, or of a picture under two names.

A phantom, a blank exposure, or two very similar bodies look the same, so nothing is said to be one person. Hashes are
made by `fastrace.preprocess.thumbnail`. Every pair is compared, in one compiled loop over hashes of 32 bytes: 50,000 images take
1.2 s of processor time, 100,000 four times that, and the memory is that of the hashes. (Bands of bits, as for short hashes, save
nothing at a distance of 24: of 25 bands of 10 bits each, two images of one body part share one by chance.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastrace.kernels.threads import NUMBA_CACHE

THRESHOLD = 24
"""Bits of 255 that may differ. False alarms and hits on several archives: docs/decisions.md."""
MOST_IMAGES = 250_000
"""Compared; of more, images are taken at even distances (a pair is then found with the square of the share)."""


_BLOCK = 2048  # images whose distances to one are computed before the first is looked at


@dataclass(frozen=True)
class Alike:
    """What was found.

    Attributes
    ----------
    pairs, patients : int
        Pairs of images of different patients; patients in at least one of them.
    compared, images : int
        Images compared, of how many.
    repeated : frozenset of str
        Keys of patients who are tied to one of a lower key by such pairs, directly or through others.
    """

    pairs: int
    patients: int
    compared: int
    images: int
    repeated: frozenset[str] = frozenset()

    def sentence(self, where: str) -> str | None:
        """In words; None if there is nothing to say.

        Parameters
        ----------
        where : str
            Of which images, such as "patients of this audit".
        """
        if not self.pairs:
            return None
        share = "" if self.compared == self.images else f" (among {self.compared} of {self.images} images)"
        return (
            f"{self.pairs} pair{'s' * (self.pairs > 1)} of almost equal images belong to different {where}{share}, "
            f"{self.patients} patients in all. If one person has several ids here, results are too good: check who the patients "
            "are (fastrace preprocess --patient-from). Similar bodies, phantoms and blank exposures look alike too."
        )


def alike(first: pd.DataFrame, second: pd.DataFrame | None = None) -> Alike:
    """Compare images of different patients: of one table, or of one with those of another.

    Parameters
    ----------
    first, second : DataFrame
        With ``patient_key`` and ``thumbnail_hash``. Patients of equal keys are the same: two datasets must share a salt.
    """
    one = _codes(first)
    two = one if second is None else _codes(second)
    every = sorted({*one.keys, *two.keys})
    names = {key: number for number, key in enumerate(every)}
    owner = np.array([names[key] for key in one.keys], dtype=np.int64)
    other = owner if second is None else np.array([names[key] for key in two.keys], dtype=np.int64)
    tied = np.arange(len(names))
    pairs = int(_count(one.words, owner, two.words, other, THRESHOLD, second is None, tied))
    lowest = np.array([_lowest(tied, patient) for patient in range(len(tied))], dtype=np.int64)
    repeated = np.flatnonzero(lowest != np.arange(len(tied)))
    patients = len(repeated) + len(np.unique(lowest[repeated]))
    images = len(first) + (0 if second is None else len(second))
    compared = len(one.keys) + (0 if second is None else len(two.keys))
    return Alike(pairs, patients, compared, images, frozenset(every[patient] for patient in repeated))


@dataclass(frozen=True)
class _Codes:
    words: NDArray[np.uint64]
    keys: list[str]


def _codes(table: pd.DataFrame) -> _Codes:
    known = table.loc[table["thumbnail_hash"].notna(), ["patient_key", "thumbnail_hash"]]
    if len(known) > MOST_IMAGES:
        known = known.iloc[np.arange(MOST_IMAGES) * len(known) // MOST_IMAGES]
    raw = bytes.fromhex("".join(known["thumbnail_hash"]))
    words = np.ascontiguousarray(np.frombuffer(raw, dtype=np.uint64).reshape(len(known), 4).T)
    return _Codes(words, known["patient_key"].astype(str).tolist())


@numba.njit(nogil=True, cache=NUMBA_CACHE)
def _bits(word: np.uint64) -> np.uint64:  # numba turns this form into the processor's instruction
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (word * np.uint64(0x0101010101010101)) >> np.uint64(56)


@numba.njit(nogil=True, cache=NUMBA_CACHE)
def _lowest(tied: NDArray[np.int64], patient: int) -> int:
    """The lowest patient to whom one is tied; chains are halved on the way."""
    while tied[patient] != patient:
        tied[patient] = tied[tied[patient]]
        patient = tied[patient]
    return patient


@numba.njit(nogil=True, cache=NUMBA_CACHE)
def _count(
    first: NDArray[np.uint64],  # [4, N]
    owner: NDArray[np.int64],  # [N]
    second: NDArray[np.uint64],  # [4, M]
    other: NDArray[np.int64],  # [M]
    threshold: int,
    same: bool,
    tied: NDArray[np.int64],  # [patients]: itself, or a lower one that a pair ties it to
) -> int:
    pairs = 0
    most = np.uint64(threshold)
    near = np.empty(_BLOCK, dtype=np.uint64)
    for i in range(first.shape[1]):
        for start in range(i + 1 if same else 0, second.shape[1], _BLOCK):
            stop = min(start + _BLOCK, second.shape[1])
            for j in range(start, stop):  # without a branch, so that it becomes vector instructions
                near[j - start] = _bits(first[0, i] ^ second[0, j]) + _bits(first[1, i] ^ second[1, j])
            for j in range(start, stop):
                if near[j - start] > most:
                    continue
                distance = near[j - start] + _bits(first[2, i] ^ second[2, j]) + _bits(first[3, i] ^ second[3, j])
                if distance <= most and owner[i] != other[j]:
                    pairs += 1
                    low, high = _lowest(tied, owner[i]), _lowest(tied, other[j])
                    tied[max(low, high)] = min(low, high)
    return pairs
