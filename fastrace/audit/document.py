"""An audit as frozen values, and ``audit.json``, which is these values: what the audit writes, and the report and the CSV read.

Every name of a field is the name in the JSON; ``docs/audit.schema.json`` is made from these classes. An undefined number is
None, an estimate that must not be shown is `Estimate.suppressed` and holds no number. Light: reading an audit imports no
torch.

The file has one field more, `DIGEST`: the digest of the others by content (`fastrace.digest.document_digest`). A document
without it, or with another one, is refused: a number that was edited by hand, or damaged, must not become a report.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import msgspec

from fastrace.console.words import clean, interval
from fastrace.digest import document_digest
from fastrace.errors import RunError
from fastrace.modality import Published

if TYPE_CHECKING:
    from fastrace.statistics import Estimate as Computed

SCHEMA = 4
FILE = "audit.json"
DIGEST = "digest"

Count = Annotated[int, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
"""An AUC, a limit of its interval, a p."""
Place = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
"""On the axis of a curve: what can be drawn."""
Spacing = Annotated[float, msgspec.Meta(ge=1e-6, le=1e6)]
Side = Annotated[int, msgspec.Meta(ge=1, le=65536)]


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A frozen value of the document; `msgspec.structs.replace` makes a changed one."""


class Estimate(Value, frozen=True, kw_only=True):
    """An AUC with its interval, sample, method and status; see `fastrace.statistics.Estimate`."""

    value: Share | None
    low: Share | None
    high: Share | None
    level: float = 0.95
    n_patients: Count | None
    n_positive: Count | None
    n_images: Count | None
    unit: str
    method: str
    status: str
    suppressed: bool = False

    def __post_init__(self) -> None:
        numbers = (self.value, self.low, self.high, self.n_patients, self.n_positive, self.n_images)
        if self.suppressed and numbers != (None,) * len(numbers):
            raise ValueError("suppressed, but holds numbers")

    def __str__(self) -> str:
        """``.812 (.790-.833)``."""
        return interval(self.value, self.low, self.high)

    @classmethod
    def of(cls, computed: Computed) -> Estimate:
        """The estimate as a document holds it, NaN as None."""
        return cls(**computed.to_json())

    def hidden(self) -> Estimate:
        """The same without its numbers."""
        return Estimate(
            value=None,
            low=None,
            high=None,
            level=self.level,
            n_patients=None,
            n_positive=None,
            n_images=None,
            unit=self.unit,
            method=self.method,
            status="suppressed",
            suppressed=True,
        )

    @property
    def sure(self) -> bool:
        """Defined, and evidence; approximate intervals are included."""
        return self.value is not None and self.status.startswith(("ok", "approximate")) and not self.suppressed


class Named(Value, frozen=True):
    """An estimate with a name: a class against the rest, a pair of classes, a row of a control."""

    name: str
    estimate: Estimate
    p: Share | None = None


class Cell(Value, frozen=True, kw_only=True):
    """One experiment, answered by one feature set.

    ``x`` is the place on the axis of its curve (a cut-off in cycles/image, pixels, sigma), ``x_low`` and ``x_high`` the
    edges of a band in cycles/image, ``lp_per_mm`` the same in line pairs per millimetre at the median spacing; ``band`` the
    limits that hold for all curves of its reader at once, or for all readers of the primary question; ``spread`` the widening
    of the interval for cross-fitting; ``null_deviation`` the standard deviation of AUCs of permuted labels; ``detectable`` the
    AUC that would have been a finding with 80 % power.
    """

    id: str
    experiment: str
    title: str
    question: str
    features: str
    parts: tuple[str, ...]
    degradation: str
    described: str
    mode: Literal["train+test", "test"]
    family: Literal["primary", "exploratory", "reference"]
    x: Place | None
    x_low: Place | None
    x_high: Place | None
    lp_per_mm: tuple[float, ...] | None
    paper: Published | None
    released_code: Published | None
    estimate: Estimate
    classes: tuple[Named, ...]
    pairs: tuple[Named, ...]
    p: Share | None
    spread: float
    null_deviation: float | None
    d_prime: float | None
    band: tuple[Share, Share] | None = None
    p_adjusted: Share | None = None
    finding: bool | None = None
    detectable: Share | None = None


