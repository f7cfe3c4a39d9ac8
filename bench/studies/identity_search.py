"""Is anything of a person in a dataset? Archives full of names, numbers and dates in wrong places, and a search of everything.

`python -m fastrace.bench.studies.identity_search [--archives 20] [--write]`; `--write` makes docs/identity.md. Every person has
names, numbers and a birth date that occur nowhere else. Every file has some of them in attributes of the device, spelled by one
of `SPELLINGS`, and the same text again in the file of somebody else: what was left on the console from the patient before. The
real command makes a dataset of each archive; then every decoded value of the index, `dataset.json`, the datasheet, the metadata
of Parquet, the headers of the shards and all that the command printed are searched for every word, number and date of everybody.
The search shares no code with what it tests.
"""

from __future__ import annotations

import argparse
import datetime
import json
import random
import re
import subprocess
import sys
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

PAGE = Path(__file__).resolve().parents[2] / "docs" / "identity.md"
_HASHES = ("image_key", "patient_key", "study_key", "pixel_hash", "institution_key", "thumbnail_hash")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Attributes that can hold text: those that the index has, those that select or show an image, and some that nobody reads.
PLACES = (
    "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "ConvolutionKernel", "BodyPartExamined", "ViewPosition",
    "AnodeTargetMaterial", "FilterMaterial", "Grid", "DetectorType", "PresentationIntentType", "ImageType", "StationName",
    "ProtocolName", "SeriesDescription", "ImageLaterality", "FilterType", "Modality", "VOILUTFunction",
    "PhotometricInterpretation", "PatientSex", "BurnedInAnnotation", "PresentationLUTShape", "private",
)  # fmt: skip
# Numbers are texts too (VR DS): what is written there is digits, or not even that.
NUMBERS = ("KVP", "WindowCenter", "ExposureIndex", "BodyPartThickness", "RescaleSlope", "ImagerPixelSpacing")
# Columns of the label table that goes with the archive: kept by their names, by --column, and one that fills a gap of headers.
TABLE = ("label", "group", "site", "scanner", "race", "side", "comment", "amount")
COLUMNS = ("comment", "amount")  # named by --column; the second is a number
# Right, wrong, missing: of the same length, so that bytes can be exchanged.
CHARSETS = (b"ISO_IR 192", b"ISO_IR 100", b" " * 10)
FATAL = ("Modality", "VOILUTFunction", "PhotometricInterpretation")  # may end in a rejection, whose message is searched


@dataclass(frozen=True)
class Person:
    """Somebody who does not exist."""

    surname: str
    given: str
    short: str
    born: datetime.date
    seen: datetime.date
    number: str
    accession: str
    physician: str
    uid: str

    def words(self) -> Iterator[str]:
        """What a search must not find, in capitals without accents: umlauts in both spellings."""
        for name in (self.surname, self.given, self.physician):
            yield from {_plain(name), _plain(_two_letters(name))}
        yield from (_plain(self.number), _plain(self.accession), self.accession[3:], self.number[5:], self.uid)
        for date in (self.born, self.seen):
            for spelled in ("%Y%m%d", "%d%m%Y", "%m%d%Y", "%y%m%d", "%d%m%y"):
                yield date.strftime(spelled)
            month = _MONTHS[date.month - 1].upper()
            yield from (f"{date:%d}{month}{date:%y}", f"{date:%d}{month}{date:%Y}")


def _two_letters(name: str) -> str:
    for umlaut, letters in (("ü", "ue"), ("ö", "oe"), ("ä", "ae"), ("Ü", "Ue"), ("Ö", "Oe"), ("Ä", "Ae")):
        name = name.replace(umlaut, letters)
    return name


def _plain(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).upper()


SPELLINGS = (
    "{S}", "{s}", "{U}", "{A}", "QX{U}09_{y}", "{U}{y}", "09{A}", "X{A}X", "{U}^{G}", "{G} {A}", "Unit {s} 3", "{backwards}",
    "{spaced}", "{dashed}", "{cut}", "{camel}", "{L}", "{L}09_{y}", "{L}_7", "{id}", "X{digits}Y", "{digits}", "no. {digits}/2",
    "{acc}", "{Y}{m}{d}", "{d}.{m}.{Y}", "{d}/{m}/{y2}", "{m}/{d}/{Y}", "{d}{m}{Y}", "{y2}{m}{d}", "{Y}-{m}-{d}", "03.03.{Y}",
    "{d} {month} {Y}", "{d}{month}{y2}", "{Y}", "v{Y}", "{seen}", "{P}", "Dr. {P}", "1.2.{uid}.3",
)  # fmt: skip


