"""Loops over candidates that are too slow in Python, compiled by Numba.

NumPy lets go of Python's lock at each operation on more than 500 numbers, and gets it back when
other threads do; what is done here in a microsecond keeps it. Importing this compiles it, which
takes a second or two the first time: Numba keeps what it made beside this file, or in the user's
cache where that cannot be written. So it is imported where it is needed: a client, which imports
much of what searches do, needs none of it.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from jaxtyping import Bool, Float, Float32, Int

Function = TypeVar("Function", bound=Callable[..., Any])


def _greedy(
    points: Float[np.ndarray, "n 3"],
    alive: Bool[np.ndarray, " n"],
    limit: int,
    far: float,
    groups: Int[np.ndarray, " m"],
    room: Int[np.ndarray, " groups"],
) -> Int[np.ndarray, " kept"]:
    """Which points stay when none may be nearer to an earlier one that stays.

    Args:
        points: best first.
        alive: which of them may stay.
        limit: how many at most.
        far: least squared distance.
        groups: which group each point is of; below 0 it is of none. Empty where there are none.
        room: how many of each group may stay; it is lessened by those that do.

    Returns:
        Ascending indices.
    """
    kept = np.empty(min(limit, len(points)), np.int64)
    count = 0
    for row in range(len(points)):
        if count == limit:
            break
        group = groups[row] if len(groups) else -1
        if not alive[row] or (group >= 0 and room[group] == 0):
            continue
        z, y, x = points[row]
        near = False
        for other in kept[:count]:
            dz, dy, dx = z - points[other, 0], y - points[other, 1], x - points[other, 2]
            near = dz * dz + dy * dy + dx * dx < far
            if near:
                break
        if not near:
            kept[count] = row
            count += 1
            if group >= 0:
                room[group] -= 1
    return kept[:count]


def _ordered(scores: Float32[np.ndarray, " n"], ids: Int[np.ndarray, " n"]) -> bool:
    """Puts the ids of equal scores in order, in place, where scores are falling.

    Returns:
        Whether they are; where they are not, ids may be in order in part. They stay with their
        scores, as those are equal.
    """
    first = 0
    for row in range(1, len(scores) + 1):
        if row < len(scores) and scores[row] == scores[first]:
            continue
        if row < len(scores) and not scores[row] < scores[first]:
            return False
        if row > first + 1:
            ids[first:row].sort()
        first = row
    return True


def _compiled(function: Function, types: str) -> Function:
    try:
        made = numba.njit(types, cache=True)(function)
    except (RuntimeError, OSError):  # there is no directory to keep it in, or it is full
        made = numba.njit(types)(function)
    return cast(Function, made)


greedy = _compiled(
    _greedy, "int64[::1](float64[:,::1],boolean[::1],int64,float64,int64[::1],int64[::1])"
)
ordered = _compiled(_ordered, "boolean(float32[:],int64[:])")