class Control(Value, frozen=True):
    """A control, or a baseline for comparison: only ``failed`` voids an audit."""

    id: str
    title: str
    status: Literal["ok", "failed", "for comparison", "not run"]
    sentence: str
    estimates: tuple[Named, ...] = ()
    numbers: dict[str, int | float | str | bool | tuple[float, ...] | None] = {}


QuestionId: TypeAlias = Literal["Q1", "Q2", "Q3", "Q4", "Q5", "Q6", "Q7"]
IDS = ("Q1", "Q2", "Q3", "Q4", "Q5", "Q6", "Q7")


class Question(Value, frozen=True):
    """One of the seven, with its answer: a mark, a sentence, and the size behind it."""

    id: QuestionId
    title: str
    asks: str
    mark: str
    sentence: str
    estimate: Estimate | None = None


def _check_counts(one: Group | LeftOut | Flow) -> None:
    if one.suppressed and one.patients is not None:
        raise ValueError("suppressed, but holds a number of patients")


class Group(Value, frozen=True):
    """One class of the attribute."""

    name: str
    patients: Count | None
    images: Count | None
    suppressed: bool = False

    def __post_init__(self) -> None:
        _check_counts(self)


class LeftOut(Value, frozen=True):
    """A reason, and how many images and patients were left out for it."""

    reason: str
    images: Count | None
    patients: Count | None
    suppressed: bool = False

    def __post_init__(self) -> None:
        _check_counts(self)


class Flow(Value, frozen=True):
    """One box of the flow diagram, and what was left out before the next."""

    label: str
    images: Count | None
    patients: Count | None
    suppressed: bool = False
    left_out: tuple[LeftOut, ...] = ()

    def __post_init__(self) -> None:
        _check_counts(self)


class Training(Value, frozen=True):
    """What the validation patients say about a network that was trained here, see `fastrace.train.learned`.

    ``learned`` is false where it learned nothing that carries over to them: its cells are then no evidence of absence. Losses
    are mean cross-entropies; ``guessing_loss`` is that of equal probabilities.
    """

    learned: bool
    validation: Estimate
    validation_loss: float
    training_loss: float
    guessing_loss: float
    sentence: str


class FeatureSet(Value, frozen=True):
    """What reads the images: how it is evaluated, what it can and cannot see, and how it was trained if it was."""

    name: str
    dimensions: Count | None
    learned_from_labels: bool
    evaluation: str
    sees: str
    blind_to: str
    own_classifier: Estimate | None = None
    training: Training | None = None


class Location(Value, frozen=True):
    """Where in frequency: the rule fixed beforehand, the band it found, cycles/image, and the cells it looked at."""

    rule: str
    found: tuple[Place, Place] | None
    found_lp_per_mm: tuple[float, float] | None
    sentence: str
    scan: tuple[str, ...]
    aliased_share: float | None


class Images(Value, frozen=True):
    """The dataset that was audited; ``window`` counts patients by where the VOI came from, None where suppressed.

    Of ``shards`` files that hold the images, ``shards_checked`` were compared with their digests before use: all, or none where
    the user said so (``--trust``).
    """

    modality: str
    size: tuple[Side, Side]
    images: Count
    patients: Count
    fingerprint: str
    salt_id: str
    mm_per_pixel: Spacing | None
    window: dict[str, Count | None]
    shards: Count
    shards_checked: Count


