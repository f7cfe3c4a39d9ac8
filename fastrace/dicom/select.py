"""Finding the display parameters in a data set; what they compute is in `fastrace.dicom.display`.

PS3.3 C.11.1 (Modality LUT), C.11.2 (VOI LUT), C.7.5.1.1.2 (padding), C.7.6.16 (functional groups of enhanced objects:
the frame's own group first, then the shared one, then the top level). The order of choice among VOIs is the project's:
``--voi``, else the preset's window, else the first VOI LUT, else the first window, else the robust range.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from fastrace.dicom.display import Display, Lut, Rescale, Window, between
from fastrace.dicom.values import Unusable, attribute, items, number, numbers, stored_bytes, text, value, why
from fastrace.dicom.vocabulary import shown
from fastrace.dicom.voi import VOI_FUNCTIONS, VoiFunction, VoiOption, is_width_valid, narrowest_width
from fastrace.dicom.words import Words
from fastrace.errors import RejectedInput

_LARGEST_LUT_BYTES = 1 << 18  # twice the largest
_REMEDY = "use --voi robust, or --voi CENTER,WIDTH"


@dataclass(frozen=True)
class VoiChoice:
    """What the caller prefers to the file's own VOI.

    Parameters
    ----------
    option : VoiOption or None
        ``--voi``.
    preset_window : (float, float) or None
        Centre and width of the preset, in output units of the modality transform (HU for CT), LINEAR.
    """

    option: VoiOption | None = None
    preset_window: tuple[float, float] | None = None


def macro(ds: Dataset, frame: int, sequence: str) -> Dataset:
    """Return the item of a functional group macro that holds for a frame, the data set itself where there is none."""
    per_frame = items(ds, "PerFrameFunctionalGroupsSequence")
    groups = per_frame[frame : frame + 1] + items(ds, "SharedFunctionalGroupsSequence")[:1]
    return next((found[0] for group in groups if (found := items(group, sequence))), ds)


def select_display(ds: Dataset, frame: int, words: Words, choice: VoiChoice) -> tuple[Display, tuple[str, ...]]:
    """Find modality transform, VOI, inversion and padding of a frame.

    Parameters
    ----------
    ds : Dataset
        The file's data set.
    frame : int
        0-based.
    words : Words
        Which bits are the value, codestream considered.
    choice : VoiChoice
        What goes before the file's own VOI.

    Returns
    -------
    (Display, tuple of str)
        Its ``voi`` is None where the robust range is to be measured; and notes on what was odd.

    Raises
    ------
    RejectedInput
        ``bad_header`` (rescale, LUTs) or ``bad_window``.
    """
    notes: list[str] = []
    modality = _modality(macro(ds, frame, "PixelValueTransformationSequence"), ds, words, notes)
    display = Display(
        words,
        modality,
        None,
        "robust_range",
        inverted=text(ds, "PhotometricInterpretation") == "MONOCHROME1"
        or (text(ds, "PresentationLUTShape") or "").upper() == "INVERSE",
        padding=_padding(ds, words, notes),
    )
    low, high = display.output_range
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise RejectedInput("bad_header", f"{attribute('RescaleSlope')} maps the stored values to {low:g} .. {high:g}")
    voi, source = _voi(macro(ds, frame, "FrameVOILUTSequence"), display, choice, notes)
    return Display(words, modality, voi, source, display.inverted, display.padding), tuple(notes)


def _modality(scope: Dataset, ds: Dataset, words: Words, notes: list[str]) -> Rescale | Lut:
    slope = _finite(scope, "RescaleSlope", "bad_header")
    intercept = _finite(scope, "RescaleIntercept", "bad_header")
    table = _first_lut(ds, "ModalityLUTSequence", words.signed, notes)
    if table is not None:
        # Both are forbidden together (C.11.1); the identity beside a LUT is met and changes nothing.
        if (1.0 if slope is None else slope, intercept or 0.0) != (1.0, 0.0):
            raise RejectedInput(
                "bad_header",
                f"{attribute('RescaleSlope')} = {1.0 if slope is None else slope:g} and "
                f"{attribute('RescaleIntercept')} = {intercept or 0.0:g} contradict "
                f"{attribute('ModalityLUTSequence')}: only one of them may be there; repair the header",
            )
        return table
    if slope == 0:
        raise RejectedInput("bad_header", f"{attribute('RescaleSlope')} is 0, expected any other number")
    if (slope is None) != (intercept is None):
        absent = "RescaleSlope" if slope is None else "RescaleIntercept"
        notes.append(f"{attribute(absent)} is missing, taken as {1 if slope is None else 0}")
    return Rescale(1.0 if slope is None else slope, intercept or 0.0)


def _voi(scope: Dataset, display: Display, choice: VoiChoice, notes: list[str]) -> tuple[Window | Lut | None, str]:
    option = choice.option
    signed = display.output_range[0] < 0
    if option is not None:
        if option.kind == "full":
            return between(*display.output_range), "option"
        if option.kind == "robust":
            return None, "option"
        if option.kind == "values":
            return Window(option.center, option.width, option.function), "option"
        if option.kind == "lut":
            return _numbered_lut(scope, option.number, signed), "option"
        return _stored_window(scope, option.number), "option"
    if choice.preset_window is not None:
        return Window(*choice.preset_window), "preset"
    table = _first_lut(scope, "VOILUTSequence", signed, notes)
    if table is not None:
        return table, "voi_lut_1"
    if value(scope, "WindowCenter") is not None or value(scope, "WindowWidth") is not None:
        return _stored_window(scope, 1), "window_1"
    return None, "robust_range"


def _stored_window(scope: Dataset, position: int) -> Window:
    found: list[float] = []
    for keyword in ("WindowCenter", "WindowWidth"):
        try:
            listed = numbers(scope, keyword)
        except ValueError as error:
            raise RejectedInput(
                "bad_window", f"{attribute(keyword)} is {error}, expected a number; {_REMEDY}"
            ) from error
        if len(listed) < position:
            raise RejectedInput(
                "bad_window", f"{attribute(keyword)} has {len(listed)} value(s), window {position} needs one; {_REMEDY}"
            )
        found.append(listed[position - 1])
    function = _function(scope)
    if not is_width_valid(found[1], function):
        raise RejectedInput(
            "bad_window",
            f"{attribute('WindowWidth')} is {found[1]:g} in window {position}, {function} demands "
            f"{narrowest_width(function)}; {_REMEDY}",
        )
    return Window(found[0], found[1], function)


def _function(scope: Dataset) -> VoiFunction:
    named = (text(scope, "VOILUTFunction") or "LINEAR").upper()
    for function in VOI_FUNCTIONS:
        if named == function:
            return function
    found = shown("VOILUTFunction", named)
    raise RejectedInput(
        "bad_window",
        f"{attribute('VOILUTFunction')} is {found}, expected one of {', '.join(VOI_FUNCTIONS)}; {_REMEDY}",
    )


def _numbered_lut(scope: Dataset, position: int, signed: bool) -> Lut:
    listed = items(scope, "VOILUTSequence")
    table = _lut(listed[position - 1], "VOILUTSequence", signed) if len(listed) >= position else None
    if table is None:
        raise RejectedInput(
            "bad_window", f"{attribute('VOILUTSequence')} has no usable item {position} of {len(listed)}; {_REMEDY}"
        )
    return table


def _first_lut(scope: Dataset, sequence: str, signed: bool, notes: list[str]) -> Lut | None:
    listed = items(scope, sequence)
    if not listed:
        return None
    table = _lut(listed[0], sequence, signed)
    if table is None:
        notes.append(f"{attribute(sequence)} has an empty item: ignored")
    return table


def _lut(item: Dataset, sequence: str, signed: bool) -> Lut | None:
    """Read one LUT; None where both descriptor and data are empty (an item that was cleaned out)."""
    if stored_bytes(item, "LUTData") > _LARGEST_LUT_BYTES:  # as numbers of Python they would be ten times as large
        raise RejectedInput(
            "bad_header", f"{attribute('LUTData')} in {attribute(sequence)} has more than 65536 entries"
        )
    data = value(item, "LUTData")
    try:
        descriptor = _descriptor(item)
        if not descriptor and data is None:
            return None
        if len(descriptor) != 3 or data is None:
            raise Unusable(f"{len(descriptor)} of 3 values, LUT Data {'missing' if data is None else 'present'}")
        count = descriptor[0] or 1 << 16  # 65536 does not fit the two bytes (C.11.1.1)
        # The second value has the sign of its input; files write -1024 as 64512 where the VR is unsigned.
        first = descriptor[1] - (1 << 16) if signed and descriptor[1] >= 1 << 15 else descriptor[1]
        entries = _entries(item, data, count)
    except (ValueError, TypeError, OverflowError, struct.error) as error:
        raise RejectedInput(
            "bad_header", f"{attribute('LUTDescriptor')} in {attribute(sequence)} does not fit: {why(error)}"
        ) from error
    bits = descriptor[2]
    if not 8 <= bits <= 16 or int(entries.max()) >> bits:
        bits = max(8, int(entries.max()).bit_length())  # the third value is wrong; the entries show what they need
    return Lut(first, entries, bits)


def _descriptor(item: Dataset) -> list[int]:
    raw = value(item, "LUTDescriptor")
    if isinstance(raw, bytes):  # a VR of bytes instead of US or SS
        return list(struct.unpack("<3H", raw[:6]))
    found = [int(v) for v in numbers(item, "LUTDescriptor")]
    # Read as SS, 65535 entries and 16 bits come out negative; only the second value may be (C.11.1.1).
    return [v & 0xFFFF if i != 1 else v for i, v in enumerate(found)]


def _entries(item: Dataset, data: object, count: int) -> np.ndarray:
    """Return `count` entries as uint16: 16-bit words, or bytes packed two to a word."""
    if isinstance(data, bytes):
        order = ">" if item.original_encoding[1] is False else "<"
        words = np.frombuffer(data[: len(data) // 2 * 2], f"{order}u2").astype(np.uint16)
    else:
        listed = np.array(data if isinstance(data, int) else list(data), np.int64).reshape(-1)  # type: ignore[call-overload]
        words = (listed & 0xFFFF).astype(np.uint16)
    if len(words) >= count:
        return words[:count]
    packed = words.astype("<u2").view(np.uint8)  # the first entry is the low byte of the first word
    if len(packed) in (count, count + 1):
        return packed[:count].astype(np.uint16)
    raise Unusable(f"{count} entries declared, {len(words)} present")


def _padding(ds: Dataset, words: Words, notes: list[str]) -> tuple[int, int] | None:
    try:
        first = number(ds, "PixelPaddingValue")
        last = number(ds, "PixelPaddingRangeLimit")
    except ValueError as error:
        raise RejectedInput(
            "bad_header", f"{attribute('PixelPaddingValue')} is {error}, expected a whole number"
        ) from error
    if first is None:
        return None
    ends = [_in_representation(int(v), words) for v in (first, first if last is None else last)]
    low, high = words.values().min(), words.values().max()
    if max(ends) < low or min(ends) > high:
        notes.append(f"{attribute('PixelPaddingValue')} = {first:g} is outside the stored range: no pixel is padding")
        return None
    return min(ends), max(ends)


def _in_representation(padding: int, words: Words) -> int:
    """Read a padding value with the sign of the pixels: its VR is often US (63536) where they are signed (-2000)."""
    if words.signed and padding >= 1 << 15:
        return padding - (1 << 16)
    if not words.signed and padding < 0:
        return padding + (1 << 16)
    return padding


def _finite(scope: Dataset, keyword: str, reason: str) -> float | None:
    try:
        return number(scope, keyword)
    except ValueError as error:
        raise RejectedInput(reason, f"{attribute(keyword)} is {error}, expected a finite number") from error
