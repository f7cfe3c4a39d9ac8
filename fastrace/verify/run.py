"""A trained run or an audit: the digest of each document, and those of the other files in run.json."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fastrace.audit import document
from fastrace.digest import file_hash
from fastrace.errors import RunError
from fastrace.report import differences
from fastrace.run_folder import RunFolder
from fastrace.verify.result import Verification

REPORT = ("report.html", "tables", "figures")  # an audit has none of them, or all
_TENSORS = ("checkpoint.pt", "state.pt")


def verify_run(folder: Path) -> Verification:
    """Check the folder of a run or of an audit, finished or not.

    Raises
    ------
    RunError
        ``run.json`` is missing or cannot be believed: then there is nothing to compare with.
    """
    run = RunFolder(folder)
    facts = run.read_json("run.json")
    kind = "audit" if facts.get("command") == "audit" else "run"
    problems, checked = [], ["run.json: digest of its content"]
    listed = facts.get("files")
    if listed is None:
        checked.append("not finished: run.json lists no other file yet")
    for name, digest in (listed or {}).items():
        try:
            if file_hash(folder / Path(name).name) != digest:
                problems.append(f"{name}: its content changed (digest differs from the one in run.json)")
        except FileNotFoundError:
            problems.append(f"{name}: missing")
        except OSError as error:
            problems.append(f"{name}: cannot be read ({error.strerror})")
    if listed:
        checked.append(f"{', '.join(listed)}: BLAKE2b-256")
    for line, problem in _contents(run):
        checked.append(line)
        problems += [problem] if problem else []
    if kind == "audit" and any((folder / name).exists() for name in REPORT) and not problems:
        problems += differences(folder)
        checked.append("report.html, figures, tables: what audit.json gives")
    return Verification("audit" if kind == "audit" else "run", tuple(checked), tuple(problems))


def _contents(run: RunFolder) -> Iterator[tuple[str, str]]:
    """What each file says of itself: a line, and what is wrong or nothing."""
    names = [str(file.relative_to(run.path)) for file in sorted(run.path.glob("evaluations/*.json"))]
    for name in ["metrics.json", *names, *_TENSORS]:
        if (run.path / name).is_file():
            try:
                run.read_tensors(name) if name in _TENSORS else run.read_json(name)
                yield f"{name}: digest of its content", ""
            except RunError as error:
                yield f"{name}: digest of its content", str(error)
    if (run.path / document.FILE).is_file():
        try:
            document.read(run.path)
            yield f"{document.FILE}: digest and form of its content", ""
        except RunError as error:
            yield f"{document.FILE}: digest and form of its content", str(error)
