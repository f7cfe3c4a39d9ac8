"""`fastrace bench`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from fastrace.bench import GROUPS, NAMES

CHOICES = tuple(dict.fromkeys((*GROUPS, *NAMES)))
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(CHOICES), metavar="[NAME]...")
@click.option("--quick", is_flag=True, help="Fewer cases and rounds: less than a minute on two cores.")
@click.option(
    "--peers",
    default="all",
    metavar="all|fast|NAME,...",
    help="Peers to compare with: all (the default), fast (leaves out, and lists, those that take more than 20 times as long "
    "as fastrace in a second call), or those whose name holds one of the words.",
)
@click.option("--check-only", is_flag=True, help="Compare the results with the references and time nothing.")
@click.option("--repeat", type=click.IntRange(1, 100), default=1, metavar="N", help="Run everything N times.")
@click.option(
    "--compare", "old", type=FILE, metavar="OLD", help="Compare with an earlier --out; exit code 1 if slower."
)
@click.option("--out", type=FILE, metavar="FILE", help="Also write the JSON document here.")
@click.option(
    "--csv", "csv_file", type=FILE, metavar="FILE", help="Also write times and memory in Liger-Kernel's columns."
)
@click.option("--svg", type=FILE, metavar="FILE", help="Also draw roofline and ratios.")
@click.option("--write", is_flag=True, help="In a checkout: renew bench/results and README's tables.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def bench(
    names: tuple[str, ...],
    quick: bool,
    peers: str,
    check_only: bool,
    repeat: int,
    old: Path | None,
    out: Path | None,
    csv_file: Path | None,
    svg: Path | None,
    write: bool,
    as_json: bool,
) -> int:
    """Measure fastrace against the other libraries that are installed here.

    NAME is a group (kernels, decode, stats, pipeline, train) or one of the kernels (window, bandpass, sweep, noise, patches,
    gather); all of them without a name. All take turns, errors are against a float64 reference, and losses, crashes, time-outs
    and missing libraries are shown. Kernels are timed with hot caches (right after the same call), some of them also
    with cold ones. Times on a noisy machine are marked NOISY with the reason.

    Exit code 1: a result of fastrace is wrong, or --compare finds it more than 10 % slower against the same peers, beyond
    the spread of both runs.

    \b
    Example:
      fastrace bench --quick
      fastrace bench kernels --peers fast --svg roofline.svg
      fastrace bench decode pipeline --json --out bench.json
      fastrace bench --compare bench.json
      fastrace bench stats --repeat 5
    """
    from fastrace.bench import run as benchmarks
    from fastrace.bench.compare import compare, comparison, load
    from fastrace.bench.roofline import roofline
    from fastrace.bench.session import Settings
    from fastrace.bench.table import csv_text, summary, terminal
    from fastrace.errors import UsageError
    from fastrace.files import write_atomic

    for option, file in (("--out", out), ("--csv", csv_file), ("--svg", svg)):
        if file is not None and not file.absolute().parent.is_dir():
            raise UsageError(f"{option} {file}: name a file in a folder that exists")
    if write and (quick or check_only or peers != "all"):
        raise UsageError("--write keeps a full run: leave out --quick, --check-only and --peers")
    if old is not None and check_only:
        raise UsageError("--compare needs times: leave out --check-only")
    if write:
        benchmarks.require_checkout()
    before = load(old) if old else None

    def show(line: str) -> None:
        click.echo(f"bench: {line}", err=True)

    document = benchmarks.run(names, Settings(quick, peers, check_only), show, repeat)
    text = benchmarks.as_json(document)
    if out:
        write_atomic(out, text.encode())
    if csv_file:
        write_atomic(csv_file, csv_text(document).encode())
    if svg:
        write_atomic(svg, roofline(document).encode())
    click.echo(text.replace("\n", "") if as_json else terminal(document))
    slower = []
    if before is not None:
        slower = [change for change in compare(before, document) if change.regression]
        click.echo(comparison(before, document), err=as_json)
    if not as_json:
        click.echo(json.dumps(summary(document)))
    if write:
        benchmarks.write(benchmarks.renewed(document) if names else document)
    wrong = benchmarks.ours_wrong(document)
    for line in wrong:
        click.echo(f"bench: fastrace itself gives a wrong result: {line}", err=True)
    return 1 if wrong or slower else 0
