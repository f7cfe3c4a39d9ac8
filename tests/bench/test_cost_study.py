"""The cost of an audit: the fit of its growth, and the page."""

from __future__ import annotations

import os

import pytest

from fastrace.bench.studies.cost import growth, page
from fastrace.bench.studies.memory import memory_kib


def row(patients: int, seconds: float) -> dict:
    steps = {"networks": 1.0, "features": 2.0, "cells": 3.0, "controls": seconds / 10, "all": seconds}
    return {
        "machine": "2 cores", "patients": patients, "readers": "none", "cells": 122, "findings": 0, "failed": [],
        "seconds": steps, "resident_mib": 2000, "anonymous_mib": 1000,
    }  # fmt: skip


def test_growth_is_that_of_a_power_and_is_shown_from_three_sizes_on() -> None:
    rows = [row(n, 0.5 * n**0.75) for n in (1_000, 4_000, 12_000)]
    assert growth(rows) == pytest.approx((0.5, 0.75))
    assert "patients^0.75" in page(rows)
    few = page([*rows[:2], rows[2] | {"machine": "4 cores"}])
    assert few.index("## 2 cores") < few.index("| 1,000 |") < few.index("## 4 cores") < few.index("| 12,000 |")
    assert "patients^" not in few
    assert "| 1,000 | none | 122 | 1 | 2 | 3 | 9 (10 %) | 89 | 1,000 | 2,000 |" in few


def test_memory_of_a_process_is_read_and_none_of_one_that_has_ended() -> None:
    assert 0 < memory_kib(os.getpid(), "RssAnon") < memory_kib(os.getpid())
    assert memory_kib(2**30) == 0
