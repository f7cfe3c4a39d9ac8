"""Numbers as tables write them: with a decimal point or a decimal comma, thousands apart or not; one convention in a column."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from fastrace.errors import UsageError

_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")
_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d{1,3})?")
_POINT_THEN_COMMA = re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+(?:,\d+)?")
_COMMA_THEN_POINT = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")


def column_numbers(name: str, cells: Sequence[str | None]) -> list[float | None] | None:
    """The numbers of a column; None where a cell is no number, or there is none.

    Raises
    ------
    UsageError
        All commas could be decimal or thousands (1,234): that is a factor of a thousand, and not guessed.
    """
    present = [cell for cell in cells if cell is not None]
    if not present:
        return None
    with_comma = [cell for cell in present if "," in cell]
    decimal = _convention(with_comma)
    if decimal is None or not all(_PLAIN.fullmatch(cell) or "," in cell for cell in present):
        return None
    if decimal == "?":
        raise UsageError(
            f"column {name!r}: the comma in row {list(cells).index(with_comma[0]) + 2} may be decimal or part thousands; write "
            "its numbers without a comma"
        )
    points_part = any("." in cell for cell in with_comma) and decimal == ","  # 1.234,5: then 1.234 has four digits too
    found = [None if cell is None else _number(cell, decimal, points_part) for cell in cells]
    return found if all(number is None or math.isfinite(number) for number in found) else None


def _number(cell: str, decimal: str, points_part: bool) -> float:
    if decimal == ".":
        return float(cell.replace(",", ""))
    if "," in cell or (points_part and _POINT_THEN_COMMA.fullmatch(cell)):
        return float(cell.replace(".", "").replace(",", "."))
    return float(cell)


def _convention(cells: Sequence[str]) -> str | None:
    """Decimal sign of the cells with a comma: ``,``, ``.``, ``?`` where both would do, None where neither does."""
    as_comma = all(_COMMA.fullmatch(cell) or _POINT_THEN_COMMA.fullmatch(cell) for cell in cells)
    as_point = all(_COMMA_THEN_POINT.fullmatch(cell) for cell in cells)
    if as_comma and as_point:
        return "?" if cells else "."
    return "," if as_comma else "." if as_point else None
