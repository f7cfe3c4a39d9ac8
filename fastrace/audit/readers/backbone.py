"""timm backbones with weights on this machine.

One that was trained elsewhere has seen no label of this archive and is cross-fitted over all patients, as the built-in
features are.
"""

from __future__ import annotations

from pathlib import Path

import torch

from fastrace.audit.document import FeatureSet
from fastrace.audit.partition import Partition
from fastrace.audit.readers.networks import Network
from fastrace.errors import UsageError
from fastrace.models import SMALL
from fastrace.models.build import build
from fastrace.models.weights import Initial, check_name, find_imagenet
from fastrace.train.pipeline import choose_device, network_for


def check_backbone(text: str) -> Initial:
    """Where a backbone's weights come from: ``NAME`` has ImageNet weights on this machine, ``NAME=FILE``, or ``NAME=random``.

    Raises
    ------
    UsageError
        Unknown model, no local weights.
    """
    name, _, source = text.partition("=")
    check_name(name, "--readers", ", package:function, a timm model with its file (NAME=FILE)")
    if name == SMALL:
        raise UsageError(f"--readers {text}: the small network is trained here; write --readers small")
    path = Path(source) if source and source != "random" else find_imagenet(name)
    if source == "random":
        return Initial("random", "random weights")
    if path is None or not path.is_file():
        where = (
            f"{path} is not a file"
            if source
            else "no ImageNet weights on this machine, and fastrace does not download them"
        )
        raise UsageError(f"--readers {text}: {where}; give NAME=FILE (safetensors or a torch state dict)")
    return Initial("file", f"weights from {path.name}", path)


def backbone(text: str, partition: Partition, device: str) -> Network:
    """A timm backbone, see `check_backbone`.

    Raises
    ------
    UsageError
        Also if the weights are those of another model.
    """
    name, initial = text.partition("=")[0], check_backbone(text)
    torch.manual_seed(0)
    chosen = choose_device(device)
    model = network_for(build(name, 0, initial), chosen)
    facts = FeatureSet(
        name=f"{name} ({initial.sentence})",
        dimensions=int(getattr(model, "num_features", 0)),
        learned_from_labels=False,
        evaluation="cross-fitted over all patients",
        sees=f"what {name} learned elsewhere to discriminate ({initial.sentence})",
        blind_to="what that training did not need; fine texture is lost where the network shrinks images early",
    )
    return Network(model, chosen, partition, facts, compiled=chosen.type == "cuda")