def spelled(person: Person, spelling: str) -> str:
    """One of `SPELLINGS` of a person."""
    umlauts, ascii_ = _two_letters(person.surname).upper(), _plain(person.surname)
    return spelling.format(
        S=person.surname, s=person.surname.lower(), U=umlauts, A=ascii_, G=person.given.upper(), L=person.short.upper(),
        y=person.born.year, Y=person.born.year, y2=f"{person.born:%y}", m=f"{person.born:%m}", d=f"{person.born:%d}",
        month=_MONTHS[person.born.month - 1], backwards=ascii_[::-1], spaced=" ".join(ascii_), dashed="-".join(umlauts),
        cut=ascii_[:6], camel=f"Qx{ascii_.title()}Ab", id=person.number, digits=person.number[5:], acc=person.accession,
        seen=f"{person.seen:%Y%m%d}", P=person.physician, uid=person.uid,
    )  # fmt: skip


def people(rng: random.Random, count: int) -> list[Person]:
    """Persons whose words occur in no text of a device: every surname holds one of q, x or j, and an umlaut."""

    def name(least: int) -> str:
        letters = "".join(rng.choice("bdfgklmnprtvz") + rng.choice("aiou") for _ in range(least))
        return (letters[:3] + rng.choice("qxj") + rng.choice("üöä") + letters[3:]).title()

    shorts = rng.sample([a + b for a in "BFHJKQVWXZ" for b in "aeiouy"], count)
    return [
        Person(
            name(3), name(2), shorts[n], datetime.date(1918 + n % 70, rng.randint(1, 12), rng.randint(1, 28)),
            datetime.date(2012, 1, 1) + datetime.timedelta(rng.randint(0, 3000)), f"HOSP-{rng.randint(10**7, 10**8 - 1)}",
            f"ACC{rng.randint(10**6, 10**7 - 1)}", name(3), str(rng.randint(10**8, 10**9 - 1)),
        )
        for n in range(count)
    ]  # fmt: skip


