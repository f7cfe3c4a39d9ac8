"""Why a program shows something else than the standard says: each reason once, with what it then shows.

A case names the reason, and the functions here compute the value that follows from it. The test compares that with the
program: a reason that does not predict what is seen is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from .case import Differs, Reading

WHY = {
    "spread": (
        "DCMTK brings n values to 16 bits by 65536 / n (a shift, where n is a power of two) and cuts the fraction: 255 of 8 "
        "bits becomes 65280. C.11.6.1 makes the whole range of the step before the whole range of the display, so that the "
        "largest value is white, 65535."
    ),
    "whole": (
        "DCMTK keeps whole numbers between modality transform and VOI. C.11.2.1.2.1 assumes real numbers, and lets nobody "
        "truncate whose result is another."
    ),
    "padding": (
        "The other three show padding like any value. The standard leaves it out of the grayscale pipeline and does not say "
        "how it looks; fastrace makes it 0 after the inversion, so that the background of every image is alike."
    ),
    "polarity": "pydicom's functions have no step for Photometric Interpretation: MONOCHROME1 alone is left to the caller.",
    "largest": (
        "pydicom inverts by the largest pixel of the image and not by the range of the step before (C.11.6.1.2): the same "
        "value then looks different in another image."
    ),
    "groups": "pydicom and dcmj2pnm read these attributes at the top level alone: functional groups are left to the caller.",
    "order": "highdicom takes the top level before the shared group, and that before the frame's own.",
    "word": "highdicom takes the whole word for the value: bits above Bits Stored are not masked, and no sign is extended.",
    "high_bit": "pydicom masks by Bits Stored and does not move the value down where High Bit is above Bits Stored - 1.",
    "stored_window": (
        "highdicom divides centre and width by the slope first, and takes the half and the one of LINEAR from that. "
        "C.11.2.1.2.1 takes them in output units: at slope 10 the window is wrong by ten values."
    ),
    "negative": (
        "pydicom scales windows to the range between the outputs of the least and the largest stored value; with a negative "
        "slope that range runs backwards, and the image is inverted."
    ),
    "lut_bits": (
        "highdicom reads LUTs of 8 or 16 bits alone. C.8.11.3.1.5 allows 10 to 16 besides for digital X-ray and mammography."
    ),
    "lut_count": "highdicom compares the length of LUT Data with the first value as written: 0 and negative ones never fit.",
    "lut_words": "highdicom expects entries of 8 bits packed two to a word, and pydicom one to a word; both are met.",
    "lut_range": (
        "highdicom scales a VOI LUT by the least and the largest entry that it holds. C.11.6.1 takes the range that its bits "
        "can express (note 3 there)."
    ),
    "lut_unscaled": "highdicom returns a VOI LUT behind a modality LUT as stored: neither scaled to its range nor inverted.",
    "lut_depth": "pydicom makes an array type of the third value (`uint12`), which exists for 8 and 16 alone.",
    "lut_index": (
        "pydicom and highdicom compute the place in a LUT in too few bits: pydicom in 8 for a VOI LUT of 8 bits, both in signed "
        "16 for signed pixels. Values far above the first begin again."
    ),
    "lut_sign": (
        "pydicom and highdicom take the first value mapped as its VR says. It has the sign of the input, and files write -100 as "
        "US 65436."
    ),
    "lut_mask": "DCMTK cuts the entries to the bits declared; fastrace believes the entries, which need more.",
    "lut_item": "pydicom and highdicom demand a descriptor in every item. fastrace and DCMTK pass over an emptied item.",
    "exact": "DCMTK 3.6.7 does not know LINEAR_EXACT and shows LINEAR, or no window where LINEAR forbids the width.",
    "term": "an unknown spelling: DCMTK reads another word than SIGMOID as LINEAR, highdicom refuses it.",
    "pair": "pydicom and DCMTK apply a rescale if both values are there; fastrace and highdicom assume 1 or 0 for the other.",
    "shape": (
        "MONOCHROME1 says white, IDENTITY says no inversion: the standard forbids the pair and does not rank them. The other "
        "three follow Presentation LUT Shape, fastrace inverts if either asks for it."
    ),
    "case": "highdicom and DCMTK compare the word as written; pydicom and fastrace in upper case.",
    "empty": "highdicom takes an empty shape for one that does not invert; pydicom refuses it. Empty is absent here.",
    "print": "pydicom refuses a shape of the print classes; the others ignore it.",
    "state": (
        "pydicom applies a Presentation LUT Sequence wherever it stands, after stretching the least and the largest pixel to "
        "its ends. It belongs to presentation states, and no image object has it."
    ),
    "threshold": "highdicom divides 0 by 0 where a value lies exactly on the threshold.",
    "big_endian": "highdicom refuses the retired big-endian syntax.",
    "robust": (
        "Without a VOI the standard says identity over the whole range. fastrace shows percentiles 0.5 to 99.5 unless told "
        "`--voi full`, since 12-bit data in 16 bits would be black."
    ),
    "upper": "only upper case is in the list of enumerated values; fastrace (with a note) and DCMTK read any.",
    "limit": "fastrace reads 8 and 16 bits allocated: no radiograph, CT or MR image has others. It refuses by name.",
    "fraction": (
        "An input between two entries has no entry. fastrace takes the nearest, pydicom and DCMTK the one below; highdicom "
        "does not go on."
    ),
    "step": "highdicom takes every second entry of the VOI LUT, so that the last of 256 is never reached.",
}


def spread(count: int, value: Reading = float, inverted: bool = False) -> Differs:
    """DCMTK without a window: `value` counts from 0 to ``count - 1``."""
    exact = count & (count - 1) == 0

    def shows(v: int) -> float:
        steps = value(v) * (65536 if exact else 65535) / count
        return math.floor(65535 - steps if inverted else steps) / 65535

    return Differs("spread", shows)


def everyone_but_ours(why: str, shows: Reading) -> dict[str, Differs]:
    """The other three agree with each other."""
    return {program: Differs(why, shows) for program in ("pydicom", "highdicom", "DCMTK")}


def inverted_by_largest(values: Iterable[int], shown: Callable[[int], float]) -> Differs:
    """pydicom's INVERSE: the largest display value of the image becomes 0."""
    most = max(shown(v) for v in values)
    return Differs("largest", lambda v: most - shown(v))


def by_own_range(entries: Iterable[int], entry: Callable[[int], int]) -> Differs:
    """highdicom's scaling of a VOI LUT by its own least and largest entry."""
    least, most = min(entries), max(entries)
    return Differs("lut_range", lambda v: (entry(v) - least) / (most - least))


def through_stored_values(center: float, width: float, slope: float, intercept: float) -> Differs:
    """highdicom's LINEAR window, carried to stored values before the half and the one are taken."""
    center, width = (center - intercept) / slope, width / slope
    return Differs("stored_window", lambda v: min(1.0, max(0.0, (v - (center - 0.5)) / (width - 1) + 0.5)))
