"""Several recorded values of one patient: which counts (``--policy``), and all of them for those who want to ask again.

Thousands of MIMIC's patients have more than one recorded race, one for each admission. An answer counts more than none: beside
unknown or declined it stands alone. Of different answers

- ``consistent`` takes none: the value is ``contradictory``, which is no class;
- ``first`` and ``last`` take that of the first or last row of the table;
- ``majority`` takes the most frequent, and none where two are equally frequent;
- ``any`` takes the one that the fewest patients have at all: one mention of the smaller group counts.

All recorded values stay in the index as numbers in the order of the rows, so that another policy needs no second preprocessing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import pandas as pd

from fastrace.cohort.non_answers import CONTRADICTORY, DECLINED, NO_ANSWER, UNKNOWN
from fastrace.errors import UsageError

Policy = Literal["consistent", "first", "last", "majority", "any"]
POLICIES: tuple[Policy, ...] = get_args(Policy)
RECORDED = "_recorded"
"""Behind the name of a label column: the column of all its recorded values."""


def patients_with(recorded: Mapping[str, Sequence[str]]) -> Counter[str]:
    """Value -> patients who have it at least once."""
    return Counter(value for values in recorded.values() for value in set(values))


def resolve(values: Sequence[str], policy: Policy, patients: Mapping[str, int]) -> str:
    """The value that counts.

    Parameters
    ----------
    values : sequence of str
        Of one patient, in the order of the rows, at least one.
    policy : str
    patients : mapping
        Value -> patients who have it, as `patients_with` counts, or anything in the same order.
    """
    answers = [value for value in values if value not in NO_ANSWER]
    if not answers:
        return values[0] if len(set(values)) == 1 else (UNKNOWN if UNKNOWN in values else DECLINED)
    if len(set(answers)) == 1 or policy == "first":
        return answers[0]
    if policy == "last":
        return answers[-1]
    if policy == "any":
        return min(set(answers), key=lambda value: (patients[value], value))
    if policy == "majority":
        (value, most), (_, next_most) = Counter(answers).most_common(2)
        return value if most > next_most else CONTRADICTORY
    return CONTRADICTORY


def changes(recorded: Mapping[str, Sequence[str]]) -> dict[Policy, int]:
    """Policy -> patients whose value differs from that of ``consistent``."""
    patients = patients_with(recorded)
    several = [values for values in recorded.values() if len(set(values)) > 1]
    strict = [resolve(values, "consistent", patients) for values in several]
    return {
        policy: sum(resolve(values, policy, patients) != one for values, one in zip(several, strict, strict=True))
        for policy in POLICIES
    }


def codes_of(recorded: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Value -> its number in the index, from the one that the fewest patients have, so that ``any`` needs no counts later."""
    patients = patients_with(recorded)
    return {value: code for code, value in enumerate(sorted(patients, key=lambda value: (patients[value], value)))}


def encode(values: Sequence[str], codes: Mapping[str, int]) -> str:
    """Recorded values as the index holds them, such as ``0,1,0``."""
    return ",".join(str(codes[value]) for value in values)


def by_policy(
    index: pd.DataFrame, labels: Mapping[str, Mapping[str, object]], column: str, policy: Policy
) -> pd.Series:
    """A label column under another policy, from the recorded values in the index.

    Parameters
    ----------
    index : DataFrame
    labels : mapping
        ``labels`` of ``dataset.json``.
    column : str
        The label column.
    policy : str

    Raises
    ------
    UsageError
        The dataset has no recorded values of it: each patient has one row in its table.
    """
    name = column + RECORDED
    if name not in index.columns or name not in labels:
        raise UsageError(f"{column}: the dataset holds one recorded value for each patient, so policies do not differ")
    words = labels[name]["values"]
    assert isinstance(words, list)
    coded = index[name].astype("string")
    known = {code: [words[int(one)] for one in code.split(",")] for code in coded.dropna().unique()}
    rank = {word: place for place, word in enumerate(words)}  # the codes begin with what the fewest patients have
    chosen = {code: resolve(values, policy, rank) for code, values in known.items()}
    return coded.map(chosen).astype(object)


def resolve_number(values: Sequence[Any], policy: Policy) -> Any:
    """The number, or fact, that counts of several; None where none does."""
    known = [value for value in values if value is not None]
    if not known or len(set(known)) == 1 or policy == "first":
        return known[0] if known else None
    if policy == "last":
        return known[-1]
    if policy == "majority":
        (value, most), (_, next_most) = Counter(known).most_common(2)
        return value if most > next_most else None
    return None