class Audit(Value, frozen=True, kw_only=True):
    """The whole document; ``tests`` is the digest of the tests that ``run.json`` declared before anything was fitted."""

    schema: Literal[4] = 4
    fastrace: str
    created: str
    status: Literal["complete", "partial"]
    purpose: str | None
    engine: str
    variant: str
    seed: int
    tests: str = ""
    dataset: Images
    target: str
    self_reported: bool
    classes: tuple[Group, ...]
    flow: tuple[Flow, ...]
    features: tuple[FeatureSet, ...]
    controls: tuple[Control, ...]
    questions: tuple[Question, ...]
    cells: tuple[Cell, ...]
    location: Location | None
    limits: tuple[str, ...]
    arguments: dict[str, Any]
    repeat: str
    environment: dict[str, Any]
    seconds: dict[str, float]

    def __post_init__(self) -> None:
        if tuple(question.id for question in self.questions) != IDS:
            raise ValueError("questions: expected Q1 to Q7 in order")
        ids = [cell.id for cell in self.cells]
        if len(set(ids)) < len(ids):
            raise ValueError("cells: an id occurs twice")
        if self.location is not None and not set(self.location.scan) <= set(ids):
            raise ValueError("location.scan: names a cell that does not exist")

    @property
    def failed(self) -> tuple[Control, ...]:
        """Controls that failed: if there is one, nothing may be concluded."""
        return tuple(control for control in self.controls if control.status == "failed")

    @property
    def lp_per_mm(self) -> float | None:
        """Line pairs per millimetre of one cycle/image, at the median spacing."""
        spacing = self.dataset.mm_per_pixel
        return None if not spacing else 1.0 / (max(self.dataset.size) * spacing)

    @property
    def scan(self) -> tuple[Cell, ...]:
        """The cells that located the signal."""
        wanted = set(self.location.scan) if self.location else set()
        return tuple(cell for cell in self.cells if cell.id in wanted)

    def of(self, *experiments: str, features: str | None = None) -> tuple[Cell, ...]:
        """Cells of these experiments, of one feature set or of all."""
        return tuple(
            cell
            for cell in self.cells
            if cell.experiment in experiments and (features is None or cell.features == features)
        )

    def to_json(self) -> bytes:
        """The content of ``audit.json``, with its digest."""
        return sealed(json.loads(msgspec.json.encode(self, enc_hook=_plain)))


def sealed(content: Mapping[str, Any]) -> bytes:
    """A document as a file: with the digest of its content, indented."""
    digest = document_digest(content, without=DIGEST)
    return msgspec.json.format(msgspec.json.encode({**content, DIGEST: digest}), indent=2) + b"\n"


def read(folder: Path) -> Audit:
    """Read and check the audit of a folder; its text is cleaned, since names in it come from an archive.

    Raises
    ------
    RunError
        No audit, changed after it was written, damaged (with the place inside the document), or of another schema.
    """
    file = Path(folder) / FILE
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(
            f"{folder}: no finished audit here ({FILE} is missing); make one with `fastrace audit`"
        ) from error
    except NotADirectoryError as error:
        raise RunError(f"{folder}: not a folder; name the folder of the audit") from error
    except (OSError, ValueError, RecursionError) as error:
        reason = (str(error).splitlines() or [""])[0][:120]
        raise RunError(f"{file}: cannot be read ({reason}); run `fastrace audit` again") from error
    if not isinstance(content, dict) or "schema" not in content:
        raise RunError(f"{file}: not an audit of fastrace")
    if content["schema"] != SCHEMA:
        raise RunError(
            f"{file}: has schema {str(content['schema'])[:20]}, this fastrace reads schema {SCHEMA}; run `fastrace audit` "
            "again, or use the version that made it"
        )
    try:
        stated = content.pop(DIGEST, None)
        if stated != document_digest(content, without=DIGEST):
            what = (
                "has no digest"
                if stated is None
                else "changed after it was written (its content does not have its digest)"
            )
            raise RunError(
                f"{file}: {what}, so its numbers cannot be believed; restore it from a copy, or run `fastrace audit` again"
            )
        return msgspec.convert(clean(_finite(content)), Audit)
    except (msgspec.ValidationError, RecursionError) as error:
        what, _, place = str(error).partition(" - at `$.")
        raise RunError(
            f"{file}: damaged: {place.rstrip('`') or 'the document'}: {what[:1].lower()}{what[1:200]}; run `fastrace audit` again"
        ) from error


def _plain(value: Any) -> str | float:
    """Text and numbers of other libraries, such as torch's version and NumPy's float64, as plain types for msgspec."""
    for kind in (str, float):
        if isinstance(value, kind):
            return kind(value)
    raise TypeError(f"{type(value).__name__} cannot be written to an audit; expected text or a number")


def _finite(value: Any) -> Any:
    """Numbers too large for a float, which JSON can hold, as None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_finite(one) for one in value]
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return value


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of ``audit.json``."""
    found = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Audit)}
    audit = found["$defs"]["Audit"]
    audit["properties"][DIGEST] = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
    audit["required"].append(DIGEST)
    return found


if __name__ == "__main__":  # python -m fastrace.audit.document > docs/audit.schema.json
    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
