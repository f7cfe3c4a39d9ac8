"""Cases of C.11.2, VOI LUT: windows, their functions, tables, and which of several."""

from __future__ import annotations

from typing import Any

from .case import Case, Differs
from .conventions import by_own_range, spread
from .image import lut
from .standard import bits, entry, linear, linear_exact, sigmoid

VALUES = (0, 1, 500, 1000, 1040, 2000, 4095)
EDGE = (45, 46, 47, 50, 53, 54, 55)
STEP = tuple(range(97, 104))
CROWD = (0, *range(1000, 1398), 4095)
CURVE = tuple(round(65535 * (i / 255) ** 2) for i in range(256))
HALF = tuple(e >> 1 for e in CURVE)
TEN, EIGHT = tuple(e >> 6 for e in CURVE), tuple(e >> 8 for e in CURVE)
MONOCHROME1 = {"PhotometricInterpretation": "MONOCHROME1"}


def window(center: object, width: object, function: str | None = None, **more: Any) -> dict[str, Any]:
    named = {} if function is None else {"VOILUTFunction": ("CS", function)}
    return {"WindowCenter": center, "WindowWidth": width, **named, **more}


def rescale(slope: str, intercept: str) -> dict[str, Any]:
    return {"RescaleSlope": slope, "RescaleIntercept": intercept, "RescaleType": "US"}


def table(*luts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"VOILUTSequence": list(luts), **more}


def middle(v: int) -> float:
    return linear(v, 1000, 2000)


def curved(v: int) -> float:
    return bits(entry(v, 900, CURVE), 16)


