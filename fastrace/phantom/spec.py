"""What a phantom archive is asked to be: one frozen dataclass, checked when it is made.

**Where the band is.** ``band_cycles = (low, high)`` counts cycles along the *long side of the stored image*:
r = hypot(ky/H, kx/W) * max(H, W), kept where low <= r < high, as the kernels count cycles/image. An image that is
resized whole, aspect kept and padded, so that its long side fills the long side of the canvas, has the same band at
network size: 20:40 stays 20:40 at 256x256. A breast crop magnifies: a crop whose height is a share c of the long side
moves the band to c * (low, high). The phantom's breasts therefore fill the height of the image, and a crop to what is
visibly brighter than air moves the band by 5 % at most. The truth records the shares of this archive.

**What strength is.** The rms of the leak divided by the rms of everything else (tissue texture and quantum noise)
*inside the band*. The leak has the spectrum of what it hides in, so group B's power in the band is (1 + strength**2)
times group A's in every coefficient, and the ideal observer's AUC has a closed form (`fastrace.phantom.observer`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fastrace.errors import UsageError
from fastrace.phantom.texture import ring

MODALITIES = {"mammo": "MG", "cxr": "DX"}
"""Name of the preset -> value of Modality (0008,0060)."""

KINDS = ("texture",)
"""Kinds of leak that can be planted; ``texture``: stationary, zero-mean, band-limited Gaussian texture."""

SMALLEST_SIDE = 64


@dataclass(frozen=True)
class PhantomSpec:
    """Everything that decides the bytes of a phantom archive.

    Attributes
    ----------
    modality : "mammo" | "cxr"
        Mammograms (MG) or chest radiographs (DX).
    patients : int
        Number of patients, at least 2.
    images_per_patient : int
        Images of each patient, at least 1.
    size : (int, int)
        Rows and columns of every stored image, each at least 64; a mammogram is not wider than high.
    kind : "texture"
        What group B carries; see `KINDS`.
    band_cycles : (float, float)
        Low and high edge in cycles along the long side of the stored image, 0 < low < high <= long side / 2, with at
        least one coefficient between them.
    strength : float
        rms of the leak / rms of the rest inside the band, >= 0; 0 makes the control phantom.
    prevalence : float
        Share of patients in group B, in (0, 1); rounded to whole patients, at least one in each group.
    seed : int
        Non-negative. The same seed gives the same patients at every strength.

    Raises
    ------
    UsageError
        If a value is out of its range.
    """

    modality: str = "mammo"
    patients: int = 120
    images_per_patient: int = 2
    size: tuple[int, int] = (512, 384)
    kind: str = "texture"
    band_cycles: tuple[float, float] = (20.0, 40.0)
    strength: float = 1.5
    prevalence: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        low, high = self.band_cycles
        height, width = self.size
        nyquist_cycles = max(self.size) / 2
        for is_valid, message in (
            (
                self.modality in MODALITIES,
                f"modality {self.modality!r}: choose one of {', '.join(MODALITIES)}",
            ),
            (self.kind in KINDS, f"kind {self.kind!r}: choose one of {', '.join(KINDS)}"),
            (self.patients >= 2, f"{self.patients} patients: at least 2 are needed, one in each group"),
            (
                self.images_per_patient >= 1,
                f"{self.images_per_patient} images per patient: at least 1 is needed",
            ),
            (
                min(self.size) >= SMALLEST_SIDE,
                f"size {height}x{width}: each side needs at least {SMALLEST_SIDE} pixels",
            ),
            (max(self.size) <= 65535, f"size {height}x{width}: Rows and Columns hold 65535 at most"),
            (
                self.modality != "mammo" or height >= width,
                f"size {height}x{width}: a mammogram is not wider than high; give HxW with H >= W",
            ),
            (
                0 < low < high <= nyquist_cycles,
                f"band {low:g}:{high:g}: needs 0 < low < high <= {nyquist_cycles:g} cycles/image, "
                f"half the long side of {height}x{width}",
            ),
            (0 <= self.strength < math.inf, f"strength {self.strength:g}: must be 0 (control) or more"),
            (0 < self.prevalence < 1, f"prevalence {self.prevalence:g}: must lie between 0 and 1"),
            (self.seed >= 0, f"seed {self.seed}: must be 0 or more"),
        ):
            if not is_valid:
                raise UsageError(message)
        if not ring(self.size, self.band_cycles).any():
            raise UsageError(f"band {low:g}:{high:g}: no coefficient of {height}x{width} lies in it; make it wider")

    @property
    def patients_b(self) -> int:
        """Number of patients in group B."""
        return min(max(round(self.patients * self.prevalence), 1), self.patients - 1)

    @property
    def images(self) -> int:
        """Number of images in the archive."""
        return self.patients * self.images_per_patient
