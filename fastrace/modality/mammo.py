"""Screening mammograms; the study's EM-Mammo rows."""

from fastrace.modality import Modality, Published

MODALITY = Modality(
    name="mammo",
    modalities=("MG",),
    body_parts=("*BREAST", "*MAMMA", "*MAMMO"),
    views=("CC", "MLO"),
    intents=("FOR PRESENTATION",),
    size=(256, 256),
    backbone="tf_efficientnet_b2",
    crop="breast",
    # Neither mirrored nor shifted: the crop turns the chest wall to the left and lays it on the edge.
    phantom="mammo",
    paper={"A1/none": Published("image .78 (.773-.786), study .81 (.794-.818), Black against White", "Table 3", 0.81)},
    released_code={"A1/none": Published("image .88 on another test set", "released notebook", 0.88)},
)
