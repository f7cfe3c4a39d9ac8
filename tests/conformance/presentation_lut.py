"""Cases of C.11.6, Softcopy Presentation LUT: Presentation LUT Shape, which images carry too."""

from __future__ import annotations

from .case import Case, Differs
from .conventions import by_own_range, inverted_by_largest, spread
from .image import lut
from .standard import bits, entry, linear, part, sigmoid

VALUES = (0, 1, 500, 1000, 2000, 3000, 4095)
PART = (300, 500, 1000, 1200)  # none reaches the top of the range
SIGNED = (-2000, -1, 0, 500)
WINDOW = {"WindowCenter": 1000, "WindowWidth": 1500}
NEGATIVE = {"PresentationLUTShape": "INVERSE", "PhotometricInterpretation": "MONOCHROME1"}
RESCALE = {"RescaleSlope": "2", "RescaleIntercept": "-1000", "RescaleType": "US"}
SCALED = "the input range is the whole range of the step before"
INVERSE = "INVERSE: P-Values after inversion"
WORDS = "the shape is IDENTITY or INVERSE, in upper case"
CURVE = tuple(round(16000 * (i / 255) ** 2) for i in range(256))  # does not reach the top of its 16 bits


def windowed(v: int) -> float:
    return linear(v, 1000, 1500)


def inverted(v: int) -> float:
    return 1 - windowed(v)


def curved(v: int) -> float:
    return bits(entry(v, 900, CURVE), 16)


def stretched(v: int) -> float:
    """pydicom's Presentation LUT Sequence: the outputs of the window, 0 to 4095, cut to whole numbers, reversed."""
    return (4095 - int(windowed(v) * 4095)) / 4095


# A case is a few lines of a table, not one argument a line.
# fmt: off
CASES = [
    Case("identity", "C.11.6", "IDENTITY: the input are P-Values", "MONOCHROME2, IDENTITY; window", VALUES, windowed, 1000,
         {**WINDOW, "PresentationLUTShape": "IDENTITY"}),
    Case("inverse", "C.11.6", INVERSE, "MONOCHROME1, INVERSE; window", VALUES, inverted, 1000, {**WINDOW, **NEGATIVE}),
    Case("inverse_part_of_range", "C.11.6.1.2", SCALED, "the same, no pixel reaches the top of the window", PART, inverted,
         1000, {**WINDOW, **NEGATIVE}, differs={"pydicom": inverted_by_largest(PART, windowed)}),
    Case("inverse_no_voi", "C.11.6.1.2", SCALED, "MONOCHROME1, INVERSE, no VOI: the range of the bits", PART,
         lambda v: 1 - bits(v, 12), 1000, NEGATIVE, voi="full",
         differs={"pydicom": inverted_by_largest(PART, lambda v: bits(v, 12)), "DCMTK": spread(4096, inverted=True)}),
    Case("inverse_table", "C.11.6.1.2", SCALED, "MONOCHROME1, INVERSE; VOI LUT of 16 bits up to 16000", VALUES,
         lambda v: 1 - curved(v), 2000, {"VOILUTSequence": [lut(900, CURVE, 16)], **NEGATIVE},
         differs={"pydicom": inverted_by_largest(VALUES, curved),
             "highdicom": Differs("lut_range", lambda v: 1 - entry(v, 900, CURVE) / 16000)}),
    Case("identity_table", "C.11.6.1.2", SCALED, "IDENTITY; VOI LUT of 16 bits up to 16000", VALUES, curved, 2000,
         {"VOILUTSequence": [lut(900, CURVE, 16)], "PresentationLUTShape": "IDENTITY"},
         differs={"highdicom": by_own_range(CURVE, lambda v: entry(v, 900, CURVE))}),
    Case("inverse_signed", "C.11.6.1.2", SCALED, "MONOCHROME1, INVERSE, signed, no VOI", SIGNED,
         lambda v: 1 - part(v, -2048, 2047), 0, {"PixelRepresentation": 1, **NEGATIVE}, voi="full",
         differs={"pydicom": inverted_by_largest(SIGNED, lambda v: part(v, -2048, 2047)),
             "DCMTK": spread(4096, lambda v: v + 2048, inverted=True)}),
    Case("inverse_sigmoid", "C.11.6", INVERSE, "MONOCHROME1, INVERSE; SIGMOID 1000 / 1500", PART,
         lambda v: 1 - sigmoid(v, 1000, 1500), 1000, {**WINDOW, "VOILUTFunction": "SIGMOID", **NEGATIVE},
         differs={"pydicom": inverted_by_largest(PART, lambda v: sigmoid(v, 1000, 1500))}),
    Case("inverse_rescaled", "C.11.6.1.2", SCALED, "MONOCHROME1, INVERSE, slope 2, intercept -1000, no VOI", PART,
         lambda v: 1 - part(2 * v - 1000, -1000, 7190), 1000, {**RESCALE, **NEGATIVE}, voi="full",
         differs={"pydicom": inverted_by_largest(PART, lambda v: part(2 * v - 1000, -1000, 7190)),
             "DCMTK": spread(8191, lambda v: 2 * v, inverted=True)}),
    Case("shape_lower_case", "C.11.6", WORDS, "`inverse`, MONOCHROME2; window", VALUES, inverted, 1000,
         {**WINDOW, "PresentationLUTShape": ("CS", "inverse")}, is_open=True,
         differs={"highdicom": Differs("case", windowed), "DCMTK": Differs("case", windowed)}),
    Case("shape_lin_od", "C.11.6", "LIN OD is for print alone", "LIN OD, MONOCHROME2; window", VALUES, windowed, 1000,
         {**WINDOW, "PresentationLUTShape": "LIN OD"}, is_open=True,
         differs={"pydicom": Differs("print", "NotImplementedError")}),
    Case("shape_empty", "C.11.6", WORDS, "the shape is empty, MONOCHROME1; window", VALUES, inverted, 1000,
         {**WINDOW, "PresentationLUTShape": "", "PhotometricInterpretation": "MONOCHROME1"}, is_open=True,
         differs={"pydicom": Differs("empty", "NotImplementedError"), "highdicom": Differs("empty", windowed)}),
    Case("sequence", "C.11.6", "a Presentation LUT Sequence is for presentation states",
         "an image with one that reverses; window", VALUES, windowed, 1000,
         {**WINDOW, "PresentationLUTSequence": [lut(0, range(4095, -1, -1), 12)]}, is_open=True,
         differs={"pydicom": Differs("state", stretched)}),
]
# fmt: on
