"""Spreading hits out in space: no hit near a better one (greedy non-maximum suppression)."""

from collections import Counter

import numpy as np
from jaxtyping import Float, Int

ROUNDING = 1e-9
"""Relative slack of a squared distance, so that one equal to the limit always counts as enough."""


def suppress(
    points: Float[np.ndarray, "n 3"],
    limit: int,
    separation: float,
    excluded: Float[np.ndarray, "m 3"],
    groups: Int[np.ndarray, " n"] | None = None,
    most: int = 0,
) -> Int[np.ndarray, " kept"]:
    """Which points stay when none may be nearer than `separation` to an earlier one that stays.

    Args:
        points: best first; in any unit in which distances are Euclidean.
        limit: how many to keep at most.
        separation: in the unit of the points; points exactly this far apart both stay.
        excluded: what every point that stays must be as far from, too.
        groups: which group each point is of; below 0 it is of none.
        most: how many of one group stay at most; where groups are given.

    Returns:
        Ascending indices of the points that stay.
    """
    far = separation * separation * (1 - ROUNDING)
    alive = np.ones(len(points), bool)
    for point in excluded:
        alive &= _squared(points - point) >= far
    if separation == 0:  # distances are never less
        stay = np.flatnonzero(alive)
        if groups is not None:
            stay = stay[_turn(groups[stay]) < most]
        return stay[:limit]
    neighbours = _CellHash(points, separation)
    kept: list[int] = []
    stayed: Counter[int] = Counter()
    best = 0
    while len(kept) < limit:
        best += int(np.argmax(alive[best:])) if best < len(alive) else 0
        if best >= len(alive) or not alive[best]:
            break
        kept.append(best)
        near = neighbours.around(best)
        alive[near[_squared(points[near] - points[best]) < far]] = False
        if groups is not None and groups[best] >= 0:
            group = int(groups[best])
            stayed[group] += 1
            if stayed[group] == most:
                alive[best:] &= groups[best:] != group
    return np.array(kept, np.int64)


def _turn(groups: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """How many points of its group each follows; 0 where it is of none."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    first = np.searchsorted(ordered, ordered)
    turn = np.empty(len(groups), np.int64)
    turn[order] = np.where(ordered < 0, 0, np.arange(len(groups)) - first)
    return turn


def _squared(offsets: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
    return np.einsum("nd,nd->n", offsets, offsets)


class _CellHash:
    """Points by cube of the given edge: what is nearer than an edge lies in the 27 cubes around."""

    def __init__(self, points: Float[np.ndarray, "n 3"], edge: float):
        cubes = np.floor((points - points.min(axis=0, initial=0)) / edge).astype(np.int64) + 1
        _, ny, nx = cubes.max(axis=0, initial=0) + 2  # a cube of margin keeps rows apart
        self._keys = (cubes[:, 0] * ny + cubes[:, 1]) * nx + cubes[:, 2]
        self._order = np.argsort(self._keys, kind="stable")
        self._sorted = self._keys[self._order]
        # Cubes that follow each other along x are one run of keys, so nine runs are enough.
        self._rows = np.array([(z * ny + y) * nx for z in (-1, 0, 1) for y in (-1, 0, 1)])

    def around(self, point: int) -> Int[np.ndarray, " near"]:
        """Indices of the points in the 27 cubes around a point, itself included."""
        first = self._keys[point] + self._rows - 1
        starts = np.searchsorted(self._sorted, first, side="left")
        stops = np.searchsorted(self._sorted, first + 2, side="right")
        runs = [self._order[a:b] for a, b in zip(starts, stops, strict=True) if a < b]
        return np.concatenate(runs)
