"""Finding the display parameters in a data set; what they compute is in `fastrace.dicom.display`.

PS3.3 C.11.1 (Modality LUT), C.11.2 (VOI LUT), C.7.5.1.1.2 (padding), C.7.6.16 (functional groups of enhanced objects:
the frame's own group first, then the shared one, then the top level). The order of choice among VOIs is the project's:
the first ``--voi`` that applies, else the preset's window, else the first VOI LUT, else the first window, else the robust
range. A preset's window is in HU and is put on nothing else. Colour channels and palettes are display values: shown whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from pydicom.dataset import Dataset

from fastrace.dicom.colour import MONOCHROME, PALETTE, PHOTOMETRIC, grey_palette
from fastrace.dicom.display import Display, Lut, Rescale, Window, between
from fastrace.dicom.hounsfield import why_not_hu
from fastrace.dicom.lut import read_lut
from fastrace.dicom.notes import Note
from fastrace.dicom.spelling import UNKNOWN, spelling_note, term
from fastrace.dicom.values import attribute, items, number, numbers, value
from fastrace.dicom.voi import VOI_FUNCTIONS, VoiFunction, VoiOption, is_width_valid, narrowest_width
from fastrace.dicom.words import Words
from fastrace.errors import RejectedInput

_REMEDY = "use --voi robust, --voi CENTER,WIDTH, or for such files alone --voi auto --voi robust"
_SHAPES = ("IDENTITY", "INVERSE", "LIN OD")


@dataclass(frozen=True)
class VoiChoice:
    """What the caller prefers to the file's own VOI.

    Parameters
    ----------
    options : tuple of VoiOption
        Each ``--voi`` in order: the first that applies to a frame is used. Empty: ``auto``.
    preset_window : (float, float) or None
        Centre and width of the preset, in output units of the modality transform (HU for CT), LINEAR.
    """

    options: tuple[VoiOption, ...] = ()
    preset_window: tuple[float, float] | None = None


EVERY_FRAME = -1
"""In place of a frame's number: what holds for all of them."""
FRAME_TYPES = (
    "CTImageFrameTypeSequence",
    "MRImageFrameTypeSequence",
    "PETFrameTypeSequence",
    "XRay3DFrameTypeSequence",
)
OF_SELECTION = (*FRAME_TYPES, "FrameAnatomySequence")
OF_DISPLAY = ("FrameVOILUTSequence", "PixelValueTransformationSequence")


def functional_groups(ds: Dataset, frame: int) -> list[Dataset]:
    """The groups of macros that hold for a frame, its own before those that all share; none in a plain object."""
    per_frame = items(ds, "PerFrameFunctionalGroupsSequence")
    return per_frame[frame : frame + 1] + items(ds, "SharedFunctionalGroupsSequence")[:1]


def macro(ds: Dataset, frame: int, sequence: str) -> Dataset:
    """Return the item of a functional group macro that holds for a frame, the data set itself where there is none."""
    return next((found[0] for group in functional_groups(ds, frame) if (found := items(group, sequence))), ds)


def differ(ds: Dataset, sequences: tuple[str, ...]) -> bool:
    """Whether frames have one of these macros of their own."""
    groups = items(ds, "PerFrameFunctionalGroupsSequence")
    return any(items(group, sequence) for group in groups for sequence in sequences)


