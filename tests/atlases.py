"""Small real atlases for tests: a volume, its embeddings and their ledger, without an encoder.

The embeddings are smooth random fields, so that, as with real ones, places near each other are
alike; a corner of the volume is void.
"""

import dataclasses
from pathlib import Path

import numpy as np
import tensorstore as ts
from scipy import ndimage

from embed.atlas import POINTS, Atlas
from embed.geometry import Box, Grid, Zyx, zyx
from embed.ledger import Mark
from embed.normaliser import Normaliser
from embed.points import Points
from embed.provenance import AtlasInfo
from embed.regions import Region
from embed.storage import digest
from embed.volume import open_volume

FOV: Zyx = (5, 17, 17)
STRIDE: Zyx = (2, 4, 4)
VOXEL_NM = (30, 8, 8)
"""Anisotropic, ZYX: a step between locations is 60, 32, 32 nm and a field of view 150, 136, 136."""

SHARD: Zyx = (8, 8, 8)
VOID = Box((0, 0, 0), (4, 4, 4))
"""The locations without data."""


def make_atlas(
    path: Path,
    shape: Zyx = (12, 14, 16),
    dim: int = 16,
    seed: int = 0,
    *,
    vectors: np.ndarray | None = None,
    encoder: str = "a-test-encoder",
) -> Atlas:
    """A finished atlas at `path`, of a volume beside it.

    Args:
        path: the directory to make.
        shape: locations per axis, ZYX; that of `vectors` where they are given.
        dim: length of an embedding; that of `vectors` where they are given.
        seed: of voxels and embeddings.
        vectors: [z, y, x, dim]; smooth ones with `VOID` left out where it is not given. A zero
            vector is a location without data.
        encoder: fingerprint of the encoder that the embeddings are said to come from.
    """
    vectors = smooth_vectors(shape, dim, seed) if vectors is None else vectors
    shape = zyx(vectors.shape[:3])
    source = path.with_name(f"{path.name}-volume.zarr")
    _write_volume(source, shape, seed)
    volume = open_volume(source)
    info = AtlasInfo(
        volume=volume.source,
        attribution={"license": "CC0-1.0", "source": "random numbers"},
        frame=volume.frame,
        grid=Grid.covering(volume.box, FOV, STRIDE),
        embedding_dim=vectors.shape[-1],
        shard=SHARD,
        encoder=encoder,
        run="runs/test",
        normaliser=Normaliser(128.0, 40.0),
        backend="none",
        versions={},
        created="2026-01-01T00:00:00+00:00",
    )
    atlas = Atlas.create(path, info)
    for box in atlas.store.shards:
        _write_shard(atlas, box, vectors[box.slices].astype(np.float16))
    return atlas


def make_given_atlas(path: Path, like: Atlas, count: int = 200, seed: int = 0) -> Atlas:
    """A finished atlas of places anywhere in the volume of another.

    Each has about the embedding of the location that is nearest to it, none where that is void; a
    segment, but every fifth; and a source that is no row.

    Args:
        path: the directory to make.
        like: an atlas on a grid.
        count: places.
        seed: of the places.
    """
    rng = np.random.default_rng(seed)
    low, high = np.array([np.zeros(3), np.subtract(like.grid.shape, 1)]) * STRIDE
    segments = np.arange(count, dtype=np.uint64) % np.uint64(5) * np.uint64(2**60)
    points = Points.at(
        rng.uniform(low, high, (count, 3)) + np.array(FOV) / 2,
        fov=FOV,
        voxel_size_nm=like.frame.voxel_size_nm,
        segments=segments,
        sources=np.arange(count, dtype=np.uint64) + np.uint64(1000),
    )
    grid = Grid((0, 0, 0), FOV, (1, 1, 1), points.shape)
    points.save(path / POINTS)
    atlas = Atlas.create(
        path,
        dataclasses.replace(like.info, grid=grid, shard=(1, 1, 64), points=points.digest()),
    )
    vectors = like.embeddings(like.ids_at(atlas.positions_nm_xyz(np.arange(count))))
    noisy = vectors + 0.05 * vectors.any(axis=1, keepdims=True) * rng.normal(size=vectors.shape)
    noisy /= np.maximum(np.linalg.norm(noisy, axis=1, keepdims=True), 1e-9)
    for box in atlas.shards:
        _write_shard(atlas, box, noisy[box.slices[2]][None, None].astype(np.float16))
    return atlas


def make_partial_atlas(path: Path, box: Box, like: Atlas) -> Atlas:
    """An atlas of another's volume in which only a box of voxels is embedded, with its vectors."""
    info = dataclasses.replace(like.info, region=Region(box))
    return fill_planned(Atlas.create(path, info), like)


def fill_planned(atlas: Atlas, like: Atlas) -> Atlas:
    """Embeds what an atlas plans, with the vectors that another has at the same places."""
    for box in atlas.shards:
        wanted = atlas.wanted(box)
        _write_shard(atlas, box, (like.store.read(box) * wanted[..., None]).astype(np.float16))
    return atlas


def smooth_vectors(shape: Zyx, dim: int, seed: int) -> np.ndarray:
    """Unit vectors [z, y, x, dim] that change slowly from place to place; zero in `VOID`."""
    noise = np.random.default_rng(seed).normal(size=(*shape, dim))
    field = ndimage.gaussian_filter(noise, sigma=(1.2, 1.2, 1.2, 0), mode="nearest")
    field /= np.linalg.norm(field, axis=-1, keepdims=True)
    field[VOID.slices] = 0
    return field


def _write_shard(atlas: Atlas, box: Box, vectors: np.ndarray) -> None:
    voids = int((~vectors.any(axis=-1)).sum())
    state = "void" if voids == box.size else "done"
    if state == "done":
        atlas.store.write(box, vectors.astype(np.float32))
    made = "" if state == "void" else digest(vectors.tobytes())
    plan = atlas.plan(box)
    mark = Mark(state, made, box.size, voids, plan=plan)
    atlas.ledger.record(atlas.shard_index(box), mark)


def _write_volume(path: Path, locations: Zyx, seed: int) -> None:
    shape = zyx((n - 1) * s + f for n, s, f in zip(locations, STRIDE, FOV, strict=True))
    noise = np.random.default_rng(seed).normal(size=shape)
    texture = ndimage.gaussian_filter(noise, sigma=2)
    voxels = np.clip(128 + 40 * texture / texture.std(), 1, 255).astype(np.uint8)
    voxels[tuple(slice(0, b * s) for b, s in zip(VOID.stop, STRIDE, strict=True))] = 0
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{path}/"},
        "metadata": {
            "shape": list(shape),
            "data_type": "uint8",
            "dimension_names": ["z", "y", "x"],
            "attributes": {"dimension_units": [f"{size} nm" for size in VOXEL_NM]},
        },
    }
    ts.open(spec, create=True).result().write(voxels).result()
