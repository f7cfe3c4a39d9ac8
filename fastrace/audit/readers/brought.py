"""Readers that the user brought: functions and embeddings, opened and tried before a folder is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fastrace.audit.model.function import Function, is_function, load
from fastrace.audit.partition import Partition
from fastrace.audit.readers.backbone import check_backbone
from fastrace.audit.readers.embeddings import Embedding
from fastrace.audit.readers.function import FunctionReader
from fastrace.audit.readers.joining import join
from fastrace.audit.readers.owners import Archive
from fastrace.audit.readers.vector_files import open_vectors
from fastrace.audit.request import AuditRequest
from fastrace.audit.subjects import Subjects
from fastrace.console.progress import Progress
from fastrace.dataset import Dataset
from fastrace.errors import UsageError
from fastrace.models import SMALL


@dataclass(frozen=True)
class Brought:
    """Readers that the user brought, opened and tried before anything was computed; functions by name."""

    functions: Mapping[str, FunctionReader]
    embeddings: Sequence[Embedding]


def check_readers(request: AuditRequest) -> list[Function]:
    """Before a folder is made: a typo must not leave one that no other command accepts.

    Raises
    ------
    UsageError
        A module, function, model or file that is not there; two of one name.
    """
    functions = [load(text) for text in dict.fromkeys(request.readers) if is_function(text)]
    backbones = [text for text in request.readers if text != SMALL and not is_function(text)]
    named = [f"{text.partition('=')[0]} {check_backbone(text).sentence}" for text in backbones]
    if len(set(named)) < len(named):
        raise UsageError(f"--readers {' '.join(backbones)}: two of one name; give their files different names")
    return functions


def joined(
    request: AuditRequest, inputs: Mapping[str, str], dataset: Dataset, subjects: Subjects, progress: Progress
) -> list[Embedding]:
    """Files of embeddings, joined to the patients.

    Parameters
    ----------
    inputs : mapping
        Name of a reader -> digest of its files.

    Raises
    ------
    UsageError
        A file that cannot be read or joined, a key of none of them.
    """
    folder = request.out / "work" / "embeddings"
    found = [
        join(open_vectors(text, request.key), inputs, Archive(dataset, subjects, request.salt), folder, progress)
        for text in request.embeddings
    ]
    for text in request.key:
        if not any(one.vectors.column in (text, text.partition("=")[2]) for one in found):
            raise UsageError(f"--key {text}: none of the files of --embeddings has that column")
    return found


def tried(
    functions: Sequence[Function], dataset: Dataset, subjects: Subjects, partition: Partition
) -> dict[str, FunctionReader]:
    """Functions, after each was given two images."""
    if not functions:
        return {}
    stored = dataset.images(subjects.cohort.rows[:2])
    images = torch.from_numpy(stored.astype(np.float32) / np.float32(dataset.scale))
    return {function.name: FunctionReader.tried(function, partition, images) for function in functions}
