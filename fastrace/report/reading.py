"""``audit.json`` read, once and with suspicion.

What is optional may be absent; what has the wrong type makes the document damaged, and the error names the place.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from fastrace.console.words import clean
from fastrace.errors import RunError
from fastrace.report.document import (
    Audit,
    Cell,
    Control,
    Estimate,
    Features,
    Group,
    LeftOut,
    Location,
    Named,
    Question,
    Reference,
    Step,
)

SCHEMA = 1
FILE = "audit.json"


def load(folder: Path) -> Audit:
    """Read an audit.

    Raises
    ------
    RunError
        No audit, damaged, or of another schema.
    """
    file = folder / FILE
    try:
        content = json.loads(file.read_text(encoding="utf-8"), parse_constant=lambda _: None)
    except FileNotFoundError as error:
        raise RunError(
            f"{folder}: no finished audit here ({FILE} is missing); make one with `fastrace audit`"
        ) from error
    except NotADirectoryError as error:
        raise RunError(f"{folder}: not a folder; name the folder of the audit") from error
    except (OSError, ValueError, RecursionError) as error:
        reason = (str(error).splitlines() or [""])[0][:120]
        raise RunError(f"{file}: cannot be read ({reason}); run `fastrace audit` again") from error
    if not isinstance(content, dict) or "schema" not in content:
        raise RunError(f"{file}: not an audit of fastrace")
    if content["schema"] != SCHEMA:
        raise RunError(
            f"{file}: has schema {str(content['schema'])[:20]}, this fastrace reads schema {SCHEMA}; use the version that made it"
        )
    return _audit(_Place(clean(content), file))


class _Place:
    """An object inside the document; its errors name where it stands."""

    def __init__(self, content: Any, file: Path, where: str = "") -> None:
        self.content, self.file, self.where = content, file, where
        if not isinstance(content, dict):
            self.damaged("", "an object")

    def damaged(self, key: str, expected: str) -> NoReturn:
        place = f"{self.where}.{key}".strip(".")
        raise RunError(f"{self.file}: damaged: {place or 'the document'} is not {expected}; run `fastrace audit` again")

    def text(self, key: str, default: str | None = "") -> str:
        value = self.content.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            self.damaged(key, "text")
        return value

    def number(self, key: str) -> float | None:
        value = self.content.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.damaged(key, "a number")
        try:
            found = float(value)
        except OverflowError:
            self.damaged(key, "a number of this world")
        return found if math.isfinite(found) else None

    def whole(self, key: str) -> int | None:
        value = self.number(key)
        if value is not None and value != int(value):
            self.damaged(key, "a whole number")
        return None if value is None else int(value)

    def flag(self, key: str) -> bool | None:
        value = self.content.get(key)
        if value is not None and not isinstance(value, bool):
            self.damaged(key, "true or false")
        return value

    def table(self, key: str) -> Mapping[str, Any]:
        value = self.content.get(key) or {}
        if not isinstance(value, dict):
            self.damaged(key, "an object")
        return value

    def numbers(self, key: str) -> Mapping[str, float]:
        inner = _Place(self.table(key), self.file, key)
        return {name: value for name in inner.content if (value := inner.number(name)) is not None}

    def inside(self, key: str) -> _Place | None:
        value = self.content.get(key)
        return None if value is None else _Place(value, self.file, f"{self.where}.{key}".strip("."))

    def each(self, key: str) -> list[_Place]:
        value = self.content.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.damaged(key, "a list")
        return [_Place(one, self.file, f"{self.where}.{key}[{k}]".strip(".")) for k, one in enumerate(value)]

    def pair(self, key: str) -> tuple[float, float] | None:
        value = self.content.get(key)
        if value is None or (isinstance(value, list) and None in value):
            return None
        if not isinstance(value, list) or len(value) != 2:
            self.damaged(key, "a pair of numbers")
        ends = [_Place({"end": one}, self.file, f"{self.where}.{key}").number("end") for one in value]
        return None if ends[0] is None or ends[1] is None else (ends[0], ends[1])


def _audit(root: _Place) -> Audit:
    dataset = root.inside("dataset") or root.damaged("dataset", "an object")
    size = dataset.pair("size") or dataset.damaged("size", "a pair of numbers")
    if not all(1 <= side <= 65536 for side in size):
        dataset.damaged("size", "rows and columns of an image")
    location = root.inside("location")
    cells = [_cell(one) for key in ("primary", "cells") for one in root.each(key)]
    window = _Place(dataset.table("window"), root.file, "dataset.window")
    voi_source = window.inside("voi_source") if isinstance(window.content.get("voi_source"), dict) else window
    limits = root.content.get("limits") or []
    if not isinstance(limits, list) or not all(isinstance(one, str) for one in limits):
        root.damaged("limits", "a list of sentences")
    return Audit(
        version=root.text("fastrace"),
        created=root.text("created"),
        complete=root.text("status") == "complete",
        purpose=root.text("purpose"),
        engine=root.text("engine"),
        variant=root.text("variant"),
        seed=root.whole("seed"),
        arguments=root.table("arguments"),
        repeat=root.text("repeat"),
        environment=root.table("environment"),
        seconds=root.numbers("seconds"),
        modality=dataset.text("modality"),
        size=(int(size[0]), int(size[1])),
        images=dataset.whole("images"),
        patients=dataset.whole("patients"),
        fingerprint=dataset.text("fingerprint"),
        salt_id=dataset.text("salt_id"),
        mm_per_pixel=dataset.number("mm_per_pixel"),
        window=_counts(voi_source),
        target=root.text("target", None),
        self_reported=bool(root.flag("self_reported")),
        classes=tuple(
            Group(one.text("name"), one.whole("patients"), one.whole("images"), bool(one.flag("suppressed")))
            for one in root.each("classes")
        ),
        flow=tuple(
            Step(one.text("label"), *_counted(one), tuple(map(_left_out, one.each("left_out"))))
            for one in root.each("flow")
        ),
        features=tuple(map(_features, root.each("features"))),
        controls=tuple(map(_control, root.each("controls"))),
        controls_ok=bool(root.flag("controls_ok")),
        questions=tuple(map(_question, root.each("questions"))),
        cells=tuple({cell.id: cell for cell in reversed(cells)}.values())[::-1],
        location=None if location is None else _location(location),
        limits=tuple(limits),
    )


def _counts(place: _Place | None) -> Mapping[str, int | None]:
    return {} if place is None else {name: place.whole(name) for name in place.content}


def _counted(place: _Place) -> tuple[int | None, int | None, bool]:
    return place.whole("images"), place.whole("patients"), bool(place.flag("suppressed"))


def _left_out(place: _Place) -> LeftOut:
    return LeftOut(place.text("reason"), *_counted(place))


def _features(place: _Place) -> Features:
    return Features(
        place.text("name"),
        place.whole("dimensions"),
        bool(place.flag("learned_from_labels")),
        place.text("judging"),
        place.text("sees"),
        place.text("blind_to"),
    )


def _estimate(place: _Place) -> Estimate:
    """An estimate written in place, or under the key ``estimate``."""
    place = place.inside("estimate") or place
    suppressed = bool(place.flag("suppressed"))
    value, low, high = (None if suppressed else place.number(key) for key in ("value", "low", "high"))
    return Estimate(
        value, low, high, place.number("level") or 0.95, place.whole("n_patients"), place.whole("n_positive"),
        place.whole("n_images"), place.text("unit"), place.text("method"), place.text("status", "ok"), suppressed,
    )  # fmt: skip


def _named(place: _Place) -> Named:
    return Named(place.text("name") or place.text("label"), _hide(_estimate(place), bool(place.flag("suppressed"))))


def _hide(estimate: Estimate, suppressed: bool) -> Estimate:
    if not suppressed:
        return estimate
    return Estimate(
        None, None, None, estimate.level, None, None, None, estimate.unit, estimate.method, estimate.status, True
    )


UNVERIFIED = ("MEM", "UNVER")


def _reference(place: _Place | None) -> Reference | None:
    """A published number; one that nobody has verified is never printed as the paper's, so it ends here."""
    if place is None or place.text("source") in UNVERIFIED:
        return None
    return Reference(place.number("value"), place.text("text"), place.text("source"))


