"""Every image, with no assumption about it."""

from fastrace.modality import Modality

MODALITY = Modality(name="any", modalities=(), views=(), size=(224, 224), backbone="resnet34", flip=False)
