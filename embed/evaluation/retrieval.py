"""Retrieval that knows space: a hit shows neither the query's place nor that of a better hit."""

import numpy as np
from jaxtyping import Bool, Float, Int

from embed.geometry import ZyxFloat

# So many of the best are suppressed first, and all of the gallery only where they run out.
_FIRST_LOOK = 1000


def far_enough(
    query_nm: Float[np.ndarray, "3"],
    gallery_nm: Float[np.ndarray, "n 3"],
    fov_nm: ZyxFloat,
    radius_nm: float,
) -> Bool[np.ndarray, " n"]:
    """Whether each place may be a hit of the query: no shared voxel, and at least the radius."""
    apart = np.abs(gallery_nm - query_nm)
    overlaps = (apart < fov_nm).all(axis=1)
    return ~overlaps & (np.linalg.norm(apart, axis=1) >= radius_nm)


def separated(
    similarity: Float[np.ndarray, " n"],
    places_nm: Float[np.ndarray, "n 3"],
    k: int,
    separation_nm: float,
) -> Int[np.ndarray, " m"]:
    """Indices of the best `k` places, none nearer than `separation_nm` to a better one.

    Greedy non-maximum suppression, best first; fewer than `k` where no more are left.
    """
    order = np.argsort(-similarity, kind="stable")
    for considered in (order[:_FIRST_LOOK], order):
        kept = _suppress(considered, places_nm, k, separation_nm)
        if len(kept) == k or len(considered) == len(order):
            break
    return kept


def _suppress(
    order: Int[np.ndarray, " m"], places_nm: Float[np.ndarray, "n 3"], k: int, separation_nm: float
) -> Int[np.ndarray, " kept"]:
    places = places_nm[order]
    alive = np.ones(len(order), bool)
    kept: list[int] = []
    while len(kept) < k and alive.any():
        best = int(np.argmax(alive))
        kept.append(best)
        alive &= ((places - places[best]) ** 2).sum(axis=1) >= separation_nm**2
        alive[best] = False
    return order[kept]
