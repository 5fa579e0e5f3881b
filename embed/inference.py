"""Dense inference: an embedding at every location of a volume, written shard by shard.

The core knows no engine. `create_atlas` lays out the work, `remaining` lists it, `run_shard` does
one piece from nothing but the atlas' path and a shard index, so any engine that can call a function
can run it; `embed_volume` runs the pieces here. A shard computed twice is the same bit for bit.
"""

import datetime
import functools
import importlib.metadata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Bool

from embed.atlas import Atlas, AtlasInfo
from embed.checkpoint import FILE, TrainedEncoder, load_encoder, save_encoder
from embed.dense import (
    block_shape,
    embed_cells,
    require_stride,
    require_unmasked,
    require_voxel_size,
)
from embed.errors import DataError, MismatchError, OutOfBoundsError
from embed.geometry import Box, Grid, Zyx, zyx
from embed.ledger import Mark
from embed.normaliser import measure
from embed.storage import digest
from embed.volume import Volume

# A location whose field of view is at least half missing (0) would describe the hole, not tissue.
VOID_SHARE = 0.5


def create_atlas(
    encoder: TrainedEncoder,
    volume: Volume,
    path: Path,
    *,
    run: str,
    stride: Zyx | None = None,
    box: Box | None = None,
    any_voxel_size: bool = False,
) -> Atlas:
    """Lays out an atlas, or opens the unfinished one of an earlier run of the same job.

    Args:
        encoder: copied into the atlas, which is then complete in itself.
        volume: what to embed.
        path: the directory of the atlas.
        run: where the encoder came from, for people.
        stride: voxels between locations, ZYX; multiples of the encoder's, which is the default.
        box: voxels to embed; the whole volume if not given.
        any_voxel_size: embeds a volume of another voxel size than the encoder was made for.

    Raises:
        MismatchError: the voxel sizes differ, the encoder wants masked fields of view, or another
            atlas is at `path`.
        OutOfBoundsError: the box leaves the volume or is smaller than the field of view.
        ConfigError: the stride is not a multiple of the encoder's.
        DataError: the volume is constant or holds NaN.
        StorageError: the disk refuses.
    """
    require_unmasked(encoder)
    if not any_voxel_size:
        require_voxel_size(encoder, volume)
    if box is not None and not volume.box.contains(box):
        raise OutOfBoundsError(f"{box} leaves the volume, which is {volume.box} (voxels, ZYX)")
    step = stride or encoder.stride
    require_stride(encoder, step)
    try:
        grid = Grid.covering(box or volume.box, encoder.fov, step)
    except OutOfBoundsError as error:
        raise OutOfBoundsError(f"{volume.name}: {error}") from None
    info = AtlasInfo(
        volume=volume.source,
        attribution={k: str(v) for k, v in volume.attributes.items() if k in ("license", "source")},
        frame=volume.frame,
        grid=grid,
        embedding_dim=encoder.embedding_dim,
        shard=_shard_shape(grid),
        encoder=encoder.fingerprint,
        run=run,
        normaliser=measure(volume),
        backend=f"xla-{jax.default_backend()}-float32",
        versions={p: importlib.metadata.version(p) for p in ("jax", "flax", "tensorstore")},
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
    atlas = Atlas.create(path, info)
    if not (path / FILE).exists():
        save_encoder(encoder, path / FILE)
    return atlas


def remaining(atlas: Atlas) -> list[Box]:
    """The shards that are neither done nor void, in z, y, x order."""
    finished = {k for k, mark in atlas.ledger.marks().items() if mark.state != "failed"}
    return [box for box in atlas.store.shards if _index(atlas, box) not in finished]


def run_shard(path: Path, shard: Box) -> Mark:
    """Computes, writes and records one shard of the atlas at `path`.

    A shard whose voxels cannot be read or used is recorded as failed with the reason, so that one
    bad chunk does not stop the rest.
    """
    atlas = Atlas.open(path)
    encoder = _encoder(path, atlas.info.encoder)
    return _run(atlas, encoder, shard, lambda: atlas.volume.read(atlas.grid.voxels(shard)))


def embed_volume(
    atlas: Atlas, *, progress: Callable[[Box, Mark], None] = lambda _box, _mark: None
) -> list[tuple[Box, Mark]]:
    """Does what remains of an atlas in this process, reading the next shard while one computes.

    Returns:
        The shards that failed, with their marks.

    Raises:
        StorageError: the disk refuses; run again to go on.
    """
    encoder = _encoder(atlas.path, atlas.info.encoder)
    failed = []
    with ThreadPoolExecutor(1, thread_name_prefix="voxkin-read") as reader:
        for shard, read in _read_ahead(reader, atlas, remaining(atlas)):
            mark = _run(atlas, encoder, shard, read)
            if mark.state == "failed":
                failed.append((shard, mark))
            progress(shard, mark)
    return failed


def verify(atlas: Atlas, *, recompute: int = 1) -> list[Box]:
    """Re-reads every finished shard against its checksum and recomputes some of them.

    Shards that do not agree lose their mark, so that running the job again redoes them.

    Args:
        recompute: how many shards to compute again from the volume and compare bit for bit.

    Returns:
        The shards that did not agree.
    """
    encoder = _encoder(atlas.path, atlas.info.encoder)
    marks = atlas.ledger.marks()
    finished = [b for b in atlas.store.shards if _state(atlas, marks, b) in ("done", "void")]
    again = set(finished[:: max(1, len(finished) // max(recompute, 1))][:recompute])
    bad = []
    for shard in finished:
        expected = marks[_index(atlas, shard)].digest
        agrees = _stored_digest(atlas, shard) == expected
        if agrees and shard in again:
            voxels = atlas.volume.read(atlas.grid.voxels(shard))
            agrees = _compute(atlas, encoder, shard, voxels)[1].digest == expected
        if not agrees:
            atlas.ledger.forget(_index(atlas, shard))
            bad.append(shard)
    return bad


@functools.lru_cache(maxsize=4)
def _encoder(path: Path, fingerprint: str) -> TrainedEncoder:
    """The encoder of an atlas, compiled once for all of its shards."""
    encoder = load_encoder(path)
    if encoder.fingerprint != fingerprint:
        raise MismatchError(
            f"the encoder in {path} has fingerprint {encoder.fingerprint} and the atlas was made "
            f"by {fingerprint}; restore {path / FILE} or make the atlas anew"
        )
    return encoder


def _read_ahead(
    reader: ThreadPoolExecutor, atlas: Atlas, shards: list[Box]
) -> Iterator[tuple[Box, Callable[[], np.ndarray]]]:
    def submit(shard: Box) -> Callable[[], np.ndarray]:
        return reader.submit(atlas.volume.read, atlas.grid.voxels(shard)).result

    ahead = submit(shards[0]) if shards else None
    for i, shard in enumerate(shards):
        assert ahead is not None
        read, ahead = ahead, submit(shards[i + 1]) if i + 1 < len(shards) else None
        yield shard, read


def _run(atlas: Atlas, encoder: TrainedEncoder, shard: Box, read: Callable[[], np.ndarray]) -> Mark:
    try:
        embeddings, mark = _compute(atlas, encoder, shard, read())
        if mark.state == "done":
            atlas.store.write(shard, embeddings)
    except DataError as error:
        mark = Mark("failed", locations=shard.size, reason=str(error))
    atlas.ledger.record(_index(atlas, shard), mark)
    return mark


def _compute(
    atlas: Atlas, encoder: TrainedEncoder, shard: Box, voxels: np.ndarray
) -> tuple[np.ndarray, Mark]:
    """The embeddings of a shard as they are stored, and the mark they earn."""
    grid = atlas.grid
    void = _voids(voxels, grid, shard.shape)
    out = np.zeros((*shard.shape, encoder.embedding_dim), np.float16)
    if void.all():
        return out, Mark("void", "", shard.size, shard.size)
    grey = atlas.info.normaliser(voxels)
    local = Grid((0, 0, 0), grid.fov, grid.stride, shard.shape)
    for cells in local.cells.tiles(block_shape(encoder, local)):
        block = grey[local.voxels(cells).slices]
        out[cells.slices] = embed_cells(encoder, local, cells, block)
    out[void] = 0
    return out, Mark("done", digest(out.tobytes()), shard.size, int(void.sum()))


def _voids(voxels: np.ndarray, grid: Grid, cells: Zyx) -> Bool[np.ndarray, "z y x"]:
    """Which locations see at least half missing voxels (0), by a summed-area table."""
    missing = voxels == 0
    if not missing.any():
        return np.zeros(cells, bool)
    table = np.pad(missing.astype(np.int32), ((1, 0),) * 3)
    for axis in range(3):
        table = np.cumsum(table, axis=axis, dtype=np.int32)
    for axis, (n, fov, step) in enumerate(zip(cells, grid.fov, grid.stride, strict=True)):
        starts = np.arange(n) * step
        table = np.take(table, starts + fov, axis=axis) - np.take(table, starts, axis=axis)
    return table >= VOID_SHARE * np.prod(grid.fov)


def _shard_shape(grid: Grid) -> Zyx:
    """32 cells an edge where there are many, 16 where one may wait for the first to be done.

    At 32, the halo is a tenth of what is read and a petavoxel volume makes 10^5 tasks.
    """
    return (32, 32, 32) if grid.size > 2**20 else (16, 16, 16)


def _index(atlas: Atlas, shard: Box) -> Zyx:
    return zyx(a // n for a, n in zip(shard.start, atlas.store.shard, strict=True))


def _state(atlas: Atlas, marks: dict[Zyx, Mark], shard: Box) -> str:
    mark = marks.get(_index(atlas, shard))
    return mark.state if mark else ""


def _stored_digest(atlas: Atlas, shard: Box) -> str:
    try:
        stored = atlas.store.read(shard).astype(np.float16)
    except DataError:
        return "unreadable"
    return digest(stored.tobytes()) if stored.any() else ""
