"""How several examples become directions to look in."""

import numpy as np
from jaxtyping import Float, Float32

from embed.errors import RequestError
from serve.queries import Query

Vectors = Float32[np.ndarray, "n dim"]

SAME = 1e-4
"""Vectors of length 1 nearer to each other are the same, rounded."""

_CANCELLED = (
    "the examples cancel each other, so that no direction is left to look in; take others, or "
    "mode best"
)
# Inverse strength of the penalty on examples: they are few, and of length 1.
_LINEAR_C = 10.0


def combined(
    liked: Vectors,
    unliked: Vectors,
    query: Query,
    typical: Float32[np.ndarray, " dim"] | None,
) -> tuple[Vectors, Vectors]:
    """What counts for a location and what against it.

    Args:
        liked: the examples to be like.
        unliked: those to be unlike.
        query: how they are combined.
        typical: of the atlas, as long as it counts; None where it does not.
    """
    nothing = liked[:0]
    if len(liked) == 1 and not len(unliked) and typical is None:
        return liked, nothing
    if query.mode == "best":
        apart = np.linalg.norm(liked[:, None] - unliked[None], axis=2)
        if len(unliked) and apart.max() < SAME:
            raise RequestError(_CANCELLED)
        if typical is not None:
            return _of_length_one(liked - typical), _of_length_one(unliked - typical)
        return liked, unliked
    if query.mode == "linear":
        weights = _regression(liked, unliked)
    else:
        weights = liked.mean(axis=0, dtype=np.float64)
        if len(unliked):
            weights = weights - query.unlike_weight * unliked.mean(axis=0, dtype=np.float64)
        if typical is not None:
            weights = weights - typical
    return _of_length_one(weights[None]), nothing


def _of_length_one(weights: Float[np.ndarray, "n dim"]) -> Vectors:
    lengths = np.linalg.norm(weights, axis=1, keepdims=True)
    if len(weights) and lengths.min() < 1e-6:
        raise RequestError(_CANCELLED)
    return (weights / lengths).astype(np.float32)


def _regression(liked: Vectors, unliked: Vectors) -> Float[np.ndarray, " dim"]:
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has none

    targets = np.repeat([1, 0], [len(liked), len(unliked)])
    # Not standardised, unlike a probe: of a few examples most scales would be chance.
    regression = LogisticRegression(C=_LINEAR_C, class_weight="balanced", max_iter=1000)
    with threadpool_limits(1, user_api="blas"):
        regression.fit(np.concatenate([liked, unliked]).astype(np.float64), targets)
    weights: np.ndarray = regression.coef_[0]
    return weights
