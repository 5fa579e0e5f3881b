"""The network run over blocks: whole volumes in memory, cut-outs, single places.

Because every convolution is valid, an embedding is the same whichever block it was computed in.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32, Shaped

from embed.checkpoint import TrainedEncoder
from embed.errors import ConfigError, MismatchError, OutOfBoundsError
from embed.geometry import Box, Grid, Zyx, zyx
from embed.normaliser import Normaliser, measure
from embed.segments import of_centre
from embed.volume import Volume

# Blocks of 16 steps of the encoder keep the halo's share small and memory under a gigabyte.
BLOCK = 16
_PATCHES = 128


def require_voxel_size(encoder: TrainedEncoder, volume: Volume) -> None:
    """Checks that a volume has about the voxel size that an encoder was made for.

    Raises:
        MismatchError: an edge differs by more than the tolerance of the encoder.
    """
    if not encoder.takes(volume.frame.voxel_size_nm):
        pairs = list(zip(volume.frame.voxel_size_nm, encoder.voxel_size_nm, strict=True))
        has, wants = ([f"{p[i]:g}" for p in reversed(pairs)] for i in (0, 1))
        raise MismatchError(
            f"{volume.name} has voxels of {' x '.join(has)} nm (XYZ) and the encoder is made for "
            f"{' x '.join(wants)} nm, up to a factor of {encoder.tolerance:.3g}: choose another "
            "level of the volume, train an encoder on it, or pass --any-voxel-size to embed it as "
            "it is"
        )


def require_unmasked(encoder: TrainedEncoder) -> None:
    """Checks that an encoder is one for whole fields of view.

    Raises:
        MismatchError: it was trained on fields of view masked to a segment.
    """
    if encoder.masked:
        raise MismatchError(
            "this encoder was trained on fields of view masked to one segment, and a dense run "
            "shows all of them whole: use one that was trained without --segmentation, or with "
            "--sampling.segments.mask 0"
        )


def require_stride(encoder: TrainedEncoder, stride: Zyx) -> None:
    """Checks that a stride is a multiple of the encoder's on every axis.

    Raises:
        ConfigError: it is not.
    """
    if any(a < 1 or a % b for a, b in zip(stride, encoder.stride, strict=True)):
        raise ConfigError(
            f"a stride is a multiple of the encoder's, {encoder.stride} voxels (ZYX); got {stride}"
        )


def block_shape(encoder: TrainedEncoder, grid: Grid) -> Zyx:
    """Cells per axis to embed at once, ZYX; fewer where the grid is coarser than the encoder's."""
    every = (a // b for a, b in zip(grid.stride, encoder.stride, strict=True))
    return zyx(min((BLOCK - 1) // e + 1, n) for e, n in zip(every, grid.shape, strict=True))


def embed_cells(
    encoder: TrainedEncoder, grid: Grid, cells: Box, grey: Float32[np.ndarray, "vz vy vx"]
) -> Float32[np.ndarray, "z y x dim"]:
    """Embeds a few cells, in a block of one shape so that it compiles once.

    Args:
        encoder: the encoder.
        grid: its field of view, and a stride that is a multiple of its own.
        cells: the cells wanted, at most `block_shape(encoder, grid)`.
        grey: the normalised voxels that they see, `grid.voxels(cells)`.
    """
    every = [a // b for a, b in zip(grid.stride, encoder.stride, strict=True)]
    block = block_shape(encoder, grid)
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
    """Dense embeddings of a volume that fits in memory, without writing them anywhere.

    Args:
        encoder: the encoder.
        volume: the volume, of the encoder's voxel size.
        box: voxels to embed; the whole volume if not given.
        stride: voxels between locations, ZYX; multiples of the encoder's, which is the default.

    Raises:
        OutOfBoundsError: the box leaves the volume or is smaller than the field of view.
        ConfigError: the stride is not a multiple of the encoder's.
        DataError: a chunk is corrupt or holds NaN.
    """
    require_stride(encoder, stride or encoder.stride)
    grid = Grid.covering(box or volume.box, encoder.fov, stride or encoder.stride)
    normaliser = measure(volume)
    out = np.empty((*grid.shape, encoder.embedding_dim), np.float32)
    for cells in grid.cells.tiles(block_shape(encoder, grid)):
        grey = normaliser(volume.read(grid.voxels(cells)))
        out[cells.slices] = embed_cells(encoder, grid, cells, grey)
    return grid, out


def embed_at(
    encoder: TrainedEncoder,
    volume: Volume,
    centres: Float[np.ndarray, "n 3"],
    segmentation: Volume | None = None,
) -> Float32[np.ndarray, "n dim"]:
    """Embeddings at any places, one field of view at a time.

    Args:
        encoder: the encoder.
        volume: the volume, of the encoder's voxel size.
        centres: continuous voxels, ZYX; each is rounded to the nearest field of view.
        segmentation: integer ids on the same grid, 0 for none; a field of view then shows only the
            segment in its middle, and 0 around it. An encoder that is `masked` needs it.

    Raises:
        OutOfBoundsError: a field of view leaves the volume.
        MismatchError: the encoder needs a segmentation.
        DataError: the middle of a field of view belongs to no segment.
    """
    if encoder.masked and segmentation is None:
        raise MismatchError(
            "this encoder was trained on fields of view that show one segment: to embed places of "
            f"{volume.name} it needs a segmentation of that volume"
        )
    normaliser = measure(volume)
    starts = np.rint(np.asarray(centres) - np.asarray(encoder.fov) / 2).astype(int)
    out = np.empty((len(starts), encoder.embedding_dim), np.float32)
    for first in range(0, len(starts), _PATCHES):
        part = starts[first : first + _PATCHES]
        blocks = np.zeros((_PATCHES, *encoder.fov), np.float32)  # one shape, compiled once
        for i, start in enumerate(part):
            box = Box.of_shape(encoder.fov, zyx(start))
            blocks[i] = normaliser(volume.read(box))
            if segmentation is not None:
                blocks[i] *= of_centre(segmentation.read(box))
        out[first : first + len(part)] = np.asarray(encoder.apply(jnp.asarray(blocks)))[
            : len(part), 0, 0, 0
        ]
    return out
