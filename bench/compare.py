"""This run against an earlier one: `fastrace bench --compare OLD.json`.

Rows belong together when operation and peer are the same. No two runs have the same conditions: a neighbour, another clock
or another host changes all times alike. What decides is therefore the ratio of fastrace to the peers that both runs timed in
the same version: the change is the median over them of new ratio / old ratio (ratio = peer's time / ours), and below 1
fastrace has become slower. It is a **regression** if it is below 1 / 1.1 (more than 10 % worse) and is no scatter: for the
steadiest of those peers (the narrowest of both spreads) the new ratio's 80th percentile lies below the old one's 20th.

The raw change of our time (old / new) stands beside it. On the same machine (processor, number of cores) it has to be below
1 as well: a peer that was slow for a while is no regression of ours (two quick runs within minutes had reported one). It
decides alone only where there is no common peer, on the same machine, by the same rule on the percentiles of our own times.
A result of ours that was right and is now wrong or missing is a regression too. What only one of the runs measured is
counted, and is none. Results of schema 2 are read as well: what has hot caches now has the same name, but was timed after
another peer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastrace.bench.row import Row, is_ours
from fastrace.bench.run import SCHEMA
from fastrace.errors import UsageError

READ = (2, SCHEMA)  # schemas
WORSE = 1.1  # times as slow as before, at least, is a regression


@dataclass(frozen=True)
class Change:
    """One operation in both runs.

    Attributes
    ----------
    operation : str
    old, new : float or None
        Our time, ms.
    raw : float or None
        Old time / new time; None on another machine.
    ratio : float or None
        Median over the common peers of new ratio / old ratio; None without one. Above 1: fastrace has become faster.
    peer : str
        The steadiest common peer, or "".
    beyond : bool
        Whether the percentiles of the two runs do not touch.
    problem : str
        What is wrong with our result now and was not before, or "".
    """

    operation: str
    old: float | None
    new: float | None
    raw: float | None
    ratio: float | None
    peer: str
    beyond: bool
    problem: str

    @property
    def decides(self) -> float | None:
        """The change that counts."""
        return self.raw if self.ratio is None else self.ratio

    @property
    def regression(self) -> bool:
        """Whether fastrace became slower, or wrong."""
        change = self.decides
        slower = self.raw is None or self.raw < 1
        return bool(self.problem) or (change is not None and change < 1 / WORSE and self.beyond and slower)


def load(path: Path) -> dict[str, Any]:
    """Read a document that `fastrace bench --out` wrote.

    Raises
    ------
    UsageError
        If the file cannot be read, is none, or is of another schema.
    """
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"--compare {path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UsageError(f"--compare {path}: not JSON; give a file that `fastrace bench --out` wrote") from error
    if not isinstance(document, dict) or not isinstance(document.get("rows"), list):
        raise UsageError(f"--compare {path}: holds no benchmark; give a file that `fastrace bench --out` wrote")
    if document.get("schema") not in READ:
        raise UsageError(
            f"--compare {path}: has schema {document.get('schema', 1)}, this fastrace reads {' and '.join(map(str, READ))}; "
            "measure again with the old version's code and this version's bench, or compare with a newer file"
        )
    return document


def same_machine(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether raw times can be compared: the same processor and number of cores."""
    return all(old["environment"][key] == new["environment"][key] for key in ("cpu", "cores"))


def compare(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    """The operations that both runs measured, in the order of the new one."""
    before, after, raw = _operations(old), _operations(new), same_machine(old, new)
    return [_change(name, before[name], rows, raw) for name, rows in after.items() if name in before]


def _operations(document: dict[str, Any]) -> dict[str, dict[str, Row]]:
    found: dict[str, dict[str, Row]] = {}
    for row in document["rows"]:
        found.setdefault(row["operation"], {})[row["peer"]] = row
    return found


def _change(operation: str, old: dict[str, Row], new: dict[str, Row], machine: bool) -> Change:
    before, after = (next((row for row in rows.values() if is_ours(row)), None) for rows in (old, new))
    if before is None or after is None:
        return Change(operation, None, None, None, None, "", False, "")
    problem = (after["problem"] or "") if not before["problem"] else ""
    common = [
        name
        for name, row in new.items()
        if name in old
        and not is_ours(row)
        and row["ratio"]
        and old[name]["ratio"]
        and row["version"] == old[name]["version"]
        and not row["problem"]
    ]
    ratio, peer, beyond = None, "", False
    if common:
        ratio = float(np.median([new[name]["ratio"] / old[name]["ratio"] for name in common]))
        peer = min(common, key=lambda name: max(_width(old[name]["spread"]), _width(new[name]["spread"])))
        beyond = new[peer]["spread"][1] < old[peer]["spread"][0]
    raw = before["ms"] / after["ms"] if machine and before["ms"] and after["ms"] else None
    if raw is not None and not common:
        beyond = float(np.percentile(after["samples"], 20)) > float(np.percentile(before["samples"], 80))
    return Change(operation, before["ms"], after["ms"], raw, ratio, peer, beyond, problem)


def _width(spread: Sequence[float]) -> float:
    return spread[1] / spread[0]


def comparison(old: dict[str, Any], new: dict[str, Any]) -> str:
    """The changes as a table for a terminal."""
    changes = compare(old, new)
    width = max((len(change.operation) for change in changes), default=9)
    lines = [f"against the run of {old['environment']['date']}"]
    if not same_machine(old, new):
        there, here = (f"{one['environment']['cores']} cores of {one['environment']['cpu']}" for one in (old, new))
        lines.append(f"another machine ({there}; here {here}): only ratios to common peers are compared")
    lines.append(f"{'operation':{width}}{'old':>11}{'new':>11}{'raw':>8}{'by ratios':>11}  steadiest common peer")
    for change in changes:
        raw, ratio = (f"{value:.2f}x" if value else "-" for value in (change.raw, change.ratio))
        old_ms, new_ms = (f"{value:.4g} ms" if value else "-" for value in (change.old, change.new))
        words = change.peer or "none: raw time decides" if change.decides else "cannot be compared"
        words += f"   REGRESSION{f': {change.problem}' * bool(change.problem)}" if change.regression else ""
        lines.append(f"{change.operation:{width}}{old_ms:>11}{new_ms:>11}{raw:>8}{ratio:>11}  {words}")
    worse, both = sum(change.regression for change in changes), {change.operation for change in changes}
    only = [len({row["operation"] for row in one["rows"]} - both) for one in (old, new)]
    lines.append(
        f"{worse} slower or wrong of {len(changes)} operations; measured only then: {only[0]}, only now: {only[1]}"
    )
    return "\n".join(lines)
