"""Laying out an atlas of a whole volume or parts of it, on a regular grid."""

from pathlib import Path

import numpy as np

from embed.atlas import Atlas
from embed.backends.backend import Backend
from embed.backends.choice import open_backend
from embed.checkpoint import TrainedEncoder
from embed.dense import block_shape, embed_block
from embed.errors import ConfigError, MismatchError, OutOfBoundsError
from embed.geometry import Box, Grid, Zyx, zyx
from embed.layout import DEFAULTS, Wanted, create, origin, quantiser_for
from embed.normaliser import Normaliser, measure
from embed.provenance import AtlasInfo
from embed.quantiser import Quantiser
from embed.regions import Region, require_mask
from embed.suitability import require_stride, require_unmasked, require_voxel_size
from embed.volume import Volume

# Cells per edge of a shard, for grids of more than so many locations. Small ones where one may wait
# for the first to be done; larger ones read less halo, and make fewer files and tasks: 10^5 of 32
# cells for 4 x 10^9 locations, 4 x 10^5 of 64 for 10^11.
_EDGES = {0: 24, 2**20: 32, 2**33: 64}
# Blocks of 4 x 4 x 4 embeddings that the scales of int8 codes are measured on.
_SAMPLED = 32


def create_atlas(
    encoder: TrainedEncoder,
    volume: Volume,
    path: Path,
    wanted: Wanted = DEFAULTS,
    *,
    run: str,
    extend: bool = False,
) -> Atlas:
    """Lays out an atlas, or opens the unfinished one of an earlier run of the same job.

    Its grid covers the whole volume, whatever part of it is embedded, so that an id stands for the
    same place when more is added.

    Args:
        encoder: copied into the atlas, which is then complete in itself.
        volume: what to embed.
        path: the directory of the atlas.
        wanted: what of it.
        run: where the encoder came from, for people.
        extend: adds what is wanted to what an atlas at `path` has.

    Raises:
        MismatchError: the voxel sizes differ, the encoder wants masked fields of view, the mask
            lies elsewhere, or another atlas is at `path`.
        OutOfBoundsError: the box leaves the volume or is smaller than the field of view.
        ConfigError: the stride does not go with the encoder's, or the backend does not exist here.
        MissingExtraError: the backend is not installed.
        DataError: the volume is constant or holds NaN.
        StorageError: the disk refuses.
    """
    require_unmasked(encoder)
    if not wanted.any_voxel_size:
        require_voxel_size(encoder, volume)
    stride = wanted.stride or encoder.stride
    require_stride(encoder, stride)
    grid = _grid(encoder, volume, stride, wanted.box)
    backend = open_backend(encoder, wanted.backend, wanted.precision)
    shard = wanted.shard or _shard_shape(grid, wanted.box)
    normaliser = measure(volume)
    info = AtlasInfo(
        **origin(backend, volume, normaliser, run),
        grid=grid,
        shard=shard,
        block=zyx(map(min, block_shape(encoder, stride, wanted.memory), shard)),
        region=_region(volume, wanted),
        quantiser=quantiser_for(
            wanted.store, path, lambda: _scales(backend, volume, normaliser, grid, wanted.box)
        ),
    )
    atlas = create(path, info, backend, wanted)
    return _extended(atlas, info, extend=extend)


def _grid(encoder: TrainedEncoder, volume: Volume, stride: Zyx, box: Box | None) -> Grid:
    if box is not None and not volume.box.contains(box):
        raise OutOfBoundsError(f"{box} leaves the volume, which is {volume.box} (voxels, ZYX)")
    try:
        grid = Grid.covering(volume.box, encoder.fov, stride)
        if box is not None:
            Grid.covering(box, encoder.fov, stride)
    except OutOfBoundsError as error:
        raise OutOfBoundsError(f"{volume.name}: {error}") from None
    if box is not None and grid.within(box) is None:
        raise OutOfBoundsError(
            f"{volume.name}: no field of view of the grid, which begins at {grid.start} with steps "
            f"of {stride} voxels (ZYX), lies in {box}; a box one step larger holds one"
        )
    return grid


def _region(volume: Volume, wanted: Wanted) -> Region | None:
    if wanted.mask is None:
        if wanted.segments:
            raise ConfigError("segments are ids in a segmentation: say which with --segmentation")
        return None if wanted.box in (None, volume.box) else Region(wanted.box or volume.box)
    require_mask(volume, wanted.mask)
    return Region(wanted.box or volume.box, wanted.mask.source, tuple(sorted({*wanted.segments})))


def _extended(atlas: Atlas, info: AtlasInfo, *, extend: bool) -> Atlas:
    """The atlas, if it embeds what is wanted, or is to do so."""
    region = info.region or (Region(atlas.volume.box) if extend else None)
    if atlas.info.region is None or region in atlas.regions:
        return atlas
    if region is None or not extend:
        raise MismatchError(
            f"{atlas.path} embeds another part of the volume than is asked for; add that part "
            "with --extend, or choose a new --out"
        )
    return atlas.extended(region)


def _shard_shape(grid: Grid, box: Box | None) -> Zyx:
    """Shards of equal size as near as possible: a small rest costs as much halo as a whole one."""
    cells = (grid.within(box) if box else None) or grid.cells
    most = max(edge for least, edge in _EDGES.items() if cells.size > least)
    pieces = (-(-n // most) for n in cells.shape)
    return zyx(-(-n // (p * 4)) * 4 for n, p in zip(cells.shape, pieces, strict=True))


def _scales(
    backend: Backend, volume: Volume, normaliser: Normaliser, grid: Grid, box: Box | None
) -> Quantiser:
    """Measured on small blocks of cells that are spread over what is to be embedded."""
    cells = (grid.within(box) if box else None) or grid.cells
    rng = np.random.default_rng(0)
    vectors = [np.zeros((1, backend.encoder.embedding_dim), np.float32)]
    for _ in range(_SAMPLED):
        shape = zyx(min(4, n) for n in cells.shape)
        room = np.subtract(cells.shape, shape) + 1
        block = Box.of_shape(shape, zyx(np.add(cells.start, rng.integers(room))))
        voxels = volume.read(grid.voxels(block))
        if (voxels != 0).mean() > 0.5:
            found = embed_block(backend, normaliser, grid, shape, voxels)
            vectors.append(found.reshape(-1, found.shape[-1]))
    return Quantiser.measure(np.concatenate(vectors))
