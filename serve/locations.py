"""The locations of an atlas that have data: shard by shard, or a sample spread over all of them."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int

from embed.atlas import Atlas
from embed.errors import DataError
from embed.geometry import Box, Grid, zyx

# Of a box, how many times more locations than are wanted of it.
_MOST_AROUND = 4

Progress = Callable[[int, int], None]
"""Is called with what is done and the total, in units of the caller's choice."""


@dataclasses.dataclass(frozen=True)
class Locations:
    """Some locations with data.

    Attributes:
        ids: int64 [n], ascending within a shard.
        vectors: float32 [n, dim], unit length.
    """

    ids: Int[np.ndarray, " n"]
    vectors: Float32[np.ndarray, "n dim"]


def count_locations(atlas: Atlas) -> int:
    """Number of locations with data, as the ledger says; the atlas must be complete."""
    marks = atlas.ledger.marks().values()
    return sum(mark.locations - mark.voids for mark in marks if mark.state == "done")


def shard_locations(atlas: Atlas) -> Iterator[tuple[Box, Locations]]:
    """Each shard's cells and its locations with data, one shard in memory at a time.

    Raises:
        DataError: a shard is corrupt, or data that the ledger counted are gone.
    """
    found = 0
    for box in atlas.shards:
        vectors = atlas.store.read(box).reshape(box.size, -1)
        locations = _with_data(box_ids(atlas.grid, box), vectors)
        found += len(locations.ids)
        yield box, locations
    expected = count_locations(atlas)
    if found != expected:
        raise DataError(
            f"atlas {atlas.name!r} should have {expected} locations with data but {found} can be "
            "read: a shard is missing; run `voxkin embed` with --verify to find and redo it"
        )


def sample_locations(atlas: Atlas, count: int, seed: int) -> Locations:
    """About `count` locations with data (all, where there are fewer), spread over the whole atlas.

    Every shard gives its share: its locations in z, y, x order are cut into runs of equal length
    and one location is drawn from each, so that no contiguous part is left out or favoured.

    Args:
        atlas: must be complete.
        count: how many locations; the answer may differ from it by the voids that were drawn.
        seed: of the draw; the same seed draws the same locations.

    Raises:
        DataError: a shard is corrupt, or no location has data.
    """
    rate = min(1.0, count / max(count_locations(atlas), 1))
    parts = []
    for number, box in enumerate(atlas.shards):
        drawn = _draw(box.size, rate, np.random.default_rng([seed, number]))
        ids = box_ids(atlas.grid, box)[drawn]
        parts.append(_with_data(ids, atlas.embeddings(ids)))
    ids = np.concatenate([part.ids for part in parts])
    if not ids.size:
        raise DataError(f"no location of atlas {atlas.name!r} has data")
    return Locations(ids, np.concatenate([part.vectors for part in parts]))


def locations_of(atlas: Atlas, ids: Int[np.ndarray, " n"]) -> Locations:
    """Those of some locations that have data.

    Where they fill much of the box around them, that is read as a whole: ten times faster.

    Raises:
        DataError: a shard is corrupt.
    """
    if not len(ids):
        return Locations(ids, np.empty((0, atlas.info.embedding_dim), np.float32))
    cells = atlas.grid.cells_of(ids)
    box = Box(zyx(cells.min(axis=0)), zyx(cells.max(axis=0) + 1))
    if box.size > _MOST_AROUND * len(ids):
        return _with_data(ids, atlas.embeddings(ids))
    z, y, x = (cells - box.start).T
    return _with_data(ids, atlas.store.read(box)[z, y, x])


def similarities(
    atlas: Atlas, queries: Float32[np.ndarray, "q dim"], ids: Int[np.ndarray, "q k"]
) -> Float32[np.ndarray, "q k"]:
    """Exact cosine similarities of unit-length queries to locations, from the stored vectors.

    Where an id is -1 the similarity is -inf.
    """
    known = ids >= 0
    vectors, _ = unit(atlas.embeddings(ids[known]))
    result = np.full(ids.shape, -np.inf, np.float32)
    rows = np.nonzero(known)[0]
    result[known] = np.einsum("nd,nd->n", vectors, queries[rows])
    return result


def unit(
    vectors: Float32[np.ndarray, "n dim"],
) -> tuple[Float32[np.ndarray, "n dim"], Bool[np.ndarray, " n"]]:
    """The vectors at unit length (float16 rounded them), and which of them are not zero.

    Raises:
        DataError: a vector is not finite.
    """
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(norms).all():
        raise DataError("an embedding is not finite; run `voxkin embed` again from a sound run")
    return vectors / np.where(norms > 0, norms, 1), norms[:, 0] > 0


def _with_data(ids: Int[np.ndarray, " n"], vectors: Float32[np.ndarray, "n dim"]) -> Locations:
    vectors, has_data = unit(vectors)
    return Locations(ids[has_data], vectors[has_data])


def box_ids(grid: Grid, box: Box) -> Int[np.ndarray, " n"]:
    """Ids of a box of cells, ascending."""
    axes: Any = [np.arange(a, b) for a, b in zip(box.start, box.stop, strict=True)]
    cells = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    return grid.ids(cells.reshape(-1, 3))


def _draw(size: int, rate: float, rng: np.random.Generator) -> Int[np.ndarray, " n"]:
    # The fraction left over is drawn, too, so that many small shards still give their share.
    runs = min(size, int(size * rate + rng.random())) if rate < 1 else size
    edges = np.linspace(0, size, runs + 1).astype(np.int64)
    return edges[:-1] + (rng.random(runs) * np.diff(edges)).astype(np.int64)
