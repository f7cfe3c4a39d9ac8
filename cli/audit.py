"""`fastrace audit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastrace.cli.common import workspace
from fastrace.modality import MODALITIES

if TYPE_CHECKING:
    from fastrace.audit.document import Audit


@click.command()
@click.argument("data", required=False, type=click.Path(path_type=Path))
@click.option("--modality", type=click.Choice(MODALITIES), help="Preset and workspace [the dataset's].")
@click.option("--target", metavar="COLUMN", help="Attribute to audit [the only attribute column].")
@click.option("--class", "classes", multiple=True, metavar="VALUE", help="Use only these values of it (repeatable).")
@click.option("--out", type=click.Path(path_type=Path), metavar="AUDIT", help="[./fastrace-work/MODALITY/audit]")
@click.option(
    "--readers",
    "--features",  # its name before there were embeddings
    "readers",
    multiple=True,
    metavar="READER",
    help="Beside the built-in features: small (a network trained here), a timm model with weights on this machine, "
    "NAME=FILE, package.module:function, or none; repeatable; --features is its old name [small, and the preset's backbone if "
    "its weights are here].",
)
@click.option(
    "--embeddings",
    multiple=True,
    metavar="FILE",
    help="Vectors that a model elsewhere computed, as a reader: Parquet, or FILE.npy[=KEYS] with a table of its rows "
    "[FILE.csv]; repeatable. docs/readers.md.",
)
@click.option(
    "--key",
    multiple=True,
    metavar="KIND=COLUMN",
    help="Column of an embeddings file that names the image, path, study or patient [the most specific known by its name].",
)
@click.option(
    "--salt",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Of the dataset, to hash ids of embeddings [DATA.private/salt].",
)
@click.option(
    "--covariate",
    "covariates",
    multiple=True,
    metavar="COLUMN[:SET]",
    help="A column that is a covariate even where it would be kept apart, and its set: acquisition, body, clinical or another "
    "name [columns of the index and the label table, by their names]; repeatable.",
)
@click.option("--no-covariate", multiple=True, metavar="COLUMN", help="A column that is none (repeatable).")
@click.option(
    "--only",
    metavar="LIST",
    help="Q1 readable, Q2 where; or experiments of Q2: C1a low-pass, C1b high-pass, C1c band, C1d notch, C1s third octaves, "
    "C1o octaves, C2a resolution, C2b noise, C1 or C2 for all of these (comma-separated). "
    "A1, unchanged images, and the controls always run.",
)
@click.option("--engine", type=click.Choice(["probe"]), default="probe", show_default=True, expose_value=False)
@click.option("--variant", type=click.Choice(["corrected"]), default="corrected", show_default=True)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of folds, permutations, noise, controls."
)
@click.option(
    "--permutations",
    type=click.IntRange(99),
    default=999,
    show_default=True,
    help="Of each test at most; up to 999,999 where fewer cannot decide whether a cell is a finding.",
)
@click.option("--purpose", metavar="TEXT", help="Why this audit is made; printed in the report.")
@click.option(
    "--trust", is_flag=True, help="Use the pixels as they are, without comparing them with their digests first."
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where images are degraded and read, and the network trained; probes run on the CPU. auto: a GPU if there is one.",
)
@click.option("--jobs", type=click.IntRange(1), metavar="N", help="Threads [one for each processor].")
@click.option("--resume", is_flag=True, help="Go on with an interrupted audit.")
@click.option("--keep-work", is_flag=True, help="Keep feature tables and scores of patients in the folder.")
@click.option("--json", "as_json", is_flag=True, help="Print audit.json.")
@click.option(
    "--plan", is_flag=True, help="Say which AUCs would be found with these patients, and stop: no image is read."
)
def audit(data: Path | None, resume: bool, as_json: bool, plan: bool, only: str | None, **given: Any) -> None:
    """Test whether an attribute is readable from images, and where, with controls.

    DATA is a dataset made by `fastrace preprocess`. Probes learn the attribute from features of the images, and of filtered,
    coarser and noisy ones; patients are scored by probes that did not train on them. The result is about groups;
    `fastrace report` makes a page of it.

    \b
    Example:
      fastrace audit --modality mammo --target race
      fastrace audit DATA --target sex --out AUDIT --only Q1,C1
      fastrace audit DATA --target sex --out AUDIT --embeddings vectors.parquet
    """
    from fastrace import api
    from fastrace.cohort.selection import choose_modality
    from fastrace.console.progress import TerminalProgress
    from fastrace.dataset import Dataset
    from fastrace.errors import UsageError

    if data is None and given["modality"] is None:
        raise UsageError("name a dataset folder, or --modality to use ./fastrace-work/MODALITY/data")
    data = data or workspace(given["modality"]) / "data"
    out = given.pop("out") or workspace(choose_modality(Dataset.open(data), given["modality"], "any")) / "audit"
    named = given.pop("readers")
    readers = tuple(name for name in named if name != "none") if named else None
    classes = tuple(dict.fromkeys(given.pop("classes")))
    wanted = tuple(filter(None, (name.strip() for name in (only or "").split(","))))
    if plan:
        given = {name: given[name] for name in ("target", "modality")}
        click.echo(api.plan_audit(data, readers=readers, classes=classes, only=wanted, **given))
        return
    found = api.audit(
        data,
        out,
        readers=readers,
        classes=classes,
        only=wanted,
        resume=resume,
        progress=TerminalProgress(),
        **given,
    )
    click.echo(found.to_json().decode().rstrip() if as_json else text(found, out))


def text(found: Audit, out: Path) -> str:
    """The first page, in words."""
    facts = found.dataset
    attribute = found.target + (" (self-reported)" if found.self_reported else "")
    lines = [
        f"fastrace audit · {facts.modality} · {facts.images} images · {facts.patients} patients · "
        f"attribute: {attribute}, {len(found.classes)} groups",
        "",
    ]
    if found.failed:
        lines += ["A CONTROL FAILED: no conclusion is drawn.", ""]
    lines += [f"control  {one.title}: {one.status}: {one.sentence}" for one in found.controls]
    lines.append("")
    lines += [f"{one.id} {one.title:12} {one.mark}: {one.sentence}" for one in found.questions]
    lines += ["", f"next: fastrace report {out}"]
    return "\n".join(lines)
