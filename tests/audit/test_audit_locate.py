"""The rule that locates a signal: what must hold whatever the scan looks like."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastrace.audit.locate import ScanStep, aliased_share, found_band, found_octave, overlap

# Where d' is not defined, neither is p: no finding.
steps = st.lists(
    st.tuples(st.one_of(st.floats(-1, 5), st.just(float("nan"))), st.booleans()), min_size=0, max_size=25
).map(lambda rows: [ScanStep(float(k), float(k + 1), d, finding and d == d) for k, (d, finding) in enumerate(rows)])
edges = st.tuples(st.integers(0, 100), st.integers(1, 50)).map(lambda pair: (float(pair[0]), float(sum(pair))))


@given(steps)
def test_a_found_band_is_contiguous_holds_the_peak_and_only_findings_of_half_its_height(scan: list[ScanStep]) -> None:
    band = found_band(scan)
    finite = [octave for octave in scan if np.isfinite(octave.d_prime)]
    peak = max((octave.d_prime for octave in finite), default=float("nan"))
    first = next((octave for octave in finite if octave.d_prime == peak), None)
    if first is None or not first.finding:
        assert band is None
        return
    assert band is not None
    inside = [octave for octave in scan if band[0] <= octave.low and octave.high <= band[1]]
    assert first in inside
    assert (inside[0].low, inside[-1].high) == band
    assert all(octave.finding and octave.d_prime >= peak / 2 for octave in inside if octave is not first)
    for beside in (octave for octave in scan if octave.high == band[0] or octave.low == band[1]):
        assert not (beside.finding and beside.d_prime >= peak / 2)


@given(steps)
def test_without_a_finding_there_is_no_band(scan: list[ScanStep]) -> None:
    silent = [ScanStep(one.low, one.high, one.d_prime, False) for one in scan]
    assert found_band(silent) is None
    assert found_octave(silent) is None


@given(steps)
def test_a_found_octave_is_the_highest_finding_or_none(scan: list[ScanStep]) -> None:
    band = found_octave(scan)
    best = max((step.d_prime for step in scan if np.isfinite(step.d_prime)), default=float("nan"))
    highest = [step for step in scan if step.d_prime == best]
    if band is None:
        assert not highest or not highest[0].finding
    else:
        assert any(step.finding and (step.low, step.high) == band for step in highest)


@given(edges, edges)
def test_overlap_is_symmetric_and_one_for_the_same_band_alone(
    one: tuple[float, float], other: tuple[float, float]
) -> None:
    shared = overlap(one, other)
    assert shared == overlap(other, one)
    assert 0 <= shared <= 1
    assert (shared == 1) == (one == other)
    cells = {(k in range(int(one[0]), int(one[1])), k in range(int(other[0]), int(other[1]))) for k in range(200)}
    if one[1] <= other[0] or other[1] <= one[0]:
        assert shared == 0
        assert (True, True) not in cells
    else:
        a, b = set(range(int(one[0]), int(one[1]))), set(range(int(other[0]), int(other[1])))
        assert shared == pytest.approx(len(a & b) / len(a | b))


def test_overlap_with_nothing_is_zero() -> None:
    assert overlap(None, (10, 20)) == 0


@given(st.floats(0, 400), st.floats(0, 400), st.sampled_from([(64, 64), (256, 128), (512, 512)]))
def test_the_aliased_share_lies_between_nothing_and_one_half(a: float, b: float, size: tuple[int, int]) -> None:
    # At the Nyquist frequency as much can have been folded in as was there before.
    share = aliased_share((min(a, b), max(a, b)), size)
    assert 0 <= share <= 0.5 + 1e-12


def test_more_can_have_been_folded_in_at_higher_frequencies() -> None:
    for slope, lowest in ((0.0, 2e-3), (3.0, 1e-4)):
        shares = [aliased_share((low, low + 2), (64, 64), slope) for low in range(1, 30)]
        assert all(low < high for low, high in pairwise(shares))
        assert shares[0] < lowest
    assert aliased_share((32, 32), (64, 64)) == pytest.approx(0.5)
    assert aliased_share((40, 45), (64, 64)) == pytest.approx(0.5)
