"""Cases of Pixel Padding Value and Pixel Padding Range Limit (C.7.6.3.3, C.7.5.1.1.2)."""

from __future__ import annotations

from typing import Any

from .case import Case, Differs
from .conventions import everyone_but_ours
from .standard import linear

VALUES = (0, 1, 700, 2048, 3000, 4094, 4095)
SIGNED = (-2000, -1000, 0, 1000, 2000)
WINDOW = {"WindowCenter": 2048, "WindowWidth": 2000}
SIGNED_PIXELS = {"BitsStored": 16, "PixelRepresentation": 1}
MONOCHROME1 = {"PhotometricInterpretation": "MONOCHROME1"}
OUT = "padding is left out of the grayscale pipeline; how it looks is not said"


def padding(value: int, limit: int | None = None, vr: str = "US") -> dict[str, Any]:
    return {"PixelPaddingValue": (vr, value), **({} if limit is None else {"PixelPaddingRangeLimit": (vr, limit)})}


def windowed(v: int) -> float:
    return linear(v, 2048, 2000)


def inverted(v: int) -> float:
    return 1 - windowed(v)


# A case is a few lines of a table, not one argument a line.
# fmt: off
CASES = [
    Case("padding_value", "C.7.5.1.1.2", OUT, "4095 is padding; window", VALUES, lambda v: 0 if v == 4095 else windowed(v),
         4095, {**WINDOW, **padding(4095)}, is_open=True, differs=everyone_but_ours("padding", windowed)),
    Case("padding_range", "C.7.6.3.3", "Range Limit: the other end, included", "700 to 2048 is padding; window", VALUES,
         lambda v: 0 if 700 <= v <= 2048 else windowed(v), 2048, {**WINDOW, **padding(700, 2048)}, is_open=True,
         differs=everyone_but_ours("padding", windowed)),
    Case("padding_range_reversed", "C.7.5.1.1.2", "under MONOCHROME1 the limit lies below the value",
         "MONOCHROME1, INVERSE, padding 4095 down to 2048; window", VALUES, lambda v: 0 if v >= 2048 else inverted(v), 2048,
         {**WINDOW, **MONOCHROME1, **padding(4095, 2048), "PresentationLUTShape": "INVERSE"}, is_open=True,
         differs=everyone_but_ours("padding", inverted)),
    Case("padding_monochrome1", "C.7.5.1.1.2", OUT, "MONOCHROME1, INVERSE, 0 is padding; window", VALUES,
         lambda v: 0 if v == 0 else inverted(v), 0, {**WINDOW, **MONOCHROME1, **padding(0), "PresentationLUTShape": "INVERSE"},
         is_open=True, differs=everyone_but_ours("padding", inverted)),
    Case("padding_before_modality", "C.7.5.1.1.2", "padding is a stored value, not an output",
         "signed, padding -2000, intercept 3000; window 2048 / 2000", SIGNED, lambda v: 0 if v == -2000 else windowed(v + 3000),
         1000, {**SIGNED_PIXELS, **WINDOW, **padding(-2000, vr="SS"), "RescaleSlope": 1, "RescaleIntercept": 3000},
         is_open=True),
    Case("padding_unsigned_vr", "C.7.5.1.1.2", "the VR of padding follows Pixel Representation",
         "signed, padding written US 63536 (-2000); window -1500 / 3000", SIGNED,
         lambda v: 0 if v == -2000 else linear(v, -1500, 3000), -2000,
         {**SIGNED_PIXELS, **padding(63536), "WindowCenter": -1500, "WindowWidth": 3000}, is_open=True,
         differs=everyone_but_ours("padding", lambda v: linear(v, -1500, 3000))),
    Case("padding_outside", "C.7.5.1.1.2", "padding fits Bits Stored", "12 bits, padding 63536; window", VALUES, windowed, 4095,
         {**WINDOW, **padding(63536)}, is_open=True),
    Case("padding_limit_alone", "C.7.6.3.3", "Range Limit requires Pixel Padding Value", "Range Limit 2048 alone; window",
         VALUES, windowed, 2048, {**WINDOW, "PixelPaddingRangeLimit": ("US", 2048)}, is_open=True),
    Case("padding_in_no_voi", "C.7.5.1.1.2", "padding does not count for the range that is shown",
         "0 is padding, 100 pixels from 3000, no VOI, no option", (0, *range(3000, 3100)),
         lambda v: 0 if v == 0 else (v - 3000) / 99, 3050, padding(0), is_open=True,
         differs={"pydicom": Differs("robust", lambda v: v / 4095), "highdicom": Differs("robust", lambda v: v / 4095),
             "DCMTK": Differs("robust", lambda v: v * 16 / 65535)}),
]
# fmt: on
