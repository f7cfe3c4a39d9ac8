"""`fastrace demo`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from fastrace.audit.document import Audit
    from fastrace.demo import Demo


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("fastrace-demo"), show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def demo(out: Path, seed: int, as_json: bool) -> None:
    """Phantoms -> preprocess -> train -> audit -> report on made-up data, in under three minutes on two cores.

    Two synthetic archives of two neutral groups, A and B, are made. In one of them group B carries a texture in a band drawn from
    the seed; the other has no leak. Both are audited; the band must be found in the first, and nothing in the second.

    \b
    Example:
      fastrace demo --out fastrace-demo
    """
    from fastrace.console.progress import TerminalProgress
    from fastrace.demo import demo as run
    from fastrace.execute.cpus import usable_cpus

    result = run(out, seed=seed, jobs=usable_cpus(), progress=TerminalProgress())
    if as_json:
        click.echo(json.dumps(result.to_json()))
    else:
        click.echo(_text(result))


def _text(result: Demo) -> str:
    low, high = result.band_planted
    rejected = ", ".join(f"{reason} {count}" for reason, count in result.rejected.items()) or "none"
    times = ", ".join(f"{name} {value:.0f} s" for name, value in result.seconds.items())
    band = result.band_found
    found = "no band" if band is None else f"{band[0]:g}-{band[1]:g} cycles/image (overlap {result.overlap:.0%})"
    return "\n".join(
        [
            "",
            f"fastrace demo · made-up mammograms · {result.indexed} images · {result.patients} patients · groups A and B",
            f"inputs     {result.inputs} DICOM files of several vendors' conventions; rejected: {rejected}",
            f"planted    texture in group B at {low:g}-{high:g} cycles/image (known to the ideal observer: AUC "
            f"{result.ideal_auc:.2f})",
            f"trained    {_trained(result)}",
            f"readable?  {_question(result.leak, 0)}",
            f"found      {found}",
            f"controls   {_controls(result.leak)}",
            f"no leak    {_question(result.control, 0)} in the second archive, which has none",
            f"verdict    {_verdict(result)}",
            f"times      {times}",
            f"report     {result.report}",
        ]
    )


def _trained(result: Demo) -> str:
    from fastrace.console.words import interval

    macro = result.trained["patient"]["macro"]
    separates = "separates them" if (macro["low"] or 0) > 0.5 else "was not shown to separate them"
    auc = interval(macro["value"], macro["low"], macro["high"])
    return f"a small network {separates}: AUC {auc}, {macro['n_patients']} test patients"


def _question(found: Audit, number: int) -> str:
    question = found.questions[number]
    return f"{question.mark}: {question.sentence}"


def _controls(found: Audit) -> str:
    return ", ".join(f"{one.title.lower()} {one.status}" for one in found.controls if one.status != "for comparison")


def _verdict(result: Demo) -> str:
    if result.leak.failed or result.control.failed:
        return "a control failed; something is wrong with this installation"
    if result.overlap < 0.5:
        return "the planted band was NOT found; something is wrong with this installation"
    cells = result.control.cells
    if false := sum(bool(cell.finding) for cell in cells):
        return f"the planted band was found; without a leak {false} of {len(cells)} questions were findings, by chance"
    return "the planted band was found, and nothing where nothing was planted"
