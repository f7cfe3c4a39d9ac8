"""Whose a row of a file of embeddings is: ids hashed with the salt of the dataset, or files by their path or name.

A dataset holds no ids. UIDs and Patient IDs are hashed as `preprocess` hashed them, which needs the salt; a file is found by its
name through ``sources.parquet``. Both lie in ``DATA.private``. Rows that name an image by the keys of the index need neither.
No message holds an id: at most how one is written, digits as 9 and letters as a.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastrace.audit.readers.vector_files import OWN_KEYS
from fastrace.audit.readers.vectors import Vectors
from fastrace.audit.subjects import Subjects
from fastrace.cohort.matching import TRANSFORMATIONS, Keys, canonical
from fastrace.dataset import Dataset, keyed_hash, salt_id
from fastrace.errors import RejectedInput, UsageError
from fastrace.preprocess.store import private_folder

Ints = NDArray[np.int64]
NOBODY = -1
MOST_ZEROS = 12
SAMPLE = 1000  # ids that are tried in other ways, where most fit nothing


@dataclass(frozen=True)
class Owners:
    """Units that rows and images share: an image, a study or a patient.

    Attributes
    ----------
    of_row : ndarray [R] int64
        Unit of each row, -1 where it is of no image of the audit.
    of_image : ndarray [N] int64
        Unit of each image of the cohort, -1 where no row is.
    """

    of_row: Ints
    of_image: Ints


class Archive:
    """What can be named in a dataset, and by what.

    Parameters
    ----------
    dataset : Dataset
    subjects : Subjects
    salt : Path or None
        ``--salt``; None: the one beside the dataset.

    Raises
    ------
    UsageError
        ``salt`` is not that of the dataset.
    """

    def __init__(self, dataset: Dataset, subjects: Subjects, salt: Path | None = None) -> None:
        self.dataset, self.subjects, self.frame = dataset, subjects, subjects.cohort.frame
        self.private = private_folder(dataset.path)
        self.given = salt
        if salt is not None:
            _ = self.salt  # a wrong one is refused also where none is needed

    @cached_property
    def salt(self) -> bytes | None:
        """The key of the hashes, None where there is none.

        Raises
        ------
        UsageError
            Another dataset's.
        """
        given = self.given
        file = given or self.private / "salt"
        try:
            found = file.read_bytes()
        except OSError as error:
            if given is None:
                return None
            raise UsageError(f"--salt {given}: cannot be read ({error.strerror})") from error
        if not 16 <= len(found) <= 64 or salt_id(found) != self.dataset.salt_id:
            raise UsageError(
                f"{'--salt ' if given else ''}{file}: not the salt of {self.dataset.path} (its id is {self.dataset.salt_id}); "
                "name the one in the private folder that was made with it"
            )
        return found

    def owners(self, vectors: Vectors) -> Owners:
        """Whose the rows are.

        Raises
        ------
        UsageError
            No salt, no list of files, a row that fits several images.
        """
        return self._owners(vectors.file, vectors.kind, vectors.ids)

    def _owners(self, file: Path, kind: str, ids: Sequence[str]) -> Owners:
        if kind in OWN_KEYS:
            return self._by_key(kind, ids)
        if kind in ("study", "patient"):
            if self.salt is None:
                raise UsageError(
                    f"--embeddings {file}: {kind} ids are hashed with the salt of the dataset, and there is none in "
                    f"{self.private}; name it with --salt FILE"
                )
            return self._by_key(f"{kind}_key", self._hashed(kind, ids))
        return self._by_image(file, kind, ids)

    def _hashed(self, kind: str, ids: Sequence[str], *more: str) -> list[str]:
        salt = self.salt or b""
        made = {one: keyed_hash(salt, kind, one, *more) if one else "" for one in dict.fromkeys(ids)}
        return [made[one] for one in ids]

    def _by_key(self, column: str, keys: Sequence[str]) -> Owners:
        """Rows and images that have the same key."""
        numbers, known = pd.factorize(self.frame[column].to_numpy(dtype=object))
        at = {str(key): number for number, key in enumerate(known)}
        of_row = np.array([at.get(key, NOBODY) for key in keys], dtype=np.int64)
        return Owners(of_row, np.where(np.isin(numbers, of_row), numbers, NOBODY).astype(np.int64))

    def _by_image(self, file: Path, kind: str, ids: Sequence[str]) -> Owners:
        """Units are the ids: a UID, or the path or name of a file, is all frames of it."""
        number = {one: n for n, one in enumerate(dict.fromkeys(filter(None, ids)))}
        at = {key: n for n, key in enumerate(self.frame["image_key"])}
        of_image = np.full(len(self.frame), NOBODY, dtype=np.int64)
        if kind == "image" and self.salt is not None:
            for frame in sorted({int(one) for one in self.frame["frame"].fillna(0)}):
                for one, key in zip(number, self._hashed("image", list(number), str(frame)), strict=True):
                    if key in at:
                        of_image[at[key]] = number[one]
        named = self._named(file, kind, set(number), needed=not (of_image >= 0).any())
        for key, one in named.items():
            if key in at and of_image[at[key]] == NOBODY:
                of_image[at[key]] = number[one]
        there = set(of_image.tolist())
        of_row = np.array([number[one] if one and number[one] in there else NOBODY for one in ids], dtype=np.int64)
        return Owners(of_row, of_image)

    def _named(self, file: Path, kind: str, ids: set[str], *, needed: bool) -> dict[str, str]:
        """Image key -> the id that is the path or the name of its file.

        Raises
        ------
        UsageError
            An id fits several files; the list of the files is not there, and nothing else was found.
        """
        sources = self.private / "sources.parquet"
        try:
            table = pd.read_parquet(sources, columns=["path", "outcome", "image_key"])
        except (OSError, ValueError) as error:
            if not needed:
                return {}
            raise UsageError(
                f"--embeddings {file}: no id is a SOP Instance UID of the dataset, and names of files cannot be looked up: "
                f"{sources} cannot be read; name the rows by the image_key of index.parquet"
            ) from error
        indexed = table[table["outcome"] == "indexed"]
        keys = Keys(kind, ids)
        called = {path: _name_of(keys, path) for path in dict.fromkeys(indexed["path"])}
        fits = Counter(one for one in called.values() if one is not None)
        if several := sum(count > 1 for count in fits.values()):
            raise UsageError(
                f"--embeddings {file}: {several} of its ids fit several files each, and whose they are cannot be known; name "
                "the rows by longer paths, by SOP Instance UID, or by the image_key of index.parquet"
            )
        pairs = ((key, called[path]) for path, key in zip(indexed["path"], indexed["image_key"], strict=True))
        return {key: one for key, one in pairs if one is not None}

    def offers(self, vectors: Vectors) -> str:
        """What would find more images, and how the ids are written."""
        ids = [one for one in dict.fromkeys(vectors.ids) if one][:SAMPLE]
        said, matched = [], self._count(vectors.file, vectors.kind, ids)
        for (kind, column), others in vectors.others.items():
            if self._count(vectors.file, kind, [one for one in dict.fromkeys(others) if one][:SAMPLE]) > matched:
                said.append(f"column {column!r} as {kind} fits more: add --key {kind}={column}")
        for name, (words, _) in TRANSFORMATIONS.items():
            changed = [canonical(one, (name,)) for one in ids]
            if changed != ids and self._count(vectors.file, vectors.kind, changed) > matched:
                said.append(f"more fit without {words}: write them so")
        masks = Counter(_written(one) for one in ids)
        shapes = " or ".join(f"{mask!r}" for mask, _ in masks.most_common(2))
        return "; ".join(
            [*said, f"its ids are written like {shapes} (9 a digit, a a letter)" if shapes else "it has no ids"]
        )

    def padded(self, vectors: Vectors, matched: int) -> int:
        """Digits to which whole numbers have to be padded so that more images have a vector than ``matched``; 0 for none.

        Ids are often read as numbers, which lose the zeros before them: those that have none still fit, and the others would be
        left out of the reader, a third of an archive and not a random one.
        """
        ids = [one for one in vectors.ids if one]
        if not ids or not all(one.isdecimal() for one in ids):
            return 0
        longest = max(map(len, ids))
        for digits in range(longest, longest + MOST_ZEROS + 1):
            changed = [one.zfill(digits) for one in vectors.ids]
            if changed != list(vectors.ids) and self._count(vectors.file, vectors.kind, changed) > matched:
                return digits
        return 0

    def _count(self, file: Path, kind: str, ids: Sequence[str]) -> int:
        try:
            return int((self._owners(file, kind, ids).of_image >= 0).sum())
        except UsageError:
            return 0


def _name_of(keys: Keys, path: str) -> str | None:
    """The id that names a file: the end of its path, or its name with or without the ending."""
    name = PurePath(path).name
    try:
        return keys.find({"path": [path], "absolute": [os.path.abspath(path)], "image": [name, PurePath(name).stem]})
    except RejectedInput:
        return None


def _written(one: str) -> str:
    """How an id is written, without what it says."""
    return re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "9", one))[:40]
