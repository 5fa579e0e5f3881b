"""Responses of classical filters in the middle of each field of view.

What a place shows to a person who trains a pixel classifier: Gaussian mean, gradient magnitude and
the shape of the Hessian, at several scales (the features of ilastik, Berg et al., Nature Methods
2019). All are the same whichever way the block lies. A Gaussian is a product of three, so a
response is three short passes, at the places alone, and costs little beside a network.
"""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

from embed.geometry import Zyx, ZyxFloat, thin_axes

Orders = tuple[int, ...]
"""Orders of a derivative along z, y and x, or along the first of them."""

# Blocks [n, z, y, x, before] times a band [voxel, cell, before, after], along each axis.
_PASSES = ("nzyxb,zcba->ncyxa", "nzyxb,ycba->nzcxa", "nzyxb,xcba->nzyca")
# Under every root, because its gradient is infinite at zero.
_LEAST = 1e-6
# A Gaussian narrower than this, in voxels, is its middle voxel.
_NARROWEST = 0.3


@dataclasses.dataclass(frozen=True)
class FilterBank:
    """Filters at the middle of every field of view of a block.

    Attributes:
        voxel_size_nm: edge lengths of a voxel, ZYX.
        fov: voxels of a field of view, ZYX.
        stride: voxels between fields of view, ZYX.
        scales: standard deviations of the Gaussians, in edges of the shortest voxel axis.
    """

    voxel_size_nm: ZyxFloat
    fov: Zyx
    stride: Zyx
    scales: tuple[float, ...]

    @property
    def axes(self) -> tuple[int, ...]:
        """Axes along which derivatives are taken; across thick sections they mean little."""
        return thin_axes(self.voxel_size_nm)

    @property
    def count(self) -> int:
        """Responses per place: so many of `invariants` at every scale."""
        return len(self.scales) * (2 + len(self.axes))

    def __call__(self, blocks: Float[Array, "n z y x"]) -> Float[Array, "n cz cy cx response"]:
        """The responses in the middle of every field of view of the blocks; float32.

        Args:
            blocks: normalised grey values, at least one field of view.

        Returns:
            `invariants`, each at all scales. Derivatives are per scale (Lindeberg's normalisation).
        """
        kernels = [[self.weights(axis, s) for axis in range(3)] for s in self.scales]
        derivatives = jnp.stack(self._passed(blocks, kernels), axis=-2)
        by_order = {key: derivatives[..., i] for i, key in enumerate(self.orders(2))}
        return jnp.concatenate(invariants(by_order, self.axes, jnp.sqrt), axis=-1)

    def means(self, blocks: Float[Array, "n z y x"]) -> Float[Array, "n cz cy cx scale"]:
        """The first of the responses alone, for a fraction of the cost: Gaussian means; float32."""
        kernels = [[self.mean_weights(axis, s) for axis in range(3)] for s in self.scales]
        return jnp.concatenate(self._passed(blocks, kernels), axis=-1)

    def mean_weights(self, axis: int, scale: float) -> Float32[np.ndarray, "tap 1 1"]:
        """The pass of a mean along an axis."""
        return self._taps(axis, scale, 0).astype(np.float32)[:, None, None]

    def orders(self, axis: int) -> list[Orders]:
        """The derivatives at hand after the passes along z to `axis`, none above second order."""
        along = (range(3) if a in self.axes else range(1) for a in range(axis + 1))
        return [orders for orders in itertools.product(*along) if sum(orders) <= 2]

    def weights(self, axis: int, scale: float) -> Float32[np.ndarray, "tap before after"]:
        """The pass along an axis: from the derivatives of the pass before it to its own."""
        before: list[Orders] = self.orders(axis - 1) if axis > 0 else [()]
        after = self.orders(axis)
        weights = np.zeros((self.fov[axis], len(before), len(after)), np.float32)
        for i, orders in enumerate(after):
            weights[:, before.index(orders[:-1]), i] = self._taps(axis, scale, orders[-1])
        return weights

    def _passed(self, blocks: Array, kernels: Sequence[Sequence[np.ndarray]]) -> list[Array]:
        """The three passes of every scale."""
        x = blocks.astype(jnp.float32)[..., None]
        # Along z for all scales at once: this alone is a pass over every voxel.
        along_z = self._along(0, x, np.concatenate([z for z, _, _ in kernels], axis=-1))
        parts = jnp.split(along_z, len(kernels), axis=-1)
        return [
            self._along(2, self._along(1, part, along_y), along_x)
            for part, (_, along_y, along_x) in zip(parts, kernels, strict=True)
        ]

    def _along(
        self, axis: int, x: Array, weights: Float32[np.ndarray, "tap before after"]
    ) -> Array:
        """One pass, as a product with a band matrix.

        Many of its entries are 0, and yet it is faster on a CPU than gathering windows,
        from a graph that compiles in a tenth of the time.
        """
        voxels, step = x.shape[axis + 1], self.stride[axis]
        cells = (voxels - len(weights)) // step + 1
        band = np.zeros((voxels, cells, *weights.shape[1:]), np.float32)
        for cell in range(cells):
            band[cell * step : cell * step + len(weights), cell] = weights
        # Derivatives are small differences, which accelerators would else round to some bits.
        return jnp.einsum(_PASSES[axis], x, band, precision=jax.lax.Precision.HIGHEST)

    def _taps(self, axis: int, scale: float, order: int) -> Float[np.ndarray, " tap"]:
        """A Gaussian or its derivative around the middle of a field of view."""
        sigma = max(scale * min(self.voxel_size_nm) / self.voxel_size_nm[axis], _NARROWEST)
        u = (np.arange(self.fov[axis]) - (self.fov[axis] - 1) / 2) / sigma
        bell = np.exp(-0.5 * u**2)
        bell /= bell.sum()
        taps = bell * (np.ones_like(u), u, u**2 - 1)[order]
        # Cut off by the field of view, a second derivative would answer to a constant.
        return taps - bell * taps.sum() if order == 2 else taps


