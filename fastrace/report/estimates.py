"""An estimate in words, for the line beside a chart and for the text on hover."""

from __future__ import annotations

from fastrace.audit.document import Estimate
from fastrace.console.words import HIDDEN, MIN_CELL, count, limits, number

SMALLEST = "the smallest class"
CLASS = "the class"


def interval(estimate: Estimate) -> str:
    """``.812 (.790–.833)``."""
    if estimate.suppressed:
        return HIDDEN
    value = number(estimate.value)
    if estimate.value is None:
        return value
    return f"{value} ({limits(estimate.low, estimate.high) if estimate.low is not None else 'no interval'})"


def facts(estimate: Estimate, of: str = SMALLEST) -> str:
    """The estimate with its interval, the numbers of patients and images, its method, and its status unless ok."""
    if estimate.suppressed:
        return f"{HIDDEN}: fewer than {MIN_CELL} patients, or a number from which such a one could be computed"
    if estimate.value is None:
        parts = ["not defined"]
    elif estimate.low is None:
        parts = [f"{number(estimate.value)}, no interval"]
    else:
        parts = [f"{number(estimate.value)}, {100 * estimate.level:g} % interval {limits(estimate.low, estimate.high)}"]
    parts.append(sample(estimate, of))
    if estimate.method not in ("", "none"):
        parts.append(estimate.method)
    if estimate.status not in ("ok", ""):
        parts.append(estimate.status)
    return "; ".join(part for part in parts if part)


def sample(estimate: Estimate, of: str = SMALLEST) -> str:
    """``3,102 patients (812 in the smallest class), 12,431 images``; ``of`` names the positive patients."""
    parts = []
    if estimate.n_patients is not None:
        text = f"{count(estimate.n_patients, patients=True)} patients"
        if estimate.n_positive is not None:
            text += f" ({count(estimate.n_positive, patients=True)} in {of})"
        parts.append(text)
    if estimate.n_images is not None:
        parts.append(f"{count(estimate.n_images)} images")
    return ", ".join(parts)
