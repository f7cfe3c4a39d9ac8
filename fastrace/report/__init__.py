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
from fastrace.dataset import write_atomic
from fastrace.report.csv_text import csv_files
from fastrace.report.page import render
from fastrace.run_folder import writing

__all__ = ["write"]

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
        No audit there, damaged or of another schema; the folder cannot be written.
    """
    folder = Path(audit)
    document = read(folder)
    files = csv_files(document)
    made = render(document, tuple(files))
    _write_all(folder / "tables", files)
    style = "".join((resources.files("fastrace.report") / "templates" / name).read_text() for name in _STYLES)
    drawings = {f"{figure.name}.svg": figure.standalone(style) for figure in made.figures}
    _write_all(folder / "figures", drawings)
    for old in (folder / "figures").iterdir():
        if _OURS.fullmatch(old.name) and old.name not in drawings:
            old.unlink()
    with writing(folder / FILE):  # last: a page whose figures are all there
        write_atomic(folder / FILE, made.html.encode(), 0o600)
    return folder / FILE


_STYLES = ("colours.css", "charts.css")


def _write_all(folder: Path, files: dict[str, str]) -> None:
    with writing(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
    for name, content in files.items():
        with writing(folder / name):
            write_atomic(folder / name, content.encode(), 0o600)
