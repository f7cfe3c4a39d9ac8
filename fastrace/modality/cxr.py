"""Chest radiographs, frontal views; the study's main experiments, most of them on MIMIC-CXR."""

from fastrace.modality import Modality, Published

_READ_OFF = "released code, 5 classes, read off a figure"
_CODE_5 = "released code, 5 classes, MIMIC-CXR"

# Image-level one-vs-rest AUCs: A Asian, B Black, W White.
_LOW_PASS = {
    1: "about .54",
    5: "W .73, B .75, A .78",
    10: "W .82, B .865, A .85",
    25: "W .89, B .937, A .93",
    50: "W .908, B .953, A .951",
}
_HIGH_PASS = {
    10: "W .91, B .966, A .96",
    50: "W .888, B .944, A .932",
    100: "W .853, B .90, A .893",
    125: "W .74, B .765, A .76",
    150: "W .58, B .595, A .593",
    200: ".50 (nothing is left)",
}
_NOTCH = {
    (10, 25): ".901",
    (10, 50): ".889",
    (10, 75): ".872",
    (10, 100): ".855",
    (10, 125): ".824",
    (10, 150): ".817",
    (25, 150): ".891",
    (50, 150): ".905",
    (75, 150): ".909",
    (100, 150): ".912",
    (125, 150): ".915",
}

MODALITY = Modality(
    name="cxr",
    modalities=("CR", "DX", "RG"),
    body_parts=("*CHEST", "*THORAX", "*TORAX", "LUNG"),
    views=("AP", "PA", "FRONTAL"),
    intents=("FOR PRESENTATION",),
    size=(320, 320),
    backbone="resnet34",
    # Not mirrored: the heart is left, and side markers are letters.
    shift=True,
    paper={
        "A1/none": Published("MIMIC-CXR: A .986 (.984-.988), B .982 (.981-.983), W .981 (.979-.982)", "Table 3", 0.983),
        "C2a/resolution:4": Published("above chance", "text"),
        "C2a/resolution:160": Published("above .95", "text", 0.95),
        "C2a/resolution:320": Published("above .95", "text", 0.95),
    },
    released_code={
        "A1/none": Published("MIMIC-CXR: A .972, B .982, W .977", "released notebook", 0.977),
        **{f"C1a/lowpass:{edge}": Published(text, _READ_OFF) for edge, text in _LOW_PASS.items()},
        **{f"C1b/highpass:{edge}": Published(text, _READ_OFF) for edge, text in _HIGH_PASS.items()},
        **{f"C1d/notch:{low}:{high}": Published(f"White {text}", _CODE_5) for (low, high), text in _NOTCH.items()},
        "C2b/noise:gaussian:0.1 (test only)": Published("macro .69 (.68-.69)", "released notebook, image level", 0.69),
    },
)
