"""What a person has once, in tables whose rows are about something else: decided over all rows of the person.

A table of accessions names no patient, so that one person could be White in one study and Black in the next, without a word.
Whose a row is, is known when the headers are read: then the policy decides again (`fastrace.cohort.policy`). This holds for
race, ethnicity, sex, gender, language and religion. Everything else (a density, a finding, an insurance) may differ between two
studies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fastrace.cohort.label_columns import Cells, Shown, decide, decide_strata
from fastrace.cohort.policy import Policy

if TYPE_CHECKING:
    from fastrace.cohort.labels import Labels


@dataclass(frozen=True)
class PersonColumns:
    """What the rows of a table say of persons.

    Attributes
    ----------
    policy : str
    keys, groups : sequence of str or None
        Key of each row, and what says that it is decided with another one: the patient of the table, else the key.
    answers : mapping
        Label column -> what each row says.
    sex : sequence of str or None
        What each row says for the column ``sex`` of the index; empty: nothing.
    """

    policy: Policy = "consistent"
    keys: Cells = ()
    groups: Cells = ()
    answers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sex: Cells = ()

    def __bool__(self) -> bool:
        return bool(self.answers or self.sex)

    def persons(self, of_key: Mapping[str, str]) -> list[str | None]:
        """Whose each row is: by the image of its key, else by those of the rows with which it is decided."""
        of_group: dict[str, set[str]] = {}
        for key, group in zip(self.keys, self.groups, strict=True):
            if key is not None and key in of_key and group is not None:
                of_group.setdefault(group, set()).add(of_key[key])
        found: list[str | None] = []
        for key, group in zip(self.keys, self.groups, strict=True):
            several = of_group.get(group or "", set())
            person = of_key.get(key or "") or (next(iter(several)) if len(several) == 1 else None)
            found.append(group if person is None else f"person {person}")
        return found


NOTHING_SAID = PersonColumns()


def by_person(labels: Labels, of_key: Mapping[str, str]) -> Labels:
    """The table with what persons have once decided over all rows of each person.

    Parameters
    ----------
    labels : Labels
    of_key : mapping
        Key -> the patient of its images.
    """
    columns = labels.persons
    if not columns:
        return labels
    groups = columns.persons(of_key)
    together: dict[str, set[str]] = {}
    for before, now in zip(columns.groups, groups, strict=True):
        if before is not None and now is not None:
            together.setdefault(now, set()).add(before)
    if all(len(several) == 1 for several in together.values()):
        return labels  # decided as it is
    terms = dict(labels.terms or {})
    shown, earlier = Shown(terms=terms), Shown(terms=dict(terms))
    for name, answers in columns.answers.items():
        decide_strata(name, groups, answers, columns.policy, shown, "patients")
        who = "patients" if labels.names_patients else f"{labels.key} keys"
        decide_strata(name, columns.groups, answers, columns.policy, earlier, who)
    if columns.sex:
        shown.values["sex"] = decide(columns.keys, columns.sex, groups, columns.policy)
        lost = {
            group
            for group, before, now in zip(groups, columns.sex, shown.values["sex"], strict=True)
            if now is None and before is not None
        }
        if lost:
            shown.notes.append(f"labels: {len(lost)} patients have several sexes in the table: none is taken")
    said = [note for note in labels.said if note not in earlier.notes]
    return replace(
        labels,
        columns={**labels.columns, **shown.kinds},
        values={**(labels.values or {}), **shown.recorded},
        rows=_rows(labels, columns.keys, shown.values),
        said=(*said, *shown.notes),
        terms=shown.terms,
    )


def _rows(labels: Labels, keys: Cells, values: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for number, key in enumerate(keys):
        if key is not None and key not in rows:
            rows[key] = {**labels.rows[key], **{name: column[number] for name, column in values.items()}}
    return rows
