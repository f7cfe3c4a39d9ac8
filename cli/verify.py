"""`fastrace verify`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
def verify(data: Path) -> int:
    """Check hashes, counts, ranges, and the index against the shards of DATA.

    \b
    Example:
      fastrace verify fastrace-work/mammo/data
    """
    from fastrace.verify import verify as check

    problems = check(data)
    for problem in problems:
        click.echo(f"{data}: {problem}")
    if not problems:
        click.echo(f"{data}: complete and unchanged")
    return 1 if problems else 0
