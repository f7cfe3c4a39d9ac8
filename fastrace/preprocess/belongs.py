"""What belongs to the preset: checked with the header before pixels are read, and again with the row of the label table.

By the header, in this order: Modality, body part, kind of image, presentation intent, view. An image that states nothing
about one of them is kept. What is no image of a patient at all never comes here (`fastrace.dicom.sop_class`).

Decided for screening mammography: full-field CC and MLO. Breasts with implants are left out, displaced or not: both sets of
views are taken in one visit (Eklund's manoeuvre), one shows the implant and the other a part of the breast, and who has
implants is not independent of group. Further modifiers (rolled, cleavage, tangential, ...) make another view of CC or MLO;
a nipple in profile does not. A Secondary Capture is kept, since digitised film is one, unless its pixels hold text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastrace.dicom import Header, sop_class
from fastrace.dicom.image_kind import OF_MODIFIER
from fastrace.dicom.values import attribute
from fastrace.dicom.views import BREAST, OTHER, View, read_words
from fastrace.dicom.vocabulary import QUOTE, shown
from fastrace.errors import RejectedInput
from fastrace.modality import Modality
from fastrace.preprocess.body_part import check
from fastrace.preprocess.recipe import Recipe
from fastrace.preprocess.selection import INTENTS

_SAME_VIEW = frozenset({"nipple_in_profile"})


def check_header(preset: Modality, recipe: Recipe, header: Header) -> None:
    """Keep what belongs to the preset.

    Raises
    ------
    RejectedInput
        ``other_modality``, ``other_body_part``, ``other_intent``, ``other_view``, or one of
        `fastrace.dicom.image_kind.IMAGE_KINDS`.
    """
    if preset.modalities and header.modality and header.modality not in preset.modalities:
        raise RejectedInput(
            "other_modality",
            f"Modality (0008,0060) is {shown('Modality', header.modality, QUOTE)}; --modality {preset.name} keeps "
            f"{', '.join(preset.modalities)}",
        )
    family = sop_class.kind_of(header.sop_class)
    possible = sop_class.MODALITIES.get(family or "")
    if preset.modalities and possible and not set(possible) & set(preset.modalities):
        raise RejectedInput(
            "other_modality",
            f"{attribute('SOPClassUID')} is {header.sop_class}, whatever Modality (0008,0060) says; --modality {preset.name} "
            f"keeps {', '.join(preset.modalities)}",
        )
    check(header.body_part, attribute(header.body_part_source), preset.name, recipe.body_parts)
    for kind in header.kinds:
        if kind.name not in recipe.image_kinds:
            raise RejectedInput(kind.name, f"{kind.why}; to keep such images too: --image-type {kind.name}")
    if recipe.intents and header.presentation_intent and header.presentation_intent not in recipe.intents:
        names = [name for name, intent in INTENTS.items() if intent in (*recipe.intents, header.presentation_intent)]
        raise RejectedInput(
            "other_intent",
            f"{attribute('PresentationIntentType')} is {header.presentation_intent}, kept are {', '.join(recipe.intents)}; to "
            f"keep it too: {_options('--intent', names)}",
        )
    _check_view(recipe, View(header.view, modifiers=header.view_modifiers), _view_source(header))


def check_facts(preset: Modality, recipe: Recipe, facts: Mapping[str, Any]) -> None:
    """The same for what the label table added to an image whose header was silent.

    Raises
    ------
    RejectedInput
        ``other_modality``, ``other_body_part``, ``other_view``, or a kind of `OF_MODIFIER`.
    """
    value = facts.get("modality")
    if preset.modalities and value and value not in preset.modalities:
        raise RejectedInput(
            "other_modality",
            f"modality is {shown('Modality', value, QUOTE)} in the label table; --modality {preset.name} keeps "
            f"{', '.join(preset.modalities)}",
        )
    words, source = read_words(facts.get("view")), "the view in the label table"
    for modifier in words.modifiers if words.view in BREAST else ():
        kind = OF_MODIFIER.get(modifier)
        if kind is not None and kind not in recipe.image_kinds:
            raise RejectedInput(
                kind, f"{source} says {modifier.replace('_', ' ')}; to keep such images too: --image-type {kind}"
            )
    _check_view(recipe, words, source)
    check(facts.get("body_part"), "Body part in the label table", preset.name, recipe.body_parts)


def _view_source(header: Header) -> str:
    if header.view_source == "SeriesDescription":
        return f"{attribute('SeriesDescription')} or {attribute('ProtocolName')}"
    return (
        attribute(header.view_source)
        if header.view_source
        else f"{attribute('ViewPosition')} or {attribute('ViewCodeSequence')}"
    )


def _check_view(recipe: Recipe, words: View, source: str) -> None:
    view = words.view
    if not recipe.views or view is None:
        return
    modified = sorted(set(words.modifiers) - _SAME_VIEW - OF_MODIFIER.keys())
    if view in recipe.views and modified and view in BREAST:
        raise RejectedInput(
            "other_view",
            f"the view is {view} with modifier {modified[0]}, kept are plain {', '.join(recipe.views)}; to keep every "
            "view: --view any",
        )
    if view in recipe.views:
        return
    if view == OTHER:
        raise RejectedInput(
            "other_view",
            f"{source} names no view that is known, kept are {', '.join(recipe.views)}; to keep all: --view any",
        )
    raise RejectedInput(
        "other_view",
        f"{source} says {view}, kept are {', '.join(recipe.views)}; to keep it too: "
        f"{_options('--view', [*recipe.views, view])}",
    )


def _options(option: str, values: Sequence[str]) -> str:
    return " ".join(f"{option} {value}" for value in values)
