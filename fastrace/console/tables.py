"""Results as aligned columns, for a terminal or a pipe; cells that are only text in any spreadsheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastrace.console.words import interval

HEADS = ("", "AUC (95 % interval)", "patients", "images", "")
"""Of the columns of `result_rows`."""


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "\uff1d", "\uff0b", "\uff0d", "\uff20", "'")


def harmless(cell: str) -> str:
    """A cell for a CSV table that people open: what a spreadsheet would run as a formula gets an apostrophe in front.

    OWASP, "CSV injection". One that begins with an apostrophe gets another, so that removing one always gives the cell back.
    """
    return "'" + cell if cell.startswith(_FORMULA) or cell.lstrip().startswith(_FORMULA) else cell


def aligned(lines: Sequence[Sequence[str]], heads: Sequence[str]) -> str:
    """Columns of equal width, two blanks apart."""
    cells = [tuple(heads), *lines]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def result_rows(found: Mapping[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Lines of a table of AUCs: name, AUC with interval, patients, images, mark.

    Parameters
    ----------
    found : mapping
        ``patient`` and ``image``, each with ``macro`` and ``classes``, as in ``metrics.json``.
    """
    lines = []
    for level in ("patient", "image"):
        classes = found[level]["classes"]
        shown = {"macro": found[level]["macro"]}
        if len(classes) == 2:  # both classes have the same AUC: one row
            shown = {" vs ".join(classes): found[level]["macro"]}
        elif len(classes) == 1 or level == "patient":
            named = {f"{name} vs rest": one for name, one in classes.items()}
            shown = named if len(classes) == 1 else {**shown, **named}
        for name, one in shown.items():
            of = f"{one['n_positive']} of {one['n_patients']}" if name.endswith("vs rest") else str(one["n_patients"])
            mark = "" if one["status"] == "ok" else one["status"]
            auc = interval(one["value"], one["low"], one["high"])
            lines.append((f"{name}, by {level}", auc, of, str(one["n_images"]), mark))
    return lines
