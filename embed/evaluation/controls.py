"""Controls: what a figure has to beat. None of them has learnt anything about tissue."""

import numpy as np
from jaxtyping import Float32, Int, Shaped

from embed.evaluation.features import Features
from embed.evaluation.places import Places, cut
from embed.geometry import Zyx, ZyxFloat

RANDOM = "random-initialised encoder"
PCA = "PCA-64 of the raw field of view"
MEAN = "mean intensity"
LOGISTIC = "filter bank, logistic regression"
FOREST = "filter bank, random forest"
CHANCE = "chance"

_COMPONENTS = 64
# Fields of view that the components are found on; more move no figure by a third digit.
_FITTED_ON = 1500


def raw_controls(
    grey: Shaped[np.ndarray, "z y x"], places: Places, fit_on: Int[np.ndarray, " m"]
) -> dict[str, Features]:
    """The controls that see only the raw field of view.

    Args:
        grey: the whole volume.
        places: where.
        fit_on: indices of places that principal components may be found on; never of a test block.
    """
    return {
        PCA: Features(principal_components(grey, places, fit_on)),
        MEAN: Features(mean_intensity(grey, places)),
    }


def principal_components(
    grey: Shaped[np.ndarray, "z y x"], places: Places, fit_on: Int[np.ndarray, " m"]
) -> Float32[np.ndarray, "n components"]:
    """Each raw field of view in its first 64 principal components (fewer where there are fewer)."""
    from sklearn.decomposition import PCA as Decomposition

    chosen = np.random.default_rng(0).permutation(fit_on)[:_FITTED_ON]
    examples = np.concatenate(list(cut(grey, places.take(chosen))))
    count = min(_COMPONENTS, *examples.shape)
    # Few iterations are enough for a control, and a third of the time of scikit-learn's default.
    pca = Decomposition(count, svd_solver="randomized", iterated_power=3, random_state=0)
    pca.fit(examples)
    return np.concatenate([pca.transform(batch) for batch in cut(grey, places)]).astype(np.float32)


def mean_intensity(grey: Shaped[np.ndarray, "z y x"], places: Places) -> Float32[np.ndarray, "n 1"]:
    """The mean grey value of each field of view."""
    means = [batch.mean(axis=1, keepdims=True) for batch in cut(grey, places)]
    return np.concatenate(means)


def ladder_nm(voxel_size_nm: ZyxFloat, steps: tuple[float, ...]) -> tuple[float, ...]:
    """Scales of the filter bank in nm, as multiples of the smallest voxel edge.

    >>> ladder_nm((45.0, 5.0, 5.0), (1.0, 2.0))
    (5.0, 10.0)
    """
    return tuple(s * min(voxel_size_nm) for s in steps)


def fov_nm(fov: Zyx, voxel_size_nm: ZyxFloat) -> ZyxFloat:
    """Edge lengths of a field of view in nm, ZYX."""
    z, y, x = (n * v for n, v in zip(fov, voxel_size_nm, strict=True))
    return z, y, x
