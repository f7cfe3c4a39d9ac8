"""`fastrace demo`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastrace.cli.common import usable_cpus

if TYPE_CHECKING:
    from fastrace.demo import Demo


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("fastrace-demo"), show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def demo(out: Path, seed: int, as_json: bool) -> None:
    """Phantom -> preprocess -> train -> evaluate on made-up data, in two minutes on two cores.

    A synthetic archive of two neutral groups, A and B, is made; group B carries a texture in a known frequency band.
    A small network is trained to tell them apart, and tested with and without that band.

    \b
    Example:
      fastrace demo --out fastrace-demo
    """
    from fastrace.demo import demo as run
    from fastrace.train.progress import Terminal

    result = run(out, seed=seed, jobs=usable_cpus(), talk=Terminal())
    if as_json:
        click.echo(json.dumps({**vars(result), "out": str(result.out)}))
    else:
        click.echo(_text(result))


def _text(result: Demo) -> str:
    low, high = result.band_cycles
    rejected = ", ".join(f"{reason} {count}" for reason, count in result.rejected.items()) or "none"
    times = ", ".join(f"{name} {value:.0f} s" for name, value in result.seconds.items())
    return "\n".join(
        [
            "",
            f"fastrace demo · made-up mammograms · {result.indexed} images · {result.patients} patients · groups A and B",
            f"inputs     {result.inputs} DICOM files of several vendors' conventions; rejected: {rejected}",
            f"planted    texture in group B at {low:g}-{high:g} cycles/image (known to the ideal observer: AUC "
            f"{result.ideal_auc:.2f})",
            f"readable?  {_line(result.clean)}",
            f"without    {_line(result.without_band)}   test images without {low:g}-{high:g} (a tenth of margin)",
            f"verdict    {_verdict(result)}",
            f"times      {times}",
            f"look at    {result.out / 'data.private' / 'contact_sheet.png'} (is the window right?), "
            f"{result.out / 'run'} (the model and its numbers)",
        ]
    )


def _line(found: dict[str, Any]) -> str:
    from fastrace.train.scores import interval

    macro = found["patient"]["macro"]
    mark = "" if macro["status"] == "ok" else f"   {macro['status']}"
    return f"patient-level AUC {interval(macro)}, {macro['n_patients']} test patients{mark}"


def _verdict(result: Demo) -> str:
    clean, without = result.clean["patient"]["macro"], result.without_band["patient"]["macro"]
    if clean["low"] is None or clean["low"] <= 0.5:
        return "the planted leak was NOT found; something is wrong with this installation"
    if without["low"] is not None and without["low"] > 0.5:
        return "the group is readable, and not only from the planted band"
    return "the group is readable, and the model loses it without the planted band: that is where it lives"
