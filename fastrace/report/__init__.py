"""The report of an audit: one page that opens anywhere, its figures as SVG, its numbers as CSV.

It shows the values of `fastrace.audit.document`; it has no parser of its own. ``estimates`` and ``marks`` put them into words;
``svg``, ``forest``, ``curve``, ``bands`` and ``flow`` draw; ``figures``, ``tables`` and ``csv_text`` choose what is shown;
``gallery`` makes the pictures; ``page`` fills ``templates/``.
The page loads nothing from the network, runs no script, and holds aggregates only.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from fastrace.audit.document import read
from fastrace.files import write_atomic
from fastrace.report.csv_text import csv_files
from fastrace.report.page import render
from fastrace.run_folder import writing

__all__ = ["differences", "write"]

FILE = "report.html"
# Names that this module gives to figures: those of an earlier report that has more of them are removed.
_OURS = re.compile(r"(q[1-7]|controls|exclusions)-[a-z0-9-]+\.svg")


def write(audit: Path) -> Path:
    """Write ``report.html``, ``figures/`` and ``tables/`` into the folder of an audit.

    Parameters
    ----------
    audit : Path
        The folder that holds ``audit.json``. Folders are made for their owner alone (0700), files too (0600).

    Returns
    -------
    Path
        The page.

    Raises
    ------
    RunError
        No audit there, changed, damaged or of another schema; the folder cannot be written.
    """
    folder = Path(audit)
    made = _make(folder)
    for name in ("tables", "figures"):
        with writing(folder / name):
            (folder / name).mkdir(mode=0o700, exist_ok=True)
            (folder / name).chmod(0o700)
    for name, text in made.items():  # the page last: its figures are then all there
        with writing(folder / name):
            write_atomic(folder / name, text.encode(), 0o600)
    for old in (folder / "figures").iterdir():
        if _OURS.fullmatch(old.name) and f"figures/{old.name}" not in made:
            old.unlink()
    return folder / FILE


def differences(audit: Path) -> list[str]:
    """Which files of a report are not what its ``audit.json`` gives: edited, damaged, or made by another version of fastrace.

    Parameters
    ----------
    audit : Path
        A folder with a report.

    Returns
    -------
    list of str
        One sentence each; empty if nothing differs.

    Raises
    ------
    RunError
        No audit there, changed, damaged or of another schema.
    """
    found = []
    for name, text in _make(Path(audit)).items():
        try:
            what = "" if (Path(audit) / name).read_bytes() == text.encode() else "not what audit.json gives"
        except FileNotFoundError:
            what = "missing"
        except OSError as error:
            what = f"cannot be read ({error.strerror})"
        if what:
            found.append(f"{name}: {what}; write the report again by `fastrace report {audit}`")
    return found


_STYLES = ("colours.css", "charts.css")


def _make(folder: Path) -> dict[str, str]:
    """The files of the report by their names in the folder, the page last."""
    document = read(folder)
    files = csv_files(document)
    made = render(document, tuple(files))
    style = "".join((resources.files("fastrace.report") / "templates" / name).read_text() for name in _STYLES)
    return {
        **{f"tables/{name}": text for name, text in files.items()},
        **{f"figures/{figure.name}.svg": figure.standalone(style) for figure in made.figures},
        FILE: made.html,
    }
