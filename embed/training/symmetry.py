"""Symmetries of a voxel grid: which there are, and how a block or a grid of places is turned.

A symmetry moves places about, so it has to be undone on the grid of embeddings before two views are
compared. Pure JAX, one block at a time; use under `jax.vmap`.
"""

import itertools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from embed.geometry import Zyx, ZyxFloat


def symmetry_table(voxel_size_nm: ZyxFloat, *same: Zyx) -> Int[Array, "count 6"]:
    """The symmetries that a voxel grid allows: axis order, then which axes are flipped.

    48 where all edges agree within 10 %, 16 where two do, 8 (flips) otherwise.

    Args:
        voxel_size_nm: edge lengths of a voxel, ZYX.
        same: what else axes that change places must agree in, such as the strides of an encoder,
            each ZYX.
    """
    orders = [
        order
        for order in itertools.permutations(range(3))
        if all(
            1 / 1.1 < voxel_size_nm[a] / size < 1.1
            for a, size in zip(order, voxel_size_nm, strict=True)
        )
        and all(lengths[a] == n for lengths in same for a, n in zip(order, lengths, strict=True))
    ]
    flips = itertools.product((0, 1), repeat=3)
    return jnp.asarray([(*o, *f) for o, f in itertools.product(orders, flips)], jnp.int32)


def turn(block: Float[Array, "z y x *c"], symmetry: Int[Array, "6"]) -> Float[Array, "z y x *c"]:
    """Applies one row of a `symmetry_table`; axes that change places must have equal length."""
    order, flips = symmetry[:3], symmetry[3:]
    step, start = _walk(block.shape, flips)
    return _pick(block, step[order], start.sum())


def turn_back(
    block: Float[Array, "z y x *c"], symmetry: Int[Array, "6"]
) -> Float[Array, "z y x *c"]:
    """Undoes `turn`, on the block or on the grid of embeddings made from it."""
    order, flips = symmetry[:3], symmetry[3:]
    step, start = _walk(block.shape, flips[order])
    return _pick(block, step[jnp.argsort(order)], start.sum())


def _walk(shape: tuple[int, ...], flips: Array) -> tuple[Array, Array]:
    """Voxels in memory from one to the next along each axis, and to the first, where flipped."""
    lengths = jnp.asarray(shape[:3])
    strides = jnp.asarray([shape[1] * shape[2], shape[2], 1])
    return strides * (1 - 2 * flips), strides * (lengths - 1) * flips


def _pick(block: Array, step: Array, start: Array) -> Array:
    """One gather does flips and exchange of axes: both are steps through the voxels in memory.

    A switch over the 48 cases would compile each, and compute each under vmap.
    """
    shape = block.shape[:3]
    where = start
    for axis in range(3):
        where = where + step[axis] * jax.lax.broadcasted_iota(jnp.int32, shape, axis)
    rows = block.reshape(math.prod(shape), *block.shape[3:])
    return rows.at[where].get(mode="promise_in_bounds", unique_indices=True)
