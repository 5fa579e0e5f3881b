"""One shard of a grid: which locations have no embedding, and the embeddings of the others."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Shaped

from embed.backends.backend import Backend
from embed.dense import embed_blocks
from embed.geometry import Box, Grid
from embed.provenance import AtlasInfo
from embed.voids import voids_on_grid


def dense_parts(
    backend: Backend,
    info: AtlasInfo,
    shard: Box,
    voxels: Shaped[np.ndarray, "vz vy vx"],
    wanted: Bool[np.ndarray, "z y x"],
) -> tuple[Bool[np.ndarray, "z y x"], Iterator[tuple[Box, np.ndarray]]]:
    """Embeds the blocks of a shard that hold anything.

    Args:
        backend: runs the encoder.
        info: grid, normaliser and size of a block.
        shard: cells of the grid.
        voxels: what they see, as it is in the volume.
        wanted: which of them are to be embedded.

    Returns:
        The voids, unwanted cells among them; and boxes of cells, counted from the shard's first,
        with their embeddings.
    """
    local = Grid((0, 0, 0), info.grid.fov, info.grid.stride, shard.shape)
    void = voids_on_grid(voxels, local, shard.shape) | ~wanted
    tiles = (tile for tile in local.cells.tiles(info.block) if not void[tile.slices].all())
    blocks = ((tile, voxels[local.voxels(tile).slices]) for tile in tiles)
    half = info.quantiser is None
    return void, embed_blocks(backend, info.normaliser, local, blocks, half)
