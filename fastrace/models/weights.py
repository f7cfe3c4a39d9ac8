"""Where the first weights of a network come from, looked for on this machine only.

timm's own loader would use the network, so its sources (the Hugging Face cache, torch hub's folder) are searched here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastrace.errors import BackendMissing, UsageError
from fastrace.models import SMALL


@dataclass(frozen=True)
class Initial:
    """Where the first weights of a model come from.

    Attributes
    ----------
    kind : "imagenet" | "random" | "file"
    sentence : str
        Which and why, written once on the terminal and in ``run.json``.
    path : Path or None
    """

    kind: str
    sentence: str
    path: Path | None = None


def check_name(name: str, option: str = "--model", others: str = "") -> None:
    """Refuse a model that neither timm nor this module has, given by an option that also takes others.

    Raises
    ------
    UsageError
    """
    import difflib

    import timm

    if name == SMALL or timm.is_model(name):
        return
    near = difflib.get_close_matches(name, [SMALL, *timm.list_models()], n=3)
    raise UsageError(
        f"{option} {name}: unknown; use 'small'{others} or a timm model"
        + (f", such as {', '.join(near)}" if near else "")
    )


def find_imagenet(name: str) -> Path | None:
    """ImageNet weights of a timm model in the local caches, never from the network."""
    import timm
    from huggingface_hub import try_to_load_from_cache

    config = timm.get_pretrained_cfg(name) if name != SMALL else None
    if config is None:
        return None
    if config.hf_hub_id:
        for file in ("model.safetensors", "pytorch_model.bin"):
            found = try_to_load_from_cache(config.hf_hub_id, file)
            if isinstance(found, str):
                return Path(found)
    if isinstance(config.url, str) and config.url:
        file_of_hub = Path(torch.hub.get_dir(), "checkpoints", Path(config.url).name)
        if file_of_hub.is_file():
            return file_of_hub
    return None


def choose_initial(name: str, init: str) -> Initial:
    """Resolve ``--init auto|imagenet|random|FILE``.

    Raises
    ------
    BackendMissing
        ``imagenet`` without local weights.
    UsageError
        A file that is not there.
    """
    check_name(name)
    if init == "random":
        return Initial("random", f"{name}: random initial weights, as requested")
    if init in ("auto", "imagenet"):
        path = find_imagenet(name)
        if path:
            return Initial("imagenet", f"{name}: ImageNet weights from {path}", path)
        if init == "imagenet":
            raise BackendMissing(_no_weights(name))
        why = "it has no ImageNet weights" if name == SMALL else "no ImageNet weights on this machine"
        return Initial("random", f"{name}: random initial weights ({why})")
    path = Path(init)
    if not path.is_file():
        raise UsageError(f"--init {init}: not a file; use auto, imagenet, random or a file of weights")
    return Initial("file", f"{name}: weights from {path}", path)


def _no_weights(name: str) -> str:
    if name == SMALL:
        return "--init imagenet: model small has no ImageNet weights; use --init random"
    import timm

    config = timm.get_pretrained_cfg(name)
    source = f"{config.hf_hub_id} (Hugging Face cache)" if config and config.hf_hub_id else "timm"
    return (
        f"--init imagenet: no weights of {name} on this machine, and fastrace does not download; fetch {source} where "
        "there is a network and copy the cache, or give the file with --init FILE, or use --init random"
    )


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name from safetensors, a torch state dict, or a fastrace checkpoint; never runs code from the file.

    Raises
    ------
    UsageError
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files fail in many ways (IndexError, SafetensorError, ...)
        raise UsageError(
            f"{path}: cannot be read as weights ({_first_line(error)}); give safetensors or a torch state dict"
        ) from error
    for wrapper in ("weights", "state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    tensors = {
        str(key).removeprefix("module."): value
        for key, value in (state.items() if isinstance(state, dict) else ())
        if isinstance(value, Tensor)
    }
    if not tensors:
        raise UsageError(f"{path}: holds no tensors by name; give safetensors or a torch state dict")
    return tensors


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
