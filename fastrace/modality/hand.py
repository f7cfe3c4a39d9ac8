"""Hand radiographs; the study's Digital Hand Atlas rows."""

from fastrace.modality import Modality, Published

MODALITY = Modality(
    name="hand",
    modalities=("CR", "DX", "RG"),
    body_parts=("HAND",),
    views=(),
    intents=("FOR PRESENTATION",),
    size=(320, 320),
    backbone="resnet50",
    # Not mirrored, though a mirrored left hand is a right one: it blinds to the side and gained nothing (docs/small_network.md).
    shift=True,
    paper_learning_rate=1e-6,
    paper={"A1/none": Published(".87 (.752-.894), Black against White", "Table 3", 0.87)},
    released_code={"A1/none": Published(".86", "released notebook", 0.86)},
)
