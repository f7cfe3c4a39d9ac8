"""``fastrace phantom``: a synthetic DICOM archive with a leak of known size and place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fastrace.cli.common import Size


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


class Region(click.ParamType):
    """``TOP:BOTTOM:LEFT:RIGHT``, four fractions."""

    name = "TOP:BOTTOM:LEFT:RIGHT"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float, float, float]:
        """Parse ``0.4:0.6:0.1:0.3`` into four numbers."""
        if isinstance(value, tuple):
            return value
        try:
            top, bottom, left, right = (float(edge) for edge in str(value).split(":"))
        except ValueError:
            self.fail(f"{value!r} is not TOP:BOTTOM:LEFT:RIGHT in fractions, for example 0.4:0.6:0.1:0.3", param, ctx)
        return top, bottom, left, right


class Confounder(click.ParamType):
    """``NAME:AUC``."""

    name = "NAME:AUC"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        """Parse ``age:0.7`` into ("age", 0.7)."""
        if isinstance(value, tuple):
            return value
        name, _, auc = str(value).partition(":")
        try:
            return name, float(auc)
        except ValueError:
            self.fail(f"{value!r} is not NAME:AUC, for example age:0.7", param, ctx)


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
    type=click.Choice(["texture", "phase", "patch", "intensity"]),
    default="texture",
    show_default=True,
    help="What group B carries: texture in a band; phases in a band at equal power; texture in one region; another brightness.",
)
@click.option(
    "--band",
    type=Band(),
    help="Edges of the band, cycles along the long side of the stored image; intensity has its own.  [default: 20:40]",
)
@click.option(
    "--strength",
    type=float,
    help="rms of the leak / rms of the rest inside the band; for intensity, SDs of the gland or lungs between patients. "
    "0 makes a control without any leak.  [default: 1.5; phase 1; intensity 4]",
)
@click.option(
    "--patch",
    type=Region(),
    help="Region of kind patch, fractions of height and width, chest wall at the left.  [default: inside the tissue]",
)
@click.option(
    "--confounder",
    "confounders",
    type=Confounder(),
    multiple=True,
    help="Let density, age or scanner differ too, with this AUC on its own (0.5 to below 1); may be repeated.",
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
def phantom(out: Path, modality: Any, size: tuple[int, int], patients: int, **given: Any) -> None:
    """Make a synthetic DICOM archive with a planted leak.

    Two neutral groups of computed patients, "A" and "B", differ by a leak of known strength in a known band. OUT holds real
    DICOM files of several vendors' conventions and labels.csv (patient_id, group); the truth is beside it, in
    OUT.truth.json, to be read when the audit has ended.

    \b
    Examples:
      fastrace phantom --out phantom --modality mammo --patients 24 --size 256x192 --seed 1
      fastrace phantom --out control --strength 0 --patients 12 --images-per-patient 1 --prevalence 0.3
      fastrace phantom --out spiky --kind phase --band 10:30 --strength 0.8 --patients 12
      fastrace phantom --out local --kind patch --patch 0.4:0.7:0.05:0.35 --patients 12
      fastrace phantom --out bright --kind intensity --modality cxr --patients 12
      fastrace phantom --out confounded --confounder age:0.7 --confounder scanner:0.8 --patients 12
    """
    from fastrace import api
    from fastrace.console.progress import TerminalProgress
    from fastrace.phantom import PHANTOMS, truth_path

    progress = TerminalProgress(every_seconds=10)
    labels = api.phantom(out, modality=modality, size=size, patients=patients, progress=progress, **given)
    table = labels.read_text().splitlines()
    in_b = sum(line.split(",")[1] == "B" for line in table[1:])
    click.echo(
        f"{patients * given['images_per_patient']} images ({PHANTOMS[modality]}, {size[0]}x{size[1]}) of {patients} patients "
        f"({patients - in_b} A, {in_b} B) in {out}"
    )
    click.echo(f"labels: {labels} ({', '.join(table[0].split(','))})")
    click.echo(f"truth:  {truth_path(out)} (outside the archive; read it when the audit has ended)")
