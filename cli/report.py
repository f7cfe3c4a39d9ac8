"""`fastrace report`."""

from __future__ import annotations

from pathlib import Path

import click

from fastrace.cli.common import workspace
from fastrace.modality import MODALITIES


@click.command()
@click.argument("audit", required=False, type=click.Path(path_type=Path))
@click.option("--modality", type=click.Choice(MODALITIES), help="Use the audit of this workspace.")
@click.option(
    "--open",
    "show",
    type=click.Choice(["yes", "no"]),
    default="no",
    show_default=True,
    help="Open the page in the browser of this machine.",
)
def report(audit: Path | None, modality: str | None, show: str) -> None:
    """Write AUDIT/report.html, with its figures as SVG and its numbers as CSV.

    The page needs no network and no script: it can be mailed, printed and archived. It holds aggregates only.

    \b
    Example:
      fastrace report fastrace-work/mammo/audit
      fastrace report --modality mammo --open yes
    """
    from fastrace.errors import UsageError
    from fastrace.report import write

    if (audit is None) == (modality is None):
        raise UsageError("name the folder of the audit, or --modality for the one of the workspace")
    page = write(audit or workspace(str(modality)) / "audit")
    click.echo(str(page))
    if show == "yes":
        click.launch(str(page))
