"""ranking: AUCs, placements and resampled AUCs of score columns, each column sorted once.

For a column of scores s, m positives and n negatives, and whole-number weights w (1 each, or how often the cluster of a row
was drawn):

    psi(i, j)    = 1 if s_i > s_j, 1/2 if s_i = s_j, else 0                     i positive, j negative
    placement(i) = sum over negatives j of psi(i, j) / n                        of a positive: the share below it
    placement(j) = sum over positives i of psi(i, j) / m                        of a negative: the share above it
    AUC          = sum over i, j of w_i w_j psi(i, j) / (sum of w_i * sum of w_j)

Placements are the structural components of DeLong, DeLong and Clarke-Pearson (Biometrics 1988): AUC is their mean on either
side, its variance follows from theirs. Without positives or without negatives all of them are undefined: NaN. Equal
scores count one half; constant scores give 1/2 everywhere. Infinite scores are ranked, NaN is refused.

Resampling. A replicate draws each stratum of clusters with replacement to its own size. Draw d of replicate b is half d % 2
(the low half first) of word d // 2 of a SplitMix64 stream (Steele, Lea and Flood, OOPSLA 2014) whose key depends on the seed
and b; with u its 32 bits the member drawn is u * size / 2^32. So a replicate is the same in any chunk, on any machine
and with any number of threads. Shares are uneven by at most size / 2^32.

Tolerance: pairs are counted in whole numbers, and a division rounds once; kernel and reference differ by the rounding of the
reference's sums, 1e-12 at most. More than 2^52 weighted pairs are refused.

Reading order: the functions, the reference, the operations registered with torch; `csrc/ranking.cpp` is the CPU kernel. There is
none for a GPU: the work takes milliseconds.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from fastrace.kernels import _extension

__all__ = [
    "TOLERANCE",
    "bootstrap_auc",
    "draw_weights",
    "placements",
    "placements_reference",
    "weighted_auc",
    "weighted_auc_reference",
]

TOLERANCE = 1e-12  # of AUCs and placements against the float64 reference: measured 4e-15

Floats = NDArray[np.float64]
Array = ArrayLike | Tensor


def placements(
    scores: Array,  # [C, R] or [R]
    positive: Array,  # [C, R] or [R] bool
) -> tuple[Tensor, Tensor]:  # [C] float64, [C, R] float64
    """AUC of each column and the placement of each row.

    Parameters
    ----------
    scores : array or tensor
        [C, R], or [R] for one column; any number type, no NaN.
    positive : array or tensor of bool
        Which rows are positive: [C, R], or [R] if all columns share it.

    Returns
    -------
    auc : Tensor [C] float64
        In [0, 1]; NaN where a column has no positives or no negatives.
    placements : Tensor [C, R] float64
        In [0, 1]; NaN in such a column.

    Raises
    ------
    ValueError
        Where shapes do not fit or a score is NaN.
    """
    columns, truth = _columns(scores, positive)
    placed, counts = torch.ops.fastrace.ranking_placements(columns, truth)
    auc = _share(counts)
    placed[torch.isnan(auc)] = torch.nan
    return auc, placed


def weighted_auc(
    scores: Array,  # [C, R] or [R]
    positive: Array,  # [C, R] or [R] bool
    clusters: Array,  # [R] int, 0 .. P-1
    weights: Array,  # [B, P] uint16
) -> Tensor:  # [C, B] float64
    """AUC of each column in each replicate, where a row counts as often as its cluster.

    Parameters
    ----------
    scores, positive
        As in `placements`.
    clusters : array or tensor of int
        [R], the cluster (0 .. P-1) of each row.
    weights : array or tensor
        [B, P] whole numbers from 0 to 65535.

    Returns
    -------
    Tensor
        [C, B] float64; NaN where all positives, or all negatives, weigh nothing.

    Raises
    ------
    ValueError
        Where shapes do not fit, a score is NaN, or a weight is not such a number.
    """
    columns, truth = _columns(scores, positive)
    numbers = weights.numpy() if isinstance(weights, Tensor) else np.asarray(weights)
    small = numbers.astype(np.uint16, copy=False)
    if small is not numbers and (small != numbers).any():
        raise ValueError("weights must be whole numbers from 0 to 65535")
    if small.ndim != 2:
        raise ValueError(f"weights must be [B, P], not of shape {small.shape}")
    owners = _owners(clusters, columns.shape[1], small.shape[1])
    counts = torch.ops.fastrace.ranking_weighted(columns, truth, owners, torch.from_numpy(np.ascontiguousarray(small)))
    return _share(counts)


def bootstrap_auc(
    scores: Array,  # [C, R] or [R]
    positive: Array,  # [C, R] or [R] bool
    clusters: Array,  # [R] int, 0 .. P-1
    strata: Array,  # [P] int
    replicates: int,
    seed: int,
    first: int = 0,
) -> Tensor:  # [C, B] float64
    """AUC of each column when clusters are resampled within strata: `weighted_auc` with the weights of `draw_weights`.

    Parameters
    ----------
    scores, positive, clusters
        As in `weighted_auc`.
    strata : array or tensor of int
        [P], the stratum of each cluster.
    replicates : int
        B.
    seed : int
        Its lowest 64 bits are used.
    first : int
        Number of the first replicate: two calls with half the replicates give what one call gives.

    Returns
    -------
    Tensor
        [C, B] float64; NaN where a replicate has no positives or no negatives.
    """
    columns, truth = _columns(scores, positive)
    groups = _tensor(strata).to(torch.int64).contiguous()
    owners = _owners(clusters, columns.shape[1], len(groups))
    signed = (seed + 2**63) % 2**64 - 2**63  # what an int64 argument can hold
    return _share(torch.ops.fastrace.ranking_bootstrap(columns, truth, owners, groups, replicates, signed, first))


def _tensor(values: Array) -> Tensor:
    return values if isinstance(values, Tensor) else torch.from_numpy(np.ascontiguousarray(values))


def _columns(scores: Array, positive: Array) -> tuple[Tensor, Tensor]:
    columns, truth = _tensor(scores).to(torch.float64), _tensor(positive)
    if truth.dtype != torch.bool:
        raise ValueError(f"positive must be bool, not {truth.dtype}")
    columns, truth = torch.atleast_2d(columns).contiguous(), torch.atleast_2d(truth).contiguous()
    if columns.ndim != 2 or truth.shape not in (columns.shape, (1, columns.shape[1])):
        raise ValueError(f"scores {tuple(columns.shape)} and positive {tuple(truth.shape)} must be [C, R], or [R]")
    if torch.isnan(columns).any():
        raise ValueError("scores must not be NaN")
    return columns, truth


def _owners(clusters: Array, rows: int, count: int) -> Tensor:
    owners = _tensor(clusters).to(torch.int64).contiguous()
    if owners.shape != (rows,):
        raise ValueError(f"clusters must be [{rows}], one for each row, not of shape {tuple(owners.shape)}")
    if rows and (int(owners.min()) < 0 or int(owners.max()) >= count):
        raise ValueError(f"clusters must be 0 to {count - 1}")
    return owners


def _share(counts: Tensor) -> Tensor:
    """Twice the pairs won, positives, negatives -> AUC; 0 / 0 is NaN."""
    won, m, n = counts.to(torch.float64).unbind(-1)
    return won / (2 * m * n)


# ---- reference -------------------------------------------------------------------------------------------------------


def placements_reference(scores: ArrayLike, positive: ArrayLike) -> tuple[float, Floats]:
    """One column, pair by pair in float64: AUC and [R] placements."""
    s, truth = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    psi = (s[truth][:, None] > s[~truth][None]) + 0.5 * (s[truth][:, None] == s[~truth][None])
    out = np.full(len(s), np.nan)
    if psi.size == 0:
        return np.nan, out
    out[truth], out[~truth] = psi.mean(axis=1), psi.mean(axis=0)
    return float(psi.mean()), out


def weighted_auc_reference(scores: ArrayLike, positive: ArrayLike, weights: ArrayLike) -> float:
    """One column and one weight per row, pair by pair in float64."""
    s, truth = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    w = np.asarray(weights, dtype=np.float64)
    psi = (s[truth][:, None] > s[~truth][None]) + 0.5 * (s[truth][:, None] == s[~truth][None])
    pairs = w[truth].sum() * w[~truth].sum()
    return float(w[truth] @ psi @ w[~truth] / pairs) if pairs else np.nan


def draw_weights(strata: ArrayLike, replicates: int, seed: int, first: int = 0) -> NDArray[np.uint16]:
    """[B, P] uint16: how often `bootstrap_auc` draws each cluster."""
    groups = np.asarray(strata, dtype=np.int64)
    members = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[members], prepend=groups.min(initial=0) - 1))
    sizes = np.diff(starts, append=len(members))
    size, start = np.repeat(sizes, sizes).astype(np.uint64), np.repeat(starts, sizes)
    gamma, draws = np.uint64(0x9E3779B97F4A7C15), np.arange(len(members), dtype=np.uint64)
    out = np.empty((replicates, len(members)), dtype=np.uint16)
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is meant
        base = _mix(np.array([seed % 2**64], dtype=np.uint64) + gamma)
        for b in range(replicates):
            key = _mix(base ^ (np.array([first + b + 1], dtype=np.uint64) * gamma))
            words = _mix(key + (draws // np.uint64(2) + np.uint64(1)) * gamma)
            half = np.where(draws % np.uint64(2), words >> np.uint64(32), words & np.uint64(0xFFFFFFFF))
            drawn = members[start + ((half * size) >> np.uint64(32)).astype(np.int64)]
            out[b] = np.bincount(drawn, minlength=len(members))
    return out


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


# ---- operations ------------------------------------------------------------------------------------------------------


@torch.library.custom_op("fastrace::ranking_placements", mutates_args=())
def _placements(scores: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    _extension.load()
    found: tuple[Tensor, Tensor] = torch.ops.fastrace.ranking_placements_cpu(scores, positive)
    return found


@torch.library.custom_op("fastrace::ranking_weighted", mutates_args=())
def _weighted(scores: Tensor, positive: Tensor, clusters: Tensor, weights: Tensor) -> Tensor:
    _extension.load()
    counts: Tensor = torch.ops.fastrace.ranking_weighted_cpu(scores, positive, clusters, weights)
    return counts


@torch.library.custom_op("fastrace::ranking_bootstrap", mutates_args=())
def _bootstrap(
    scores: Tensor, positive: Tensor, clusters: Tensor, strata: Tensor, replicates: int, seed: int, first: int
) -> Tensor:
    _extension.load()
    counts: Tensor = torch.ops.fastrace.ranking_bootstrap_cpu(
        scores, positive, clusters, strata, replicates, seed, first
    )
    return counts


@_placements.register_fake
def _placements_fake(scores: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(scores), scores.new_empty((scores.shape[0], 3), dtype=torch.int64)


@_weighted.register_fake
def _weighted_fake(scores: Tensor, positive: Tensor, clusters: Tensor, weights: Tensor) -> Tensor:
    return scores.new_empty((scores.shape[0], weights.shape[0], 3), dtype=torch.int64)


@_bootstrap.register_fake
def _bootstrap_fake(
    scores: Tensor, positive: Tensor, clusters: Tensor, strata: Tensor, replicates: int, seed: int, first: int
) -> Tensor:
    return scores.new_empty((scores.shape[0], replicates, 3), dtype=torch.int64)
