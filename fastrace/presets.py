"""What the study used for each modality: one frozen dataclass per preset, nothing computed here.

Sources: backbones, sizes and views from the study's text and released code (arXiv:2107.10356). The network sizes are the
study's; ``any`` keeps every image and makes no assumption.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fastrace.errors import UsageError


@dataclass(frozen=True)
class Preset:
    """How one modality is selected, displayed, cropped and classified.

    Attributes
    ----------
    modality : tuple of str
        DICOM Modality (0008,0060) values that belong to it; empty: all. Images without the attribute are kept.
    views : tuple of str
        View Position values kept; empty: all. Images without the attribute are kept.
    size : (int, int)
        Rows and columns of the network input.
    window : (float, float) or None
        Window Center and Window Width in modality units (CT: Hounsfield units).
    crop : "none" | "breast"
        ``breast`` cuts to the bounding box of the breast and turns the chest wall to the left.
    backbone : str
        timm model name.
    fit : "pad" | "crop"
        Aspect is kept; the rest is padded with background, or the overhang is cropped.
    exclude_image_types : tuple of str
        Values of Image Type (0008,0008) that are left out (localisers, for example).
    aggregate : tuple of str
        Levels at which image scores are averaged, in this order.
    """

    name: str
    modality: tuple[str, ...]
    views: tuple[str, ...]
    size: tuple[int, int]
    backbone: str
    window: tuple[float, float] | None = None
    crop: Literal["none", "breast"] = "none"
    fit: Literal["pad", "crop"] = "pad"
    exclude_image_types: tuple[str, ...] = ()
    aggregate: tuple[str, ...] = ("image", "study", "patient")


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset("mammo", ("MG",), ("CC", "MLO"), (256, 256), "tf_efficientnet_b2", crop="breast"),
        Preset("cxr", ("CR", "DX", "RG"), ("AP", "PA"), (320, 320), "resnet34"),
        # Lung window of the chest CT rows: centre -600 HU, width 1500 HU.
        Preset(
            "ct",
            ("CT",),
            (),
            (224, 224),
            "resnet34",
            window=(-600.0, 1500.0),
            exclude_image_types=("LOCALIZER",),
        ),
        Preset("hand", ("CR", "DX", "RG"), (), (320, 320), "resnet50"),
        Preset("cspine", ("CR", "DX", "RG"), (), (320, 320), "resnet34"),
        Preset("any", (), (), (224, 224), "resnet34"),
    )
}


def get_preset(name: str) -> Preset:
    """Look a preset up by its name."""
    try:
        return PRESETS[name]
    except KeyError:
        raise UsageError(f"--modality {name}: unknown; choose one of {', '.join(PRESETS)}") from None
