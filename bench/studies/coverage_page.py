"""The page docs/coverage.md: runs the simulations of `coverage` and lays out what they found."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fastrace.bench.studies.coverage import (
    CROSS_FITTED,
    EDGES,
    GRID,
    MACROS,
    REPLICATES,
    cover,
    cover_cross_fitted,
    cover_macro,
    false_findings,
)
from fastrace.statistics.estimate import MIN_MISPLACED

LOW, HIGH = 0.93, 0.97  # coverage inside is called right, for a nominal .95


def number(share: float | None) -> str:
    """Per cent; what lies outside 93-97 % in bold with a sign."""
    if share is None:
        return ""
    text = f"{100 * share:.1f}"
    return text if LOW <= share <= HIGH else f"**{text} {'low' if share < LOW else 'high'}**"


def document(simulations: int, seed: int, log: Callable[[str], object]) -> str:
    """All tables, as Markdown."""
    grid, edges = [], []
    for turn, cell in enumerate(GRID):
        resampled = (cell.images, cell.correlation) in ((1, 0.0), (4, 0.7))
        found = cover(cell, simulations, seed, resampled)
        shown = [number(found.get(name)) for name in ("patient", "image", "percentile", "BCa")]
        facts = [str(cell.positives), f"{cell.auc:g}", str(cell.images), f"{cell.correlation:g}"]
        grid.append((cell, found, [*facts, *shown, _mark(found["approximate"])]))
        log(f"grid {turn + 1} of {len(GRID)}: {' '.join(facts)}: {found}")
    for turn, cell in enumerate(EDGES):
        found = cover(cell, simulations, seed)
        facts = [f"{cell.positives} / {cell.negatives}", f"{cell.auc:g}", f"{cell.spread:g}"]
        mark = "not enough evidence" if cell.positives < 30 else _mark(found["approximate"])
        edges.append((cell, found, [*facts, number(found["plain"]), number(found["patient"]), mark]))
        log(f"edge {turn + 1} of {len(EDGES)}: {' '.join(facts)}: {found}")
    macros = []
    for sizes, auc in MACROS:
        hit, marked = cover_macro(sizes, auc, simulations, seed)
        macros.append([" / ".join(map(str, sizes)), f"{auc:g}", number(hit), _mark(marked)])
        log(f"macro {sizes} {auc}: {hit}")
    crossed = []
    for n, auc in CROSS_FITTED:
        hit, marked = cover_cross_fitted(n, auc, simulations, seed)
        crossed.append([str(n), f"{auc:g}", number(hit), _mark(marked)])
        log(f"cross-fitted {n} {auc}: {hit}")
    false = []
    for n in (50, 100, 500):
        for split, name in ((True, "another set of patients"), (False, "cross-fitting, 5 folds")):
            shares = false_findings(n, simulations, seed, split)
            false.append([str(n), name, *(f"{100 * share:.1f}" for share in shares)])
            log(f"no signal, {n}, {name}: {shares}")
    outside = {
        name: [found[name] for _, found, _ in grid if name in found and not LOW <= found[name] <= HIGH]
        for name in ("patient", "image", "percentile", "BCa")
    }
    counts = {name: sum(name in found for _, found, _ in grid) for name in outside}
    unmarked = [
        found for cell, found, _ in edges
        if cell.positives >= 30 and not LOW <= found["patient"] <= HIGH and found["approximate"] < 0.5
    ]  # fmt: skip
    error = 100 * np.sqrt(0.95 * 0.05 / simulations)
    summary = ", ".join(f"{name} {len(outside[name])} of {counts[name]}" for name in outside)
    return TEXT.format(
        simulations=f"{simulations:,}",
        seed=seed,
        replicates=f"{REPLICATES:,}",
        error=f"{error:.1f}",
        limit=f"{MIN_MISPLACED:g}",
        summary=summary,
        unmarked=len(unmarked),
        edges_count=sum(cell.positives >= 30 for cell, _, _ in edges),
        grid=_table(
            ("patients per class", "AUC", "images", "correlation", "patient", "image", "percentile", "BCa", "marked"),
            [row for _, _, row in grid],
        ),
        edges=_table(("patients", "AUC", "spread", "plain logit", "default", "marked"), [row for _, _, row in edges]),
        macros=_table(("patients", "AUC", "default", "marked"), macros),
        false=_table(("patients per class", "scores made on", "p < .05, %", "p < .01, %"), false),
        crossed=_table(("patients per class", "best AUC", "default", "marked"), crossed),
    )


def _mark(share: float) -> str:
    return "" if share == 0 else f"{100 * share:.0f} %"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [" | ".join(cells) for cells in [heads, ["---"] * len(heads), *rows]]
    return "\n".join(f"| {line} |" for line in lines)


TEXT = """# How often the intervals contain the true AUC

`python -m fastrace.bench.studies.coverage --write` made this page: {simulations} simulations a cell, seed {seed}, nominal
coverage 95 %. The standard error of a cell is {error} points. Cells outside 93-97 % are in bold.
`bench/studies/coverage.py` describes how patients are simulated.

## The default interval and its alternatives

*patient*: the default, one row per patient (the mean of the images), logit DeLong with a pseudo-patient on either side.
*image*: one row per image, patients as clusters, compared with the AUC between single images. *percentile* and *BCa*: bootstrap
of patients, {replicates} replicates; only where images = 1 or 4, because the patient-level cells of one size and AUC are the same
experiment (an AUC does not change with the scale of the scores) and differ by chance alone. *marked*: how often the
interval carries the mark "approximate".

Outside 93-97 %: {summary}.

{grid}

## Where coverage ends

One row per patient. *spread* is the standard deviation of the positives, that of the negatives being 1. *plain logit* has no
pseudo-patients. The default interval is marked "approximate" where the smaller class has fewer than {limit} patients on the
wrong side (patients times min(AUC, 1 - AUC)), and "not enough evidence" with fewer than 30 patients in a class. Cells outside
93-97 % with at least 30 patients in which fewer than half of the intervals are marked: {unmarked} of {edges_count}.

{edges}

## The mean over classes

Macro mean of three one-vs-rest AUCs, the primary endpoint.

{macros}

## Scores made by cross-fitting

Five folds, 20 features, the difference of class means as the model, scores pooled over folds. The truth is the AUC of
the five fitted models in new patients, since intervals are conditional on the models; *best AUC* is what the best possible
model would reach. Cross-fitted models are made from one another's test patients, so their errors are correlated: where the
signal is weak the interval is too narrow. Rankings with `cross_fitted` are marked "approximate". An audit
does otherwise: it compares patients within folds and widens (docs/crossfit.md).

{crossed}

Below, no feature carries a signal, and p comes from shuffling the labels while scores stay as they are. That is right for a
model made on other patients; cross-fitted models have to be fitted anew for every shuffle.

{false}
"""
