"""Cases of C.8.11, digital X-ray and mammography: intent, polarity, VOI."""

from __future__ import annotations

from pydicom import uid

from .case import Case, Differs
from .conventions import everyone_but_ours, spread
from .image import lut
from .standard import bits, entry, linear, sigmoid

VALUES = (0, 1, 700, 2048, 3000, 4094, 4095)
CROWD = (0, *range(1000, 1398), 4095)
WINDOW = {"WindowCenter": 2048, "WindowWidth": 2000}
PRESENTATION = {
    "PresentationIntentType": "FOR PRESENTATION",
    "PixelIntensityRelationship": "LOG",
    "PixelIntensityRelationshipSign": ("SS", -1),
    "RescaleIntercept": "0",
    "RescaleSlope": "1",
    "RescaleType": "US",
    "PresentationLUTShape": "IDENTITY",
}
NEGATIVE = {**PRESENTATION, "PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}
PROCESSING = {
    **PRESENTATION,
    "PresentationIntentType": "FOR PROCESSING",
    "SOPClassUID": uid.DigitalXRayImageStorageForProcessing,
}
MAMMO = {"SOPClassUID": uid.DigitalMammographyXRayImageStorageForPresentation, "Modality": "MG"}
CURVE = tuple(round(4095 * (i / 255) ** 2) for i in range(256))
CURVE16 = tuple(round(65535 * (i / 255) ** 2) for i in range(256))
ONE_INVERSION = "MONOCHROME1 goes with INVERSE: one inversion"
BOTH = "IDENTITY is for MONOCHROME2, INVERSE for MONOCHROME1"
NOT_SHOWN = "FOR PROCESSING needs no VOI and is not for display"


def windowed(v: int) -> float:
    return linear(v, 2048, 2000)


def curved(v: int) -> float:
    return bits(entry(v, 2000, CURVE), 12)


# A case is a few lines of a table, not one argument a line.
# fmt: off
CASES = [
    Case("presentation", "C.8.11.3.1.5", "FOR PRESENTATION carries a VOI; the result are P-Values",
         "MONOCHROME2, IDENTITY; window", VALUES, windowed, 3000, {**PRESENTATION, **WINDOW}),
    Case("presentation_inverse", "C.8.11.3", ONE_INVERSION, "MONOCHROME1, INVERSE; window", VALUES, lambda v: 1 - windowed(v),
         3000, {**NEGATIVE, **WINDOW}),
    Case("mammo_inverse_lut", "C.8.11.3", ONE_INVERSION, "mammogram, MONOCHROME1, INVERSE; VOI LUT of 16 bits", VALUES,
         lambda v: 1 - bits(entry(v, 2000, CURVE16), 16), 2048,
         {**NEGATIVE, **MAMMO, "VOILUTSequence": [lut(2000, CURVE16, 16)]}),
    Case("mammo_lut_12", "C.8.11.3.1.5", "a VOI LUT has 8 or 10 to 16 bits", "mammogram; VOI LUT of 12 bits", VALUES, curved,
         2048, {**PRESENTATION, **MAMMO, "VOILUTSequence": [lut(2000, CURVE, 12)]},
         differs={"highdicom": Differs("lut_bits", "RuntimeError"), "DCMTK": spread(4096, lambda v: entry(v, 2000, CURVE))}),
    Case("processing", "C.8.11.3.1.5", NOT_SHOWN, "FOR PROCESSING, no VOI, `--voi full`", VALUES, lambda v: bits(v, 12), 700,
         PROCESSING, voi="full", differs={"DCMTK": spread(4096)}),
    Case("processing_default", "C.8.11.3.1.5", NOT_SHOWN, "FOR PROCESSING, no VOI, no option", CROWD,
         lambda v: min(1.0, max(0.0, (v - 1000) / 396)), 1200, PROCESSING, is_open=True,
         differs={"pydicom": Differs("robust", lambda v: bits(v, 12)), "highdicom": Differs("robust", lambda v: bits(v, 12)),
             "DCMTK": Differs("robust", lambda v: v * 16 / 65535)}),
    Case("intensity_relationship", "C.8.11.3.1.2", "Pixel Intensity Relationship and its sign transform nothing",
         "LIN, +1; window", VALUES, windowed, 3000,
         {**PRESENTATION, **WINDOW, "PixelIntensityRelationship": "LIN", "PixelIntensityRelationshipSign": ("SS", 1)}),
    Case("window_or_lut", "C.8.11.3.1.5", "a VOI LUT or a window; both are alternatives", "VOI LUT of 16 bits, and window",
         VALUES, lambda v: bits(entry(v, 2000, CURVE16), 16), 2048,
         {**PRESENTATION, **WINDOW, "VOILUTSequence": [lut(2000, CURVE16, 16)]}, is_open=True,
         verdict="all take the LUT first (DCMTK was told to)"),
    Case("sigmoid", "C.8.11.3.1.5", "VOI LUT Function may be SIGMOID", "SIGMOID, three windows", VALUES,
         lambda v: sigmoid(v, 2048, 2000), 3000,
         {**PRESENTATION, "WindowCenter": [2048, 2300, 1800], "WindowWidth": [2000, 1500, 2500], "VOILUTFunction": "SIGMOID",
             "WindowCenterWidthExplanation": ["NORMAL", "HARDER", "SOFTER"]}),
    Case("mammo_background", "C.7.5.1.1.2", "a padding range marks the air around a breast",
         "mammogram, MONOCHROME1, INVERSE, padding 4095 down to 3000; window 2048 / 4096", VALUES,
         lambda v: 0 if v >= 3000 else 1 - linear(v, 2048, 4096), 3000,
         {**NEGATIVE, **MAMMO, "WindowCenter": 2048, "WindowWidth": 4096, "PixelPaddingValue": ("US", 4095),
             "PixelPaddingRangeLimit": ("US", 3000)}, is_open=True,
         differs=everyone_but_ours("padding", lambda v: 1 - linear(v, 2048, 4096))),
    Case("six_bits", "C.8.11.3", "Bits Stored 6 to 16", "6 bits of 8; window", (0, 1, 20, 40, 63), lambda v: linear(v, 32, 50),
         40, {**PRESENTATION, "BitsAllocated": 8, "BitsStored": 6, "WindowCenter": 32, "WindowWidth": 50}),
    Case("identity_monochrome1", "C.8.11.3", BOTH, "MONOCHROME1 with IDENTITY; window", VALUES, lambda v: 1 - windowed(v), 3000,
         {**NEGATIVE, **WINDOW, "PresentationLUTShape": "IDENTITY"}, is_open=True, differs=everyone_but_ours("shape", windowed)),
    Case("inverse_monochrome2", "C.8.11.3", BOTH, "MONOCHROME2 with INVERSE; window", VALUES, lambda v: 1 - windowed(v), 3000,
         {**PRESENTATION, **WINDOW, "PresentationLUTShape": "INVERSE"}, is_open=True),
    Case("imager_spacing", "C.8.11.4", "spacing at the detector is geometry; values stay",
         "mammogram, 0.1\\0.1, magnification 1.5; window", VALUES, windowed, 3000,
         {**PRESENTATION, **MAMMO, **WINDOW, "ImagerPixelSpacing": [0.1, 0.1],
             "EstimatedRadiographicMagnificationFactor": "1.5"}),
]
# fmt: on