def _write(path: Path, rng: random.Random, person: Person, place: str, text: str) -> None:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = DigitalXRayImageStorageForPresentation
    uid = UID(f"1.2.826.0.1.{person.uid}.{rng.randint(1, 10**9)}")
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = uid
    pixels = np.random.default_rng(rng.randint(0, 2**32)).integers(0, 4096, 24 * 20)
    described: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 192", "PatientName": f"{person.surname}^{person.given} {person.short}",
        "PatientID": person.number, "PatientBirthDate": f"{person.born:%Y%m%d}", "StudyDate": f"{person.seen:%Y%m%d}",
        "AccessionNumber": person.accession, "ReferringPhysicianName": f"{person.physician}^^^Dr",
        "StudyInstanceUID": f"1.2.826.0.1.{person.uid}", "Modality": "DX", "ViewPosition": "PA", "BodyPartExamined": "CHEST",
        "Manufacturer": "Lumen Works", "ManufacturerModelName": "Clear 4", "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "Rows": 24, "Columns": 20, "BitsAllocated": 16, "BitsStored": 12,
        "HighBit": 11, "PixelRepresentation": 0, "WindowCenter": 2048, "WindowWidth": 4096, "RescaleIntercept": 0,
        "RescaleSlope": 1, "PixelData": pixels.astype("<u2").tobytes(),
    }  # fmt: skip
    for keyword, value in described.items():
        setattr(ds, keyword, value)
    if place == "private":
        ds.private_block(0x0019, text[:16] or "X", create=True).add_new(0x10, "LO", text)
    elif place in NUMBERS:
        ds.add_new(place, "LO", text)  # a VR that lets it pass; DS would be refused by pydicom's writer
    else:
        setattr(ds, place, text)
    ds.save_as(path, enforce_file_format=True)
    charset = CHARSETS[int(path.name) // 2 % len(CHARSETS)]  # all is UTF-8, whatever the file says
    path.write_bytes(path.read_bytes().replace(CHARSETS[0], charset, 1))


def write_archive(folder: Path, seed: int, persons: int = 24, files: int = 96) -> tuple[list[Person], Counter[str]]:
    """Write an archive and labels.csv beside it; returns who is in them, and how many files have each place."""
    rng = random.Random(seed)
    folder.mkdir(parents=True)
    everybody = people(rng, persons)
    used: Counter[str] = Counter()
    turn = rng.randrange(len(PLACES) * len(SPELLINGS))
    table = []
    for n in range(files):
        place = (*PLACES, *NUMBERS)[(turn + n) % (len(PLACES) + len(NUMBERS))]
        spelling = SPELLINGS[(turn + 7 * n) % len(SPELLINGS)]
        owner = n % persons
        text = spelled(everybody[owner], spelling)
        used[place] += 1
        _write(folder / f"{2 * n:05d}", rng, everybody[owner], place, text)
        _write(folder / f"{2 * n + 1:05d}", rng, everybody[(owner + 1) % persons], place, text)
        column, spelling = TABLE[n % len(TABLE)], SPELLINGS[(turn + 11 * n + n // len(TABLE)) % len(SPELLINGS)]
        used[f"table: {column}"] += 1
        for file, whose in ((2 * n, owner), (2 * n + 1, (owner + 1) % persons)):
            table.append(_row(file, everybody[whose]) | {column: _cell(everybody[owner], column, spelling, n)})
    pd.DataFrame(table).to_csv(folder.parent / "labels.csv", index=False)
    return everybody, used


def _row(file: int, person: Person) -> dict[str, str]:
    """A row of the label table in which only the key and the patient identify anybody."""
    ordinary = {"label": "AB"[file % 2], "group": "CD"[file // 2 % 2], "site": "North", "scanner": f"room {file % 3}"}
    ordinary |= {"race": ("White", "Asian")[file % 2], "side": "L", "comment": "none needed", "amount": f"{file % 7}.5"}
    return {"image": f"{file:05d}", "patient_id": person.number, **ordinary}


def _cell(person: Person, column: str, spelling: str, number: int) -> str:
    if column == "amount":
        return (person.number[5:], f"{person.born:%Y%m%d}", person.accession[3:], f"{person.seen:%d%m%Y}")[
            number // 8 % 4
        ]
    return spelled(person, spelling)


def decoded(out: Path) -> Iterator[tuple[str, str]]:
    """Every value of a dataset as text, but for hashes, which are checked to be nothing else; with its place."""
    index = pd.read_parquet(out / "index.parquet")
    for column in index.columns:
        for value in index[column].dropna().unique():
            if column in _HASHES:
                assert re.fullmatch("[0-9a-f]{16,}", value), column
            else:
                kind = "text" if isinstance(value, str) else "number"
                yield f"index.parquet {kind} {column}", str(int(value)) if _whole(value) else str(value)
    schema = pq.read_schema(out / "index.parquet")
    for key, text in (schema.metadata or {}).items():
        yield "index.parquet metadata", f"{key.decode()} {text.decode()}"
    meta = json.loads((out / "dataset.json").read_text())
    for secret in ("shards", "fingerprint", "salt_id"):  # hashes
        meta.pop(secret)
    yield "dataset.json", json.dumps(meta, ensure_ascii=False)
    readme = (out / "README.md").read_text()
    yield "README.md", re.sub(r"`[0-9a-f]{32}`", "", readme)
    for shard in out.glob("images-*.npy"):
        with shard.open("rb") as file:
            yield shard.name, file.read(128).decode("latin-1")


def _whole(value: object) -> bool:
    return isinstance(value, float) and value == int(value)


def hits(persons: list[Person], texts: Iterator[tuple[str, str]]) -> list[tuple[str, str]]:
    """Places where something of somebody is, and what; two-letter names and years of birth only as words of their own."""
    words = {word for person in persons for word in person.words() if len(word) > 2}
    alone = {person.short.upper() for person in persons}
    years = {str(person.born.year) for person in persons}
    found = []
    for place, text in texts:
        plain = _plain(text)
        squeezed = re.sub(r"[\W_]+", "", plain)
        found += [(place, word) for word in words if word in plain or word in squeezed or word in squeezed[::-1]]
        if place.startswith(
            "index.parquet text"
        ):  # an exposure index may be 1933, and so may the file of somebody else
            found += [(place, word) for word in re.findall("[A-Z]+", plain) if word in alone]
            found += [(place, run) for run in re.findall(r"\d+", plain) if run in years]
    return found


def command(*words: str | Path) -> str:
    """All that the real command prints."""
    done = subprocess.run(
        [sys.executable, "-m", "fastrace.cli", *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def search(folder: Path, seed: int, persons: int = 24, files: int = 96) -> dict[str, Any]:
    """Write an archive, make its dataset, search: counts and, for who mends it, the hits."""
    everybody, used = write_archive(folder / "archive", seed, persons, files)
    out = folder / "data"
    words: tuple[str | Path, ...] = (
        "preprocess",
        folder / "archive",
        "--out",
        out,
        "--modality",
        "any",
        "--size",
        "16x16",
        "--jobs",
        "1",
    )
    words += ("--labels", folder / "labels.csv", *(word for name in COLUMNS for word in ("--column", name)))
    printed = [
        ("--dry-run", command(*words, "--dry-run")),
        ("printed", command(*words)),
        ("--json", command(*words, "--json")),
    ]
    texts = [*decoded(out), *((name, text.replace(str(folder), "")) for name, text in printed)]
    counts = json.loads((out / "dataset.json").read_text())["counts"]
    withheld = {column: sum(reasons.values()) for column, reasons in counts["withheld"].items()}
    return {
        "files": 2 * files, "persons": persons, "indexed": counts["indexed"], "values": len(texts), "places": dict(used),
        "withheld": withheld, "hits": hits(everybody, iter(texts)),
    }  # fmt: skip


def main() -> None:
    """Search many archives; print or write the page."""
    parser = argparse.ArgumentParser(
        prog="python -m fastrace.bench.studies.identity_search", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--archives", type=int, default=20)
    parser.add_argument("--write", action="store_true", help="write docs/identity.md")
    given = parser.parse_args()
    total: Counter[str] = Counter()
    places: Counter[str] = Counter()
    withheld: Counter[str] = Counter()
    for seed in range(given.archives):
        with tempfile.TemporaryDirectory() as folder:
            found = search(Path(folder), seed)
        total.update({name: found[name] for name in ("files", "persons", "indexed", "values")}, hits=len(found["hits"]))
        places.update(found["places"])
        withheld.update(found["withheld"])
        click.echo(f"archive {seed}: {len(found['hits'])} hits {sorted(set(found['hits']))[:5]}")
    page = _page(given.archives, total, places, withheld)
    if given.write:
        PAGE.write_text(page)
    click.echo(page)


_PAGE = """# Is anything of a person in a dataset?

`python -m fastrace.bench.studies.identity_search --archives {archives} --write` made this page: {archives} archives, {files}
files, {persons} persons. Every file has a name, a number or a date of a person in an attribute of the device, in one of
{spellings} spellings: glued to letters and digits, backwards, spaced, cut off, umlauts, two-letter names, dates in any order.
Half of them are of another person than the file: left on the console from the patient before. The label table that goes with
an archive has such texts too, in columns that are kept by their names alone and by `--column` (`table:` below). The character
set of two thirds of the files is wrong or missing. Every
decoded value of the datasets and all that the command printed (`--dry-run`, text, `--json`) was searched for every word, number
and date of everybody.

**{hits} hits** in {values} different values and texts, {indexed} images.

| attribute, or column of the label table | files |
|---|---|
{places}

Values left out of the index:

| column | images |
|---|---|
{withheld}
"""


def _page(archives: int, total: Counter[str], places: Counter[str], withheld: Counter[str]) -> str:
    return _PAGE.format(
        archives=archives,
        spellings=len(SPELLINGS),
        places="\n".join(f"| {place} | {2 * count} |" for place, count in sorted(places.items())),
        withheld="\n".join(f"| `{column}` | {count} |" for column, count in sorted(withheld.items())),
        **{name: total[name] for name in ("files", "persons", "hits", "values", "indexed")},
    )


if __name__ == "__main__":
    main()
