"""A DICOMDIR as a source: the files that it lists (PS3.3 F.3), each in the DICOMDIR's own folder and nowhere else.

It is told by its content, whatever it is called. Referenced File ID (0004,1500) is in capitals (PS3.10 8.2), the files of a
copied disc often are not, so a name is taken in any case where only one file has it. A reference that leads out of the folder,
by "..", by an absolute name or over a link, is a mistake or an attack: the DICOMDIR is refused as a whole and nothing is read.
A record whose Record In-use Flag (0004,1410) is 0000H is not to be used (PS3.3 F.3.2.2), nor is what lies below it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import MediaStorageDirectoryStorage

from fastrace.errors import UsageError


def is_dicomdir(path: Path) -> bool:
    """Tell by its meta information, or by its name where that cannot be read, whether a file is a DICOMDIR. Never raises."""
    if not path.is_file():  # opening a FIFO would wait for ever
        return False
    if path.name.upper() == "DICOMDIR":
        return True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return bool(read_file_meta_info(path).get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage)
    except Exception:  # whatever pydicom raises on what is no DICOM file
        return False


@dataclass(frozen=True)
class Listed:
    """A file that a DICOMDIR lists: path, path below the folder of the DICOMDIR, and whether its record is in use."""

    path: str
    relative: str
    in_use: bool = True


def referenced(dicomdir: Path) -> Iterator[Listed]:
    """Yield the files that it lists.

    Raises
    ------
    UsageError
        If it cannot be read, or lists anything outside its folder.
    """
    try:
        with warnings.catch_warnings():  # they quote values, and a name could end in a log
            warnings.simplefilter("ignore")
            records = list(pydicom.dcmread(dicomdir).get("DirectoryRecordSequence") or [])
            not_used = _not_in_use(records)
            listed = [
                (found, number not in not_used)
                for number, record in enumerate(records)
                if (found := record.get("ReferencedFileID"))
            ]
    except Exception as error:  # pydicom raises many types on damaged input, and some quote what they read
        raise UsageError(
            f"{dicomdir}: not a readable DICOMDIR ({type(error).__name__}); name the folder instead"
        ) from error
    names: dict[str, list[str]] = {}
    found, outside = [], 0
    for reference, in_use in listed:
        parts = [reference] if isinstance(reference, str) else list(reference)
        relative = _below(dicomdir.parent, parts, names)
        if relative is None:
            outside += 1
        else:
            found.append(Listed(str(dicomdir.parent / relative), relative, in_use))
    if outside:
        raise UsageError(
            f"{dicomdir}: {outside} of {len(listed)} Referenced File IDs (0004,1500) lead out of its folder: nothing was read; "
            "name the folder instead"
        )
    yield from found


def _not_in_use(records: Sequence[Dataset]) -> set[int]:
    """Numbers of the records that are not to be used, and of all that are reached through them alone."""
    numbers = {
        place: number for number, record in enumerate(records) if (place := getattr(record, "seq_item_tell", None))
    }
    found: set[int] = set()
    waiting = [number for number, record in enumerate(records) if record.get("RecordInUseFlag") == 0]
    while waiting:
        number = waiting.pop()
        if number in found:
            continue
        found.add(number)
        below = numbers.get(records[number].get("OffsetOfReferencedLowerLevelDirectoryEntity"))
        entity: set[int] = set()
        while below is not None and below not in entity:  # offsets of a damaged file may run in a circle
            entity.add(below)
            below = numbers.get(records[below].get("OffsetOfTheNextDirectoryRecord"))
        waiting += entity
    return found


def _below(folder: Path, parts: list[object], names: dict[str, list[str]]) -> str | None:
    """Return the path of a file below the folder, as it is written on the disc; None where it leads out of it."""
    at = ""
    for part in parts:
        if not isinstance(part, str):
            return None
        wanted = part.strip(" \0")
        if wanted in ("", ".", "..") or any(separator in wanted for separator in "/\\\0"):
            return None
        at = os.path.join(at, _on_disc(folder / at, wanted, names))
    real = os.path.realpath(folder / at)
    top = os.path.realpath(folder)
    return at if at and os.path.commonpath((real, top)) == top and real != top else None


def _on_disc(folder: Path, wanted: str, names: dict[str, list[str]]) -> str:
    """The name as the folder has it: exactly, else the only one that differs in case alone or in a version (``;1``)."""
    key = str(folder)
    if key not in names:
        try:
            names[key] = os.listdir(folder)
        except OSError:
            names[key] = []
    if wanted in names[key]:
        return wanted
    alike = [name for name in names[key] if _plain(name) == _plain(wanted)]
    return alike[0] if len(alike) == 1 else wanted  # a file that is not there is rejected by its name


def _plain(name: str) -> str:
    return name.casefold().removesuffix(";1").rstrip(".")
