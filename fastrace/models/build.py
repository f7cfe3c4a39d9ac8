"""A network with one input channel, and its first weights.

What is loaded must fit: timm lets weights of another model pass with a log line.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from fastrace.errors import UsageError
from fastrace.models import SMALL
from fastrace.models.small import SmallNet
from fastrace.models.weights import Initial, read_weights


def build(name: str, num_classes: int, initial: Initial | None = None) -> nn.Module:
    """Make a model with one input channel.

    Parameters
    ----------
    name : str
        ``small`` or a timm model.
    num_classes : int
    initial : Initial or None
        None: random. The classifier is always new: the stored one has other classes in another order.

    Raises
    ------
    UsageError
        If the weights do not belong to this model.
    """
    import timm

    model: nn.Module
    if name == SMALL:
        model = SmallNet(num_classes)
    else:
        model = timm.create_model(name, pretrained=False, num_classes=num_classes, in_chans=1)
    if initial is not None and initial.path is not None:
        _load(model, read_weights(initial.path), initial.path)
    return model


def _load(model: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    from timm.models import adapt_input_conv

    own = model.state_dict()
    head = getattr(model, "pretrained_cfg", {}).get("classifier", "classifier")
    heads = (head,) if isinstance(head, str) else tuple(head or ())
    needed = {key for key in own if key.rpartition(".")[0] not in heads}
    missing = sorted(key for key in needed if key not in state and not key.endswith("num_batches_tracked"))
    if missing:
        raise UsageError(f"{path}: lacks {len(missing)} of {len(needed)} weights of the model, such as {missing[0]}")
    used = {}
    for key in needed & state.keys():
        tensor = state[key]
        # A first convolution trained on colour: the sum over its channels answers to grey as it did to equal channels.
        if tensor.ndim == 4 and tensor.shape[1] == 3 and own[key].shape[1] == 1:
            tensor = adapt_input_conv(1, tensor)
        if tensor.shape != own[key].shape:
            raise UsageError(f"{path}: {key} has shape {tuple(tensor.shape)}, the model needs {tuple(own[key].shape)}")
        used[key] = tensor
    model.load_state_dict(used, strict=False)