def select_display(ds: Dataset, frame: int, words: Words, choice: VoiChoice) -> tuple[Display, tuple[Note, ...]]:
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
    (Display, tuple of Note)
        Its ``voi`` is None where the robust range is to be measured; and notes on what was odd.

    Raises
    ------
    RejectedInput
        ``bad_header`` (rescale, LUTs), ``bad_window`` or ``not_hu``.
    """
    notes: list[Note] = []
    photometric = term(ds, "PhotometricInterpretation", PHOTOMETRIC)
    if photometric not in MONOCHROME:
        return _display_values(ds, words, choice, photometric == PALETTE)
    modality = _modality(macro(ds, frame, "PixelValueTransformationSequence"), ds, words, notes)
    display = Display(
        words,
        modality,
        None,
        "robust_range",
        inverted=_is_inverted(photometric, _shape(ds, notes), notes),
        padding=_padding(ds, words, notes),
    )
    low, high = display.output_range
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise RejectedInput("bad_header", f"{attribute('RescaleSlope')} maps the stored values to {low:g} .. {high:g}")
    not_hu = why_not_hu(macro(ds, frame, "PixelValueTransformationSequence"), ds)
    voi, source = _first_voi(macro(ds, frame, "FrameVOILUTSequence"), display, choice, not_hu, notes)
    return Display(words, modality, voi, source, display.inverted, display.padding), tuple(notes)


def _display_values(ds: Dataset, words: Words, choice: VoiChoice, palette: bool) -> tuple[Display, tuple[Note, ...]]:
    """Of grey stored as colour: the palette, or the stored values, shown whole unless ``--voi`` says otherwise."""
    notes: list[Note] = []
    modality: Rescale | Lut = Rescale()
    if palette:
        modality, note = grey_palette(ds, signed=words.signed)
        notes.append(note)
    display = Display(words, modality, None, "full_range")
    why = "a colour image has none"
    for option in choice.options or (VoiOption("auto"),):
        if option.kind == "auto" and choice.preset_window is not None:
            why = "colour values are not in HU"
        elif option.kind in ("auto", "full"):
            return replace(display, voi=between(*display.output_range)), tuple(notes)
        elif option.kind == "robust":
            return replace(display, voi_source=source_of(option, choice.options)), tuple(notes)
        elif option.kind == "values":
            window = Window(option.center, option.width, option.function)
            return replace(display, voi=window, voi_source=source_of(option, choice.options)), tuple(notes)
    raise RejectedInput("bad_window", f"--voi {', '.join(map(str, choice.options)) or 'auto'}: {why}; {_REMEDY}")


def source_of(option: VoiOption, options: tuple[VoiOption, ...]) -> str:
    """What the index says of a VOI that ``--voi`` chose: which one, where there were several."""
    return "option" if len(options) < 2 else f"option {option}"


def _shape(ds: Dataset, notes: list[Note]) -> str | None:
    shape = term(ds, "PresentationLUTShape", _SHAPES)
    note = spelling_note(ds, "PresentationLUTShape", shape)
    if shape == UNKNOWN:
        note = Note("assumed", f"{attribute('PresentationLUTShape')} is {UNKNOWN}, taken as IDENTITY")
    if note is not None:
        notes.append(note)
    return shape


def _is_inverted(photometric: str | None, shape: str | None, notes: list[Note]) -> bool:
    """One inversion, whichever of the two says so; MONOCHROME1 with IDENTITY is forbidden (C.11.6) and met: white stays white."""
    if photometric == "MONOCHROME1" and shape == "IDENTITY":
        said = f"{attribute('PhotometricInterpretation')} is MONOCHROME1, {attribute('PresentationLUTShape')} IDENTITY"
        notes.append(Note("contradiction", f"{said}: inverted, as the first says; look at the contact sheet"))
    return photometric == "MONOCHROME1" or shape == "INVERSE"


def _modality(scope: Dataset, ds: Dataset, words: Words, notes: list[Note]) -> Rescale | Lut:
    slope = _finite(scope, "RescaleSlope", "bad_header")
    intercept = _finite(scope, "RescaleIntercept", "bad_header")
    table, _ = _first_lut(ds, "ModalityLUTSequence", words.signed, notes)
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
        raise RejectedInput(
            "bad_header", f"{attribute('RescaleSlope')} is 0, expected any other number: repair the header"
        )
    if (slope is None) != (intercept is None):
        absent = "RescaleSlope" if slope is None else "RescaleIntercept"
        notes.append(Note("assumed", f"{attribute(absent)} is missing, taken as {1 if slope is None else 0}"))
    return Rescale(1.0 if slope is None else slope, intercept or 0.0)


def _first_voi(
    scope: Dataset, display: Display, choice: VoiChoice, not_hu: str | None, notes: list[Note]
) -> tuple[Window | Lut | None, str]:
    """The first VOI of the choice that this frame can have; where none applies, why none does."""
    refused: list[tuple[VoiOption, RejectedInput]] = []
    for option in choice.options or (VoiOption("auto"),):
        try:
            if option.kind == "auto":
                found = _own_voi(scope, display, choice.preset_window, not_hu, notes)
            else:
                found = _asked_voi(scope, display, option, notes), source_of(option, choice.options)
        except RejectedInput as error:
            refused.append((option, error))
            continue
        if refused:
            notes.append(Note("voi_fallback", f"{_without_remedy(refused[0][1])}: --voi {option} was used"))
        return found
    if len(refused) == 1:
        raise refused[0][1]
    each = "; ".join(f"--voi {option}: {_without_remedy(error)}" for option, error in refused)
    raise RejectedInput(refused[-1][1].reason, f"{each}; add --voi robust for what has no other")


def _without_remedy(error: RejectedInput) -> str:
    return error.message.split("; ")[0]


def _asked_voi(scope: Dataset, display: Display, option: VoiOption, notes: list[Note]) -> Window | Lut | None:
    if option.kind == "full":
        return between(*display.output_range)
    if option.kind == "robust":
        return None
    if option.kind == "values":
        return Window(option.center, option.width, option.function)
    if option.kind == "lut":
        return _numbered_lut(scope, option.number, display.output_range[0] < 0)
    return _stored_window(scope, option.number, notes)


def _own_voi(
    scope: Dataset,
    display: Display,
    preset_window: tuple[float, float] | None,
    not_hu: str | None,
    notes: list[Note],
) -> tuple[Window | Lut | None, str]:
    """The preset's window, else what the file offers."""
    signed = display.output_range[0] < 0
    if preset_window is not None:
        if not_hu is not None:
            raise RejectedInput(
                "not_hu",
                f"{not_hu}: the values are not known to be in HU, the preset's window is; use --voi window:1, "
                "--voi CENTER,WIDTH, or for such files alone --voi auto --voi robust",
            )
        return Window(*preset_window), "preset"
    table, position = _first_lut(scope, "VOILUTSequence", signed, notes)
    if table is not None:
        return table, f"voi_lut_{position}"
    if value(scope, "WindowCenter") is not None or value(scope, "WindowWidth") is not None:
        return _stored_window(scope, 1, notes), "window_1"
    return None, "robust_range"