_AMOUNT = re.compile(r"(?:lowpass|highpass|resolution|noise:gaussian):(\d*\.?\d+)")


def _amount(place: _Place) -> float | None:
    """Where a cell stands on its axis; the degradation says it where the audit did not."""
    given = place.number("x")
    named = _AMOUNT.fullmatch(place.text("degradation"))
    return float(named[1]) if given is None and named else given


def _cell(place: _Place) -> Cell:
    return Cell(
        id=place.text("id", None),
        experiment=place.text("experiment"),
        title=place.text("title"),
        question=place.text("question"),
        features=place.text("features"),
        degradation=place.text("degradation"),
        described=place.text("described"),
        mode=place.text("mode"),
        x=_amount(place),
        x_low=place.number("x_low"),
        x_high=place.number("x_high"),
        estimate=_estimate(place),
        classes=tuple(map(_named, place.each("classes"))),
        pairs=tuple(map(_named, place.each("pairs"))),
        band=place.pair("band"),
        p=place.number("p"),
        p_adjusted=place.number("p_adjusted"),
        family=place.text("family"),
        finding=place.flag("finding"),
        d_prime=place.number("d_prime"),
        paper=_reference(place.inside("paper")),
        released_code=_reference(place.inside("released_code")),
    )


def _control(place: _Place) -> Control:
    return Control(
        place.text("id"),
        place.text("title"),
        place.text("status"),
        place.text("sentence"),
        tuple(map(_named, place.each("estimates"))),
        place.table("numbers"),
    )


def _question(place: _Place) -> Question:
    inner = place.inside("estimate")
    return Question(
        place.text("id"),
        place.text("title"),
        place.text("mark"),
        place.text("sentence"),
        None if inner is None else _estimate(inner),
    )


def _location(place: _Place) -> Location:
    return Location(
        place.text("rule"),
        place.pair("found"),
        place.text("sentence"),
        tuple(map(_cell, place.each("scan"))),
        place.number("aliased_share"),
    )
