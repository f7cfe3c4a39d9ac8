"""The value that travels from ``--degrade`` to the kernels: what it refuses, and what it becomes per image."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from fastrace.degrade.operations import apply
from fastrace.degrade.parser import parse
from fastrace.errors import UsageError
from fastrace.kernels.bandpass import Filter, bandpass, cpu
from fastrace.kernels.radii import NO_EDGE


def test_a_filter_is_a_value() -> None:
    band = Filter(10, 50)
    assert band == Filter(10.0, 50.0)
    assert hash(band) == hash(Filter(10.0, 50.0))
    assert band != Filter(10, 50, complement=True)
    assert band.edges(224, 224) == ((10 * 224) ** 2, (50 * 224) ** 2)
    assert Filter(1, math.inf).edges(30, 40) == (30**2, NO_EDGE)
    with pytest.raises(dataclasses.FrozenInstanceError):
        band.low = 3  # type: ignore[misc]


@pytest.mark.parametrize(("low", "high"), [(5, 5), (9, 5), (-1, 5), (math.nan, 5), (0, math.nan), (math.inf, math.inf)])
def test_numbers_that_keep_nothing_are_refused_where_they_are_written(low: float, high: float) -> None:
    with pytest.raises(UsageError, match="low <= r < high"):
        Filter(low, high)
    with pytest.raises(UsageError, match="low <= r < high"):
        Filter(np.array([low]), np.array([high])).of_images(1)


def test_in_a_unit_of_their_own_images_have_filters_of_their_own() -> None:
    images, units = torch.rand(3, 20, 24, dtype=torch.float64), torch.tensor([2.0, 3.0, 4.0], dtype=torch.float64)
    notch = Filter(0.5, 2, complement=True).times(units)
    assert notch.per_image
    assert notch.of_images(3) == [Filter(1, 4, True), Filter(1.5, 6, True), Filter(2, 8, True)]
    for image, own, got in zip(images, notch.of_images(3), bandpass(images, notch), strict=True):
        assert torch.equal(bandpass(image, own), got)


def test_the_kernel_gets_the_very_value_that_the_language_made(monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[Filter] = []
    launch = cpu.launch
    monkeypatch.setattr(cpu, "launch", lambda images, filter: (got.append(filter), launch(images, filter))[1])
    for variant in ("corrected", "released-code"):
        for text, filter in (
            ("band:10:50", Filter(10, 50)),
            ("notch:10:50", Filter(10, 50, True)),
            ("lowpass:7", Filter(0, 7)),
        ):
            degradation = parse(text, variant)  # type: ignore[arg-type]
            apply(degradation, torch.rand(1, 64, 64), torch.arange(1), seed=0)
            assert got[-1] is degradation.steps[0].radial  # type: ignore[union-attr]
            assert got[-1] == filter


def test_the_language_of_filters_needs_no_torch() -> None:
    code = "import sys, fastrace.kernels.radii; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
