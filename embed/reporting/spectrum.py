"""How many dimensions a set of embeddings fills: what a loss does not tell."""

import numpy as np
from jaxtyping import Float

# Of the paper: keeps the logarithm finite and moves no figure that matters.
_EPSILON = 1e-7


def rank_me(embeddings: Float[np.ndarray, "n dim"]) -> float:
    """The effective rank of embeddings: RankMe (Garrido et al. 2023, arXiv 2210.02885).

    The exponential of the entropy of the singular values, scaled to sum 1. It tells collapse from
    health; it does not rank recipes: in our measurements a network before training had 49 of 64
    and a trained one 18, while every score of the trained one was higher.

    Returns:
        1 (one direction) to `dim`; 0 where all embeddings are zero.
    """
    values = np.linalg.svd(embeddings.astype(np.float64), compute_uv=False)
    if values[0] == 0:
        return 0.0
    p = values / values.sum() + _EPSILON
    return float(np.exp(-(p * np.log(p)).sum()))


def mean_cosine(features: Float[np.ndarray, "n dim"]) -> float:
    """The mean cosine of all pairs of places: 0 in all directions, 1 where all point one way.

    Zero vectors, which point nowhere, are alike as well.
    """
    rows = _of_length_one(features)
    n = len(rows)
    alike = n - np.count_nonzero(rows.any(axis=1))
    pairs = (rows.sum(axis=0) ** 2).sum() - (n - alike) + alike * (alike - 1)
    return float(pairs / (n * (n - 1)))


def spread(features: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, " dim"]:
    """The deviation of each dimension of the features scaled to length 1, times sqrt(dim).

    About 1 where places fill all directions alike, 0 for a dimension that says nothing (Chen and
    He 2021, arXiv 2011.10566, figure 2).
    """
    rows = _of_length_one(features)
    return rows.std(axis=0) * np.sqrt(rows.shape[1])


def _of_length_one(features: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n dim"]:
    rows = features.astype(np.float64)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1)
