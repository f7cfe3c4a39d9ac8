"""When ids of a table and of an archive are written differently: what could be ignored, and how many images that would join.

Nothing is ignored unless the user says so (``--match zeros``): 0123 and 123 may be two persons. What would help is counted
and offered instead.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from itertools import combinations
from pathlib import PurePosixPath

from fastrace.errors import RejectedInput, UsageError

_SUFFIX = re.compile(r"(?:\.(?:dcm|dicom|dic|ima|png|jpe?g|jp2|j2k|tiff?|bmp|gif|nii|gz))+$", re.IGNORECASE)
# I000001.001 of PACS exports; not IM.001, where these digits alone tell files apart, and no UID.
_NUMBERED_SUFFIX = re.compile(r"(?<=\d)\.\d{3}$")
_NUMBERED = "numbered"  # tried after "extension", of files alone: C12.003 may be patient 3 of centre 12
_EXPONENT = re.compile(r"(\d+(?:[.,]\d+)?)[eE]\+?\d{1,2}")
_OF_SPREADSHEETS = re.compile(r"\d(?:[.,]\d+)?[eE]\+\d{2,}")


def _exponent(text: str) -> str:
    """1.0001E4 is 10001; 1.23E+12 may have been any of many ids, and stays what it is."""
    given = _EXPONENT.fullmatch(text)
    if given is None:
        return text
    number, digits = Decimal(text.replace(",", ".")), len(re.sub(r"\D", "", given[1]).lstrip("0"))
    whole = number == int(number) and digits >= len(str(int(number)))
    return str(int(number)) if whole else text


def lost_digits(cell: str) -> bool:
    """Whether a spreadsheet wrote an id as a number of fewer digits, so that it may be that of several persons: 1.23E+12."""
    cell = cell.strip()
    return _OF_SPREADSHEETS.fullmatch(cell) is not None and _exponent(cell) == cell


# Name -> (what is ignored, in words; the function). In the order in which they are applied.
TRANSFORMATIONS: Mapping[str, tuple[str, Callable[[str], str]]] = {
    "slashes": ("\\ instead of /", lambda text: re.sub(r"[\\/]+", "/", text)),
    "folder": ("folders", lambda text: re.split(r"[\\/]", text.rstrip("\\/"))[-1]),
    "extension": ("file extensions", lambda text: _SUFFIX.sub("", text)),
    "spaces": ("spaces", lambda text: re.sub(r"[\s\u200b\ufeff]+", "", text)),
    "exponent": ("scientific notation", _exponent),
    "decimals": ("'.0' behind numbers", lambda text: re.sub(r"(?<=\d)[.,]0*$", "", text)),
    "case": ("upper and lower case", str.casefold),
    "zeros": ("leading zeros", lambda text: re.sub(r"(?<!\d)(?<!\d\.)0+(?=\d)", "", text)),
}
_LOOSE = tuple(name for name in TRANSFORMATIONS if name != "folder")
_MOST_ALIKE = 64  # keys compared one by one; more that are alike to one image would not be told apart anyway
_MOST_AT_ONCE = 4  # transformations in one offer


def canonical(text: str, names: Collection[str]) -> str:
    """An id with what the transformations ignore taken away; an id of nothing else stays as it is."""
    for name, (_, function) in TRANSFORMATIONS.items():
        if name in names:
            text = function(text) or text
    return text


def spelled_alike(ids: Collection[str], names: Collection[str]) -> int:
    """How many of the ids differ from another one in nothing but what the transformations ignore."""
    forms = Counter(canonical(one, names) for one in set(ids))
    return sum(count for count in forms.values() if count > 1)


def check_match(names: Sequence[str]) -> tuple[str, ...]:
    """The transformations named, each once.

    Raises
    ------
    UsageError
        An unknown one.
    """
    for name in names:
        if name not in TRANSFORMATIONS:
            raise UsageError(f"--match {name}: unknown; choose from {', '.join(TRANSFORMATIONS)}")
    return tuple(dict.fromkeys(names))


class Keys:
    """The keys of one column, found by the identifiers of an image.

    Parameters
    ----------
    kind : str
        path, image, accession, study or patient. A path matches where it is the end of the image's, or that of the image below
        its SRC is the end of it; of several those with the longest common end.
    keys : iterable of str
    match : sequence of str
        Names of `TRANSFORMATIONS`: compared after an exact comparison found nothing.
    """

    def __init__(self, kind: str, keys: Iterable[str], match: Sequence[str] = ()) -> None:
        self.kind, self.match = kind, tuple(match)
        self.keys = frozenset(keys)

    def find(self, identifiers: Mapping[str, Sequence[str]]) -> str | None:
        """The key that belongs to an image, or None.

        Raises
        ------
        RejectedInput
            ``contradictory_label``: several do.
        """
        found = self._find(identifiers, ())
        return self._find(identifiers, self.match) if found is None and self.match else found

    def _find(self, identifiers: Mapping[str, Sequence[str]], names: tuple[str, ...]) -> str | None:
        found = self.candidates(identifiers, names)
        if len(found) < 2:
            return found[0] if found else None
        if names:
            raise RejectedInput(
                "contradictory_label",
                f"{len(found)} {self.kind} keys of the label table are the same to it with --match {' --match '.join(names)}; "
                "leave one of those out, or correct the table",
            )
        raise RejectedInput(
            "contradictory_label",
            f"its path below SRC is the end of {len(found)} paths of the label table; name a SRC further up, so that "
            "it is the end of one",
        )

    def candidates(self, identifiers: Mapping[str, Sequence[str]], names: tuple[str, ...] = ()) -> list[str]:
        """All keys that an image could mean."""
        found = self._candidates(identifiers, names)
        if not found and self.kind in ("path", "image") and "extension" in names:
            return self._candidates(identifiers, (*names, _NUMBERED))
        return found

    def _candidates(self, identifiers: Mapping[str, Sequence[str]], names: tuple[str, ...]) -> list[str]:
        table = self._table(names)
        values = [_normal(self.kind, value, names) for value in identifiers.get(self.kind, ())]
        if self.kind == "path":
            absolute = [_normal(self.kind, value, names) for value in identifiers.get("absolute", ())]
            return self._of_path(values, absolute, names)
        return next((table[value] for value in values if value in table), [])

    def _of_path(self, below: Sequence[str], absolute: Sequence[str], names: tuple[str, ...]) -> list[str]:
        """The keys that share the longest end with a path; its path below SRC, and one that goes on above SRC, are both.

        Of ``1.dcm`` and ``x/b/1.dcm`` the second is the row of ``b/1.dcm``: the first may be any file of that name.
        """
        table, ends = self._table(names), self._by_tail(names)
        outside = [tail for value in absolute for tail in _tails(value) if tail in table]
        for value in below:
            above = next((table[tail] for tail in outside if tail.count("/") > value.count("/")), [])
            found = [*table.get(value, ()), *above] or ends.get(value, [])
            if found:
                return list(dict.fromkeys(found))
        inside = [tail for value in below for tail in _tails(value) if tail in table]
        return next((table[tail] for tail in (*outside, *inside)), [])

    @cached_property
    def _made(self) -> dict[tuple[str, tuple[str, ...]], dict[str, list[str]]]:
        return {}

    def _table(self, names: tuple[str, ...]) -> dict[str, list[str]]:
        """Key without what is ignored -> the keys."""
        made = self._made.get(("table", names))
        if made is None:
            made = {}
            for key in sorted(self.keys):
                made.setdefault(_normal(self.kind, key, names), []).append(key)
            self._made["table", names] = made
        return made

    def _by_tail(self, names: tuple[str, ...]) -> dict[str, list[str]]:
        """End of a path of the table -> the paths that end so."""
        made = self._made.get(("tails", names))
        if made is None:
            made = {}
            for key in sorted(self.keys):
                for tail in _tails(_normal(self.kind, key, names)):
                    made.setdefault(tail, []).append(key)
            self._made["tails", names] = made
        return made


def _normal(kind: str, value: str, names: tuple[str, ...]) -> str:
    text = value
    if _NUMBERED in names and re.search(r"[^\d./\\]", PurePosixPath(value).name):  # a UID is digits and points
        text = _NUMBERED_SUFFIX.sub("", text)
    text = canonical(text, names) if names else text
    return str(PurePosixPath(text)) if kind == "path" else text


def _tails(path: str) -> list[str]:
    parts = PurePosixPath(path).parts
    return ["/".join(parts[start:]) for start in range(1, len(parts))]


class Offers:
    """What would join an image that no key matches: fewest transformations, or another column of the table.

    Parameters
    ----------
    keys : Keys
        The keys compared, with what is ignored already.
    others : mapping
        (kind, column) -> keys: the columns that could have been chosen.
    """

    def __init__(self, keys: Keys, others: Mapping[tuple[str, str], Collection[str]]) -> None:
        self.keys = keys
        self.others = {name: Keys(name[0], values) for name, values in others.items()}

    def of(self, identifiers: Mapping[str, Sequence[str]]) -> str | None:
        """Options that would join it, such as ``--match zeros --match case`` or ``--key path=COLUMN``; None: nothing known."""
        for (kind, column), keys in self.others.items():
            if len(keys.candidates(identifiers)) == 1:
                return f"--key {kind}={column}"
        for loosest in (_LOOSE, tuple(TRANSFORMATIONS)):
            alike = self.keys.candidates(identifiers, loosest)
            if 0 < len(alike) <= _MOST_ALIKE:
                found = self._fewest(identifiers, alike, loosest)
                if found:
                    return " ".join(f"--match {name}" for name in found)
        return None

    def _fewest(
        self, identifiers: Mapping[str, Sequence[str]], alike: Sequence[str], loosest: Sequence[str]
    ) -> tuple[str, ...]:
        few = Keys(self.keys.kind, alike)
        free = [name for name in loosest if name not in self.keys.match]
        for count in range(1, _MOST_AT_ONCE + 1):
            for more in combinations(free, count):
                names = tuple(name for name in TRANSFORMATIONS if name in (*self.keys.match, *more))
                if len(few.candidates(identifiers, names)) == 1:
                    return more
        return ()


def sentences(offers: Mapping[str, int], joined: int, total: int) -> list[str]:
    """Offers in words, with how many images would match if it were taken; the most helpful first.

    Parameters
    ----------
    offers : mapping
        What `Offers.of` said -> images.
    joined : int
        Images that have a row.
    total : int
        Images for which one was looked for.
    """
    named = {offer: frozenset(re.findall(r"--match (\w+)", offer)) for offer in offers}
    every = frozenset().union(*named.values()) if named else frozenset()
    if len(every) > 1 and sum(bool(names) for names in named.values()) > 1:  # what all of them need, together
        named[" ".join(f"--match {name}" for name in TRANSFORMATIONS if name in every)] = every
    counts = {}
    for offer, names in named.items():
        # Taking an offer joins also the images that need less than it.
        others = [other for other, less in named.items() if other == offer or (names and less and less <= names)]
        counts[offer] = joined + sum(offers.get(other, 0) for other in others)
    said = []
    for offer, count in sorted(counts.items(), key=lambda pair: (-pair[1], len(pair[0]), pair[0])):
        names = named[offer]
        if names:
            ignored = " and ".join(words for name, (words, _) in TRANSFORMATIONS.items() if name in names)
            said.append(f"{count} of {total} images would match if {ignored} were ignored: add {offer}")
        else:
            column = offer.partition("=")[2]
            kind = offer.removeprefix("--key ").partition("=")[0]
            said.append(f"{count} of {total} images would match by column {column!r} ({kind}): add {offer}")
    return said[:4]
