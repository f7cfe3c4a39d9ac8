"""What controls read: the feature tables of an audit and its options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fastrace.audit.covariates.sets import Role
from fastrace.audit.partition import Partition
from fastrace.audit.readers.beside import Beside
from fastrace.audit.readers.built_in import BUILT_IN
from fastrace.audit.readers.embeddings import Embedding
from fastrace.audit.readers.tables import Tables
from fastrace.audit.subjects import Subjects
from fastrace.console.progress import Progress
from fastrace.degrade.grammar import CLEAN


@dataclass(frozen=True)
class Material:
    """The feature tables of an audit and its options.

    Attributes
    ----------
    tables : Tables
    seed, permutations : int
    progress : Progress
    roles : sequence of Role
        The covariates.
    embeddings : sequence of Embedding
    """

    tables: Tables
    seed: int
    permutations: int
    progress: Progress
    roles: Sequence[Role] = ()
    embeddings: Sequence[Embedding] = ()

    @property
    def subjects(self) -> Subjects:
        """The patients."""
        return self.tables.subjects

    @cached_property
    def partition(self) -> Partition:
        """The folds of the audit."""
        return self.subjects.partition(self.seed)

    @cached_property
    def clean(self) -> tuple[Beside, NDArray[np.str_]]:
        """The built-in features of unchanged images, [P, D], and the family of every column."""
        return self.tables.table(BUILT_IN, CLEAN)

    @cached_property
    def reduced(self) -> tuple[Beside, NDArray[np.str_]]:
        """The same with as few patches as degraded images have: for what needs many probes, or shows that a procedure holds."""
        return self.tables.table(BUILT_IN, CLEAN, unlike=True)
