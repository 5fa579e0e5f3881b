"""The classical filter bank: what a person would train a pixel classifier on.

Gaussian, gradient magnitude, Laplacian of Gaussian and the eigenvalues of the structure tensor and
of the Hessian at several scales: the features of ilastik (Berg et al., Nature Methods 2019). Scales
are nanometres, and derivatives are per scale (Lindeberg's normalisation), so that an anisotropic
voxel is treated as what it is. A pure function of the volume; made one response at a time, because
all of them together are some thirty times the volume.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float32, Int, Shaped

from embed.geometry import Box, Zyx, ZyxFloat, zyx_float

Response = Float32[np.ndarray, "z y x"]
Sampler = Callable[[Response], Float32[np.ndarray, "n columns"]]
Components = dict[tuple[int, int], Response]

# The structure tensor averages over twice the scale of its gradients, as ilastik's does.
_TENSOR_WINDOW = 2.0
_SECTIONS_AT_ONCE = 16


def responses(
    grey: Shaped[np.ndarray, "z y x"],
    voxel_size_nm: ZyxFloat,
    sigmas_nm: Sequence[float],
    *,
    planar: bool = False,
) -> Iterator[Response]:
    """Every response of the bank over a whole volume, one after another.

    Args:
        grey: grey values of any type.
        voxel_size_nm: edge lengths of a voxel, ZYX.
        sigmas_nm: scales, each the standard deviation of a Gaussian in nm.
        planar: whether each section is filtered by itself, for sections so thick that a
            derivative across them means little. Tensors then have two eigenvalues, not three.

    Yields:
        float32 [z, y, x], 9 per scale (7 if planar), always in the same order.
    """
    axes = (1, 2) if planar else (0, 1, 2)
    values = grey.astype(np.float32)
    for sigma_nm in sigmas_nm:
        sigma = sigmas_in_voxels(sigma_nm, voxel_size_nm, axes)
        yield from _at_scale(values, sigma, axes)


def sigmas_in_voxels(sigma_nm: float, voxel_size_nm: ZyxFloat, axes: tuple[int, ...]) -> ZyxFloat:
    """The scale along each axis in voxels, ZYX; 0 along an axis that is not filtered.

    >>> sigmas_in_voxels(9.0, (45.0, 4.5, 4.5), (0, 1, 2))
    (0.2, 2.0, 2.0)
    """
    return zyx_float(sigma_nm / v if a in axes else 0.0 for a, v in enumerate(voxel_size_nm))


def sampled(bank: Iterator[Response], *samplers: Sampler) -> tuple[Float32[np.ndarray, "n _"], ...]:
    """Passes the bank once and gives the columns that each sampler takes from it."""
    columns: list[list[np.ndarray]] = [[] for _ in samplers]
    for response in bank:
        for found, sampler in zip(columns, samplers, strict=True):
            found.append(sampler(response))
    return tuple(np.concatenate(found, axis=1) for found in columns)


def at_voxels(voxels: Int[np.ndarray, "n 3"], sections: Sequence[int] = (0,)) -> Sampler:
    """Samples a response at voxels (ZYX) and at those in neighbouring `sections` (offsets in z)."""
    z, y, x = voxels.T

    def sample(response: Response) -> Float32[np.ndarray, "n columns"]:
        return np.stack([response[z + dz, y, x] for dz in sections], axis=1)

    return sample


def pooled(starts: Int[np.ndarray, "n 3"], fov: Zyx) -> Sampler:
    """Samples the mean of a response over fields of view that begin at `starts`, voxels, ZYX."""
    from scipy import ndimage

    windows = [Box.of_shape(fov, (z, y, x)).slices for z, y, x in starts.tolist()]
    # scipy's window around voxel i begins at i - size // 2, for odd and even sizes alike.
    middles = (starts + np.asarray(fov) // 2).T

    def sample(response: Response) -> Float32[np.ndarray, "n columns"]:
        if len(windows) * math.prod(fov) < response.size:
            return np.asarray([[response[w].mean()] for w in windows], np.float32)
        z, y, x = middles
        return ndimage.uniform_filter(response, fov, mode="nearest")[z, y, x][:, None]

    return sample


def masked(
    starts: Int[np.ndarray, "n 3"], masks: Sequence[Bool[np.ndarray, "fz fy fx"]]
) -> Sampler:
    """Samples mean and deviation over the part of each field of view that its mask keeps."""
    windows = [
        Box.of_shape(mask.shape, (z, y, x)).slices
        for (z, y, x), mask in zip(starts.tolist(), masks, strict=True)
    ]

    def sample(response: Response) -> Float32[np.ndarray, "n columns"]:
        kept = (response[w][m] for w, m in zip(windows, masks, strict=True))
        return np.asarray([(v.mean(), v.std()) for v in kept], np.float32)

    return sample


def _at_scale(grey: Response, sigma: ZyxFloat, axes: tuple[int, ...]) -> Iterator[Response]:
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(grey, sigma)
    yield smooth
    slopes = {a: _slope(smooth, a, sigma[a]) for a in axes}
    yield np.sqrt(sum(s**2 for s in slopes.values()))
    curvature: Components = {}
    for a, b in itertools.combinations_with_replacement(axes, 2):
        straight = a == b
        curvature[a, b] = (
            _curvature(smooth, a, sigma[a]) if straight else _slope(slopes[a], b, sigma[b])
        )
    yield sum((curvature[a, a] for a in axes[1:]), curvature[axes[0], axes[0]])
    yield from _eigenvalues(curvature, axes)
    window = [_TENSOR_WINDOW * s for s in sigma]
    structure = {
        (a, b): ndimage.gaussian_filter(slopes[a] * slopes[b], window) for a, b in curvature
    }
    yield from _eigenvalues(structure, axes)


def _slope(values: Response, axis: int, sigma: float) -> Response:
    from scipy import ndimage

    return ndimage.correlate1d(values, (-0.5 * sigma, 0.0, 0.5 * sigma), axis, mode="nearest")


def _curvature(values: Response, axis: int, sigma: float) -> Response:
    from scipy import ndimage

    weights = (sigma**2, -2 * sigma**2, sigma**2)
    return ndimage.correlate1d(values, weights, axis, mode="nearest")


def _eigenvalues(tensor: Components, axes: tuple[int, ...]) -> list[Response]:
    """Eigenvalues of a symmetric tensor field, largest first."""
    shape = next(iter(tensor.values())).shape
    found = [np.empty(shape, np.float32) for _ in axes]
    solve = _three_by_three if len(axes) == 3 else _two_by_two
    # By slabs: the closed forms hold a dozen intermediate arrays.
    for start in range(0, shape[0], _SECTIONS_AT_ONCE):
        slab = slice(start, start + _SECTIONS_AT_ONCE)
        parts = solve({k: v[slab] for k, v in tensor.items()}, axes)
        for whole, part in zip(found, parts, strict=True):
            whole[slab] = part
    return found


def _two_by_two(t: Components, axes: tuple[int, ...]) -> tuple[Response, ...]:
    a, b = axes
    middle = (t[a, a] + t[b, b]) / 2
    spread = np.hypot((t[a, a] - t[b, b]) / 2, t[a, b])
    return middle + spread, middle - spread


def _three_by_three(t: Components, axes: tuple[int, ...]) -> tuple[Response, ...]:
    """The trigonometric solution of the characteristic polynomial.

    Source: O. K. Smith, "Eigenvalues of a symmetric 3 × 3 matrix", CACM 4 (1961) 168.
    """
    a, b, c = axes
    middle = (t[a, a] + t[b, b] + t[c, c]) / 3
    d, e, f = t[a, a] - middle, t[b, b] - middle, t[c, c] - middle
    u, v, w = t[a, b], t[a, c], t[b, c]
    spread = np.sqrt((d * d + e * e + f * f + 2 * (u * u + v * v + w * w)) / 6)
    # Where all three agree the spread is 0 and so is the determinant: any angle will do.
    cube = np.maximum(spread, np.float32(1e-12)) ** 3
    determinant = d * (e * f - w * w) - u * (u * f - w * v) + v * (u * w - e * v)
    angle = np.arccos(np.clip(determinant / (2 * cube), -1, 1)) / 3
    high = middle + 2 * spread * np.cos(angle)
    low = middle + 2 * spread * np.cos(angle + np.float32(2 * np.pi / 3))
    return high, 3 * middle - high - low, low
