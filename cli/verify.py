"""`fastrace verify`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def verify(folder: Path) -> int:
    """Is everything in FOLDER as it was written?

    FOLDER is a dataset, a run or an audit. Every file is compared with its digest, the index with the shards and the counts, and
    a report with its audit. The exit code is 1 if anything is wrong. The digests lie in the folder itself: against someone who
    could rewrite them, compare the fingerprint printed here with one that was written down elsewhere, as in a report.

    \b
    Example:
      fastrace verify fastrace-work/mammo/data
      fastrace verify fastrace-work/mammo/audit
    """
    from fastrace.verify import examine

    found = examine(folder)
    for line in found.checked:
        click.echo(f"checked  {line}")
    for problem in found.problems:
        click.echo(f"wrong    {problem}")
    several = f"{len(found.problems)} thing{'s' * (len(found.problems) != 1)} wrong"
    click.echo(f"{folder}: {several if found.problems else f'{found.kind} unchanged'}")
    return 1 if found.problems else 0
