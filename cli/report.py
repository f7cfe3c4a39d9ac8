"""`fastrace report`."""

from __future__ import annotations

from pathlib import Path

import click

from fastrace.cli.common import workspace
from fastrace.modality import MODALITIES


@click.command()
@click.argument("audit", required=False, type=click.Path(path_type=Path))
@click.option("--modality", type=click.Choice(MODALITIES), help="Use the audit of this workspace.")
@click.option("--verify", "compare", is_flag=True, help="Write nothing: compare the report there with its audit.")
@click.option(
    "--open",
    "show",
    type=click.Choice(["yes", "no"]),
    default="no",
    show_default=True,
    help="Open the page in the browser of this machine.",
)
def report(audit: Path | None, modality: str | None, compare: bool, show: str) -> int:
    """Write AUDIT/report.html, with its figures as SVG and its numbers as CSV.

    The page needs no network and no script: it can be mailed, printed and archived. It holds aggregates only.

    \b
    Example:
      fastrace report fastrace-work/mammo/audit
      fastrace report --modality mammo --open yes
    """
    from fastrace.errors import UsageError
    from fastrace.report import differences, write

    if (audit is None) == (modality is None):
        raise UsageError("name the folder of the audit, or --modality for the one of the workspace")
    folder = audit or workspace(str(modality)) / "audit"
    if compare:
        found = differences(folder)
        click.echo("\n".join(found) or f"{folder}: page, figures and tables are what audit.json gives")
        return 1 if found else 0
    page = write(folder)
    click.echo(str(page))
    if show == "yes":
        click.launch(str(page))
    return 0