def invariants(
    derivatives: Mapping[Orders, Any],
    axes: tuple[int, ...],
    root: Callable[[Any], Any],
    number: Callable[[float], Any] = float,
) -> list[Any]:
    """What of a Gaussian's derivatives is the same whichever way the block lies.

    Written for arrays, tensors and nodes of a graph alike.

    Args:
        derivatives: by their orders along z, y and x: up to the second along `axes`.
        axes: one to three of 0, 1 and 2.
        root: the square root.
        number: makes a constant of a number.

    Returns:
        Mean, gradient magnitude and Laplacian; with two axes also half the difference between the
        eigenvalues of the Hessian, with three their spread and, between minus and plus that, their
        skew: whether one stands out above or below. Smooth, unlike the eigenvalues themselves.
    """

    least = number(_LEAST)

    def derivative(*along: int) -> Any:
        return derivatives[along.count(0), along.count(1), along.count(2)]

    slope = root(_total([derivative(a) * derivative(a) for a in axes]) + least)
    laplacian = _total([derivative(a, a) for a in axes])
    found = [derivative(), slope, laplacian]
    if len(axes) == 1:
        return found
    middle = laplacian * number(1 / len(axes))
    straight = [derivative(a, a) - middle for a in axes]
    mixed = [derivative(*pair) for pair in itertools.combinations(axes, 2)]
    squares = _total([s * s for s in straight] + [m * m + m * m for m in mixed])
    squares = squares * number(1 / 6 if len(axes) == 3 else 1 / 2) + least
    found.append(root(squares))
    if len(axes) == 3:
        (d, e, f), (u, v, w) = straight, mixed
        determinant = d * (e * f - w * w) - u * (u * f - w * v) + v * (u * w - e * v)
        found.append(determinant / (squares + squares))
    return found


def _total(terms: list[Any]) -> Any:
    return sum(terms[1:], terms[0])
