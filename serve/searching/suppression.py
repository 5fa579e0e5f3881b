"""Spreading hits out in space: no hit near a better one (greedy non-maximum suppression)."""

import math

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

ROUNDING = 1e-9
"""Relative slack of a squared distance, so that one equal to the limit always counts as enough."""

# Points are looked at in blocks, so that where many stay a tree of those tells which others may.
_BLOCK, _LARGEST_BLOCK = 512, 2048
_FEW = 32
_NONE = np.empty(0, np.int64)


def suppress(
    points: Float[np.ndarray, "n 3"],
    limit: int,
    separation: float,
    excluded: Float[np.ndarray, "m 3"],
    may: Bool[np.ndarray, " n"] | None = None,
    groups: Int[np.ndarray, " n"] | None = None,
    most: int = 0,
) -> Int[np.ndarray, " kept"]:
    """Which points stay when none may be nearer than `separation` to an earlier one that stays.

    Args:
        points: best first; in any unit in which distances are Euclidean.
        limit: how many to keep at most.
        separation: in the unit of the points; points exactly this far apart both stay.
        excluded: what every point that stays must be as far from, too.
        may: which may stay; all where it is None.
        groups: which group each point is of, counted from 0; below 0 it is of none.
        most: how many of one group stay at most; where groups are given.

    Returns:
        Ascending indices of the points that stay.
    """
    far = separation * separation * (1 - ROUNDING)
    may = np.ones(len(points), bool) if may is None else may
    if separation == 0:  # distances are never less
        return _first(may & _all_far(points, excluded, far), limit, groups, most)
    from serve.searching.compiled import greedy

    points = np.ascontiguousarray(points, np.float64)
    groups, room = (
        (_NONE, _NONE) if groups is None else (groups, np.full(groups.max(initial=-1) + 1, most))
    )
    kept, begin, size = _NONE, 0, _BLOCK
    while begin < len(points) and len(kept) < limit:
        end = begin + size
        block, alive = points[begin:end], may[begin:end]
        if len(excluded) or len(kept):
            others = np.concatenate([excluded, points[kept]])
            alive = alive & _all_far(block, others, far)
        stay = greedy(block, alive, limit - len(kept), far, groups[begin:end], room)
        kept = np.concatenate([kept, begin + stay])
        begin, size = end, min(2 * size, _LARGEST_BLOCK)
    return kept


def _first(
    alive: Bool[np.ndarray, " n"], limit: int, groups: Int[np.ndarray, " n"] | None, most: int
) -> Int[np.ndarray, " kept"]:
    """The first points that are alive, at most so many of a group."""
    stay = np.flatnonzero(alive)
    if groups is not None:
        stay = stay[_turn(groups[stay]) < most]
    return stay[:limit]


def _turn(groups: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """How many points of its group each follows; 0 where it is of none."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    first = np.searchsorted(ordered, ordered)
    turn = np.empty(len(groups), np.int64)
    turn[order] = np.where(ordered < 0, 0, np.arange(len(groups)) - first)
    return turn


def _all_far(
    points: Float[np.ndarray, "n 3"], others: Float[np.ndarray, "m 3"], far: float
) -> Bool[np.ndarray, " n"]:
    """Which points are at least a (squared) distance from all others."""
    if not len(others):
        return np.ones(len(points), bool)
    if len(others) <= _FEW:
        return (cdist(points, others, "sqeuclidean") >= far).all(axis=1)
    bound = math.sqrt(far) * (1 + ROUNDING)
    distances, _ = cKDTree(others).query(points, distance_upper_bound=bound)
    return distances * distances >= far  # infinite where none is within the bound
