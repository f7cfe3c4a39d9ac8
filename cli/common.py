"""What commands share: parameter types, the workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class Size(click.ParamType):
    """``HxW``, rows by columns."""

    name = "HxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Parse ``1024x512`` into (1024, 512)."""
        if isinstance(value, tuple):
            return value
        parts = str(value).lower().split("x")
        if len(parts) != 2 or not all(part.isdigit() and 1 <= int(part) <= 16384 for part in parts):
            self.fail(f"{value!r} is not HxW with whole numbers from 1 to 16384, for example 224x224", param, ctx)
        return int(parts[0]), int(parts[1])


class Voi(click.ParamType):
    """Which VOI transform: ``window:N``, ``lut:N``, ``CENTER,WIDTH``, ``robust``, ``full`` or ``auto``."""

    name = "VOI"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the grammar; the text itself is passed on."""
        from fastrace.dicom.voi import parse_voi
        from fastrace.errors import FastraceError

        try:
            parse_voi(str(value))
        except FastraceError as error:
            self.fail(str(error), param, ctx)
        return str(value)


def workspace(modality: str) -> Path:
    """Where data and runs go when no folder is named."""
    return Path("fastrace-work") / modality
