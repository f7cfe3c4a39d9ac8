"""Runs every case through the four programs, judges the answers, and writes them as ``docs/conformance.md``."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import (
    dx,
    functional_groups,
    image,
    image_pixel,
    modality_lut,
    padding,
    presentation_lut,
    readers,
    voi_lut,
)
from .case import READERS, Case
from .conventions import WHY

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"
WHITE = readers.WHITE
TOLERANCE = 1.0  # a 16-bit step: DCMTK cuts fractions, the others round
MODULES = {
    "C.7.6.3 Image Pixel": image_pixel.CASES,
    "C.7.6.3 and C.7.5.1.1.2 Pixel padding": padding.CASES,
    "C.7.6.16 Multi-frame Functional Groups": functional_groups.CASES,
    "C.8.11 Digital X-ray and mammography": dx.CASES,
    "C.11.1 Modality LUT": modality_lut.CASES,
    "C.11.2 VOI LUT": voi_lut.CASES,
    "C.11.6 Softcopy Presentation LUT": presentation_lut.CASES,
}


@dataclass(frozen=True, eq=False)
class Answer:
    """What one program shows of one case: display values in 16-bit steps, or what it says instead."""

    shown: np.ndarray | str
    is_right: bool

    def cell(self, case: Case) -> str:
        """Return the value at the probe, bold where it is not the standard's; a refusal in words."""
        if isinstance(self.shown, str):
            return f"*{self.shown}*"
        value = self.shown[case.values.index(case.probe)] if len(self.shown) == len(case.values) else np.nan
        text = "nan" if np.isnan(value) else str(round(float(value)))
        return text if self.is_right or case.shown is None else f"**{text}**"


@dataclass(frozen=True, eq=False)
class Row:
    """One case with its answers, and the faults that a test reports."""

    case: Case
    answers: dict[str, Answer]
    faults: tuple[str, ...]


def run(cases: Sequence[Case]) -> list[Row]:
    """Write the files of the cases and read each by every program."""
    with tempfile.TemporaryDirectory() as folder:
        return [
            _row(case, image.write(Path(folder) / f"{case.name}.dcm", case.words or case.values, case.attributes))
            for case in cases
        ]


def _row(case: Case, path: Path) -> Row:
    answers, faults = {}, []
    for program in READERS:
        shown = readers.read(program, path, case)
        answers[program] = Answer(shown, case.shown is not None and _same(shown, _steps(case, case.shown)))
        faults += _faults(case, program, answers[program])
    return Row(case, answers, tuple(faults))


def _steps(case: Case, reading: object) -> np.ndarray | str:
    if isinstance(reading, str):
        return reading
    return np.array([reading(value) * WHITE for value in case.values], np.float64)  # type: ignore[operator]


def _same(found: np.ndarray | str, expected: np.ndarray | str) -> bool:
    if isinstance(found, str) or isinstance(expected, str):
        return isinstance(found, str) and isinstance(expected, str) and found == expected
    return found.shape == expected.shape and np.allclose(found, expected, rtol=0, atol=TOLERANCE, equal_nan=True)


def _faults(case: Case, program: str, answer: Answer) -> list[str]:
    place = f"{case.name}, {program}"
    if case.shown is None:
        wrong = program == "fastrace" and not isinstance(answer.shown, str)
        return [f"{place}: the standard forbids the file, and it is shown"] if wrong else []
    differs = case.differs.get(program)
    if differs is None:
        return [] if answer.is_right else [f"{place}: {answer.shown} is not {_steps(case, case.shown)}, unexplained"]
    if answer.is_right:
        return [f"{place}: no difference is left, remove its explanation ({differs.why})"]
    predicted = _steps(case, differs.shows)
    return (
        [] if _same(answer.shown, predicted) else [f"{place}: {answer.shown}, by {differs.why} it would be {predicted}"]
    )


def render(rows: dict[str, list[Row]]) -> str:
    """Return the page."""
    parts = [_head(rows), _reasons(rows)]
    for title, listed in rows.items():
        lines = [
            f"## {title}", "",
            "| clause | what it says | case | pixel | right | fastrace | pydicom | highdicom | DCMTK | who is right, and why |",
            "|---|---|---|--:|--:|--:|--:|--:|--:|---|",
        ]  # fmt: skip
        parts.append("\n".join([*lines, *(_line(row) for row in listed)]))
    return "\n\n".join(parts) + "\n"


def _line(row: Row) -> str:
    case = row.case
    right = "-" if case.shown is None else str(round(float(case.shown(case.probe)) * WHITE))
    cells = [row.answers[program].cell(case) for program in READERS]
    return f"| {case.clause} | {case.says} | {case.file} | {case.probe} | {right} | {' | '.join(cells)} | {_verdict(row)} |"


def _verdict(row: Row) -> str:
    case = row.case
    if case.shown is None:
        return f"nobody: {case.verdict}"
    right = [program for program in READERS if row.answers[program].is_right]
    by_why: dict[str, list[str]] = {}
    for program, differs in case.differs.items():
        by_why.setdefault(differs.why, []).append(program)
    said = "; ".join(f"{', '.join(programs)}: [{why}](#{why})" for why, programs in by_why.items())
    who = "all" if len(right) == len(READERS) else ", ".join(right)
    if case.is_open and len(right) < len(READERS):
        who = "not settled by the standard"
    return ". ".join(text for text in (who, said, case.verdict) if text)


def _head(rows: dict[str, list[Row]]) -> str:
    every = [row for listed in rows.values() for row in listed]
    judged = [row for row in every if row.case.shown is not None]
    settled = [row for row in judged if not row.case.is_open]
    counts = {
        program: f"{sum(row.answers[program].is_right for row in settled)} of {len(settled)}" for program in READERS
    }
    named = ", ".join(f"{program} {version}" for program, version in readers.versions().items())
    right = ", ".join(f"{program} {count}" for program, count in counts.items())
    others = f"{len(judged) - len(settled)} not, {len(every) - len(judged)} that nobody can be right about"
    differences = sum(len(row.case.differs) for row in judged)
    return f"""# Display values, clause by clause

Which clause of DICOM PS3.3 decides how a pixel is displayed, the smallest file that exercises it, and what four programs show:
fastrace, {named}.

`python -m tests.conformance` makes this page and `tests/conformance/test_conformance.py` compares it: a value that changes
fails, and so does a difference without an explanation that predicts it.

- **right** is computed in float64 from the text of the standard, one formula in each case (`tests/conformance/standard.py`), and
  by no program. All values are display values in steps of 16 bits: 0 is black, 65535 white. Every pixel of a case is compared,
  within one step, since DCMTK cuts fractions; the page shows one, whose stored value is under *pixel*.
- **bold** is not what the standard says. *Italics* is no image, and what the program says instead (for fastrace the reason of
  rejection). How each program is called is in `tests/conformance/readers.py`.
- *not settled by the standard*: it forbids the file, or does not say; *right* then is what fastrace does, a decision of ours.
  *nobody* is right about a file that contradicts itself or is no grayscale image, and fastrace refuses it.
- A window is written centre / width. *Full* and *no option* are `--voi full` and the default of fastrace.

{len(every)} cases: {len(settled)} settled by the standard, {others}.

Right where settled: {right}. {differences} differences in all, each explained below and predicted."""


def _reasons(rows: dict[str, list[Row]]) -> str:
    used = Counter(differs.why for listed in rows.values() for row in listed for differs in row.case.differs.values())
    lines = [f'- <a id="{why}"></a>**{why}** ({used[why]}): {text}' for why, text in WHY.items() if used[why]]
    return "\n".join(["## Why they differ", "", *lines])
