"""`fastrace evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastrace.cli.common import workspace
from fastrace.cli.train import Degrade
from fastrace.modality import MODALITIES

if TYPE_CHECKING:
    from fastrace.degrade.grammar import Degradation


@click.command()
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.argument("data", required=False, type=click.Path(path_type=Path))
@click.option("--modality", type=click.Choice(MODALITIES), help="Use the only run, and the data, of this workspace.")
@click.option(
    "--degrade",
    "degradations",
    type=Degrade(),
    multiple=True,
    help="Degrade the test images only, in the run's variant; repeated: one result each.",
)
@click.option(
    "--predictions", type=click.Path(path_type=Path), metavar="FILE", help="A table of scores made elsewhere."
)
@click.option("--label", metavar="COLUMN", help="Its column with the true class.")
@click.option(
    "--score",
    "scores",
    multiple=True,
    metavar="CLASS=COLUMN",
    help="Its column with the score of a class (repeatable).",
)
@click.option("--patient", metavar="COLUMN", help="Its column with the patient.")
@click.option("--study", metavar="COLUMN", help="Its column with the study.")
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--trust", is_flag=True, help="Use the pixels as they are, without comparing them with their digests first."
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Also write the JSON document here.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def evaluate(out: Path | None, as_json: bool, predictions: Path | None, **given: Any) -> None:
    """Score a run on a dataset, or scores made elsewhere.

    On the data RUN was trained on, only its test patients are scored. Other data need the same labels and preprocessing and at
    least 30 patients. Results are about groups: AUCs with intervals, also within sex, age, view and manufacturer.

    \b
    Example:
      fastrace evaluate RUN DATA
      fastrace evaluate RUN DATA --degrade none --degrade noise:gaussian:0.1
      fastrace evaluate --predictions scores.csv --label race --score Black=p_black --patient patient_id
    """
    from fastrace.files import write_atomic
    from fastrace.run_folder import writing

    found = _table_result(predictions, given) if predictions else _run_results(given)
    document = json.dumps({"evaluations": found}, indent=None if out is None else 2)
    if out is not None:
        with writing(out):
            write_atomic(out, (document + "\n").encode(), 0o600)
    click.echo(document if as_json else "\n\n".join(map(_text, found)))


def _run_results(given: dict[str, Any]) -> list[dict[str, Any]]:
    from fastrace import api
    from fastrace.console.progress import TerminalProgress
    from fastrace.degrade.grammar import CLEAN
    from fastrace.errors import UsageError
    from fastrace.run_folder import single_run

    unused = [f"--{name}" for name in ("label", "patient", "study") if given[name]] + ["--score"] * bool(
        given["scores"]
    )
    if unused:
        raise UsageError(f"{unused[0]} belongs to --predictions FILE")
    run, data, modality = given["run"], given["data"], given["modality"]
    if modality is None and (run is None or data is None):
        raise UsageError("name RUN and DATA, or --modality for the workspace, or --predictions FILE")
    run = run or single_run(workspace(modality) / "runs")
    data = data or workspace(modality) / "data"
    wanted: tuple[Degradation, ...] = given["degradations"] or (CLEAN,)
    options = {"batch_size": given["batch_size"], "device": given["device"], "trust": given["trust"]}
    return [
        api.evaluate(run, data, degrade=one, progress=TerminalProgress(), **options) for one in dict.fromkeys(wanted)
    ]


def _table_result(file: Path, given: dict[str, Any]) -> list[dict[str, Any]]:
    from fastrace.errors import UsageError
    from fastrace.evaluate import ScoreTable, evaluate_table

    if given["run"] or given["degradations"] or given["modality"]:
        raise UsageError("--predictions FILE stands alone: leave out RUN, DATA, --modality and --degrade")
    if not given["label"]:
        raise UsageError("--predictions needs --label COLUMN, the true class")
    columns = {}
    for text in given["scores"]:
        name, _, column = text.partition("=")
        if not name or not column:
            raise UsageError(f"--score {text}: expected CLASS=COLUMN, for example Black=p_black")
        if name in columns:
            raise UsageError(f"--score {text}: class {name} was given before")
        columns[name] = column
    if not given["patient"]:
        click.echo(
            "no --patient column: every row counts as a patient of its own, intervals may be too narrow", err=True
        )
    return [evaluate_table(ScoreTable(file, given["label"], columns, given["patient"], given["study"]))]


def _text(found: dict[str, Any]) -> str:
    from fastrace.console.tables import HEADS, aligned, result_rows

    head = f"{found['target']}: {', '.join(found['classes'])} · {found['part']}"
    if "degradation" in found:
        head += f" · degradation {found['described']} ({found['mode']})"
    if "overlap" in found:
        head += f"\npatient overlap with training: {found['overlap'].removeprefix('patient overlap ')}"
    parts = [head, aligned(result_rows(found), HEADS)]
    if found["strata"]:
        lines = [_stratum(row) for row in found["strata"]]
        parts.append(aligned(lines, ("within", *HEADS[1:])))
    if found["left_out"]:
        counted = ", ".join(
            f"{why}: " + " / ".join(f"{count} {what}" for what, count in counts.items())
            for why, counts in found["left_out"].items()
        )
        parts.append(f"left out: {counted}")
    return "\n\n".join(parts)


def _stratum(row: dict[str, Any]) -> tuple[str, str, str, str, str]:
    from fastrace.console.words import interval

    name = f"{row['variable']} {row['value']}"
    if row["suppressed"]:
        return name, "not shown: few patients", "", "", ""
    one = row["auc"]
    mark = "" if one["status"] == "ok" else one["status"]
    return name, interval(one["value"], one["low"], one["high"]), str(one["n_patients"]), str(one["n_images"]), mark