LINEAR = "LINEAR: from c - 0.5 - (w - 1) / 2 to c - 0.5 + (w - 1) / 2"
EXACT = "LINEAR_EXACT: from c - w / 2 to c + w / 2"
SIGMOID = "SIGMOID: 1 / (1 + exp(-4 (x - c) / w))"
WIDTH = "the width of LINEAR is at least 1, of the others above 0"
NONE = "no such window exists"
# A case is a few lines of a table, not one argument a line.
# fmt: off
LINEARS = [
    Case("linear", "C.11.2.1.2.1", LINEAR, "1000 / 2000", VALUES, middle, 1000, window(1000, 2000)),
    Case("linear_named", "C.11.2.1.3", "no VOI LUT Function means LINEAR", "1000 / 2000, LINEAR", VALUES, middle, 1000,
         window(1000, 2000, "LINEAR")),
    Case("linear_edges", "C.11.2.1.2.1", LINEAR, "50 / 8, values at its edges", EDGE, lambda v: linear(v, 50, 8), 53,
         window(50, 8)),
    Case("linear_identity", "C.11.2.1.2.1", "2^(n-1) / 2^n is the identity of n bits", "2048 / 4096", VALUES,
         lambda v: bits(v, 12), 1000, window(2048, 4096)),
    Case("linear_fraction", "C.11.2.1.2.1", "centre and width may have fractions", "49.75 / 10.5", EDGE,
         lambda v: linear(v, 49.75, 10.5), 50, window("49.75", "10.5")),
    Case("linear_signed", "C.11.2.1.2", "a window may select negative values", "signed, -100 / 401",
         (-400, -300, -100, 0, 99, 100, 200), lambda v: linear(v, -100, 401), 0, window(-100, 401, PixelRepresentation=1)),
    Case("linear_wide", "C.11.2.1.2", "a window may be wider than the values", "2048 / 100000", VALUES,
         lambda v: linear(v, 2048, 100000), 1000, window(2048, 100000)),
    Case("linear_outside", "C.11.2.1.2", "a window may lie outside the values", "-5000 / 100: all white", VALUES, lambda v: 1.0,
         1000, window(-5000, 100)),
    Case("width_1", "C.11.2.1.2.1", "LINEAR of width 1 is a threshold", "100 / 1", STEP, lambda v: linear(v, 100, 1), 100,
         window(100, 1)),
    Case("width_1_on_value", "C.11.2.1.2.1", "LINEAR of width 1 is a threshold", "100.5 / 1: 100 is below", STEP,
         lambda v: linear(v, 100.5, 1), 100, window("100.5", 1),
         differs={"highdicom": Differs("threshold", lambda v: float("nan") if v == 100 else linear(v, 100.5, 1))}),
    Case("width_2", "C.11.2.1.2.1", "LINEAR of width 2 is the same for whole numbers", "100 / 2", STEP,
         lambda v: linear(v, 100, 1), 100, window(100, 2)),
    Case("width_half", "C.11.2.1.2", WIDTH, "100 / 0.5, LINEAR", STEP, None, 100, window(100, "0.5"), verdict=NONE),
    Case("width_0", "C.11.2.1.2", WIDTH, "100 / 0", STEP, None, 100, window(100, 0), verdict=f"{NONE}; real MR series carry it"),
    Case("width_0_exact", "C.11.2.1.3.2", WIDTH, "100 / 0, LINEAR_EXACT", STEP, None, 100, window(100, 0, "LINEAR_EXACT"),
         verdict=NONE),
    Case("width_negative", "C.11.2.1.2", WIDTH, "100 / -50", STEP, None, 100, window(100, -50), verdict=NONE),
    Case("center_alone", "C.11.2", "Window Width is required beside Window Center", "centre without width", VALUES, None, 1000,
         {"WindowCenter": 1000}, verdict="half a window is none"),
    Case("windows_first", "C.11.2.1.2", "several windows are alternatives", "three windows, no option", VALUES, middle, 1000,
         window([1000, 40, 3000], [2000, 400, 500]), verdict="all take the first"),
    Case("windows_unequal", "C.11.2.1.2", "centres and widths are pairs", "two centres, one width", VALUES, middle, 1000,
         window([1000, 40], 2000), is_open=True),
    Case("explanation", "C.11.2", "the explanation of a window is text", "Window Center & Width Explanation `INVERTED`", VALUES,
         middle, 1000, window(1000, 2000, WindowCenterWidthExplanation="INVERTED")),
    Case("no_voi", "C.11.2", "without a VOI the step is the identity", "no VOI, `--voi full`", VALUES, lambda v: bits(v, 12),
         4095, voi="full", differs={"DCMTK": spread(4096)}),
    Case("no_voi_default", "C.11.2", "without a VOI the step is the identity", "no VOI, no option", CROWD,
         lambda v: min(1.0, max(0.0, (v - 1000) / 396)), 1200, is_open=True,
         differs={"pydicom": Differs("robust", lambda v: bits(v, 12)), "highdicom": Differs("robust", lambda v: bits(v, 12)),
             "DCMTK": Differs("robust", lambda v: v * 16 / 65535)}),
]
FUNCTIONS = [
    Case("exact", "C.11.2.1.3.2", EXACT, "50 / 8, LINEAR_EXACT", EDGE, lambda v: linear_exact(v, 50, 8), 50,
         window(50, 8, "LINEAR_EXACT"), differs={"DCMTK": Differs("exact", lambda v: linear(v, 50, 8))}),
    Case("exact_narrow", "C.11.2.1.3.2", WIDTH, "100 / 0.5, LINEAR_EXACT", STEP, lambda v: linear_exact(v, 100, 0.5), 100,
         window(100, "0.5", "LINEAR_EXACT"), differs={"DCMTK": Differs("exact", lambda v: v * 16 / 65535)}),
    Case("exact_rescaled", "C.11.2.1.3.2", EXACT, "slope 0.001; 1 / 0.5, LINEAR_EXACT", (0, 700, 751, 1000, 1100, 1300),
         lambda v: linear_exact(0.001 * v, 1, 0.5), 1100, {**window(1, "0.5", "LINEAR_EXACT"), **rescale("0.001", "0")},
         differs={"DCMTK": Differs("exact", lambda v: int(int(0.001 * v) * 65535 / 5.095) / 65535)}),
    Case("sigmoid", "C.11.2.1.3.1", SIGMOID, "1000 / 800, SIGMOID", VALUES, lambda v: sigmoid(v, 1000, 800), 1040,
         window(1000, 800, "SIGMOID")),
    Case("sigmoid_monochrome1", "C.11.2.1.3.1", SIGMOID, "1000 / 800, SIGMOID, MONOCHROME1", VALUES,
         lambda v: 1 - sigmoid(v, 1000, 800), 1040, window(1000, 800, "SIGMOID", **MONOCHROME1),
         differs={"pydicom": Differs("polarity", lambda v: sigmoid(v, 1000, 800))}),
    Case("sigmoid_rescaled", "C.11.2.1.3.1", "SIGMOID takes outputs of the modality transform",
         "slope 2, intercept -1000; 1000 / 800, SIGMOID", VALUES, lambda v: sigmoid(2 * v - 1000, 1000, 800), 1040,
         {**window(1000, 800, "SIGMOID"), **rescale("2", "-1000")}),
    Case("function_lower_case", "C.11.2.1.3", "the terms are in upper case", "1000 / 800, `sigmoid`", VALUES,
         lambda v: sigmoid(v, 1000, 800), 1040, window(1000, 800, "sigmoid"), is_open=True,
         differs={"highdicom": Differs("term", "ValueError"), "DCMTK": Differs("term", lambda v: linear(v, 1000, 800))}),
    Case("function_unknown", "C.11.2.1.3", "LINEAR, LINEAR_EXACT or SIGMOID", "1000 / 800, `GAMMA`", VALUES, None, 1000,
         window(1000, 800, "GAMMA"), verdict="what such a window means is not known"),
]
# fmt: on

