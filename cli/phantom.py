"""``fastrace phantom``: a synthetic DICOM archive with a leak of known size and place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fastrace.cli.common import Size, progress


class Band(click.ParamType):
    """``LOW:HIGH``, two numbers."""

    name = "LOW:HIGH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """Parse ``20:40`` into (20.0, 40.0)."""
        if isinstance(value, tuple):
            return value
        try:
            low, high = (float(edge) for edge in str(value).split(":"))
        except ValueError:
            self.fail(f"{value!r} is not LOW:HIGH in cycles/image, for example 20:40", param, ctx)
        return low, high


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New or empty folder for the archive.")
@click.option(
    "--modality",
    type=click.Choice(["mammo", "cxr"]),
    default="mammo",
    show_default=True,
    help="Mammograms (MG) or chest radiographs (DX).",
)
@click.option("--patients", type=int, default=120, show_default=True, help="Number of patients.")
@click.option("--images-per-patient", type=int, default=2, show_default=True, help="Images of each patient.")
@click.option(
    "--kind",
    type=click.Choice(["texture"]),
    default="texture",
    show_default=True,
    help="What group B carries: stationary texture in a band.",
)
@click.option(
    "--band",
    type=Band(),
    default="20:40",
    show_default=True,
    help="Edges of the band, cycles along the long side of the stored image.",
)
@click.option(
    "--strength",
    type=float,
    default=1.5,
    show_default=True,
    help="rms of the leak / rms of the rest inside the band; 0 makes a control without any leak.",
)
@click.option("--prevalence", type=float, default=0.5, show_default=True, help="Share of patients in group B.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same files.")
@click.option(
    "--size",
    type=Size(),
    metavar="HxW",
    default="512x384",
    show_default=True,
    help="Rows and columns of the stored images.",
)
def phantom(
    out: Path,
    modality: str,
    patients: int,
    images_per_patient: int,
    kind: str,
    band: tuple[float, float],
    strength: float,
    prevalence: float,
    seed: int,
    size: tuple[int, int],
) -> None:
    """Make a synthetic DICOM archive with a planted leak.

    Two neutral groups of computed patients, "A" and "B", differ by a leak of known strength in a known band. OUT holds real
    DICOM files of several vendors' conventions and labels.csv (patient_id, group); the truth lies beside it, in
    OUT.truth.json, to be read when the audit has ended.

    \b
    Example:
      fastrace phantom --out phantom --modality mammo --patients 24 --size 256x192 --seed 1
    """
    from fastrace.phantom import MODALITIES, PhantomSpec, make, truth_path

    spec = PhantomSpec(
        modality=modality,
        patients=patients,
        images_per_patient=images_per_patient,
        size=size,
        kind=kind,
        band_cycles=band,
        strength=strength,
        prevalence=prevalence,
        seed=seed,
    )
    with progress("phantom") as report:
        make(out, spec, on_image=lambda done: report(done, spec.images, done))
    in_b = spec.patients_b
    click.echo(
        f"{spec.images} images ({MODALITIES[modality]}, {size[0]}x{size[1]}) of {patients} patients "
        f"({patients - in_b} A, {in_b} B) in {out}"
    )
    click.echo(f"labels: {out / 'labels.csv'} (patient_id, group)")
    click.echo(f"truth:  {truth_path(out)} (outside the archive; read it when the audit has ended)")
