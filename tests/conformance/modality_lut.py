"""Cases of C.11.1, Modality LUT: rescale or a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .case import Case, Differs
from .conventions import spread, through_stored_values
from .image import lut
from .standard import bits, entry, linear, part

VALUES = (0, 1, 500, 1000, 1040, 2000, 4095)
FEW = (0, 1, 2, 3, 4, 5)
SIGNED = (-1000, -10, -1, 0, 1, 10, 1000)
WIDE_SIGNED = (-30000, -20000, 0, 12000, 13000, 30000)
HUNDRED = tuple(range(0, 64000, 640))  # 100 entries of 16 bits
TWELVE = tuple(range(0, 4000, 40))  # 100 entries of 12 bits
THREE = (1000, 20000, 65535)
EIGHT = (0, 40, 90, 200, 255, 7)
LONG = {v: entry(v, -20000, range(40000)) for v in WIDE_SIGNED}
VOI = tuple(range(0, 64000, 320))


def rescale(slope: object, intercept: object, **more: Any) -> dict[str, Any]:
    return {"RescaleSlope": slope, "RescaleIntercept": intercept, "RescaleType": "US", **more}


def table(first: int, entries: Sequence[int], depth: int, **more: Any) -> dict[str, Any]:
    return {"ModalityLUTSequence": [lut(first, entries, depth, ModalityLUTType="US", **more)]}


def window(center: float, width: float) -> dict[str, Any]:
    return {"WindowCenter": center, "WindowWidth": width}


OUTPUT = "output = slope x value + intercept, before the VOI"
# A case is a few lines of a table, not one argument a line.
# fmt: off
RESCALED = [
    Case("hounsfield", "C.11.1.1.2", OUTPUT, "CT, intercept -1024, HU; window 40 / 400", VALUES,
         lambda v: linear(v - 1024, 40, 400), 1000,
         {**rescale("1", "-1024", RescaleType="HU", Modality="CT"), **window(40, 400)}),
    Case("no_voi", "C.11.1", OUTPUT, "slope 2, intercept -1000, no VOI", VALUES, lambda v: part(2 * v - 1000, -1000, 7190),
         4095, rescale("2", "-1000"), voi="full", differs={"DCMTK": spread(8191, lambda v: 2 * v)}),
    Case("slope_2", "C.11.1", OUTPUT, "slope 2, intercept -1000; window 500 / 3000", VALUES,
         lambda v: linear(2 * v - 1000, 500, 3000), 1000, {**rescale("2", "-1000"), **window(500, 3000)},
         differs={"highdicom": through_stored_values(500, 3000, 2, -1000)}),
    Case("slope_10", "C.11.1", OUTPUT, "slope 10; window 100 / 21", (5, 8, 9, 10, 11, 12, 20),
         lambda v: linear(10 * v, 100, 21), 10, {**rescale("10", "0"), **window(100, 21)},
         differs={"highdicom": through_stored_values(100, 21, 10, 0)}),
    Case("slope_fraction", "C.11.1", OUTPUT, "slope 0.1, intercept 0.5; window 50 / 41", (0, 400, 444, 499, 555, 700),
         lambda v: linear(0.1 * v + 0.5, 50, 41), 499, {**rescale("0.1", "0.5"), **window(50, 41)},
         differs={"highdicom": through_stored_values(50, 41, 0.1, 0.5),
             "DCMTK": Differs("whole", lambda v: linear(int(0.1 * v + 0.5), 50, 41))}),
    Case("slope_small", "C.11.1", OUTPUT, "slope 0.001; window 2 / 4: the outputs are 0 to 4", VALUES,
         lambda v: linear(0.001 * v, 2, 4), 1040, {**rescale("0.001", "0"), **window(2, 4)},
         differs={"highdicom": through_stored_values(2, 4, 0.001, 0),
             "DCMTK": Differs("whole", lambda v: linear(int(0.001 * v), 2, 4))}),
    Case("slope_negative", "C.11.1", OUTPUT, "slope -1, intercept 4095; window 2048 / 2000", (*VALUES, 1500),
         lambda v: linear(4095 - v, 2048, 2000), 1500, {**rescale("-1", "4095"), **window(2048, 2000)},
         differs={"pydicom": Differs("negative", lambda v: 1 - linear(4095 - v, 2048, 2000)),
             "highdicom": through_stored_values(2048, 2000, -1, 4095)}),
    Case("slope_negative_no_voi", "C.11.1", OUTPUT, "slope -1, no VOI", VALUES, lambda v: part(-v, -4095, 0), 0,
         rescale("-1", "0"), voi="full", differs={"DCMTK": spread(4096, lambda v: 4095 - v)}),
    Case("slope_0", "C.11.1", OUTPUT, "slope 0; window", VALUES, None, 1000, {**rescale("0", "0"), **window(500, 1000)},
         verdict="every value would have one output: the header is wrong"),
    Case("intercept_alone", "C.11.1", "both or neither", "intercept -1000, no slope; window 0 / 3000", VALUES,
         lambda v: linear(v - 1000, 0, 3000), 1000, {"RescaleIntercept": "-1000", **window(0, 3000)}, is_open=True,
         differs={
             "pydicom": Differs("pair", lambda v: linear(v, 0, 3000)), "DCMTK": Differs("pair", lambda v: linear(v, 0, 3000))}),
    Case("slope_alone", "C.11.1", "both or neither", "slope 2, no intercept; window 2000 / 3000", VALUES,
         lambda v: linear(2 * v, 2000, 3000), 1040, {"RescaleSlope": "2", **window(2000, 3000)}, is_open=True,
         differs={"pydicom": Differs("pair", lambda v: linear(v, 2000, 3000)),
             "DCMTK": Differs("pair", lambda v: linear(v, 2000, 3000)), "highdicom": through_stored_values(2000, 3000, 2, 0)}),
    Case("type_ignored", "C.11.1.1.2", "Rescale Type is a unit and transforms nothing",
         "MR, Rescale Type `OD`, 1 and 0; window", VALUES, lambda v: linear(v, 1000, 2000), 500,
         {**rescale("1", "0", RescaleType="OD", Modality="MR"), **window(1000, 2000)}),
    Case("exponent", "PS3.5 6.2", "a Decimal String may have an exponent and spaces", "slope `1E0`, intercept ` -1e3`; window",
         VALUES, lambda v: linear(v - 1000, 0, 3000), 1000, {**rescale("1E0", " -1e3"), **window(0, 3000)}),
    Case("signed_rescale", "C.11.1", OUTPUT, "signed, slope 3, intercept 7; window 7 / 61", SIGNED,
         lambda v: linear(3 * v + 7, 7, 61), 1, {"PixelRepresentation": 1, **rescale("3", "7"), **window(7, 61)},
         differs={"highdicom": through_stored_values(7, 61, 3, 7)}),
]
# fmt: on

DESCRIPTOR = "LUT Descriptor: number of entries, first value mapped, bits"
RANGE = "the output range is that of the bits of an entry"
CLAMPED = "the first entry holds below, the last above"
SIGN = "the first value mapped has the sign of the pixels"
SIGNED_PIXELS = {"PixelRepresentation": 1}
# fmt: off
UNPACKED = [
    Case("table_16", "C.11.1.1.1", RANGE, "100 entries of 16 bits from 950, no VOI", VALUES,
         lambda v: bits(entry(v, 950, HUNDRED), 16), 1000, table(950, HUNDRED, 16), voi="full"),
    Case("table_12", "C.11.1.1.1", "entries have 8 or 16 bits", "100 entries of 12 bits from 950, no VOI", VALUES,
         lambda v: bits(entry(v, 950, TWELVE), 12), 1000, table(950, TWELVE, 12), voi="full", is_open=True,
         differs={"pydicom": Differs("lut_depth", "TypeError"), "highdicom": Differs("lut_bits", "RuntimeError"),
             "DCMTK": spread(4096, lambda v: entry(v, 950, TWELVE))}),
    Case("table_clamps", "C.11.1.1.1", CLAMPED, "3 entries from 1000, no VOI", (0, 999, 1000, 1001, 1002, 1003, 4095),
         lambda v: bits(entry(v, 1000, THREE), 16), 999, table(1000, THREE, 16), voi="full"),
    Case("table_8_in_words", "C.11.1.1.1", DESCRIPTOR, "6 entries of 8 bits, one to a word, no VOI", FEW,
         lambda v: bits(EIGHT[v], 8), 4, table(0, EIGHT, 8), voi="full", is_open=True,
         differs={"highdicom": Differs("lut_words", "RuntimeError"), "DCMTK": spread(256, lambda v: EIGHT[v])}),
    Case("table_8_packed", "C.11.1.1.1", DESCRIPTOR, "6 entries of 8 bits, two to a word, no VOI", FEW,
         lambda v: bits(EIGHT[v], 8), 4, table(0, EIGHT, 8, LUTData=("OW", bytes(EIGHT))), voi="full",
         differs={"pydicom": Differs("lut_words", "struct.error"), "DCMTK": spread(256, lambda v: EIGHT[v])}),
    Case("table_65536", "C.11.1.1.1", "0 entries are 65536", "65536 entries, reversed, no VOI", (0, 1, 1000, 40000, 65535),
         lambda v: bits(65535 - v, 16), 1000, {**table(0, range(65535, -1, -1), 16), "BitsStored": 16}, voi="full",
         differs={"highdicom": Differs("lut_count", "RuntimeError")}),
    Case("table_signed", "C.11.1.1.1", SIGN, "signed, 3 entries from -1 (SS), no VOI", SIGNED,
         lambda v: bits(entry(v, -1, THREE), 16), 0, {**table(-1, THREE, 16), **SIGNED_PIXELS}, voi="full"),
    Case("table_signed_as_us", "C.11.1.1.1", SIGN, "signed, first value written US 65535 (-1), no VOI", SIGNED,
         lambda v: bits(entry(v, -1, THREE), 16), 0,
         {**table(0, THREE, 16, LUTDescriptor=("US", [3, 65535, 16])), **SIGNED_PIXELS}, voi="full", is_open=True,
         differs={"pydicom": Differs("lut_sign", "OverflowError"), "highdicom": Differs("lut_sign", "OverflowError")}),
    Case("table_long_as_ss", "C.11.1.1.1", "the number of entries has no sign",
         "signed, 40000 entries from -20000, all SS, no VOI", WIDE_SIGNED, lambda v: bits(entry(v, -20000, range(40000)), 16),
         13000, {**table(0, range(40000), 16, LUTDescriptor=("SS", [40000, -20000, 16])), **SIGNED_PIXELS, "BitsStored": 16},
         voi="full", differs={"pydicom": Differs("lut_index", lambda v: bits(LONG[v] if LONG[v] < 32768 else 0, 16)),
             "highdicom": Differs("lut_index", lambda v: bits(LONG[v] if LONG[v] < 32768 else LONG[v] - 25536, 16))}),
    Case("table_us_data", "C.11.1.1.1", "LUT Data is US or OW", "LUT Data US, no VOI", VALUES,
         lambda v: bits(entry(v, 999, THREE), 16), 1000, table(999, THREE, 16, LUTData=("US", list(THREE))), voi="full"),
]
CHAINED = [
    Case("table_window", "C.11.2.1.2", "a window is in output units", "table of 16 bits from 950; window 32000 / 20000", VALUES,
         lambda v: linear(entry(v, 950, HUNDRED), 32000, 20000), 1000, {**table(950, HUNDRED, 16), **window(32000, 20000)}),
    Case("table_voi_table", "C.11.2.1.1", "a VOI LUT takes outputs",
         "table of 16 bits from 950; VOI LUT of 200 entries from 31900", VALUES,
         lambda v: bits(entry(entry(v, 950, HUNDRED), 31900, VOI), 16), 1000,
         {**table(950, HUNDRED, 16), "VOILUTSequence": [lut(31900, VOI, 16)]},
         differs={"highdicom": Differs("lut_unscaled", lambda v: entry(entry(v, 950, HUNDRED), 31900, VOI))}),
    Case("table_monochrome1", "C.7.6.3.1.2", "MONOCHROME1: the least value is white, after the VOI", "the same, MONOCHROME1",
         VALUES, lambda v: 1 - bits(entry(entry(v, 950, HUNDRED), 31900, VOI), 16), 1000,
         {**table(950, HUNDRED, 16), "VOILUTSequence": [lut(31900, VOI, 16)], "PhotometricInterpretation": "MONOCHROME1"},
         differs={"highdicom": Differs("lut_unscaled", lambda v: entry(entry(v, 950, HUNDRED), 31900, VOI)),
             "pydicom": Differs("polarity", lambda v: bits(entry(entry(v, 950, HUNDRED), 31900, VOI), 16))}),
    Case("table_and_identity", "C.11.1", "a table or a rescale, not both", "table beside slope 1, intercept 0; window", VALUES,
         lambda v: linear(entry(v, 950, HUNDRED), 32000, 20000), 1000,
         {**table(950, HUNDRED, 16), **rescale("1", "0"), **window(32000, 20000)}, is_open=True),
    Case("table_and_rescale", "C.11.1", "a table or a rescale, not both", "table beside slope 2, intercept -1000; window",
         VALUES, None, 1000, {**table(950, HUNDRED, 16), **rescale("2", "-1000"), **window(32000, 20000)},
         verdict="they contradict each other: the header is wrong"),
    Case("table_empty", "C.11.1.1.1", "an item has a descriptor and data", "an item without either; window", VALUES,
         lambda v: linear(v, 1000, 2000), 500, {"ModalityLUTSequence": [{"ModalityLUTType": "US"}], **window(1000, 2000)},
         is_open=True,
         differs={"pydicom": Differs("lut_item", "AttributeError"), "highdicom": Differs("lut_item", "AttributeError")}),
    Case("table_bits_wrong", "C.11.1.1.1", DESCRIPTOR, "8 bits declared, entries up to 3960; window 2000 / 4000", VALUES,
         lambda v: linear(entry(v, 950, TWELVE), 2000, 4000), 1000, {**table(950, TWELVE, 8), **window(2000, 4000)},
         is_open=True,
         differs={"pydicom": Differs("lut_mask", "OverflowError"), "highdicom": Differs("lut_words", "RuntimeError"),
             "DCMTK": Differs("lut_mask", lambda v: linear(entry(v, 950, TWELVE) & 0xFF, 2000, 4000))}),
]
# fmt: on

CASES = [*RESCALED, *UNPACKED, *CHAINED]
