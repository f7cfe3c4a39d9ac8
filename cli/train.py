"""`fastrace train`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastrace.cli.common import workspace
from fastrace.modality import MODALITIES

if TYPE_CHECKING:
    from fastrace.degrade.grammar import Degradation
    from fastrace.train.run import Outcome


class Degrade(click.ParamType):
    """A degradation such as ``band:10:50`` or ``blur:2+noise:gaussian:0.1``."""

    name = "DEGRADATION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Degradation:
        """Parse it once, in the variant named beside it; the value travels unchanged to the kernels."""
        from fastrace.degrade.grammar import Degradation
        from fastrace.degrade.parser import parse
        from fastrace.errors import UsageError

        if isinstance(value, Degradation):
            return value
        try:
            return parse(str(value), ctx.params.get("variant", "corrected") if ctx else "corrected")
        except UsageError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.argument("data", required=False, type=click.Path(path_type=Path))
@click.option(
    "--modality", type=click.Choice(MODALITIES), help="Preset: backbone, augmentation, workspace [the dataset's]."
)
@click.option("--target", metavar="COLUMN", help="What to predict [the only attribute column].")
@click.option("--class", "classes", multiple=True, metavar="VALUE", help="Use only these values of it (repeatable).")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="RUN", help="Run folder [./fastrace-work/MODALITY/runs/...]."
)
@click.option("--recipe", type=click.Choice(["current", "paper"]), default="current", show_default=True)
@click.option("--model", metavar="NAME", help="'small' (for a CPU) or a timm model [the preset's].")
@click.option(
    "--init",
    default="auto",
    show_default=True,
    metavar="auto|imagenet|random|FILE",
    help="First weights; never downloaded.",
)
@click.option(
    "--degrade",
    "degradations",
    type=Degrade(),
    multiple=True,
    default=("none",),
    help="Train and test on degraded images; repeated: a model each.",
)
@click.option(
    "--variant",
    type=click.Choice(["corrected", "released-code"]),
    default="corrected",
    show_default=True,
    is_eager=True,  # known before --degrade is read
    help="Degrade as the study's text describes it, or as its released code did.",
)
@click.option("--epochs", type=click.IntRange(1), help="At most so many [the recipe's].")
@click.option("--batch-size", type=click.IntRange(2), help="[the recipe's]")
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True), help="[the recipe's]")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of split, weights, order and noise."
)
@click.option("--split", type=click.Choice(["patient", "official"]), default="patient", show_default=True)
@click.option(
    "--leave-out-shared",
    is_flag=True,
    help="Leave out patients who share a study, pixels or almost equal images with another.",
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--compile/--no-compile", "compile", default=None, help="Use torch.compile [on CUDA only].")
@click.option(
    "--trust", is_flag=True, help="Use the pixels as they are, without comparing them with their digests first."
)
@click.option("--resume", is_flag=True, help="Go on with an interrupted run.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def train(data: Path | None, degradations: tuple[Degradation, ...], resume: bool, as_json: bool, **given: Any) -> None:
    """Train a classifier of an attribute and test it by patient.

    DATA is a dataset made by `fastrace preprocess`. Patients are split 60/10/30; the run folder holds the model, its history
    and the result on the test patients, with an interval.

    \b
    Example:
      fastrace train --modality mammo --target race
      fastrace train DATA --model small --degrade lowpass:25 --degrade highpass:25
      fastrace train DATA --variant released-code --degrade highpass:100
    """
    from fastrace import api
    from fastrace.cohort.selection import choose_modality, choose_target
    from fastrace.console.progress import TerminalProgress
    from fastrace.dataset import Dataset
    from fastrace.degrade.grammar import CLEAN
    from fastrace.errors import UsageError

    if data is None and given["modality"] is None:
        raise UsageError("name a dataset folder, or --modality to use ./fastrace-work/MODALITY/data")
    dataset = Dataset.open(data or workspace(given["modality"]) / "data")
    modality, target = choose_modality(dataset, given["modality"]), choose_target(dataset, given["target"])
    named, wanted, outcomes = given.pop("out"), dict.fromkeys(degradations), []
    for degradation in wanted:
        name = target if degradation == CLEAN else f"{target}-{degradation.slug}"
        out = named or workspace(modality) / "runs" / name
        if named and len(wanted) > 1:
            out = named / degradation.slug
        progress = TerminalProgress()
        progress.line(f"run {out}: degradation {degradation.describe(dataset.size)}")
        outcomes.append(api.train(dataset.path, out, degrade=degradation, resume=resume, progress=progress, **given))
    if as_json:
        runs = [{"run": str(outcome.folder), **outcome.metrics} for outcome in outcomes]
        click.echo(json.dumps({"runs": runs}))
    else:
        click.echo("\n\n".join(_text(outcome) for outcome in outcomes))


def _text(outcome: Outcome) -> str:
    from fastrace.console.tables import HEADS, aligned, result_rows

    metrics = outcome.metrics
    head = (
        f"{metrics['target']}: {', '.join(metrics['classes'])} · test patients · degradation {metrics['degradation']}"
    )
    if metrics.get("variant", "corrected") != "corrected":  # older runs do not hold it
        head += f" ({metrics['variant']})"
    best = f"best epoch {metrics['best_epoch']} of {metrics['epochs']}"
    return f"{head}\n\n{aligned(result_rows(metrics), HEADS)}\n\n{best} · run {outcome.folder}"
