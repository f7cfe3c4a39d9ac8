"""How an image was taken: what an audit needs to tell the device from the body.

Numbers come in the units of the standard (kV, mA, ms, mAs, N, mm), read where the object holds them: in the functional groups
of enhanced objects (PS3.3 C.7.6.16: the frame's own, then the shared ones), in the data set, in the acquisition of an X-Ray 3D
object (C.8.21.3). Where an attribute exists in several units (C.8.7.2.1), the finest counts: FD in mA, then DS in uA, then
whole mA. A number that is not plausible is not kept: the limits are far outside what devices do, and a date or an identifier
that was typed into a number is above them. Serial numbers are not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from fastrace.dicom.select import macro
from fastrace.dicom.values import items, number, texts

_MOST_VALUES = 8  # of an attribute with several: filters, kernels, versions


@dataclass(frozen=True)
class Acquisition:
    """Acquisition of one frame; None where the file does not hold it in a conforming form.

    Parameters
    ----------
    kvp, tube_current_ma, exposure_time_ms, exposure_mas : float or None
        In kV, mA, ms, mAs.
    exposure_index, target_exposure_index : float or None
        Of IEC 62494-1, without unit.
    compression_force_n, body_part_thickness_mm : float or None
        Of a compressed breast, in N and mm.
    anode_material, filter_material, grid, detector_type : str or None
        Terms such as TUNGSTEN, RHODIUM, RECIPROCATING, DIRECT; several values are joined by a backslash, as they are stored.
    convolution_kernel : str or None
        CT reconstruction kernel.
    slice_thickness_mm, reconstruction_diameter_mm : float or None
        In mm.
    software_versions : str or None
        Of the device.
    window_center, window_width : float or None
        The first window as it is stored, whether it is used or not.
    """

    kvp: float | None = None
    tube_current_ma: float | None = None
    exposure_time_ms: float | None = None
    exposure_mas: float | None = None
    exposure_index: float | None = None
    target_exposure_index: float | None = None
    compression_force_n: float | None = None
    body_part_thickness_mm: float | None = None
    anode_material: str | None = None
    filter_material: str | None = None
    grid: str | None = None
    detector_type: str | None = None
    convolution_kernel: str | None = None
    slice_thickness_mm: float | None = None
    reconstruction_diameter_mm: float | None = None
    software_versions: str | None = None
    window_center: float | None = None
    window_width: float | None = None


def read_acquisition(ds: Dataset, frame: int = 0) -> Acquisition:
    """Read the acquisition of one frame. Never raises for what a value holds.

    Parameters
    ----------
    ds : Dataset
        The file's data set.
    frame : int
        0-based; functional groups of enhanced objects may differ between frames.
    """
    three_d = items(ds, "XRay3DAcquisitionSequence")[:1]
    projection = [item for scope in three_d for item in items(scope, "PerProjectionAcquisitionSequence")[:1]]

    def scopes(*sequences: str) -> list[Dataset]:
        """Items of these macros, the data set, and a 3D acquisition."""
        found = [macro(ds, frame, sequence) for sequence in sequences]
        return [*(scope for scope in found if scope is not ds), ds, *three_d]

    exposed = scopes("CTExposureSequence", "XRayAcquisitionDoseSequence", "FrameAcquisitionSequence")
    beam = [*scopes("CTXRayDetailsSequence", "FrameAcquisitionSequence", "XRayFilterSequence"), *projection]
    reconstructed = scopes("CTReconstructionSequence")
    window = macro(ds, frame, "FrameVOILUTSequence")
    current = _scaled(exposed, 5e3, ("XRayTubeCurrentInmA", 1), ("XRayTubeCurrentInuA", 1e-3), ("XRayTubeCurrent", 1))
    time = _scaled(exposed, 1e6, ("ExposureTimeInms", 1), ("ExposureTimeInuS", 1e-3), ("ExposureTime", 1))
    exposure = _scaled(exposed, 1e5, ("ExposureInmAs", 1), ("ExposureInuAs", 1e-3), ("Exposure", 1))
    if exposure is None and current is not None and time is not None:
        exposure = current * time / 1000
    return Acquisition(
        kvp=_scaled(beam, 1e3, ("KVP", 1)),
        tube_current_ma=current,
        exposure_time_ms=time,
        exposure_mas=exposure,
        exposure_index=_scaled([ds], 1e5, ("ExposureIndex", 1)),
        target_exposure_index=_scaled([ds], 1e5, ("TargetExposureIndex", 1)),
        compression_force_n=_scaled(scopes(), 1e3, ("CompressionForce", 1)),
        body_part_thickness_mm=_scaled(scopes(), 1e3, ("BodyPartThickness", 1)),
        anode_material=_words(scopes(), "AnodeTargetMaterial"),
        filter_material=_words(beam, "FilterMaterial"),
        grid=_words(scopes("XRayGridSequence"), "Grid"),
        detector_type=_words(scopes(), "DetectorType"),
        convolution_kernel=_words(reconstructed, "ConvolutionKernel", fold=False),
        slice_thickness_mm=_scaled(scopes("PixelMeasuresSequence"), 1e3, ("SliceThickness", 1)),
        reconstruction_diameter_mm=_scaled(reconstructed, 5e3, ("ReconstructionDiameter", 1)),
        software_versions=_words([ds], "SoftwareVersions", fold=False),
        window_center=_stored(window, "WindowCenter"),
        window_width=_stored(window, "WindowWidth"),
    )


def _scaled(scopes: Sequence[Dataset], most: float, *attributes: tuple[str, float]) -> float | None:
    """The first positive number, at most `most`: attributes from the finest unit on, each in every scope."""
    for keyword, factor in attributes:
        for scope in scopes:
            try:
                found = number(scope, keyword)
            except ValueError:
                continue
            if found is not None and 0 < found * factor <= most:
                return found * factor if factor == 1 else found / round(1 / factor)
    return None


def _stored(scope: Dataset, keyword: str) -> float | None:
    try:
        found = number(scope, keyword)
    except ValueError:
        return None
    return found if found is not None and abs(found) <= 1e6 else None


def _words(scopes: Sequence[Dataset], keyword: str, *, fold: bool = True) -> str | None:
    for scope in scopes:
        parts = [part for part, _ in zip(texts(scope, keyword), range(_MOST_VALUES), strict=False) if part]
        if parts:
            joined = "\\".join(parts)
            return joined.upper() if fold else joined
    return None
