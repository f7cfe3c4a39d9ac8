"""`fastrace bench`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from fastrace.bench import NAMES


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES), metavar="[NAME]...")
@click.option("--quick", is_flag=True, help="Fewer cases and rounds: less than a minute on two cores.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Also write the JSON document here.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def bench(names: tuple[str, ...], quick: bool, out: Path | None, as_json: bool) -> int:
    """Measure fastrace against the other libraries that are installed here.

    NAME is window, bandpass, noise, decode, ranking or pipeline; all of them without a name. Everyone takes turns, errors are
    against a float64 reference, and losses and what is not installed are shown.

    \b
    Example:
      fastrace bench --quick
      fastrace bench decode pipeline --json --out bench.json
    """
    from fastrace.bench.run import ours_wrong, run
    from fastrace.bench.table import terminal
    from fastrace.dataset import write_atomic
    from fastrace.errors import UsageError

    if out is not None and (out.is_dir() or not out.absolute().parent.is_dir()):
        raise UsageError(f"--out {out}: name a file in a folder that exists")
    document = run(names, quick, lambda line: click.echo(f"bench: {line}", err=True))
    text = json.dumps(document, allow_nan=False)
    if out is not None:
        write_atomic(out, (text + "\n").encode())
    click.echo(text if as_json else terminal(document))
    wrong = ours_wrong(document)
    for line in wrong:
        click.echo(f"bench: fastrace itself gives a wrong result: {line}", err=True)
    return 1 if wrong else 0
