"""Whether an audit finds something where nothing is: feature tables without a signal, corrected as an audit corrects them.

`python -m fastrace.bench.studies.null_tables [DATASET:TARGET ...] [--tables 1000] [--keep FOLDER] [--first K --step M]
[--write]`. An archive has one to three readers (`studies.null_features`), which are the primary family of its audit, and the
families of its built-in features alone, which are exploratory. Cells, permutations, correction and control are those of an audit.
Of 1,000 archives at most 18 may have a primary finding: level .01, 99 times of 100. `--first 0 --step 2` and `--first 1 --step 2`
share the work through the folder of `--keep`; afterwards the same command without them makes the page. `--write` makes
docs/null_tables.md.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

import numpy as np
from scipy import stats
from threadpoolctl import threadpool_limits

from fastrace.audit.cells import Again, Answer, cell_of, score
from fastrace.audit.controls.permuted_labels import FAILS_BELOW, shuffled
from fastrace.audit.correction import ALPHA, correct
from fastrace.audit.engines.probe import Probe
from fastrace.audit.experiments import Experiment, experiments, part
from fastrace.audit.readers.built_in import BUILT_IN
from fastrace.audit.readers.rings import FAMILIES
from fastrace.audit.request import PERMUTATIONS
from fastrace.bench.studies.blocks import Row, all_there, options, own_blocks, publish, run_blocks, share_options
from fastrace.bench.studies.level import SHARES
from fastrace.bench.studies.null_features import LEAST, MOST, Archive, Images, Reader, digest, draw, images_of
from fastrace.bench.studies.uniform import sequential_steps, uniformity
from fastrace.execute.cpus import set_threads

BLOCK = 10
SIZE = (128, 128)
"""Pixels; of the words of a cell alone."""
RANGES = ((LEAST, 499), (500, 1499), (1500, MOST))
"""Patients, for the table."""


def answered(archive: Archive, reader: Reader, asked: Experiment, seed: int, permutations: int) -> Answer:
    """An experiment answered by a reader, as `fastrace.audit.plan.answer` does it."""
    subjects = archive.subjects(reader.patients)
    partition = subjects.partition(seed)
    chosen = np.isin(reader.group, asked.parts) if asked.parts else np.ones(len(reader.group), dtype=bool)

    def engine() -> Probe:
        return Probe(reader.table[:, chosen], reader.group[chosen], partition)

    scores, summary = score(engine(), subjects, seed=seed, permutations=permutations)
    cell = cell_of(asked, reader.name, summary, SIZE, None)
    return Answer(cell, scores, partition, Again(engine, subjects, summary.draws, seed))


def audited(archive: Archive, seed: int, permutations: int) -> list[Answer]:
    """The unchanged images read by every reader, and by each family of built-in features; corrected."""
    asked = experiments("any", SIZE)[0]
    found = [answered(archive, reader, asked, seed, permutations) for reader in archive.readers]
    first = archive.readers[0]
    if first.name == BUILT_IN:
        found += [answered(archive, first, part(asked, family), seed, permutations) for family in FAMILIES]
    return correct(found, permutations)


def control_p(archive: Archive, seed: int) -> float:
    """The p of the control with shuffled labels; the audit fails below `FAILS_BELOW`."""
    reader = archive.shuffled
    subjects = archive.subjects(reader.patients)
    probe = Probe(reader.table, reader.group, subjects.partition(seed))
    return shuffled(probe, subjects.labels, len(subjects.classes), seed)[1]


def row_of(archive: Archive, seed: int, permutations: int) -> Row:
    """What is kept of an archive: its findings, and p, AUC and interval of its first reader."""
    found = audited(archive, seed, permutations)
    primary = [one.cell for one in found if one.cell.family == "primary"]
    estimate = primary[0].estimate
    held = None
    if estimate.low is not None and estimate.high is not None:
        held = estimate.low <= 0.5 <= estimate.high
    return {
        "kind": archive.kind, "groups": archive.shares, "n": len(archive.labels),
        "d": [reader.table.shape[1] for reader in archive.readers], "several": bool(archive.images.max() > 1),
        "primary": sum(bool(cell.finding) for cell in primary),
        "exploratory": sum(bool(one.cell.finding) for one in found if one.cell.family == "exploratory"),
        "questions": len(found), "p": [cell.p for cell in primary], "auc": estimate.value, "holds": held,
        "control": control_p(archive, seed),
    }  # fmt: skip


def tables(sources: Sequence[Images], permutations: int, block: int) -> list[Row]:
    """The archives of one block."""
    rng = np.random.default_rng((20261201, block))
    return [row_of(draw(rng, sources), int(rng.integers(1 << 30)), permutations) for _ in range(BLOCK)]


def most_expected(total: int, level: float) -> int:
    """The most events of a probability `level` that so many archives have, 99 times of 100."""
    return int(stats.binom.ppf(0.99, total, level))


def verdict(count: int, total: int, level: float) -> str:
    """``**3** of 1,000 (at most 18 at a level of 0.01, 99 times of 100: kept; exact 95 % interval 0.06% to 0.87%)``."""
    most = most_expected(total, level)
    exact = stats.binomtest(count, total).proportion_ci(0.95)
    return (
        f"**{count}** of {total:,} (at most {most} at a level of {level:g}, 99 times of 100: "
        f"{'kept' if count <= most else '**NOT KEPT**'}; exact 95 % interval {exact.low:.2%} to {exact.high:.2%})"
    )


def page(rows: list[Row], hours: float, sources: Sequence[str], permutations: int) -> str:
    """docs/null_tables.md.

    Parameters
    ----------
    rows : list of dict
        Of `row_of`.
    hours : float
        Of one processor.
    sources : sequence of str
        Names of the datasets.
    permutations : int
    """
    total = len(rows)
    first = [row["p"][0] for row in rows if row["p"][0] is not None]
    exploratory = [row for row in rows if row["questions"] > len(row["p"])]
    lines = [
        "# Feature tables without a signal",
        "",
        f"`python -m fastrace.bench.studies.null_tables {' '.join(f'{name}:TARGET' for name in sources)} --tables {total} "
        "--write`:",
        f"{total:,} archives whose features know nothing of the groups, {hours:.2f} processor hours. Embeddings of {LEAST} to",
        f"{MOST:,} patients, and built-in features of {', '.join(sources) or 'no images'} with groups dealt at random among the",
        f"patients. Each archive has one to three readers; cells, {permutations:,} permutations at most, correction and control",
        "are those of an audit.",
        "",
        f"- A primary finding: {verdict(sum(row['primary'] > 0 for row in rows), total, ALPHA)}.",
    ]
    if exploratory:
        count = sum(row["exploratory"] > 0 for row in exploratory)
        lines.append(
            f"- An exploratory finding, by a family of built-in features alone: {verdict(count, len(exploratory), ALPHA)}."
        )
    failed = sum(row["control"] < FAILS_BELOW for row in rows)
    held = [row["holds"] for row in rows if row["holds"] is not None]
    lines += [
        f"- The first 100 shuffles of the control failed: {verdict(failed, total, FAILS_BELOW)}.",
        f"- The interval of the first reader holds .5 in {np.mean(held):.1%}.",
        "- Kolmogorov-Smirnov test that p is uniform: of the first reader "
        f"{uniformity(first, sequential_steps(permutations)):.2f} (spread evenly within the steps of the sequential test), of "
        f"the control {uniformity([row['control'] for row in rows]):.2f}.",
        "",
        "| features | groups | patients | archives | primary finding | p <= .05 | p <= .01 | mean AUC (standard error) "
        "| interval holds .5 | control failed |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    kinds = sorted({row["kind"] for row in rows})
    for kind in kinds:
        lines += _line([row for row in rows if row["kind"] == kind], kind, "all", "all")
    for shares in SHARES:
        lines += _line([row for row in rows if row["groups"] == shares], "all", shares, "all")
    for least, most in RANGES:
        lines += _line([row for row in rows if least <= row["n"] <= most], "all", "all", f"{least:,}-{most:,}")
    for readers in (1, 2, 3):
        lines += _line(
            [row for row in rows if len(row["p"]) == readers],
            f"all, {readers} reader{'s' * (readers > 1)}",
            "all",
            "all",
        )
    lines += ["", "Archives with a primary finding, of all:", ""]
    lines += ["| features | groups | " + " | ".join(f"{least:,}-{most:,}" for least, most in RANGES) + " |"]
    lines += ["|---|---|" + "---|" * len(RANGES)]
    for kind in kinds:
        for shares in SHARES:
            some = [row for row in rows if row["kind"] == kind and row["groups"] == shares]
            cells = [_share([row for row in some if least <= row["n"] <= most]) for least, most in RANGES]
            lines.append(f"| {kind} | {shares} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _share(some: list[Row]) -> str:
    return f"{sum(row['primary'] > 0 for row in some)} of {len(some)}" if some else ""


def _line(some: list[Row], kind: str, shares: str, patients: str) -> list[str]:
    """A row of the table; none, where there are no archives."""
    known = [row for row in some if row["auc"] is not None and row["p"][0] is not None]
    if not known:
        return []
    auc, p = np.array([row["auc"] for row in known]), np.array([row["p"][0] for row in known])
    held = [row["holds"] for row in known if row["holds"] is not None]
    return [
        f"| {kind} | {shares} | {patients} | {len(some):,} | {sum(row['primary'] > 0 for row in some)} | "
        f"{(p <= 0.05 + 1e-9).mean():.3f} | {(p <= 0.01 + 1e-9).mean():.3f} | "
        f"{auc.mean():.4f} ({auc.std() / np.sqrt(len(auc)):.4f}) | {np.mean(held) if held else np.nan:.3f} | "
        f"{sum(row['control'] < FAILS_BELOW for row in some)} |"
    ]


def main(arguments: list[str]) -> None:
    """Audit what is missing and print."""
    parser = options("null_tables", __doc__)
    parser.add_argument("datasets", nargs="*", metavar="DATASET:TARGET")
    parser.add_argument("--tables", type=int, default=1000)
    share_options(parser)
    given = parser.parse_args(arguments)
    set_threads(1)
    with threadpool_limits(1):
        sources = [images_of(text, given.keep) for text in given.datasets]
        name = f"null_tables-{digest(sources)}-{PERMUTATIONS}"
        blocks = -(-given.tables // BLOCK)
        simulate = partial(tables, sources, PERMUTATIONS)
        rows, hours = run_blocks(given.keep, name, blocks, simulate, own_blocks(given, blocks))
    rows = rows[: given.tables]
    if all_there(len(rows), given.tables, "tables", write=given.write):
        publish("null_tables", page(rows, hours, [one.name for one in sources], PERMUTATIONS), write=given.write)


if __name__ == "__main__":
    main(sys.argv[1:])
