"""Text and numbers as they are printed: one form for each, so that terminal, page, chart and table show the same.

Names of attributes, classes, files and reasons come from the archive and are not trusted. `clean` takes out
what could reorder or hide text; escaping is left to the writers of HTML, SVG and CSV, each of which does it for everything.
"""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Any

MIN_CELL = 11
"""Patients of a group below which nothing is shown of it; see `fastrace.statistics.small_cells`."""
FEW = f"fewer than {MIN_CELL}"
HIDDEN = "suppressed"  # fewer than 11, or a larger number from which such a one could be computed
UNDEFINED = "-"

# Overrides and isolates: a name that holds one could make the text around it read backwards.
_BIDI = {chr(code) for code in (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))}
_RANGE = re.compile(r"(?<=\()(-?\d*\.?\d+)-(\d*\.?\d+)(?=\))|(?<![\w.-])(\d*\.?\d+)-(\d*\.?\d+)(?= (?:cycles|lp/mm))")


def clean(value: Any) -> Any:
    """Take control characters, text-direction overrides and lone surrogates out of every string of a JSON document."""
    if isinstance(value, str):
        # Nothing to take out of printable text: an audit of 223 KB is read in 5 ms instead of 33.
        return value if value.isprintable() else "".join(map(_clean_character, value))
    if isinstance(value, list):
        return [clean(one) for one in value]
    if isinstance(value, dict):
        return {clean(key): clean(one) for key, one in value.items()}
    return value


def _clean_character(character: str) -> str:
    if character in "\n\t":
        return " "
    category = unicodedata.category(character)
    if category == "Cs" or character in "\ufffe\uffff":
        return "\ufffd"
    return "" if category == "Cc" or character in _BIDI else character


def clip(text: str, limit: int = 90) -> str:
    """At most ``limit`` characters; a cut is shown."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def number(value: float | None) -> str:
    """``.812``; ``1.000`` and negative numbers in full, ``-`` where undefined (None or NaN)."""
    if value is None or math.isnan(value):
        return UNDEFINED
    text = f"{value:.3f}"
    return text[1:] if text.startswith("0.") else text.replace("-", "−")


def short(value: float) -> str:
    """An edge, a cut-off, a tick: as many digits as it needs, at most three significant ones after the point."""
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    text = f"{value:.3g}"
    return f"{value:,.0f}" if "e" in text and abs(value) >= 1 else text


def span(low: float, high: float) -> str:
    """``19–41``."""
    return f"{short(low)}–{short(high)}"


def lp(value: float) -> str:
    """Line pairs per millimetre: two significant digits, as the spacing is a median."""
    return short(float(f"{value:.2g}"))


def lp_span(low: float, high: float) -> str:
    """``0.38–0.82``."""
    return f"{lp(low)}–{lp(high)}"


def limits(low: float | None, high: float | None) -> str:
    """``.790–.833``; ``-`` where undefined."""
    return UNDEFINED if low is None or high is None else f"{number(low)}–{number(high)}"


def interval(value: float | None, low: float | None, high: float | None) -> str:
    """``.812 (.790-.833)``, for a terminal; `typeset` makes the hyphen a dash."""
    if low is None:
        return f"{number(value)} (no interval)"
    return f"{number(value)} ({number(low)}-{number(high)})"


def p_value(p: float | None) -> str:
    """``.004``; ``<.001``."""
    if p is None:
        return UNDEFINED
    return "<.001" if p < 0.001 else number(p)


def count(n: int | None, *, suppressed: bool = False, patients: bool = False) -> str:
    """``12,431``; ``suppressed`` where the audit hid it; ``fewer than 11`` for patients where it should have been."""
    if suppressed and n is None:
        return HIDDEN
    if patients and n is not None and 0 < n < MIN_CELL:
        return FEW
    return UNDEFINED if n is None else f"{n:,}"


def percent(share: float) -> str:
    """``12 %``; one decimal below ten."""
    return f"{100 * share:.0f} %" if share >= 0.1 or share == 0 else f"{100 * share:.1f} %"


def seconds(amount: float) -> str:
    """``8 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(amount)
    if whole < 1:
        return "under 1 s"
    if whole < 120:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 120:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def typeset(sentence: str) -> str:
    """En dashes in the intervals and bands of a sentence of the audit; nothing else is touched."""
    return _RANGE.sub(lambda m: "–".join(part for part in m.groups() if part), sentence)


def plural(n: int, one: str, many: str = "") -> str:
    """``1 image``, ``2 images``."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"
