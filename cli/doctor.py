"""`fastrace doctor`."""

from __future__ import annotations

import json
from dataclasses import asdict

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def doctor(as_json: bool) -> int:
    """Show what is installed, which kernel would run where, and what to install for the rest.

    \b
    Example:
      fastrace doctor
    """
    from fastrace.doctor import examine

    report = examine()
    if as_json:
        click.echo(json.dumps({**asdict(report), "healthy": report.healthy}))
        return 0 if report.healthy else 1
    for name, value in report.machine.items():
        click.echo(f"{name:<28}{value}")
    click.echo("packages".ljust(28) + ", ".join(f"{name} {version}" for name, version in report.packages.items()))
    for finding in report.findings:
        click.echo(f"{finding.what:<28}{finding.state}")
        if finding.remedy:
            click.echo(f"{'':<28}-> {finding.remedy}")
    return 0 if report.healthy else 1
