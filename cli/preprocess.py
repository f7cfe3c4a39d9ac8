"""`fastrace preprocess`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastrace.cli.common import Size, Voi, workspace
from fastrace.errors import UsageError
from fastrace.modality import MODALITIES

if TYPE_CHECKING:
    from fastrace.preprocess.dry_run import DryRun
    from fastrace.preprocess.summary import Summary

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SRC...")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DATA", help="Dataset folder [./fastrace-work/MODALITY/data]."
)
@click.option(
    "--modality", required=True, type=click.Choice(MODALITIES), help="Preset: body part, views, window, crop, size."
)
@click.option("--labels", type=_FILE, help="Table with the labels: CSV, TSV, Excel, OpenDocument or Parquet.")
@click.option(
    "--key",
    multiple=True,
    metavar="[KIND=]COLUMN",
    help="Column that names the path, image, accession, study or patient (repeatable: the most specific joins).",
)
@click.option("--column", "columns", multiple=True, metavar="NAME", help="Keep this label column too (repeatable).")
@click.option("--categories", type=_FILE, help='Category map: lines  "value in the table" = Category.')
@click.option(
    "--match",
    multiple=True,
    type=click.Choice(["zeros", "decimals", "case", "spaces", "extension", "folder", "slashes", "exponent"]),
    help="Ignore this where ids are compared (repeatable); which would help is said when rows do not match.",
)
@click.option(
    "--patient-from",
    metavar="table|header|FILE",
    help="Whose patient counts where they differ; FILE: id in the header (and its issuer), patient; "
    "an id that it does not name stays what it is.",
)
@click.option(
    "--sex-and-age-from",
    type=click.Choice(["header", "table"]),
    help="Whose sex and age count where header and table differ [header; asked where they differ in most patients].",
)
@click.option(
    "--patient-pattern", metavar="REGEX", help="Read the patient from the path instead: 'train/(patient\\d+)/'."
)
@click.option(
    "--policy",
    type=click.Choice(["consistent", "first", "last", "majority", "any"]),
    default="consistent",
    show_default=True,
    help="Which of several recorded values of a patient counts.",
)
@click.option(
    "--bins", multiple=True, metavar="COLUMN=EDGES", help="Classes of a number, as a target: age=40,60 (repeatable)."
)
@click.option(
    "--body-part",
    "body_parts",
    multiple=True,
    metavar="VALUE",
    help="Keep this Body Part Examined beside the preset's (repeatable); any: keep all.",
)
@click.option(
    "--view",
    "views",
    multiple=True,
    metavar="VIEW",
    help="Keep these views instead of the preset's (repeatable); any: keep all.",
)
@click.option(
    "--intent",
    "intents",
    multiple=True,
    metavar="INTENT",
    help="presentation or processing: keep these instead of the preset's (repeatable); any: both.",
)
@click.option(
    "--image-type",
    "image_types",
    multiple=True,
    metavar="KIND",
    help="Keep this kind of image too, such as tomosynthesis, synthetic, implant (repeatable); any: keep all.",
)
@click.option("--size", type=Size(), help="Rows x columns of the network input [the preset's].")
@click.option(
    "--voi",
    type=Voi(),
    multiple=True,
    help="window:N, lut:N, CENTER,WIDTH, robust, full or auto (repeatable: the first that applies) [auto].",
)
@click.option("--dtype", type=click.Choice(["uint16", "uint8"]), default="uint16", show_default=True)
@click.option(
    "--decode",
    type=click.Choice(["exact", "reduced"]),
    default="exact",
    show_default=True,
    help="reduced: JPEG 2000 and HTJ2K at a part of their resolution, many times faster, not quite the same.",
)
@click.option(
    "--resize",
    type=click.Choice(["area", "lanczos"]),
    default="area",
    show_default=True,
    help="Exact area averages; lanczos checks how much depends on them.",
)
@click.option("--salt", type=_FILE, help="Key for the hashes, 16 to 64 bytes; reuse one to compare patients.")
@click.option("--jobs", type=click.IntRange(1), help="Worker processes [all processors].")
@click.option("--max-pixels", type=click.IntRange(1), default=1 << 28, show_default=True, help="Largest frame read.")
@click.option(
    "--rows-per-shard", type=click.IntRange(1), help="Images in one file; a kill loses at most so many [256 MB, 4096]."
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Read headers: what would be kept, left out, asked and why; write nothing.",
)
@click.option("--strict", is_flag=True, help="Exit with code 3 if any input was rejected.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def preprocess(
    sources: tuple[Path, ...],
    out: Path | None,
    modality: str,
    dry_run: bool,
    strict: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Turn DICOM or raster files and a table of labels into a dataset.

    SRC are files, folders (searched recursively, whatever the files are called) or a DICOMDIR. Every input ends up in
    the dataset or in DATA.private/sources.parquet with the reason why not. The same command goes on after an
    interruption.

    \b
    Example:
      fastrace preprocess ARCHIVE --modality mammo --labels labels.csv
    """
    from fastrace import api
    from fastrace.console.progress import TerminalProgress
    from fastrace.preprocess.dry_run import dry_run as inspect_archive
    from fastrace.preprocess.recipe import job_for

    out = out or workspace(modality) / "data"
    progress = TerminalProgress(every_seconds=10)
    if dry_run:
        found = inspect_archive(job_for(sources, out, modality, **options), progress)
        click.echo(json.dumps(vars(found)) if as_json else _dry_run_text(found))
        return UsageError.exit_code if found.questions else 0
    summary = api.preprocess(sources, out, modality=modality, progress=progress, **options)
    click.echo(json.dumps(_plain(summary)) if as_json else _summary_text(summary))
    return 3 if strict and summary.rejected else 0


