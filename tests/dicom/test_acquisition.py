"""How an image was taken is read in its units, from wherever the object holds it, and only if it is plausible."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from fastrace.dicom.acquisition import Acquisition, read_acquisition


def item(**attributes: Any) -> Dataset:
    ds = Dataset()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


MAMMOGRAM = item(
    KVP="28.0", XRayTubeCurrent=85, ExposureTime=840, Exposure=71, ExposureInuAs=71400, ExposureIndex="412.5",
    TargetExposureIndex="400", CompressionForce=110, BodyPartThickness=52, AnodeTargetMaterial="Tungsten",
    FilterMaterial=["RHODIUM", "ALUMINUM"], Grid=["RECIPROCATING", "FOCUSED"], DetectorType="DIRECT",
    SoftwareVersions=["VB30A", "AWS 3.4"], WindowCenter=[2047, 1800], WindowWidth=[4096, 900],
)  # fmt: skip


def test_a_mammogram_gives_its_numbers_in_their_units_and_its_words_as_stored() -> None:
    assert read_acquisition(MAMMOGRAM) == Acquisition(
        kvp=28, tube_current_ma=85, exposure_time_ms=840, exposure_mas=71.4, exposure_index=412.5, target_exposure_index=400,
        compression_force_n=110, body_part_thickness_mm=52, anode_material="TUNGSTEN", filter_material="RHODIUM\\ALUMINUM",
        grid="RECIPROCATING\\FOCUSED", detector_type="DIRECT", software_versions="VB30A\\AWS 3.4", window_center=2047,
        window_width=4096,
    )  # fmt: skip


def test_an_enhanced_ct_is_read_frame_by_frame_from_its_functional_groups() -> None:
    shared = item(
        CTXRayDetailsSequence=[item(KVP=120, FilterMaterial="TITANIUM")],
        CTReconstructionSequence=[item(ConvolutionKernel="B30f", ReconstructionDiameter=380)],
        PixelMeasuresSequence=[item(SliceThickness=1.25)],
        FrameVOILUTSequence=[item(WindowCenter=40, WindowWidth=400)],
    )
    frames = [
        item(CTExposureSequence=[item(XRayTubeCurrentInmA=ma, ExposureTimeInms=500.0, ExposureInmAs=ma / 2)])
        for ma in (200.5, 310.0)
    ]
    ds = item(SharedFunctionalGroupsSequence=[shared], PerFrameFunctionalGroupsSequence=frames, KVP=99)
    for frame, ma in enumerate((200.5, 310.0)):
        found = read_acquisition(ds, frame)
        assert (found.kvp, found.tube_current_ma, found.exposure_time_ms, found.exposure_mas) == (120, ma, 500, ma / 2)
        assert (found.convolution_kernel, found.reconstruction_diameter_mm, found.slice_thickness_mm) == (
            "B30f",
            380,
            1.25,
        )
        assert (found.window_center, found.window_width, found.filter_material) == (40, 400, "TITANIUM")


def test_a_tomosynthesis_is_read_from_its_acquisition_and_its_first_projection() -> None:
    projection = item(KVP=31, FilterMaterial="ALUMINUM")
    taken = item(
        PerProjectionAcquisitionSequence=[projection],
        AnodeTargetMaterial="TUNGSTEN",
        CompressionForce=90,
        BodyPartThickness=61,
    )
    dose = item(XRayAcquisitionDoseSequence=[item(ExposureTimeInms=900.0, ExposureInmAs=60.5)])
    found = read_acquisition(item(XRay3DAcquisitionSequence=[taken], SharedFunctionalGroupsSequence=[dose]))
    assert (found.kvp, found.filter_material, found.anode_material) == (31, "ALUMINUM", "TUNGSTEN")
    assert (found.compression_force_n, found.body_part_thickness_mm) == (90, 61)
    assert (found.exposure_time_ms, found.exposure_mas) == (900, 60.5)


@pytest.mark.parametrize(
    ("options", "mas"),
    [
        ({"Exposure": 71}, 71),
        ({"ExposureInuAs": 71400, "Exposure": 71}, 71.4),
        ({"ExposureInmAs": 71.45, "ExposureInuAs": 71400}, 71.45),
        ({"ExposureTime": 500, "XRayTubeCurrent": 100}, 50),
        ({"ExposureTimeInuS": 500500, "ExposureTime": 501, "XRayTubeCurrentInuA": 100000}, 50.05),
        ({"ExposureTime": 500}, None),
        ({"Exposure": 0}, None),
    ],
)
def test_exposure_in_mas_comes_from_the_finest_unit(options: dict[str, Any], mas: float | None) -> None:
    assert read_acquisition(item(**options)).exposure_mas == (None if mas is None else pytest.approx(mas))


@pytest.mark.parametrize(
    ("keyword", "value", "field"),
    [
        ("KVP", "19330903", "kvp"),
        ("KVP", "-28", "kvp"),
        ("WindowCenter", "19330903", "window_center"),
        ("ExposureIndex", "19330903", "exposure_index"),
        ("BodyPartThickness", "030933", "body_part_thickness_mm"),
        ("XRayTubeCurrent", 19330903, "tube_current_ma"),
    ],
)
def test_a_date_in_the_place_of_a_number_is_not_read(keyword: str, value: Any, field: str) -> None:
    assert getattr(read_acquisition(item(**{keyword: value})), field) is None


@pytest.mark.parametrize(
    ("vr", "value"), [("OB", b"\0\1"), ("SQ", [Dataset()]), ("LO", "about 30"), ("US", 7), ("LO", "")]
)
def test_values_that_do_not_conform_never_raise(vr: str, value: Any) -> None:
    ds = Dataset()
    for keyword in (
        "KVP", "FilterMaterial", "SoftwareVersions", "WindowCenter", "CTExposureSequence", "SharedFunctionalGroupsSequence",
        "XRay3DAcquisitionSequence", "Grid", "ConvolutionKernel",
    ):  # fmt: skip
        ds.add_new(keyword, vr, value)
    assert isinstance(read_acquisition(ds), Acquisition)
