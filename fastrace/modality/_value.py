"""What a modality is made of: one frozen dataclass; the values lie beside it, one file each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Published:
    """What was printed elsewhere for the same experiment.

    Attributes
    ----------
    text : str
        The numbers, as printed.
    source : str
        Table, or how it was read.
    value : float or None
        One number for a figure, where there is one.
    """

    text: str
    source: str
    value: float | None = None


@dataclass(frozen=True)
class Modality:
    """What belongs to a modality, and what the study did with it.

    Attributes
    ----------
    name : str
        What ``--modality`` takes; the name of its file.
    modalities : tuple of str
        Values of Modality (0008,0060) that belong to it; empty: all. Images without the attribute are kept.
    body_parts : tuple of str
        Body parts that belong to it, as terms that a value of Body Part Examined (0018,0015) contains (see
        `fastrace.preprocess.body_part`); empty: all. Images without the attribute are kept.
    views : tuple of str
        Views that are kept, of `fastrace.dicom.views.VIEWS`; empty: all. Images that state none are kept.
    size : (int, int)
        Rows and columns of the network input.
    backbone : str
        timm model name.
    window : (float, float) or None
        Window Center and Window Width in modality units (CT: Hounsfield units).
    crop : "none" | "breast"
        ``breast`` cuts to the bounding box of the breast and turns the chest wall to the left.
    fit : "pad" | "crop"
        Aspect is kept; the rest is padded with background, or the overhang is cropped.
    intents : tuple of str
        Values of Presentation Intent Type (0008,0068) that are kept; empty: all. Images that state none are kept.
    image_kinds : tuple of str
        Of `fastrace.dicom.image_kind.IMAGE_KINDS`, those that are kept beside the usual image of the modality: full-field views,
        axial slices, radiographs.
    flip : bool
        Whether the current recipe may mirror left-right in training: only where a mirrored image is one that could have been
        taken, of the same kind. It blinds a network to everything that goes with a side.
    shift : bool
        Whether the current recipe may move images by a few pixels in training: only where the body lies as it was positioned,
        not where the preset places it.
    paper_learning_rate : float
        Of Adam, in the study's recipe.
    phantom : "mammo" | "cxr"
        The computed body that is shown instead of a patient's image.
    paper, released_code : mapping of str to Published
        Numbers of the study's text and of its released code, by the name of the experiment, such as ``C1a/lowpass:10``.
    """

    name: str
    modalities: tuple[str, ...]
    body_parts: tuple[str, ...]
    views: tuple[str, ...]
    size: tuple[int, int]
    backbone: str
    window: tuple[float, float] | None = None
    crop: Literal["none", "breast"] = "none"
    fit: Literal["pad", "crop"] = "pad"
    intents: tuple[str, ...] = ()
    image_kinds: tuple[str, ...] = ()
    flip: bool = False
    shift: bool = False
    paper_learning_rate: float = 1e-3
    phantom: Literal["mammo", "cxr"] = "cxr"
    paper: Mapping[str, Published] = field(default_factory=dict, hash=False)
    released_code: Mapping[str, Published] = field(default_factory=dict, hash=False)