def _plain(summary: Summary) -> dict[str, Any]:
    return {**vars(summary), "data": str(summary.data), "private": str(summary.private), "inputs": summary.inputs}


def _summary_text(summary: Summary) -> str:
    from fastrace.preprocess.vocabulary import withheld_lines

    lines = [*summary.notes, *withheld_lines(summary.withheld)]
    if summary.ethnic_group:
        lines.append(
            f"{summary.ethnic_group} images whose header holds Ethnic Group (0010,2160) or its successors: it was not read"
        )
    if summary.resumed_images:
        lines.append(f"went on after {summary.resumed_images} images of an earlier run")
    rejected = sum(summary.rejected.values())
    lines.append(
        f"{summary.inputs} inputs from {summary.files} files: {summary.indexed} indexed ({summary.patients} patients), "
        f"{rejected} rejected"
    )
    lines += summary.of_patients
    for reason, count in sorted(summary.rejected.items(), key=lambda pair: -pair[1]):
        lines.append(f"  {count:>7} {reason}, for example {summary.examples[reason]}")
    if summary.rows_without_images:
        lines.append(
            f"{summary.rows_without_images} label rows without images: {summary.private / 'labels_without_images.csv'}"
        )
    lines.append(f"dataset: {summary.data}   sources and contact sheet (private): {summary.private}")
    lines += [f"warning: {line}" for line in summary.warnings]
    return "\n".join(lines)


def _dry_run_text(found: DryRun) -> str:
    lines = [f"the run would stop and ask: {question}" for question in found.questions]
    after = ", once that is answered" if found.questions else ""
    lines.append(f"{found.files} files, {found.images} images that would be read{after}")
    for name, counts in found.by.items():
        lines.append(f"  {name:20}" + ", ".join(f"{value} {count}" for value, count in counts.items()))
    if found.rejected:
        lines.append(f"{sum(found.rejected.values())} that would be left out")
    for reason, count in found.rejected.items():
        lines.append(f"  {count:>7} {reason}, for example {found.examples[reason]}")
    lines += [*found.notes, *found.of_patients]
    table = "every image asked for in the label table" if found.joined else "no label table asked"
    lines.append(
        f"expected: {_size(found.bytes)}, about {_duration(found.seconds)} (from {found.timed} files that were decoded; of "
        f"the others headers alone were read; {table})"
    )
    return "\n".join(lines)


def _size(count: float) -> str:
    return f"{count / 1e9:.3g} GB" if count >= 1e8 else f"{count / 1e6:.2g} MB"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
