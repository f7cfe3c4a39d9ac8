"""The options of `fastrace preprocess`, parsed: those that decide the pixels (`Recipe`), those that say who and what an image is
(`Join`), and the others (`Job`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fastrace.cohort.bins import Bins, check_bins
from fastrace.cohort.matching import check_match
from fastrace.cohort.patients import pattern_of
from fastrace.errors import UsageError
from fastrace.execute.cpus import usable_cpus
from fastrace.modality import Modality, get_modality
from fastrace.preprocess.body_part import terms

if TYPE_CHECKING:
    from fastrace.cohort.policy import Policy


@dataclass(frozen=True)
class Recipe:
    """All that decides the pixels and rows of a dataset; two datasets with equal recipes can be compared.

    Attributes
    ----------
    modality : str
        Name of the preset.
    size : (int, int)
        Rows and columns of every image.
    dtype : "uint16" | "uint8"
        Stored type; display value 1 is its largest integer.
    voi : tuple of str
        The values of ``--voi``, of which the first that applies to an image is used; ``auto`` is the preset's window, else the
        first VOI LUT, the first window, the robust range.
    window : (float, float) or None
        Window Center and Window Width of the preset, modality units.
    body_parts : tuple of str
        Terms of the body parts that are kept, see `fastrace.preprocess.body_part`; empty: all.
    views, intents : tuple of str
        Views and presentation intents that are kept, see `fastrace.preprocess.selection`; empty: all.
    image_kinds : tuple of str
        Kinds of image that are kept beside the usual one, see `fastrace.dicom.image_kind`.
    fit, crop : str
        Geometry: see `fastrace.modality.Modality`.
    decode : "exact" | "reduced"
        Whether JPEG 2000 and HTJ2K may be decoded at reduced resolution, see `fastrace.dicom.reduced`.
    resize : "area" | "lanczos"
        Exact area averages of display values, or Lanczos-3 to see whether a result depends on them.
    """

    modality: str
    size: tuple[int, int]
    dtype: Literal["uint16", "uint8"] = "uint16"
    voi: tuple[str, ...] = ("auto",)
    window: tuple[float, float] | None = None
    fit: str = "pad"
    crop: str = "none"
    resize: Literal["area", "lanczos"] = "area"
    decode: Literal["exact", "reduced"] = "exact"
    body_parts: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    intents: tuple[str, ...] = ()
    image_kinds: tuple[str, ...] = ()

    @classmethod
    def from_preset(
        cls,
        preset: Modality,
        *,
        size: tuple[int, int] | None = None,
        voi: str | Sequence[str] | None = None,
        dtype: Literal["uint16", "uint8"] = "uint16",
        resize: Literal["area", "lanczos"] = "area",
        decode: Literal["exact", "reduced"] = "exact",
        body_parts: Sequence[str] = (),
        views: Sequence[str] = (),
        intents: Sequence[str] = (),
        image_types: Sequence[str] = (),
    ) -> Recipe:
        """The preset with the user's changes: body parts and image types beside the preset's, views and intents instead."""
        from fastrace.preprocess import selection  # not at import: it loads pydicom

        given = (voi,) if isinstance(voi, str) else tuple(voi or ())
        return cls(
            modality=preset.name,
            size=size or preset.size,
            dtype=dtype,
            voi=given or ("auto",),
            window=preset.window if not given or "auto" in given else None,
            fit=preset.fit,
            crop=preset.crop,
            resize=resize,
            decode=decode,
            body_parts=terms(preset, body_parts),
            views=selection.views(preset, views),
            intents=selection.intents(preset, intents),
            image_kinds=selection.image_kinds(preset, image_types),
        )

    def as_json(self) -> dict[str, Any]:
        """Plain types for ``dataset.json``."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    def differences(self, other: dict[str, Any]) -> list[str]:
        """Sentences such as "size: [224, 224] there, [256, 256] requested"."""
        mine = self.as_json()
        return [
            f"{field.name}: {other.get(field.name)} there, {mine[field.name]} requested"
            for field in fields(self)
            if other.get(field.name) != mine[field.name]
        ]


