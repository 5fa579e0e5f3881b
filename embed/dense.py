"""The network run over blocks: whole volumes in memory, cut-outs, single places.

Because every convolution is valid, an embedding is the same whichever block it was computed in.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32, Shaped

from embed.checkpoint import TrainedEncoder
from embed.errors import MismatchError, OutOfBoundsError
from embed.geometry import Box, Grid, Zyx, zyx
from embed.normaliser import Normaliser, measure
from embed.volume import Volume

# Blocks of 16 cells an edge keep the halo's share small and memory under a gigabyte.
BLOCK = 16
_PATCHES = 128


def require_voxel_size(encoder: TrainedEncoder, volume: Volume) -> None:
    """Checks that a volume has the voxel size that an encoder was made for, within 15 %.

    Raises:
        MismatchError: it has not.
    """
    pairs = list(zip(volume.frame.voxel_size_nm, encoder.voxel_size_nm, strict=True))
    if any(not 1 / 1.15 < a / b < 1.15 for a, b in pairs):
        has, wants = ([f"{p[i]:g}" for p in reversed(pairs)] for i in (0, 1))
        raise MismatchError(
            f"{volume.name} has voxels of {' x '.join(has)} nm (XYZ) and the encoder is made for "
            f"{' x '.join(wants)} nm: choose another level of the volume, train an encoder on it, "
            "or pass --any-voxel-size to embed it as it is"
        )


def embed_cells(
    encoder: TrainedEncoder, grid: Grid, cells: Box, grey: Float32[np.ndarray, "vz vy vx"]
) -> Float32[np.ndarray, "z y x dim"]:
    """Embeds a box of at most 16 cells an edge, in a block of one shape so that it compiles once.

    Args:
        encoder: the encoder.
        grid: its field of view, and a stride that is a multiple of its own.
        cells: the cells wanted.
        grey: the normalised voxels that they see, `grid.voxels(cells)`.
    """
    every = [a // b for a, b in zip(grid.stride, encoder.stride, strict=True)]
    block = (min(BLOCK, n) for n in grid.shape)
    full = encoder.config.voxels(zyx((n - 1) * e + 1 for n, e in zip(block, every, strict=True)))
    padded = np.zeros(full, np.float32)
    padded[tuple(slice(n) for n in grey.shape)] = grey
    dense = np.asarray(encoder.apply(jnp.asarray(padded[None])))[0]
    z, y, x = cells.shape
    return dense[:: every[0], :: every[1], :: every[2]][:z, :y, :x]


def embed_cutout(
    encoder: TrainedEncoder, cutout: Shaped[np.ndarray, "z y x"], normaliser: Normaliser
) -> Float32[np.ndarray, "cz cy cx dim"]:
    """Embeds every field of view of a small block of grey values, the encoder's stride apart.

    Raises:
        OutOfBoundsError: the block is smaller than the field of view.
        DataError: it holds NaN or infinite values.
    """
    if any(n < f for n, f in zip(cutout.shape, encoder.fov, strict=True)):
        raise OutOfBoundsError(
            f"a cut-out of {cutout.shape} voxels (ZYX) is smaller than the field of view; it needs "
            f"at least {encoder.fov}"
        )
    return np.asarray(encoder.apply(jnp.asarray(normaliser(cutout)[None])))[0]


def embed_grid(
    encoder: TrainedEncoder, volume: Volume, box: Box | None = None, stride: Zyx | None = None
) -> tuple[Grid, Float32[np.ndarray, "z y x dim"]]:
    """Dense embeddings of a volume that fits in memory, without writing them anywhere."""
    grid = Grid.covering(box or volume.box, encoder.fov, stride or encoder.stride)
    normaliser = measure(volume)
    out = np.empty((*grid.shape, encoder.embedding_dim), np.float32)
    for cells in grid.cells.tiles((BLOCK,) * 3):
        grey = normaliser(volume.read(grid.voxels(cells)))
        out[cells.slices] = embed_cells(encoder, grid, cells, grey)
    return grid, out


def embed_at(
    encoder: TrainedEncoder, volume: Volume, centres: Float[np.ndarray, "n 3"]
) -> Float32[np.ndarray, "n dim"]:
    """Embeddings at any places, one field of view at a time.

    Args:
        encoder: the encoder.
        volume: the volume, of the encoder's voxel size.
        centres: continuous voxels, ZYX; each is rounded to the nearest field of view.

    Raises:
        OutOfBoundsError: a field of view leaves the volume.
    """
    normaliser = measure(volume)
    starts = np.rint(np.asarray(centres) - np.asarray(encoder.fov) / 2).astype(int)
    out = np.empty((len(starts), encoder.embedding_dim), np.float32)
    for first in range(0, len(starts), _PATCHES):
        part = starts[first : first + _PATCHES]
        blocks = np.zeros((_PATCHES, *encoder.fov), np.float32)  # one shape, compiled once
        for i, start in enumerate(part):
            blocks[i] = normaliser(volume.read(Box.of_shape(encoder.fov, zyx(start))))
        out[first : first + len(part)] = np.asarray(encoder.apply(jnp.asarray(blocks)))[
            : len(part), 0, 0, 0
        ]
    return out
