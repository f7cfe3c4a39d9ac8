"""Every image, with no assumption about it but that it shows a body."""

from fastrace.modality import Modality

MODALITY = Modality(
    name="any",
    modalities=(),
    body_parts=(),
    views=(),
    image_kinds=(
        "localizer", "screen_capture", "specimen", "biopsy", "tomosynthesis", "synthetic", "contrast", "derived",
        "spot_or_magnification", "partial_view", "implant",
    ),
    size=(224, 224),
    backbone="resnet34",
    shift=True,  # by 4 pixels: texture and shape stay, and a body is never placed more exactly
)  # fmt: skip
