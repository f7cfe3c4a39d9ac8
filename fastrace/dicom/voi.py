"""``--voi``: which values-of-interest transform to use, parsed once into a frozen value.

========================  ====================================================================
``window:2``              the second stored window (Window Center and Width)
``lut:1``                 the first item of the stored VOI LUT Sequence
``40,400``                centre and width in output units of the modality transform (HU for CT)
``40,400,SIGMOID``        the same with another VOI LUT Function (LINEAR, LINEAR_EXACT, SIGMOID)
``robust``                percentiles 0.5 to 99.5 of the pixels that are not padding
``full``                  everything that the stored bits can express
``auto``                  the preset's window, else the first VOI LUT, the first window, ``robust``
========================  ====================================================================

It may be repeated: the first one that a file can have is used, so ``--voi auto --voi robust`` keeps the files' own windows and
falls back where a file has an impossible one.

Not here: which of them a file offers (`fastrace.dicom.select`) and what they compute (`fastrace.dicom.display`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fastrace.errors import UsageError

VoiFunction = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]
VOI_FUNCTIONS: tuple[VoiFunction, ...] = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
GRAMMAR = "window:N, lut:N, CENTER,WIDTH[,FUNCTION], robust, full or auto"


@dataclass(frozen=True)
class VoiOption:
    """The value of ``--voi``; `str` gives it back in the same grammar.

    Parameters
    ----------
    kind : {"window", "lut", "values", "robust", "full", "auto"}
        ``window`` and ``lut`` take `number`, ``values`` takes `center`, `width` and `function`.
    number : int
        1-based position in the file.
    center, width : float
        In output units of the modality transform.
    function : {"LINEAR", "LINEAR_EXACT", "SIGMOID"}
        VOI LUT Function (0028,1056).
    """

    kind: Literal["window", "lut", "values", "robust", "full", "auto"]
    number: int = 1
    center: float = 0.0
    width: float = 0.0
    function: VoiFunction = "LINEAR"

    def __str__(self) -> str:
        if self.kind in ("window", "lut"):
            return f"{self.kind}:{self.number}"
        if self.kind == "values":
            suffix = "" if self.function == "LINEAR" else f",{self.function}"
            return f"{_plain(self.center)},{_plain(self.width)}{suffix}"
        return self.kind


def _plain(number: float) -> str:
    return str(int(number)) if number.is_integer() else repr(number)


def narrowest_width(function: VoiFunction) -> str:
    """Return what the standard demands of a width, in words (PS3.3 C.11.2.1.2, C.11.2.1.3)."""
    return "at least 1" if function == "LINEAR" else "greater than 0"


def is_width_valid(width: float, function: VoiFunction) -> bool:
    """Tell whether a width is allowed: >= 1 for LINEAR (1 is a step), > 0 for the others."""
    return math.isfinite(width) and (width >= 1 if function == "LINEAR" else width > 0)


def parse_voi(text: str) -> VoiOption:
    """Parse the text of ``--voi``.

    Raises
    ------
    UsageError
        If the text is none of `GRAMMAR`, or its width is not a valid one.
    """
    cleaned = text.strip().lower()
    if cleaned == "robust":
        return VoiOption("robust")
    if cleaned == "full":
        return VoiOption("full")
    if cleaned == "auto":
        return VoiOption("auto")
    kind, colon, position = cleaned.partition(":")
    if colon and kind in ("window", "lut"):
        if not position.isdecimal() or int(position) < 1:
            raise UsageError(f"--voi {text}: {kind}:N counts from 1, for example {kind}:1")
        return VoiOption("window" if kind == "window" else "lut", number=int(position))
    return _parse_values(text)


def parse_vois(options: VoiOption | str | Sequence[VoiOption | str] | None) -> tuple[VoiOption, ...]:
    """Parse one or several values of ``--voi``; None is none of them.

    Raises
    ------
    UsageError
        As `parse_voi`.
    """
    if options is None:
        return ()
    several = (options,) if isinstance(options, str | VoiOption) else options
    return tuple(parse_voi(one) if isinstance(one, str) else one for one in several)


def _parse_values(text: str) -> VoiOption:
    parts = [part.strip() for part in text.split(",")]
    try:
        center, width = float(parts[0]), float(parts[1])
    except (ValueError, IndexError):
        raise UsageError(f"--voi {text}: expected {GRAMMAR}") from None
    function = next((f for f in VOI_FUNCTIONS if len(parts) == 3 and parts[2].upper() == f), None)
    if len(parts) == 2:
        function = "LINEAR"
    if function is None:
        raise UsageError(f"--voi {text}: the function is one of {', '.join(VOI_FUNCTIONS)}")
    if not math.isfinite(center) or not is_width_valid(width, function):
        raise UsageError(f"--voi {text}: the width of {function} is {narrowest_width(function)}")
    return VoiOption("values", center=center, width=width, function=function)
