"""``package.module:function``: any model, wrapped by its user in a function of a batch of images.

The contract: the function takes display values, float32 [N, 1, H, W] on the CPU, 0 to 1 where the image is unchanged (a
high-pass is around zero), and returns a mapping with

``features``  [N, D], what the model computes of each image, with the same D for every batch
``score``     [N] or [N, K], what it says; only where there is one

as tensors or arrays. What the model needs (its size, channels, normalisation, device) is the function's business. The module is
looked for among the installed packages, then in the current folder. Importing it runs its code, with the rights of the user.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastrace.digest import file_hash
from fastrace.errors import RunError, UsageError

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True)
class Output:
    """What a model says of a batch, float32 on the CPU.

    Attributes
    ----------
    features : Tensor [N, D]
    score : Tensor [N] or [N, K], or None
    """

    features: Tensor
    score: Tensor | None


@dataclass(frozen=True)
class Function:
    """A function that was loaded.

    Attributes
    ----------
    name : str
        ``package.module:function``, as typed.
    call : callable
    """

    name: str
    call: Callable[[Tensor], Any]

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Output:  # [N, 1, H, W] float32
        """Call it and check what it returns.

        Raises
        ------
        RunError
            It raised something, or did not keep the contract.
        """
        try:
            with redirect_stdout(sys.stderr):  # --json and pipes have the audit alone on stdout
                found = self.call(images.clone())  # it may normalise in place, and others read these images too
        except (Exception, SystemExit) as error:
            raise RunError(f"{self.name}: {_said(error)}") from error
        if not isinstance(found, Mapping) or "features" not in found:
            what = f"a mapping of {', '.join(map(repr, found))}" if isinstance(found, Mapping) else type(found).__name__
            raise RunError(f"{self.name}: returned {what}; expected a mapping with 'features' [N, D] (and 'score')")
        features, score = self._tensor(found, "features"), None
        if features.ndim != 2 or not features.shape[1]:
            raise RunError(f"{self.name}: 'features' has shape {tuple(features.shape)}; expected [{len(images)}, D]")
        if found.get("score") is not None:
            score = self._tensor(found, "score")
        for name, one in (("features", features), ("score", score)):
            if one is None:
                continue
            if one.ndim not in (1, 2) or len(one) != len(images):
                raise RunError(f"{self.name}: {name!r} has shape {tuple(one.shape)} for {len(images)} images")
            if not torch.isfinite(one).all():
                raise RunError(f"{self.name}: {name!r} holds NaN or infinite values")
        return Output(features, score)

    def _tensor(self, found: Mapping[str, Any], name: str) -> Tensor:
        try:
            return torch.as_tensor(found[name]).detach().to("cpu", torch.float32)
        except (TypeError, ValueError, RuntimeError) as error:
            raise RunError(
                f"{self.name}: {name!r} is {type(found[name]).__name__}; expected a tensor or an array of numbers"
            ) from error


def is_function(text: str) -> bool:
    """Whether it is written ``package.module:function``."""
    return _NAME.fullmatch(text) is not None


def load(text: str) -> Function:
    """Import the module and take the function.

    Raises
    ------
    UsageError
        No such module or function, its import fails, it cannot be called.
    """
    module, _, name = text.partition(":")
    _look_here()
    try:
        with redirect_stdout(sys.stderr):
            found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(f"{error.name}.")):
            raise UsageError(f"{text}: {_said(error)}") from error
        raise UsageError(
            f"{text}: no module {error.name!r}, neither installed beside fastrace nor in this folder; install it, or start "
            "fastrace in its folder"
        ) from error
    except (Exception, SystemExit) as error:
        raise UsageError(f"{text}: its import fails: {_said(error)}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise UsageError(f"{text}: {module} has no {name!r}")
        found = getattr(found, part)
    if not callable(found):
        raise UsageError(f"{text}: is {type(found).__name__}, not a function")
    return Function(text, found)


def source_digest(text: str) -> str:
    """BLAKE2b-256 of the file of the module, without importing it; empty where it has none."""
    _look_here()
    try:
        spec = importlib.util.find_spec(text.partition(":")[0])
        return "" if spec is None or spec.origin is None else file_hash(Path(spec.origin))
    except (Exception, SystemExit):  # packages above it are imported; `load` says what is wrong
        return ""


def _look_here() -> None:
    """The current folder, after what is installed: a file there must not take the place of torch."""
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())


def _said(error: BaseException) -> str:
    """An exception of other people's code: its kind, its first line, and the last line of that code."""
    first = (str(error).strip().splitlines() or [""])[0][:200]
    frames = [
        one
        for one in traceback.extract_tb(error.__traceback__)
        if one.filename != __file__ and "<frozen" not in one.filename
    ]
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{': ' if first else ''}{first}{where}"
