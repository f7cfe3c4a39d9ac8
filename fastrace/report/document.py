"""What an audit says, as frozen values that the rest of the report can trust; `fastrace.report.reading` makes them.

The fields are those of ``audit.json``. Text is clean, an undefined number is None, what is suppressed holds no number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Estimate:
    """A number with its interval and what stands behind it; see `fastrace.statistics.Estimate`."""

    value: float | None
    low: float | None
    high: float | None
    level: float
    n_patients: int | None
    n_positive: int | None
    n_images: int | None
    unit: str
    method: str
    status: str
    suppressed: bool

    @property
    def sure(self) -> bool:
        """Defined, and evidence; an approximate interval is still one."""
        return self.value is not None and self.status.startswith(("ok", "approximate")) and not self.suppressed


@dataclass(frozen=True)
class Named:
    """An estimate with a name: a class against the rest, a pair, a control's row."""

    name: str
    estimate: Estimate


@dataclass(frozen=True)
class Reference:
    """A number of the paper or of the released code, with its provenance tag."""

    value: float | None
    text: str
    source: str


@dataclass(frozen=True)
class Cell:
    """One experiment with one feature set at one degradation."""

    id: str
    experiment: str
    title: str
    question: str
    features: str
    degradation: str
    described: str
    mode: str
    x: float | None
    x_low: float | None
    x_high: float | None
    estimate: Estimate
    classes: tuple[Named, ...]
    pairs: tuple[Named, ...]
    band: tuple[float, float] | None
    p: float | None
    p_adjusted: float | None
    family: str
    finding: bool | None
    d_prime: float | None
    paper: Reference | None
    released_code: Reference | None


@dataclass(frozen=True)
class Control:
    """One control of the audit."""

    id: str
    title: str
    status: str
    sentence: str
    estimates: tuple[Named, ...]
    numbers: Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """One of the seven."""

    id: str
    title: str
    mark: str
    sentence: str
    estimate: Estimate | None


@dataclass(frozen=True)
class Group:
    """One class of the attribute."""

    name: str
    patients: int | None
    images: int | None
    suppressed: bool


@dataclass(frozen=True)
class LeftOut:
    """A reason, and how many images and patients it took."""

    reason: str
    images: int | None
    patients: int | None
    suppressed: bool


@dataclass(frozen=True)
class Step:
    """One box of the flow diagram."""

    label: str
    images: int | None
    patients: int | None
    suppressed: bool
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True)
class Features:
    """A feature set, and what it can and cannot see."""

    name: str
    dimensions: int | None
    learned_from_labels: bool
    judging: str
    sees: str
    blind_to: str


@dataclass(frozen=True)
class Location:
    """The rule fixed beforehand and the band it found."""

    rule: str
    found: tuple[float, float] | None
    sentence: str
    scan: tuple[Cell, ...]
    aliased_share: float | None


@dataclass(frozen=True)
class Audit:
    """The whole document."""

    version: str
    created: str
    complete: bool
    purpose: str
    engine: str
    variant: str
    seed: int | None
    arguments: Mapping[str, Any]
    repeat: str
    environment: Mapping[str, Any]
    seconds: Mapping[str, float]
    modality: str
    size: tuple[int, int]
    images: int | None
    patients: int | None
    fingerprint: str
    salt_id: str
    mm_per_pixel: float | None
    window: Mapping[str, int | None]
    target: str
    self_reported: bool
    classes: tuple[Group, ...]
    flow: tuple[Step, ...]
    features: tuple[Features, ...]
    controls: tuple[Control, ...]
    controls_ok: bool
    questions: tuple[Question, ...]
    cells: tuple[Cell, ...]
    location: Location | None
    limits: tuple[str, ...]

    @property
    def failed(self) -> tuple[Control, ...]:
        """Controls that failed."""
        return tuple(control for control in self.controls if control.status == "failed")

    @property
    def lp_per_mm(self) -> float | None:
        """Line pairs per millimetre of one cycle/image, at the median spacing."""
        return None if not self.mm_per_pixel else 1.0 / (max(self.size) * self.mm_per_pixel)

    def of(self, *experiments: str, features: str | None = None) -> tuple[Cell, ...]:
        """Cells of these experiments, of one feature set or of all."""
        return tuple(
            cell
            for cell in self.cells
            if cell.experiment in experiments and (features is None or cell.features == features)
        )
