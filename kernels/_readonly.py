"""Arrays that may not be written to, shown to torch, which has no read-only tensors. No kernel writes to its input."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class _Shown:
    """An array's memory under the claim that it may be written to. NumPy keeps this object, and with it the array."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array
        facts = array.__array_interface__
        self.__array_interface__ = {**facts, "data": (facts["data"][0], False)}


def for_torch(array: NDArray[Any]) -> NDArray[Any]:
    """The array itself, or a view of the same memory that `torch.from_numpy` takes without a warning."""
    return array if array.flags.writeable else np.asarray(_Shown(array))