THIRD = "the third value gives the bits: the largest output is 2^n - 1"
SIGN = "the first value mapped has the sign of the input"
OUTPUTS = "a VOI LUT takes outputs of the modality transform"
EMPTY = {"LUTExplanation": "removed"}


def of_900(entries: tuple[int, ...], count: int) -> Differs:
    return spread(count, lambda v: entry(v, 900, entries))


# fmt: off
TABLES = [
    Case("table_16", "C.11.2.1.1", THIRD, "256 entries of 16 bits from 900", VALUES, curved, 1040, table(lut(900, CURVE, 16))),
    Case("table_16_half", "C.11.2.1.1", THIRD, "the same, entries up to 32767", VALUES, lambda v: bits(entry(v, 900, HALF), 16),
         2000, table(lut(900, HALF, 16)), differs={"highdicom": by_own_range(HALF, lambda v: entry(v, 900, HALF))}),
    Case("table_10", "C.11.2.1.1", THIRD, "256 entries of 10 bits from 900 (DX)", VALUES,
         lambda v: bits(entry(v, 900, TEN), 10), 1040, table(lut(900, TEN, 10)),
         differs={"highdicom": Differs("lut_bits", "RuntimeError"), "DCMTK": of_900(TEN, 1024)}),
    Case("table_8_in_words", "C.11.2.1.1", THIRD, "256 entries of 8 bits, one to a word", VALUES,
         lambda v: bits(entry(v, 900, EIGHT), 8), 2000, table(lut(900, EIGHT, 8)), is_open=True,
         differs={"highdicom": Differs("lut_words", "RuntimeError"), "DCMTK": of_900(EIGHT, 256),
             "pydicom": Differs("lut_index", lambda v: bits(EIGHT[(v - 900) % 256 if v >= 900 else 0], 8))}),
    Case("table_8_packed", "C.11.2.1.1", THIRD, "256 entries of 8 bits, two to a word", VALUES,
         lambda v: bits(entry(v, 900, EIGHT), 8), 1040, table({**lut(900, EIGHT, 8), "LUTData": ("OW", bytes(EIGHT))}),
         differs={"pydicom": Differs("lut_words", "struct.error"), "DCMTK": of_900(EIGHT, 256)}),
    Case("table_65536", "C.11.2.1.1", "0 entries are 65536", "65536 entries, reversed", (0, 1, 1000, 40000, 65535),
         lambda v: bits(65535 - v, 16), 1000, table(lut(0, range(65535, -1, -1), 16), BitsStored=16),
         differs={"highdicom": Differs("lut_count", "RuntimeError")}),
    Case("table_signed", "C.11.2.1.1", SIGN, "signed, 256 entries from -100 (SS)", (-400, -100, -50, 0, 99, 155, 300),
         lambda v: bits(entry(v, -100, CURVE), 16), 0, table(lut(-100, CURVE, 16), PixelRepresentation=1)),
    Case("table_after_rescale", "C.11.2.1.1", SIGN, "intercept -1000, 256 entries from -100 (SS)", VALUES,
         lambda v: bits(entry(v - 1000, -100, CURVE), 16), 1000, table(lut(-100, CURVE, 16), **rescale("1", "-1000"))),
    Case("table_after_rescale_us", "C.11.2.1.1", SIGN, "the same, first value written US 65436", VALUES,
         lambda v: bits(entry(v - 1000, -100, CURVE), 16), 1000,
         table({**lut(0, CURVE, 16), "LUTDescriptor": ("US", [256, 65436, 16])}, **rescale("1", "-1000")), is_open=True,
         differs={
             "pydicom": Differs("lut_sign", lambda v: bits(CURVE[0], 16)), "highdicom": Differs("lut_sign", "OverflowError")}),
    Case("table_after_slope_2", "C.11.2.1.1", OUTPUTS, "slope 2, 256 entries from 2000", VALUES,
         lambda v: bits(entry(2 * v, 2000, CURVE), 16), 1040, table(lut(2000, CURVE, 16), **rescale("2", "0")),
         differs={"highdicom": Differs("step", lambda v: bits(entry(v, 1000, CURVE[::2]), 16))}),
    Case("table_after_slope_half", "C.11.2.1.1", OUTPUTS, "slope 0.5, 256 entries from 400", (*VALUES, 1043),
         lambda v: bits(entry(0.5 * v, 400, CURVE), 16), 1043, table(lut(400, CURVE, 16), **rescale("0.5", "0")), is_open=True,
         differs={"pydicom": Differs("fraction", lambda v: bits(entry(int(0.5 * v), 400, CURVE), 16)),
             "DCMTK": Differs("fraction", lambda v: bits(entry(int(0.5 * v), 400, CURVE), 16)),
             "highdicom": Differs("fraction", "ValueError")}),
    Case("table_decreasing", "C.11.2.1.1", "a VOI LUT may decrease", "256 entries, reversed", VALUES,
         lambda v: bits(entry(v, 900, CURVE[::-1]), 16), 1040, table(lut(900, CURVE[::-1], 16))),
    Case("table_two_entries", "C.11.2.1.1", "the first entry holds below, the last above", "2 entries from 1000: a threshold",
         VALUES, lambda v: float(v > 1000), 1040, table(lut(1000, (0, 65535), 16))),
    Case("table_us_data", "C.11.2.1.1", "LUT Data is US or OW", "LUT Data US", VALUES, curved, 1040,
         table({**lut(900, CURVE, 16), "LUTData": ("US", list(CURVE))})),
    Case("tables_first", "C.11.2", "several VOI LUTs are alternatives", "two VOI LUTs, no option", VALUES, curved, 1040,
         table(lut(900, CURVE, 16), lut(900, CURVE[::-1], 16)), verdict="all take the first"),
    Case("table_before_window", "C.11.2", "a VOI LUT or a window; both are alternatives", "VOI LUT and window, no option",
         VALUES, curved, 1040, table(lut(900, CURVE, 16), **window(1000, 2000)), is_open=True,
         verdict="all take the LUT first (DCMTK was told to)"),
    Case("table_with_function", "C.11.2.1.3", "VOI LUT Function is for windows alone", "VOI LUT beside a window with SIGMOID",
         VALUES, curved, 1040, table(lut(900, CURVE, 16), **window(1000, 800, "SIGMOID")), is_open=True),
    Case("table_empty", "C.11.2.1.1", "an item has a descriptor and data", "an item without either; window", VALUES, middle,
         1000, table(EMPTY, **window(1000, 2000)), is_open=True, differs={"highdicom": Differs("lut_item", "AttributeError")}),
    Case("table_short", "C.11.2.1.1", "as many entries as the first value says", "256 entries declared, 200 there", VALUES,
         None, 1040, table({**lut(900, CURVE, 16), "LUTData": ("US", list(CURVE[:200]))}), verdict="56 outputs are not known"),
]
# fmt: on

CASES = [*LINEARS, *FUNCTIONS, *TABLES]