def _stored_window(scope: Dataset, position: int, notes: list[Note]) -> Window:
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
    function = _function(scope, notes)
    if not is_width_valid(found[1], function):
        raise RejectedInput(
            "bad_window",
            f"{attribute('WindowWidth')} is {found[1]:g} in window {position}, {function} demands "
            f"{narrowest_width(function)}; {_REMEDY}",
        )
    return Window(found[0], found[1], function)


def _function(scope: Dataset, notes: list[Note]) -> VoiFunction:
    named = term(scope, "VOILUTFunction", VOI_FUNCTIONS) or "LINEAR"
    for function in VOI_FUNCTIONS:
        if named == function:
            note = spelling_note(scope, "VOILUTFunction", function)
            if note is not None:
                notes.append(note)
            return function
    raise RejectedInput(
        "bad_window",
        f"{attribute('VOILUTFunction')} is {named}, expected one of {', '.join(VOI_FUNCTIONS)}; {_REMEDY}",
    )


def _numbered_lut(scope: Dataset, position: int, signed: bool) -> Lut:
    listed = items(scope, "VOILUTSequence")
    table = read_lut(listed[position - 1], "VOILUTSequence", signed=signed) if len(listed) >= position else None
    if table is None:
        raise RejectedInput(
            "bad_window", f"{attribute('VOILUTSequence')} has no usable item {position} of {len(listed)}; {_REMEDY}"
        )
    return table


def _first_lut(scope: Dataset, sequence: str, signed: bool, notes: list[Note]) -> tuple[Lut | None, int]:
    """The first item that is not empty, and its number from 1; (None, 0) where there is none."""
    for position, item in enumerate(items(scope, sequence), 1):
        table = read_lut(item, sequence, signed=signed)
        if table is not None:
            return table, position
        if position == 1:
            notes.append(Note("assumed", f"{attribute(sequence)} has an empty item: ignored"))
    return None, 0


def _padding(ds: Dataset, words: Words, notes: list[Note]) -> tuple[int, int] | None:
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
    low = -(1 << (words.bits - 1)) if words.signed else 0
    high = low + (1 << words.bits) - 1
    if max(ends) < low or min(ends) > high:
        outside = "is outside the stored range: no pixel is padding"
        notes.append(Note("padding_outside", f"{attribute('PixelPaddingValue')} = {first:g} {outside}"))
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
