"""Cases of C.7.6.3, Image Pixel: bits, sign, polarity, what transforms nothing, and how pixels are encoded."""

from __future__ import annotations

from pydicom import uid

from .case import Case, Differs
from .conventions import spread
from .standard import bits, linear, part

TWELVE = (0, 1, 700, 2048, 3000, 4094, 4095)
SIXTEEN = (0, 1, 300, 32768, 50000, 65534, 65535)
SIGNED12 = (-2048, -1000, -1, 0, 1, 1500, 2047)
SIGNED16 = (-32768, -1000, -1, 0, 1, 20000, 32767)
GREY = (0, 77, 128, 255)
WINDOW = {"WindowCenter": 2048, "WindowWidth": 2000}
MONOCHROME1 = {"PhotometricInterpretation": "MONOCHROME1"}
RGB = {"BitsAllocated": 8, "PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "PlanarConfiguration": 0}
OVERLAY = {
    0x60000010: 1,
    0x60000011: 7,
    0x60000040: "G",
    0x60000050: [1, 1],
    0x60000100: 16,
    0x60000102: 12,
}
UPPER = dict(zip(TWELVE, (v << 4 for v in TWELVE), strict=True))
CLEARED = {v: v & 0xFFF for v in SIGNED12}
ODD = {v: v | (i % 2) << 12 for i, v in enumerate(TWELVE)}
STRAY = {v: v | (i % 2) << 12 | (i % 3 == 0) << 14 for i, v in enumerate(TWELVE)}


def windowed(v: int) -> float:
    return linear(v, 2048, 2000)


WHITE = "the least value is black, the largest that Bits Stored can express white"
SIGN = "Pixel Representation 1: two's complement"
ABOVE = "bits above High Bit are not part of the value"
FIRST_WHITE = "MONOCHROME1: the least value is white, after the VOI"
DESCRIBES = "Smallest and Largest Image Pixel Value transform nothing"

# A case is a few lines of a table, not one argument a line.
# fmt: off
BITS = [
    Case("bits_8", "C.7.6.3.3", WHITE, "8 bits of 8, no VOI", (0, 1, 77, 254, 255), lambda v: bits(v, 8), 255,
         {"BitsAllocated": 8}, voi="full", differs={"DCMTK": spread(256)}),
    Case("bits_16", "C.7.6.3.3", WHITE, "16 of 16, no VOI", SIXTEEN, lambda v: bits(v, 16), 50000, {"BitsStored": 16},
         voi="full"),
    Case("bits_12", "C.7.6.3.3", WHITE, "12 of 16, no VOI", TWELVE, lambda v: bits(v, 12), 4095, voi="full",
         differs={"DCMTK": spread(4096)}),
    Case("bits_10", "C.7.6.3.3", WHITE, "10 of 16, no VOI", (0, 1, 300, 1023), lambda v: bits(v, 10), 1023, {"BitsStored": 10},
         voi="full", differs={"DCMTK": spread(1024)}),
    Case("bits_7_of_8", "C.7.6.3.3", WHITE, "7 of 8, no VOI", (0, 1, 50, 127), lambda v: bits(v, 7), 127,
         {"BitsAllocated": 8, "BitsStored": 7}, voi="full", differs={"DCMTK": spread(128)}),
    Case("signed_16", "C.7.6.3.3", SIGN, "16 of 16, signed, no VOI", SIGNED16, lambda v: part(v, -32768, 32767), -1000,
         {"BitsStored": 16, "PixelRepresentation": 1}, voi="full"),
    Case("signed_12_extended", "C.7.6.3.3", SIGN, "12 of 16, signed, the sign extended into the bits above", SIGNED12,
         lambda v: part(v, -2048, 2047), -1000, {"PixelRepresentation": 1}, voi="full",
         differs={"DCMTK": spread(4096, lambda v: v + 2048)}),
    Case("signed_12_cleared", "PS3.5 8.1.1", ABOVE, "12 of 16, signed, the bits above are 0", SIGNED12,
         lambda v: part(v, -2048, 2047), -1000, {"PixelRepresentation": 1}, words=tuple(CLEARED.values()), voi="full",
         differs={
             "DCMTK": spread(4096, lambda v: v + 2048), "highdicom": Differs("word", lambda v: part(CLEARED[v], -2048, 2047))}),
    Case("signed_8", "C.7.6.3.3", SIGN, "8 of 8, signed, no VOI", (-128, -50, -1, 0, 127), lambda v: part(v, -128, 127), -50,
         {"BitsAllocated": 8, "PixelRepresentation": 1}, voi="full", differs={"DCMTK": spread(256, lambda v: v + 128)}),
    Case("high_bit_15", "C.7.6.3.3", "High Bit is Bits Stored - 1; formerly elsewhere", "12 of 16, High Bit 15", TWELVE,
         lambda v: bits(v, 12), 700, {"HighBit": 15}, words=tuple(UPPER.values()), voi="full",
         differs={"DCMTK": spread(4096), "pydicom": Differs("high_bit", lambda v: bits(UPPER[v] & 0xFFF, 12)),
             "highdicom": Differs("word", lambda v: bits(UPPER[v], 12))}),
    Case("overlay_in_pixels", "PS3.5 8.1.1", f"{ABOVE}; overlays lay there formerly", "12 of 16, an overlay in bit 12", TWELVE,
         windowed, 2048, {**WINDOW, **OVERLAY}, words=tuple(ODD.values()),
         differs={"highdicom": Differs("word", lambda v: windowed(ODD[v]))}),
    Case("stray_bits", "PS3.5 8.1.1", ABOVE, "12 of 16, bits 12 and 14 set in places, no overlay", TWELVE, windowed, 2048,
         WINDOW, words=tuple(STRAY.values()), differs={"highdicom": Differs("word", lambda v: windowed(STRAY[v]))}),
    Case("bits_stored_above", "C.7.6.3.3", "Bits Stored is at most Bits Allocated", "Bits Stored 18 of 16", TWELVE, None, 2048,
         {**WINDOW, "BitsStored": 18}, verdict="the header contradicts its data: which bits are the value is not known"),
    Case("high_bit_missing", "C.7.6.3.3", "High Bit is required", "no High Bit; window", TWELVE, windowed, 2048,
         {**WINDOW, "HighBit": None}, is_open=True),
    Case("bits_1", "C.7.6.3.3", "Bits Allocated is 1 or a multiple of 8", "1 bit of 1, no VOI", (0, 1, 1, 0, 0, 1, 0, 1), float,
         1, {"BitsAllocated": 1, "BitsStored": 1}, voi="full",
         differs={"fastrace": Differs("limit", "unsupported_bits"), "DCMTK": spread(2)}),
    Case("bits_32", "C.7.6.3.3", "Bits Allocated is 1 or a multiple of 8", "32 bits of 32; window", (0, 1, 700, 2048, 70000),
         windowed, 2048, {**WINDOW, "BitsAllocated": 32, "BitsStored": 32},
         differs={"fastrace": Differs("limit", "unsupported_bits")}),
    Case("float_pixels", "C.7.6.24", "Float Pixel Data has neither bits nor sign", "Float Pixel Data", (0, 1, 700), None, 700,
         {**WINDOW, "BitsAllocated": 32, "BitsStored": None, "HighBit": None, "PixelRepresentation": None, "PixelData": None,
             "FloatPixelData": ("OF", b"\0\0\0\0\0\0\x80\x3f\0\0\x2f\x44")},
         verdict="parametric maps hold it, no radiograph, CT or MR image: refused by name"),
]
MEANING = [
    Case("monochrome1", "C.7.6.3.1.2", FIRST_WHITE, "MONOCHROME1, no VOI", TWELVE, lambda v: 1 - bits(v, 12), 700, MONOCHROME1,
         voi="full", differs={"pydicom": Differs("polarity", lambda v: bits(v, 12)), "DCMTK": spread(4096, inverted=True)}),
    Case("monochrome1_window", "C.7.6.3.1.2", FIRST_WHITE, "MONOCHROME1; window", TWELVE, lambda v: 1 - windowed(v), 3000,
         {**MONOCHROME1, **WINDOW}, differs={"pydicom": Differs("polarity", windowed)}),
    Case("monochrome1_signed", "C.7.6.3.1.2", FIRST_WHITE, "MONOCHROME1, signed; window 0 / 3000", SIGNED12,
         lambda v: 1 - linear(v, 0, 3000), -1000,
         {**MONOCHROME1, "PixelRepresentation": 1, "WindowCenter": 0, "WindowWidth": 3000},
         differs={"pydicom": Differs("polarity", lambda v: linear(v, 0, 3000))}),
    Case("photometric_lower_case", "C.7.6.3.1.2", "enumerated values are in upper case", "`monochrome1`; window", TWELVE,
         lambda v: 1 - windowed(v), 3000, {**WINDOW, "PhotometricInterpretation": "monochrome1"}, is_open=True,
         differs={"pydicom": Differs("upper", "ValueError"), "highdicom": Differs("upper", "ValueError")}),
    Case("smallest_and_largest", "C.7.6.3.3", DESCRIBES, "Smallest 1000, Largest 2000; window", TWELVE, windowed, 2048,
         {**WINDOW, "SmallestImagePixelValue": ("US", 1000), "LargestImagePixelValue": ("US", 2000)}),
    Case("smallest_and_largest_no_voi", "C.7.6.3.3", DESCRIBES, "Smallest 1000, Largest 2000, no VOI", TWELVE,
         lambda v: bits(v, 12), 2048, {"SmallestImagePixelValue": ("US", 1000), "LargestImagePixelValue": ("US", 2000)},
         voi="full", differs={"DCMTK": spread(4096)}),
    Case("planar_configuration", "C.7.6.3.1.3", "Planar Configuration is for several samples",
         "one sample, Planar Configuration 1; window", TWELVE, windowed, 2048, {**WINDOW, "PlanarConfiguration": 1}),
    Case("aspect_ratio", "C.7.6.3.1.7", "Pixel Aspect Ratio is geometry; values stay", "2\\1, shown at its stored size; window",
         TWELVE, windowed, 2048, {**WINDOW, "PixelAspectRatio": [2, 1]}),
    Case("rgb_colour", "C.7.6.3.1.2", "RGB: three samples", "RGB, the channels differ", GREY, None, 128, RGB,
         words=(0, 0, 9, 77, 77, 77, 128, 0, 0, 255, 255, 0), verdict="colour has no place in the grayscale pipeline"),
    Case("rgb_grey", "C.7.6.3.1.2", "RGB: three samples", "RGB, the channels are equal", GREY, lambda v: bits(v, 8), 128, RGB,
         words=tuple(v for v in GREY for _ in range(3)), voi="full"),
]
# fmt: on

STREAM = "order and encoding of the pixels"
# fmt: off
ENCODED = [
    Case("odd_bytes", "PS3.5 8.1.1", STREAM, "7 pixels of 8 bits, padded to an even length; window",
         (0, 9, 77, 128, 200, 254, 255), lambda v: linear(v, 128, 200), 200,
         {"BitsAllocated": 8, "WindowCenter": 128, "WindowWidth": 200}),
    Case("second_frame", "C.7.6.6", "frames follow each other", "frame 2 of 2; window", TWELVE, windowed, 2048,
         {**WINDOW, "NumberOfFrames": 2}, words=(5,) * 6 + (6,) + TWELVE, number=2),
    Case("implicit", "PS3.5 A.1", STREAM, "implicit VR; window", TWELVE, windowed, 2048,
         {**WINDOW, "TransferSyntaxUID": uid.ImplicitVRLittleEndian}),
    Case("big_endian", "PS3.5 A.3", STREAM, "explicit VR, big endian (retired); window", TWELVE, windowed, 2048,
         {**WINDOW, "TransferSyntaxUID": uid.ExplicitVRBigEndian}, differs={"highdicom": Differs("big_endian", "ValueError")}),
    Case("deflated", "PS3.5 A.5", STREAM, "deflated; window", TWELVE, windowed, 2048,
         {**WINDOW, "TransferSyntaxUID": uid.DeflatedExplicitVRLittleEndian}),
]
# fmt: on

CASES = [*BITS, *MEANING, *ENCODED]
