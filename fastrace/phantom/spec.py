"""The request for a phantom archive: one frozen dataclass, checked when it is made.

**Where the band is.** ``band_cycles = (low, high)`` counts cycles along the *long side of the stored image*:
r = hypot(ky/H, kx/W) * max(H, W), kept where low <= r < high, as the kernels count cycles/image. An image that is
resized whole, aspect kept and padded, so that its long side fills the long side of the canvas, has the same band at
network size: 20:40 stays 20:40 at 256x256. A breast crop magnifies: a crop whose height is a share c of the long side
moves the band to c * (low, high). The phantom's breasts therefore fill the height of the image, and a crop to what is
visibly brighter than air moves the band by 5 % at most. The truth records the shares of this archive.

**What strength is** depends on the kind (`KINDS`, `DEFAULT_STRENGTH`); 0 is the control of each:

``texture``
    rms of the leak divided by the rms of everything else (tissue texture and quantum noise) *inside the band*. The leak
    has the spectrum of everything else, so group B's power is (1 + strength**2) times group A's in every coefficient.
``phase``
    The same ratio, of a field that *both* groups carry; only its phases differ (`fastrace.phantom.leaks`).
``patch``
    The same ratio, in the middle of the region `PhantomSpec.patch`; nothing outside it.
``intensity``
    How far the gland of group B is darker (mammograms), or its lungs brighter (chest radiographs), in standard deviations
    of that feature between patients. No shape changes, and quantum noise stays that of the unchanged body.

How well each can be read is in `fastrace.phantom.observer`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fastrace.errors import UsageError
from fastrace.phantom.texture import ring

PHANTOMS = {"mammo": "MG", "cxr": "DX"}
"""Modalities that have a phantom of their own -> value of Modality (0008,0060)."""

KINDS = ("texture", "phase", "patch", "intensity")
"""Kinds of leak that can be planted: band-limited texture everywhere; phases in a band at equal power; texture in a band in
one region; a smooth difference in brightness."""

DEFAULT_STRENGTH = {"texture": 1.5, "phase": 1.0, "patch": 1.5, "intensity": 4.0}
"""Strength of each kind when none is given: readable at 128x128 from 220 patients by a probe of that kind, and not so
strong that the leak is measurable elsewhere; ``phase`` beyond 1.5 begins to show in the power of the band."""

DEFAULT_PATCH = {"mammo": (0.37, 0.63, 0.05, 0.4), "cxr": (0.37, 0.63, 0.33, 0.67)}
"""Region of kind ``patch`` for each modality: top, bottom, left, right; see `PhantomSpec.patch`."""

CONFOUNDERS = ("density", "age", "scanner")
"""What else may differ between the groups; see `fastrace.phantom.confounders`."""

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
    kind : "texture" | "phase" | "patch" | "intensity"
        What group B carries; see `KINDS`.
    band_cycles : (float, float)
        Low and high edge in cycles along the long side of the stored image, 0 < low < high <= long side / 2, with at
        least one coefficient between them. Of no effect on kind ``intensity``, whose band follows from the anatomy.
    strength : float, optional
        How strong the leak is, in the unit of its kind, >= 0; 0 makes the control phantom. Default: `DEFAULT_STRENGTH`.
    prevalence : float
        Share of patients in group B, in (0, 1); rounded to whole patients, at least one in each group.
    seed : int
        Non-negative. The same seed gives the same patients at every strength.
    patch : (float, float, float, float), optional
        Kind ``patch`` only: top, bottom, left and right of the region, fractions of the height and the width of the
        image, with the chest wall of a mammogram at the left. Default: `DEFAULT_PATCH`.
    confounders : tuple of (str, float)
        Names from `CONFOUNDERS`, each with the AUC, in [0.5, 1), with which it alone separates the groups.

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
    strength: float = None  # type: ignore[assignment]  # None: the kind's own, filled in below; a float ever after
    prevalence: float = 0.5
    seed: int = 0
    patch: tuple[float, float, float, float] | None = None
    confounders: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if vars(self)["strength"] is None:
            object.__setattr__(self, "strength", DEFAULT_STRENGTH.get(self.kind, 0.0))
        if self.kind == "patch" and self.patch is None:
            object.__setattr__(self, "patch", DEFAULT_PATCH.get(self.modality))
        self._check()

    def _check(self) -> None:
        low, high = self.band_cycles
        height, width = self.size
        nyquist_cycles = max(self.size) / 2
        for is_valid, message in (
            (
                self.modality in PHANTOMS,
                f"modality {self.modality!r}: choose one of {', '.join(PHANTOMS)}",
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
        self._check_patch()
        self._check_confounders()

    def _check_patch(self) -> None:
        if self.patch is None:
            return
        region = ":".join(f"{edge:g}" for edge in self.patch)
        if self.kind != "patch":
            raise UsageError(f"patch {region}: kind {self.kind} has no region; use kind patch")
        top, bottom, left, right = self.patch
        if not (0 <= top < bottom <= 1 and 0 <= left < right <= 1):
            raise UsageError(f"patch {region}: needs 0 <= top < bottom <= 1 and 0 <= left < right <= 1")
        # Fewer pixels than two waves of the band leave nothing that has a frequency.
        waves = self.band_cycles[0] * min((bottom - top) * self.size[0], (right - left) * self.size[1]) / max(self.size)
        if waves < 2:
            raise UsageError(
                f"patch {region}: {waves:.1f} waves of the band fit into it; make it at least 2 waves wide"
            )

    def _check_confounders(self) -> None:
        names = [name for name, _ in self.confounders]
        for name, auc in self.confounders:
            if name not in CONFOUNDERS:
                raise UsageError(f"confounder {name!r}: choose one of {', '.join(CONFOUNDERS)}")
            if not 0.5 <= auc < 1:
                raise UsageError(f"confounder {name}: AUC {auc:g} must be at least 0.5 and less than 1")
            if names.count(name) > 1:
                raise UsageError(f"confounder {name}: given twice")

    def confounder_auc(self, name: str) -> float:
        """AUC with which this confounder alone separates the groups; 0.5 if it was not requested."""
        return dict(self.confounders).get(name, 0.5)

    @property
    def patients_b(self) -> int:
        """Number of patients in group B."""
        return min(max(round(self.patients * self.prevalence), 1), self.patients - 1)

    @property
    def images(self) -> int:
        """Number of images in the archive."""
        return self.patients * self.images_per_patient