@dataclass(frozen=True)
class Join:
    """How the label table is joined, and who a patient is.

    Attributes
    ----------
    labels : Path or None
        The table.
    key : tuple of str
        ``COLUMN`` or ``KIND=COLUMN``, one for each kind; empty: by the names of the columns.
    columns : tuple of str
        Label columns kept besides the known ones.
    categories : Path or None
        Category map.
    match : tuple of str
        What is ignored when ids are compared, see `fastrace.cohort.matching.TRANSFORMATIONS`.
    patient_from : str or None
        Whose id counts where table and header differ: ``table``, ``header``, or a file of two columns that maps ids of the
        headers to patients; an id that it does not name stays what it is.
    sex_and_age_from : "header" | "table" | None
        Whose sex and age count where they differ; None: the header's, unless they differ in most patients, which is asked.
    patient_pattern : str or None
        Regular expression with one group: the patient, read from the path of a file in place of its header.
    policy : str
        Which of several recorded values counts, see `fastrace.cohort.policy`.
    bins : tuple of Bins
        Numbers that become classes.
    """

    labels: Path | None = None
    key: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    categories: Path | None = None
    match: tuple[str, ...] = ()
    patient_from: str | None = None
    patient_pattern: str | None = None
    sex_and_age_from: Literal["header", "table"] | None = None
    policy: Policy = "consistent"
    bins: tuple[Bins, ...] = ()

    @property
    def patients_file(self) -> Path | None:
        """The file of ``patient_from``, if it names one."""
        return None if self.patient_from in (None, "table", "header") else Path(str(self.patient_from))

    @property
    def files(self) -> tuple[Path | None, ...]:
        """Files that are no images."""
        return self.labels, self.categories, self.patients_file


@dataclass(frozen=True)
class Job:
    """One call of `fastrace preprocess`."""

    sources: tuple[Path, ...]
    out: Path
    recipe: Recipe
    preset: Modality
    join: Join = Join()
    salt: Path | None = None
    jobs: int = 1
    max_pixels: int = 1 << 28
    rows_per_shard: int | None = None


def job_for(
    sources: tuple[Path, ...],
    out: Path,
    modality: str,
    *,
    size: tuple[int, int] | None = None,
    voi: str | Sequence[str] | None = None,
    dtype: Literal["uint16", "uint8"] = "uint16",
    resize: Literal["area", "lanczos"] = "area",
    decode: Literal["exact", "reduced"] = "exact",
    body_parts: tuple[str, ...] = (),
    views: tuple[str, ...] = (),
    intents: tuple[str, ...] = (),
    image_types: tuple[str, ...] = (),
    jobs: int | None = None,
    key: str | Sequence[str] | None = None,
    match: Sequence[str] = (),
    bins: Sequence[str] = (),
    **options: Any,
) -> Job:
    """The job of a modality, with the user's changes.

    Parameters
    ----------
    sources, out, modality, size, voi, dtype, resize, decode, body_parts, views, intents, image_types
        See `Recipe`.
    jobs : int, optional
        The default is as many as processors may be used.
    key, match : sequence of str
        See `Join`.
    bins : sequence of str
        ``COLUMN=EDGE,EDGE...``, see `fastrace.cohort.bins`.
    options
        The other attributes of `Join` and `Job`.

    Raises
    ------
    UsageError
        No such modality, VOI, transformation or pattern; no workers.
    """
    preset = get_modality(modality)
    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs {jobs}: at least 1 worker process")
    if voi is not None:
        from fastrace.dicom.voi import parse_vois

        parse_vois(voi)  # a mistake here would otherwise be found by every worker at every file
    recipe = Recipe.from_preset(
        preset, size=size, voi=voi, dtype=dtype, resize=resize, decode=decode,
        body_parts=body_parts, views=views, intents=intents, image_types=image_types,
    )  # fmt: skip
    of_join = {field.name: options.pop(field.name) for field in fields(Join) if field.name in options}
    join = Join(
        key=(key,) if isinstance(key, str) else tuple(key or ()),
        match=check_match(match),
        bins=check_bins(bins),
        **of_join,
    )
    if join.patient_pattern is not None:
        pattern_of(join.patient_pattern)
    return Job(sources, out, recipe, preset, join, jobs=jobs or usable_cpus(), **options)
