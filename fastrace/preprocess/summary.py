"""What a run of `preprocess` ends with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Summary:
    """What `preprocess` did; every input file or frame is in exactly one of the counts.

    ``of_patients`` says how many images a patient has, and how many patients an id of the label table;
    ``warnings`` is what an audit of the dataset would stumble over.
    """

    data: Path
    private: Path
    files: int
    indexed: int
    rejected: dict[str, int]
    patients: int
    resumed_images: int
    rows_without_images: int
    examples: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    of_patients: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    withheld: dict[str, dict[str, int]] = field(default_factory=dict)  # column -> reason -> images, never a value
    ethnic_group: int = 0  # images whose header carries Ethnic Group (0010,2160) or its successors: not read

    @property
    def inputs(self) -> int:
        """Files and frames, indexed and rejected."""
        return self.indexed + sum(self.rejected.values())
