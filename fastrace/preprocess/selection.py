"""``--view``, ``--intent`` and ``--image-type`` -> what is kept, in the terms of the headers.

Views and intents are closed lists, so the option names all that are kept, in place of the modality's. Kinds of image are
exceptions (spot views, tomosynthesis, ...), so the option adds to what is kept, as ``--body-part`` does.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastrace.dicom.image_kind import IMAGE_KINDS
from fastrace.dicom.views import OTHER, VIEWS, read_words
from fastrace.errors import UsageError
from fastrace.modality import Modality

INTENTS = {"presentation": "FOR PRESENTATION", "processing": "FOR PROCESSING"}


def views(preset: Modality, given: Sequence[str]) -> tuple[str, ...]:
    """The views to keep; empty: every view.

    Raises
    ------
    UsageError
        A word that is no view.
    """
    if not given or _any("--view", given):
        return () if given else preset.views
    found = []
    for word in given:
        view = read_words(word).view
        if view in (None, OTHER):
            raise UsageError(
                f"--view {word}: no view; choose of {', '.join(VIEWS)}, or any; for several, repeat the option"
            )
        found.append(view)
    return tuple(sorted({*filter(None, found)}, key=VIEWS.index))


def intents(preset: Modality, given: Sequence[str]) -> tuple[str, ...]:
    """The presentation intents to keep; empty: every intent.

    Raises
    ------
    UsageError
        A word that is no intent.
    """
    if not given or _any("--intent", given):
        return () if given else preset.intents
    found = set()
    for word in given:
        name = word.strip().lower().replace("_", " ").replace("-", " ").removeprefix("for ").strip()
        if name not in INTENTS:
            raise UsageError(f"--intent {word}: choose of {', '.join(INTENTS)}, or any")
        found.add(INTENTS[name])
    return tuple(sorted(found))


def image_kinds(preset: Modality, given: Sequence[str]) -> tuple[str, ...]:
    """The kinds of image to keep beside the usual one of the modality.

    Raises
    ------
    UsageError
        A word that is no kind.
    """
    if given and _any("--image-type", given):
        return IMAGE_KINDS
    found = set(preset.image_kinds)
    for word in given:
        name = word.strip().lower().replace("-", "_").replace(" ", "_")
        if name not in IMAGE_KINDS:
            raise UsageError(f"--image-type {word}: choose of {', '.join(IMAGE_KINDS)}, or any")
        found.add(name)
    return tuple(kind for kind in IMAGE_KINDS if kind in found)


def _any(option: str, given: Sequence[str]) -> bool:
    every = [word for word in given if word.strip().lower() == "any"]
    if every and len(every) < len(given):
        raise UsageError(f"{option} any: keeps all; leave the other values out")
    return bool(every)
