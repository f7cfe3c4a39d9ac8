"""What belongs to the preset: checked with the header before pixels are read, and again with the row of the label table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastrace.dicom import Header
from fastrace.dicom.values import attribute
from fastrace.dicom.vocabulary import QUOTE, shown
from fastrace.errors import RejectedInput
from fastrace.modality import Modality
from fastrace.preprocess.body_part import check
from fastrace.preprocess.recipe import Recipe


def check_header(preset: Modality, recipe: Recipe, header: Header) -> None:
    """Keep what belongs to the preset; an image without the attribute is kept.

    Raises
    ------
    RejectedInput
        ``other_modality``, ``other_body_part``, ``other_view``, ``excluded_by_preset``.
    """
    if preset.modalities and header.modality and header.modality not in preset.modalities:
        raise RejectedInput(
            "other_modality",
            f"Modality (0008,0060) is {shown('Modality', header.modality, QUOTE)}; --modality {preset.name} keeps "
            f"{', '.join(preset.modalities)}",
        )
    check(header.body_part, attribute("BodyPartExamined"), preset.name, recipe.body_parts)
    if preset.views and header.view and header.view not in preset.views:
        raise RejectedInput(
            "other_view",
            f"View Position (0018,5101) is {shown('ViewPosition', header.view, QUOTE)}; --modality {preset.name} keeps "
            f"{', '.join(preset.views)}",
        )
    left_out = sorted(set(header.image_type) & set(preset.exclude_image_types))
    if left_out:
        raise RejectedInput(
            "excluded_by_preset",
            f"Image Type (0008,0008) contains {shown('ImageType', left_out[0], QUOTE)}; --modality {preset.name} leaves it out",
        )


def check_facts(preset: Modality, recipe: Recipe, facts: Mapping[str, Any]) -> None:
    """The same for what the label table added to an image whose header was silent.

    Raises
    ------
    RejectedInput
        ``other_modality``, ``other_body_part``, ``other_view``.
    """
    for what, keyword, kept, reason in (
        ("modality", "Modality", preset.modalities, "other_modality"),
        ("view", "ViewPosition", preset.views, "other_view"),
    ):
        value = facts.get(what)
        if kept and value and value not in kept:
            raise RejectedInput(
                reason,
                f"{what} is {shown(keyword, value, QUOTE)} in the label table; --modality {preset.name} keeps {', '.join(kept)}",
            )
    check(facts.get("body_part"), "Body part in the label table", preset.name, recipe.body_parts)
