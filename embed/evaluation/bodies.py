"""Places inside segmented bodies, which bodies touch, and how a body fills a field of view."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float32, Int, Shaped

from embed.evaluation.places import Places

# Nodes are the middles of processes: the deepest voxel within this many, if it is this deep.
_WINDOW = 15
_DEPTH = 4
_BODY_VOXELS = 20_000


def depth(bodies: Shaped[np.ndarray, "z y x"]) -> Float32[np.ndarray, "z y x"]:
    """Distance of each voxel to the nearest one on a border between bodies, in voxels.

    Voxels on a border and voxels of no body (0) have depth 0. The edge of the volume is no border:
    a body goes on behind it.
    """
    from scipy import ndimage

    inner = bodies != 0
    for axis in range(3):
        differs = np.diff(bodies, axis=axis) != 0
        low, high = (_cut(axis, slice(None, -1)), _cut(axis, slice(1, None)))
        inner[low] &= ~differs
        inner[high] &= ~differs
    return ndimage.distance_transform_edt(inner).astype(np.float32)


def nodes(bodies: Shaped[np.ndarray, "z y x"]) -> Int[np.ndarray, "n 3"]:
    """The voxels (ZYX) that stand for the large bodies: local maxima of `depth`.

    A plateau counts once, by its first voxel in z, y, x order.
    """
    from scipy import ndimage

    values, sizes = np.unique(bodies, return_counts=True)
    large = values[(sizes >= _BODY_VOXELS) & (values != 0)]
    deep = depth(bodies)
    peaks = (deep == ndimage.maximum_filter(deep, _WINDOW)) & (deep >= _DEPTH)
    peaks &= np.isin(bodies, large)
    plateau, count = ndimage.label(peaks, np.ones((3, 3, 3)))
    _, first = np.unique(plateau, return_index=True)
    if count == 0:
        return np.zeros((0, 3), np.int64)
    return np.stack(np.unravel_index(first[-count:], bodies.shape), axis=1).astype(np.int64)


def touching(bodies: Shaped[np.ndarray, "z y x"]) -> Bool[np.ndarray, "bodies bodies"]:
    """Whether two bodies share a face of a voxel.

    Args:
        bodies: labels that are counted from 0 without gaps.
    """
    count = int(bodies.max()) + 1
    found = np.zeros((count, count), bool)
    for axis in range(3):
        found[bodies[_cut(axis, slice(None, -1))], bodies[_cut(axis, slice(1, None))]] = True
    return (found | found.T) & ~np.eye(count, dtype=bool)


def masks_of(
    bodies: Shaped[np.ndarray, "z y x"], places: Places
) -> Iterator[Bool[np.ndarray, "fz fy fx"]]:
    """For each field of view, the voxels of the body in its middle."""
    for window, (z, y, x) in zip(places.windows(), places.voxels, strict=True):
        yield bodies[window] == bodies[z, y, x]


def mask_volume(masks: list[Bool[np.ndarray, "fz fy fx"]]) -> Float32[np.ndarray, "n 1"]:
    """How much of the field of view the body fills, as the logarithm of the voxel count."""
    return np.log([[mask.sum()] for mask in masks]).astype(np.float32)


def mask_shape(masks: list[Bool[np.ndarray, "fz fy fx"]]) -> Float32[np.ndarray, "n 11"]:
    """The form of the body in the field of view: size, elongation, surface and thickness."""
    return np.asarray([_shape(mask) for mask in masks], np.float32)


def _shape(mask: Bool[np.ndarray, "fz fy fx"]) -> list[float]:
    from scipy import ndimage

    volume = float(mask.sum())
    voxels = np.argwhere(mask) - (np.asarray(mask.shape) - 1) / 2
    # A hundredth of a voxel keeps the covariance of a single voxel or line from vanishing.
    moments = np.linalg.eigvalsh(np.cov(voxels.T, bias=True) + 1e-4 * np.eye(3))[::-1]
    surface = float(sum((np.diff(mask, axis=a)).sum() for a in range(3)))
    thickness = ndimage.distance_transform_edt(np.pad(mask, 1))
    thickness = thickness[thickness > 0]
    return [
        np.log(volume),
        *np.sqrt(moments),
        moments[1] / moments[0],
        moments[2] / moments[0],
        np.log(surface + 1),
        surface / volume,
        float(np.linalg.norm(voxels.mean(axis=0))),
        float(thickness.mean()),
        float(thickness.max()),
    ]


def _cut(axis: int, part: slice) -> tuple[slice, ...]:
    return tuple(part if a == axis else slice(None) for a in range(3))
