"""Radiographs of the cervical spine; the study's EM-CS rows."""

from fastrace.modality import Modality, Published

MODALITY = Modality(
    name="cspine",
    modalities=("CR", "DX", "RG"),
    body_parts=("CSPINE", "CERVICAL", "CERVSPINE"),
    views=(),
    intents=("FOR PRESENTATION",),
    size=(320, 320),
    backbone="resnet34",
    # Not mirrored: a lateral view faces the way the site does it.
    shift=True,
    paper={"A1/none": Published(".913 (.892-.931), Black against White", "Table 3", 0.913)},
    released_code={"A1/none": Published(".92", "released notebook", 0.92)},
)
