"""Responses of classical filters at the places of a block: what an encoder should not forget.

What a place shows to a person who trains a pixel classifier: Gaussian mean, gradient magnitude,
Laplacian, eigenvalues of the Hessian and local variance, at several scales (the features of
ilastik, Berg et al., Nature Methods 2019). They are computed at the middles of the fields of view
alone, axis by axis as matrix products, so that they cost little beside a training step.
"""

import dataclasses
import itertools
import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from embed.geometry import Zyx, ZyxFloat, thin_axes

# Under every root, because its gradient is infinite at zero.
_LEAST = 1e-6
# A Gaussian narrower than this, in voxels, is its middle voxel.
_NARROWEST = 0.3
# Of every scale, besides one eigenvalue per axis: mean, slope, deviation, Laplacian.
_KINDS = 4


@dataclasses.dataclass(frozen=True)
class FilterBank:
    """Filters at the middle of every field of view of a grid.

    Attributes:
        voxel_size_nm: edge lengths of a voxel, ZYX.
        fov: voxels of a field of view, ZYX.
        stride: voxels between fields of view, ZYX.
        places: fields of view per axis, ZYX.
        scales: standard deviations of the Gaussians, in edges of the shortest voxel axis.
    """

    voxel_size_nm: ZyxFloat
    fov: Zyx
    stride: Zyx
    places: Zyx
    scales: tuple[float, ...]

    @property
    def axes(self) -> tuple[int, ...]:
        """Axes along which derivatives are taken; across thick sections they mean little."""
        return thin_axes(self.voxel_size_nm)

    @property
    def count(self) -> int:
        """Responses per place."""
        return len(self.scales) * (_KINDS + len(self.axes))

    def __call__(self, blocks: Float[Array, "n z y x"]) -> Float[Array, "n pz py px response"]:
        """The responses at every place, derivatives per scale (Lindeberg's normalisation).

        Args:
            blocks: normalised grey values, as many voxels as the places need.
        """
        # Along z for all scales and orders at once: this is the only pass over whole blocks.
        orders = range(3) if 0 in self.axes else range(1)
        pairs = [*itertools.product(self.scales, orders)]
        weights = jnp.asarray(np.concatenate([self._weights(0, *pair) for pair in pairs]))
        along_z = jnp.einsum("wz,nzyx->nwyx", weights, blocks)
        parts = dict(zip(pairs, jnp.split(along_z, len(pairs), axis=1), strict=True))
        means = jnp.asarray(np.concatenate([self._weights(0, scale, 0) for scale in self.scales]))
        squared = jnp.einsum("wz,nzyx->nwyx", means, blocks**2)
        squares = jnp.split(squared, len(self.scales), axis=1)
        found = [
            self._at_scale(parts, square, scale)
            for scale, square in zip(self.scales, squares, strict=True)
        ]
        return jnp.concatenate(found, axis=-1)

    def _at_scale(
        self, parts: dict[tuple[float, int], Array], square: Array, scale: float
    ) -> Array:
        def derivative(*axes: int) -> Array:
            z, y, x = (axes.count(axis) for axis in range(3))
            return self._in_plane(parts[scale, z], scale, y, x)

        mean = derivative()
        variance = self._in_plane(square, scale, 0, 0) - mean**2
        slopes = [derivative(a) for a in self.axes]
        pairs = itertools.combinations_with_replacement(self.axes, 2)
        second = {pair: derivative(*pair) for pair in pairs}
        responses = [
            mean,
            jnp.sqrt(sum(s**2 for s in slopes) + _LEAST),
            jnp.sqrt(jnp.maximum(variance, _LEAST)),
            sum(second[a, a] for a in self.axes),
            *_eigenvalues(second, self.axes),
        ]
        return jnp.stack(responses, axis=-1)

    def _in_plane(self, part: Array, scale: float, y: int, x: int) -> Array:
        """[n, place, y, x] contracted with a filter along y and one along x."""
        along_y = jnp.asarray(self._weights(1, scale, y))
        along_x = jnp.asarray(self._weights(2, scale, x))
        return jnp.einsum("wy,npyx->npwx", along_y, part @ along_x.T)

    def _weights(self, axis: int, scale: float, order: int) -> np.ndarray:
        """Gaussian or its derivative around the middle of each field of view, [place, voxel]."""
        sigma = max(scale * min(self.voxel_size_nm) / self.voxel_size_nm[axis], _NARROWEST)
        places, stride, fov = self.places[axis], self.stride[axis], self.fov[axis]
        middles = (fov - 1) / 2 + stride * np.arange(places)
        offset = np.arange(fov + (places - 1) * stride) - middles[:, None]
        inside = np.abs(offset) <= (fov - 1) / 2
        bell = np.exp(-0.5 * (offset / sigma) ** 2) * inside
        bell /= bell.sum(axis=1, keepdims=True)
        u = offset / sigma
        factor = {0: np.ones_like(u), 1: u, 2: u**2 - 1}[order]
        weights = bell * factor
        if order == 2:  # cut-off Gaussians would answer to a constant
            weights -= bell * weights.sum(axis=1, keepdims=True)
        return weights.astype(np.float32)


def _eigenvalues(t: dict[tuple[int, int], Array], axes: tuple[int, ...]) -> tuple[Array, ...]:
    """Of a symmetric tensor of one to three axes, largest first (Smith, CACM 4 (1961) 168)."""
    if len(axes) == 1:
        return (t[axes[0], axes[0]],)
    if len(axes) == 2:
        a, b = axes
        middle = (t[a, a] + t[b, b]) / 2
        spread = jnp.sqrt(((t[a, a] - t[b, b]) / 2) ** 2 + t[a, b] ** 2 + _LEAST)
        return middle + spread, middle - spread
    a, b, c = axes
    middle = (t[a, a] + t[b, b] + t[c, c]) / 3
    d, e, f = t[a, a] - middle, t[b, b] - middle, t[c, c] - middle
    u, v, w = t[a, b], t[a, c], t[b, c]
    spread = jnp.sqrt((d * d + e * e + f * f + 2 * (u * u + v * v + w * w)) / 6 + _LEAST)
    determinant = d * (e * f - w * w) - u * (u * f - w * v) + v * (u * w - e * v)
    angle = jnp.arccos(jnp.clip(determinant / (2 * spread**3), -1, 1)) / 3
    high = middle + 2 * spread * jnp.cos(angle)
    low = middle + 2 * spread * jnp.cos(angle + 2 * math.pi / 3)
    return high, 3 * middle - high - low, low
