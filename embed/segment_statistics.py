"""What the segment in a field of view shows as a whole: how bright it is, and how rough.

Training teaches an encoder to overlook how a place is lit, and with that it overlooks that the
inside of a neuron is darker than its neighbour's, or fuller of vesicles and tubules. Two numbers
say so, of all voxels of the segment together. Both are the same whichever way the block lies.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float32

from embed.geometry import Zyx, ZyxFloat, thin_axes, zyx

COUNT = 2
"""Statistics of a field of view."""

EXPECTED, EXPECTED_PAIRS = 0.25, 8.0
"""The semivariance before any pair was seen, in squares of the volume's deviation, and the pairs
that this counts for: a segment too thin to have a pair is like the others."""

# Of voxels so far apart most of what differs is texture, and no longer noise.
_LAG_NM = 60.0


@dataclasses.dataclass(frozen=True)
class SegmentStatistics:
    """Brightness and roughness of the segment in every field of view of a block.

    Attributes:
        voxel_size_nm: edge lengths of a voxel, ZYX.
        fov: voxels of a field of view, ZYX.
        stride: voxels between fields of view, ZYX.
    """

    voxel_size_nm: ZyxFloat
    fov: Zyx
    stride: Zyx

    @property
    def lags(self) -> dict[int, int]:
        """Voxels from one of a pair to the other, by axis; across thick sections none are pairs."""
        lags = {
            axis: max(1, round(_LAG_NM / self.voxel_size_nm[axis]))
            for axis in thin_axes(self.voxel_size_nm)
        }
        return {axis: lag for axis, lag in lags.items() if lag < self.fov[axis]}

    def __call__(self, blocks: Float[Array, "n z y x"]) -> Float32[Array, "n cz cy cx 2"]:
        """The statistics of every field of view of the blocks.

        Args:
            blocks: normalised grey values, at least one field of view; exactly 0 where something
                else than the segment lies.

        Returns:
            The mean, and the logarithm of the semivariance of voxels 60 nm apart: half the mean
            square of their difference, over all pairs along an axis that lie in the segment
            (Matheron, "Principles of geostatistics", Economic Geology 58 (1963) 1246).
        """
        x = blocks.astype(jnp.float32)
        seen = (x != 0).astype(jnp.float32)
        voxels = self._totals(seen, self.fov)
        squares = pairs = jnp.zeros_like(voxels)
        for axis, lag in self.lags.items():
            window = self.pair_window(axis)
            both = _ahead(seen, axis, lag) * _behind(seen, axis, lag)
            differences = both * (_ahead(x, axis, lag) - _behind(x, axis, lag)) ** 2
            squares += self._totals(differences, window)
            pairs += self._totals(both, window)
        mean = self._totals(x, self.fov) / jnp.maximum(voxels, 1)
        expected = EXPECTED * EXPECTED_PAIRS
        roughness = jnp.log((squares / 2 + expected) / (pairs + EXPECTED_PAIRS))
        return jnp.stack([mean, roughness], axis=-1)

    def pair_window(self, axis: int) -> Zyx:
        """Pairs along an axis in a field of view, ZYX."""
        lag = self.lags[axis]
        return zyx(n - lag if a == axis else n for a, n in enumerate(self.fov))

    def _totals(self, values: Array, window: Zyx) -> Array:
        sizes, steps = (1, *window), (1, *self.stride)
        return jax.lax.reduce_window(values, 0.0, jax.lax.add, sizes, steps, "VALID")


def _ahead(x: Array, axis: int, lag: int) -> Array:
    return jax.lax.slice_in_dim(x, lag, None, axis=axis + 1)


def _behind(x: Array, axis: int, lag: int) -> Array:
    return jax.lax.slice_in_dim(x, 0, x.shape[axis + 1] - lag, axis=axis + 1)
