"""Marks: a word with a shape, never colour alone. The bars of a mark stand for how readable, not for good or bad."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

_BARS = ((1, 9, 5), (6, 5, 9), (11, 1, 13))  # x, y, height of three bars in a box of 16 x 16


def _bars(filled: int) -> str:
    return "".join(
        f'<rect class="{"full" if k < filled else "void"}" x="{x + 0.5}" y="{y + 0.5}" width="3" height="{height}"/>'
        for k, (x, y, height) in enumerate(_BARS)
    )


_SHAPES = {
    "strong": _bars(3),
    "clear": _bars(2),
    "weak": _bars(1),
    "not shown": '<circle class="void" cx="8" cy="8" r="5.5"/>',
    "not enough evidence": '<path class="void dash" d="M8 2 14.5 13.5H1.5Z"/><path class="line" d="M8 6.5V9.5M8 11V12"/>',
    "gave nothing": '<circle class="void dash" cx="8" cy="8" r="5.5"/>',
    "learned nothing": '<circle class="void dash" cx="8" cy="8" r="5.5"/><path class="line" d="M5.5 8H10.5"/>',
    "coverage differs": '<circle class="void dash" cx="8" cy="8" r="5.5"/><path class="line" d="M5.5 10.5 10.5 5.5"/>',
    "not run": '<path class="line" d="M3 8H13"/>',
    "no conclusion": (
        '<path class="void" d="M5 1.5h6L14.5 5v6L11 14.5H5L1.5 11V5Z"/><path class="line" d="M5 5 11 11M11 5 5 11"/>'
    ),
    "ok": '<path class="line" d="M2.5 8.5 6.5 12.5 13.5 4"/>',
    "failed": '<path class="full" d="M5 1h6l4 4v6l-4 4H5L1 11V5Z"/><path class="cut" d="M5 5 11 11M11 5 5 11"/>',
    "for comparison": '<path class="void" d="M8 1.5 14.5 8 8 14.5 1.5 8Z"/>',
}
_UNKNOWN = '<rect class="void" x="2" y="2" width="12" height="12"/>'

MEANING = {
    "strong": "a finding whose interval starts at .75 or above",
    "clear": "a finding whose interval starts at .6 or above",
    "weak": "a finding whose interval starts below .6",
    "not shown": "no finding; the sentence says which AUC would have been found",
    "not enough evidence": "fewer than 30 patients in a class: an interval, but no answer",
    "gave nothing": "the reader gives every patient the same score: no answer",
    "learned nothing": "the training of this network failed: no finding, and no evidence of absence",
    "coverage differs": "which images or patients have a vector goes with the group: what is read may be that",
    "not run": "not part of this audit",
    "no conclusion": "a control failed",
}


@dataclass(frozen=True)
class Mark:
    """A word and the class of its style; unknown words get a plain box."""

    word: str

    @property
    def style(self) -> str:
        """A class name made of our own words only."""
        return self.word.replace(" ", "-") if self.word in _SHAPES else "other"

    @property
    def icon(self) -> Markup:
        """The shape; hidden from screen readers, which read the word."""
        return Markup(
            f'<svg class="mark-shape" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">'
            f"{_SHAPES.get(self.word, _UNKNOWN)}</svg>"
        )
