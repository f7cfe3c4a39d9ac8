"""Sizes in words, for people who do not know AUC, and what could have been seen."""

from __future__ import annotations

import math

from fastrace.audit.document import Cell
from fastrace.console.words import FEW
from fastrace.statistics import MIN_CLASS_PATIENTS


def of_a_hundred(cell: Cell) -> str:
    """The AUC as a share of pairs of patients that are ranked rightly."""
    estimate = cell.estimate
    if estimate.value is None:
        return "no patients can be ranked"
    pair = (
        "one of each group" if len(cell.classes) == 2 else "one of a group and one of the others (mean over the groups)"
    )
    times = f"{100 * estimate.value:.0f} times in 100"
    if estimate.low is None or estimate.high is None:
        return f"of two patients, {pair}, the images rank them rightly {times} (chance is 50)"
    low, high = f"{100 * estimate.low:.0f}", f"{100 * estimate.high:.0f}"
    return f"of two patients, {pair}, the images rank them rightly {times} ({low} to {high}; chance is 50)"


def could_have_been_found(cell: Cell) -> str:
    """What a cell that is no finding says about the attribute: at most this."""
    if cell.detectable is None:
        return "with these patients no AUC would have been found with 80 % power"
    return f"would have been found with 80 % power from AUC {upwards(cell.detectable)} on"


def upwards(auc: float) -> str:
    """Two digits, rounded upwards: of a smaller AUC nothing is said."""
    return f"{math.ceil(100 * auc - 1e-9) / 100:.2f}".removeprefix("0")


def missing_patients(cell: Cell) -> str:
    """How many patients an answer needs."""
    estimate, several = cell.estimate, len(cell.classes) > 2
    n = FEW if estimate.n_positive is None else f"{estimate.n_positive}"
    said = f"{n} patients of the smallest class; {MIN_CLASS_PATIENTS} are needed"
    return f"{said}, or name the other classes with --class" if several else said
