"""Slices of chest CT; the study's NLST rows."""

from fastrace.modality import Modality, Published

MODALITY = Modality(
    name="ct",
    modalities=("CT",),
    body_parts=("*CHEST", "*THORAX", "*TORAX", "LUNG"),
    views=(),
    size=(224, 224),
    backbone="resnet34",
    # Not mirrored: heart and liver have a side.
    shift=True,
    window=(-600.0, 1500.0),  # the lung window: centre -600 HU, width 1500 HU
    paper={"A1/none": Published("NLST: slice .92, study .96 (.926-.982), Black against White", "Table 3", 0.96)},
)
