"""What cutting, imaging and aligning do to sections: pure JAX, one block at a time.

Sections are the planes of axis z. Every function is one change, drawn from a seed of its own (see
`embed.training.noise`); it keeps shape and type, and is for use under `jax.vmap`. Beyond the edges
of a section lies its mirror image, so no margin is needed.

The kinds of artefact are those of Lee et al., "Superhuman accuracy on the SNEMI3D connectomics
challenge", 2017, arXiv:1706.00120, and of gunpowder (https://funkelab.github.io/gunpowder).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt32

from embed.errors import ConfigError
from embed.geometry import Zyx
from embed.training.noise import signed, uniform, white

Centres = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""Voxels along z, along y and along x that are the centres of a grid of fields of view."""

Seed = UInt32[Array, "2"]


def place_centres(fov: Zyx, stride: Zyx, places: Zyx) -> Centres:
    """Where the fields of view in a block have their centres.

    Args:
        fov: voxels that one embedding sees, ZYX.
        stride: voxels between embeddings, ZYX.
        places: embeddings per axis, ZYX.
    """
    z, y, x = (
        tuple(f // 2 + s * i for i in range(n)) for f, s, n in zip(fov, stride, places, strict=True)
    )
    return z, y, x


def deform(
    seed: Seed, block: Float[Array, "z y x"], voxels: float, spacing: int
) -> Float[Array, "z y x"]:
    """Bends sections by a `displacement`; grey values in between are linearly interpolated."""
    shifts = displacement(seed, block.shape, voxels, spacing)
    z, y, x = _positions(block.shape)
    (up, down, y_part), (left, right, x_part) = (
        _between(_mirrored(position + shift, n), n)
        for position, shift, n in zip((y, x), shifts, block.shape[1:], strict=True)
    )

    def along_x(y: Array) -> Array:
        first = _at(block, z, y, left)
        return first + x_part * (_at(block, z, y, right) - first)

    first = along_x(up)
    return first + y_part * (along_x(down) - first)


def displacement(
    seed: Seed, shape: tuple[int, ...], voxels: float, spacing: int
) -> Float[Array, "2 z y x"]:
    """A smooth random field of displacements along y and x, in voxels.

    Not along z, where a voxel can be many times as long. It is a cubic B-spline, so no larger than
    its control points, which are drawn from [-voxels, voxels].

    Args:
        seed: of the control points.
        shape: of the block, ZYX.
        voxels: the largest displacement along y and along x; a fifth of it is typical.
        spacing: voxels between control points, along all axes.

    Raises:
        ConfigError: the displacement is larger than a section.
    """
    _check_fits("augment.elastic", voxels, shape)
    splines = [_spline(n, spacing) for n in shape]
    control = voxels * signed(seed, (2, *(s.shape[1] for s in splines)))
    return jnp.einsum("kabc,za,yb,xc->kzyx", control, *splines, precision="highest")


def misalign(
    seed: Seed, block: Float[Array, "z y x"], share: float, voxels: int
) -> Float[Array, "z y x"]:
    """Moves one section, or all from one on, by whole voxels along y and x.

    Args:
        seed: of all that is drawn.
        block: any values.
        share: probability that the block is misaligned at all.
        voxels: the largest shift along y and along x.

    Raises:
        ConfigError: the shift is larger than a section.
    """
    _check_fits("augment.misaligned_by", voxels, block.shape)
    happened, slips, where, *by = uniform(seed, (5,))
    z, y, x = _positions(block.shape)
    # Never from the first on: all sections moved alike are not misaligned.
    first = 1 + (where * (block.shape[0] - 1)).astype(jnp.int32)
    moved = jnp.where(slips < 0.5, z == first, z >= first) & (happened < share)
    down, right = (moved * (((2 * voxels + 1) * part).astype(jnp.int32) - voxels) for part in by)
    return _at(block, z, _mirrored(y + down, block.shape[1]), _mirrored(x + right, block.shape[2]))


def duplicate(seed: Seed, block: Float[Array, "z y x"], share: float) -> Float[Array, "z y x"]:
    """Replaces sections by a copy of the one before or after, as is done to those that were lost.

    Args:
        seed: of all that is drawn.
        block: any values, two sections or more.
        share: probability of each section.
    """
    happened, side = uniform(seed, (2, block.shape[0]))
    step = (happened < share) * jnp.where(side < 0.5, -1, 1)
    return block[_mirrored(jnp.arange(block.shape[0]) + step, block.shape[0])]


def lose(
    seed: Seed, block: Float[Array, "z y x"], share: float, black: float
) -> Float[Array, "z y x"]:
    """Fills sections with one value: the mean of the volume, which is 0, or black.

    Args:
        seed: of all that is drawn.
        block: normalised grey values.
        share: probability of each section; half of those lost are black.
        black: normalised value of black.
    """
    happened, fill = uniform(seed, (2, block.shape[0], 1, 1))
    return jnp.where(happened < share, jnp.where(fill < 0.5, black, 0.0), block)


def cut_out(
    seed: Seed,
    block: Float[Array, "z y x"],
    share: float,
    edge: float,
    keep: int,
    centres: Centres | None = None,
) -> Float[Array, "z y x"]:
    """Replaces what is in a box by its mean, or by white noise of its mean and deviation.

    The box lies anywhere; each of its edges is drawn from half of the largest to the largest. After
    DeVries and Taylor, "Improved regularization of convolutional neural networks with cutout",
    2017, arXiv:1708.04552.

    Args:
        seed: of all that is drawn.
        block: any values.
        share: probability that there is a box at all.
        edge: largest edge of the box as a share of that of the block, along each axis.
        keep: voxels kept on either side of a centre along each axis, even inside the box.
        centres: of the fields of view, which say what place this is; by default that of the block.
    """
    happened, noisy, *drawn = uniform(seed, (8,))
    axes = [
        _span(n, edge, length, start)
        for n, length, start in zip(block.shape, drawn[:3], drawn[3:], strict=True)
    ]
    inside = _box(axes) & ~_kept(block.shape, keep, centres) & (happened < share)
    count = jnp.maximum(inside.sum(), 1)
    mean = jnp.where(inside, block, 0).sum() / count
    deviation = jnp.sqrt(jnp.where(inside, (block - mean) ** 2, 0).sum() / count)
    # A seed of its own, made from the given one.
    grain = jnp.where(noisy < 0.5, deviation, 0) * white(seed ^ jnp.uint32(1), block.shape)
    return jnp.where(inside, mean + grain, block)


def _span(n: int, edge: float, length: Array, start: Array) -> Bool[Array, " n"]:
    """Which of `n` voxels an interval covers; `length` and `start` are drawn from [0, 1)."""
    most = max(1, int(edge * n))
    least = (most + 1) // 2
    voxels = least + (length * (most - least + 1)).astype(jnp.int32)
    first = (start * (n - voxels + 1)).astype(jnp.int32)
    position = jnp.arange(n)
    return (position >= first) & (position < first + voxels)


def _kept(shape: tuple[int, ...], keep: int, centres: Centres | None) -> Bool[Array, "z y x"]:
    """Voxels within `keep` of a centre."""
    return _box(
        [
            jnp.asarray((np.abs(np.arange(n)[:, None] - np.asarray(at)) <= keep).any(axis=1))
            for n, at in zip(shape, centres or [(n // 2,) for n in shape], strict=True)
        ]
    )


def _box(axes: Sequence[Array]) -> Bool[Array, "z y x"]:
    """The voxels that are inside along every axis."""
    z, y, x = axes
    return z[:, None, None] & y[None, :, None] & x[None, None, :]


def _spline(n: int, spacing: int) -> Float[Array, "n control"]:
    """Weights of the control points of a cubic B-spline at voxels 0 to n - 1; they sum to 1."""
    control = np.arange(-1, (n - 1) // spacing + 3)
    far = np.abs(np.arange(n)[:, None] / spacing - control)
    weights = np.maximum(2 - far, 0) ** 3 / 6 - 4 * np.maximum(1 - far, 0) ** 3 / 6
    return jnp.asarray(weights, jnp.float32)


def _check_fits(name: str, voxels: int | float, shape: tuple[int, ...]) -> None:
    most = min(shape[1:]) - 1
    if voxels > most:
        raise ConfigError(
            f"{name} moves voxels by up to {voxels}, which the sections of {shape[1]}x{shape[2]} "
            f"voxels (YX) in a block are too small for; at most {most}"
        )


def _between(position: Array, n: int) -> tuple[Array, Array, Array]:
    """The voxels below and above positions in [0, n - 1], and how far these are from the first."""
    low = jnp.floor(position)
    first = low.astype(jnp.int32)
    return first, jnp.minimum(first + 1, n - 1), position - low


def _mirrored(position: Array, n: int) -> Array:
    """Positions that leave [0, n - 1] by less than that, back inside it."""
    return n - 1 - jnp.abs(n - 1 - jnp.abs(position))


def _positions(shape: tuple[int, ...]) -> list[Int[Array, "z y x"]]:
    return [jax.lax.broadcasted_iota(jnp.int32, shape, axis) for axis in range(3)]


def _at(block: Array, z: Array, y: Array, x: Array) -> Array:
    """The voxels at whole positions that lie inside the block."""
    _, height, width = block.shape
    flat = (z * height + y) * width + x
    return block.reshape(-1).at[flat].get(mode="promise_in_bounds")
