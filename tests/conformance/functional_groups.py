"""Cases of C.7.6.16, multi-frame functional groups: which transform holds for which frame."""

from __future__ import annotations

from typing import Any

from pydicom import uid

from .case import Case, Differs
from .conventions import through_stored_values
from .image import lut
from .standard import bits, entry, linear, part, sigmoid

VALUES = (0, 1, 500, 1000, 1500, 2500, 4095)
OTHER = (9, 8, 7, 6, 5, 4, 3)  # the frame that is not shown
HU = {"RescaleIntercept": "-1000", "RescaleSlope": "1", "RescaleType": "HU"}
RESCALE = {"PixelValueTransformationSequence": [HU]}
CURVE = (1000, 30000, 65535)
VOI = "Frame VOI LUT: a window for the frame"
REAL_WORLD = {
    "RealWorldValueMappingSequence": [
        {
            "RealWorldValueFirstValueMapped": ("US", 0),
            "RealWorldValueLastValueMapped": ("US", 4095),
            "RealWorldValueIntercept": 5.0,
            "RealWorldValueSlope": 10.0,
            "LUTLabel": "other",
            "LUTExplanation": "other",
        }
    ]
}
IDENTITY = {"PixelValueTransformationSequence": [{"RescaleIntercept": "0", "RescaleSlope": "1", "RescaleType": "US"}]}
UNREAD = {  # no window is found, and 12 bits are shown as they are
    "pydicom": Differs("groups", lambda v: bits(v, 12)),
    "DCMTK": Differs("groups", lambda v: v * 16 / 65535),
}


def window(center: object, width: object, **more: Any) -> dict[str, Any]:
    return {"FrameVOILUTSequence": [{"WindowCenter": center, "WindowWidth": width, **more}]}


def groups(
    shared: dict[str, Any], first: dict[str, Any] | None = None, second: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return both sequences of an enhanced CT of two frames."""
    return {
        "SOPClassUID": uid.EnhancedCTImageStorage,
        "Modality": "CT",
        "NumberOfFrames": 2,
        "SharedFunctionalGroupsSequence": [shared],
        "PerFrameFunctionalGroupsSequence": [first or {}, second or {}],
    }


def soft(v: int) -> float:
    return linear(v - 1000, 40, 400)


def wide(v: int) -> float:
    return linear(v - 1000, 500, 2000)


SHARED = {**RESCALE, **window(40, 400)}
FRAME_1: dict[str, Any] = {"words": VALUES + OTHER}
FRAME_2: dict[str, Any] = {"words": OTHER + VALUES, "number": 2}
# A case is a few lines of a table, not one argument a line.
# fmt: off
CASES = [
    Case("shared", "C.7.6.16.1", "a shared group holds for every frame", "rescale and window shared; frame 2", VALUES, soft,
         1000, groups(SHARED), **FRAME_2, differs=UNREAD),
    Case("per_frame", "C.7.6.16.2.10", VOI, "a window in each frame; frame 1", VALUES, soft, 1000,
         groups(RESCALE, window(40, 400), window(500, 2000)), **FRAME_1, differs=UNREAD),
    Case("per_frame_second", "C.7.6.16.2.10", VOI, "a window in each frame; frame 2", VALUES, wide, 1000,
         groups(RESCALE, window(40, 400), window(500, 2000)), **FRAME_2, differs=UNREAD),
    Case("rescale_per_frame", "C.7.6.16.2.9", "Pixel Value Transformation: a rescale for the frame",
         "slope 2 in frame 2, window shared", VALUES, lambda v: linear(2 * v - 1000, 40, 2000), 500,
         groups(window(40, 2000), RESCALE, {"PixelValueTransformationSequence": [{**HU, "RescaleSlope": "2"}]}), **FRAME_2,
         differs={**UNREAD, "highdicom": through_stored_values(40, 2000, 2, -1000)}),
    Case("identity_rescale", "C.7.6.16.2.9b", "Identity Pixel Value Transformation: 1 and 0", "identity and window shared",
         VALUES, lambda v: linear(v, 1000, 1500), 500, groups({**IDENTITY, **window(1000, 1500)}), **FRAME_1, differs=UNREAD),
    Case("both_groups", "C.7.6.16.1", "a macro is shared or per frame, not both",
         "window 40 / 400 shared, 500 / 2000 in frame 2", VALUES, wide, 1000, groups(SHARED, None, window(500, 2000)),
         **FRAME_2, is_open=True, differs={**UNREAD, "highdicom": Differs("order", soft)}),
    Case("top_level_too", "C.7.6.16.2.10", VOI, "window 40 / 400 shared, 1500 / 4000 at the top level", VALUES, soft, 1000,
         {**groups(SHARED), "WindowCenter": 1500, "WindowWidth": 4000}, **FRAME_1, is_open=True,
         differs={"pydicom": Differs("groups", lambda v: linear(v, 1500, 4000)),
             "DCMTK": Differs("groups", lambda v: linear(v - 1000, 1500, 4000)),
             "highdicom": Differs("order", lambda v: linear(v - 1000, 1500, 4000))}),
    Case("several_windows", "C.7.6.16.2.10", "several windows are alternatives", "two windows shared", VALUES, soft, 1000,
         groups({**RESCALE, **window([40, 500], [400, 2000])}), **FRAME_1, differs=UNREAD),
    Case("sigmoid_of_frame", "C.7.6.16.2.10", "VOI LUT Function belongs to the windows beside it", "SIGMOID shared", VALUES,
         lambda v: sigmoid(v - 1000, 40, 400), 1000, groups({**RESCALE, **window(40, 400, VOILUTFunction="SIGMOID")}),
         **FRAME_1, differs=UNREAD),
    Case("lut_of_frame", "C.7.6.16.2.10b", "Frame VOI LUT with LUT: a VOI LUT for the frame", "a VOI LUT of 3 entries shared",
         VALUES, lambda v: bits(entry(v - 1000, 0, CURVE), 16), 1500,
         groups({**RESCALE, "FrameVOILUTSequence": [{"VOILUTSequence": [lut(0, CURVE, 16)]}]}), **FRAME_1,
         differs={**UNREAD, "highdicom": Differs("groups", lambda v: part(v - 1000, -1000, 3095))}),
    Case("real_world_values", "C.7.6.16.2.11", "Real World Value Mapping is no step of the display",
         "slope 10 beside rescale and window", VALUES, soft, 1000, groups({**SHARED, **REAL_WORLD}), **FRAME_1, differs=UNREAD),
    Case("intensity_lut", "C.7.6.16.2.13", "Pixel Intensity Relationship LUT is no step of the display",
         "TO_LINEAR beside rescale and window", VALUES, soft, 1000,
         groups({**SHARED, "PixelIntensityRelationshipLUTSequence": [lut(0, (9, 5, 1), 16, LUTFunction="TO_LINEAR")]}),
         **FRAME_1, differs=UNREAD),
    Case("frame_anatomy", "C.7.6.16.2.8", "Frame Anatomy names what is shown", "laterality R in frame 2, window shared", VALUES,
         soft, 1000, groups(SHARED, None, {"FrameAnatomySequence": [{"FrameLaterality": "R"}]}), **FRAME_2, differs=UNREAD),
    Case("pixel_measures", "C.7.6.16.2.1", "Pixel Measures are geometry; values stay", "0.4\\0.2, shown at its stored size",
         VALUES, soft, 1000, groups({**SHARED, "PixelMeasuresSequence": [{"PixelSpacing": [0.4, 0.2], "SliceThickness": 1}]}),
         **FRAME_1, differs=UNREAD),
]
# fmt: on
