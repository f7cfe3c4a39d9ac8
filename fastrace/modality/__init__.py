"""What the study used for each modality: one file per modality, each holding one frozen value ``MODALITY``; nothing is computed.

A file added here is a modality added: `MODALITIES` lists the files of this folder without importing them, and every option,
the selection of files, the recipes and the protocol take what they need from the value. Files whose names begin with an
underscore are no modalities.

Sources: backbones, sizes, views and numbers from the study's text and released code (arXiv:2107.10356).
"""

from __future__ import annotations

import importlib
import pkgutil

from fastrace.errors import UsageError
from fastrace.modality._value import Modality, Published

MODALITIES = tuple(sorted(found.name for found in pkgutil.iter_modules(__path__) if not found.name.startswith("_")))
"""The names, in alphabetical order."""


def get_modality(name: str) -> Modality:
    """Look a modality up by its name.

    Raises
    ------
    UsageError
        No file of this name.
    """
    if name not in MODALITIES:
        raise UsageError(f"--modality {name}: unknown; choose one of {', '.join(MODALITIES)}")
    value = importlib.import_module(f"{__name__}.{name}").MODALITY
    assert isinstance(value, Modality)
    return value


__all__ = ["MODALITIES", "Modality", "Published", "get_modality"]
