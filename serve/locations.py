"""The locations of an atlas that have data: shard by shard, or a sample spread over all of them."""

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool, Float32, Int

from embed.atlas import Atlas
from embed.errors import DataError
from embed.geometry import Box, Grid, zyx

T = TypeVar("T")

# Of a box, how many times more locations than are wanted of it.
_MOST_AROUND = 4
# The same of a whole shard, most of whose chunks are read anyhow.
_MOST_OF_SHARD = 100

NONE = np.empty(0, np.int64)
"""Ids of no locations."""

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

    def take(self, wanted: Bool[np.ndarray, " n"]) -> "Locations":
        """Those that are wanted; itself where all are, without a copy."""
        return self if wanted.all() else Locations(self.ids[wanted], self.vectors[wanted])


def count_locations(atlas: Atlas) -> int:
    """Number of locations with data, as the ledger says; the atlas must be complete."""
    marks = atlas.ledger.marks().values()
    return sum(mark.locations - mark.voids for mark in marks if mark.state == "done")


def shard_locations(
    atlas: Atlas, shards: Sequence[Box] | None = None
) -> Iterator[tuple[Box, Locations]]:
    """Each shard's cells and its locations with data; the next one is read meanwhile.

    Args:
        atlas: must be complete.
        shards: all of the atlas, if not given.

    Raises:
        DataError: a shard is corrupt, or data that the ledger counted are gone.
    """
    marks = atlas.ledger.marks()
    boxes = atlas.shards if shards is None else shards
    read = _ahead(boxes, lambda box: _read(atlas, box))
    for box, locations in zip(boxes, read, strict=True):
        mark = marks.get(atlas.shard_index(box))
        expected = mark.locations - mark.voids if mark and mark.state == "done" else 0
        if len(locations.ids) != expected:
            raise DataError(
                f"shard {atlas.shard_index(box)} (ZYX) of atlas {atlas.name!r} should have "
                f"{expected} locations with data but {len(locations.ids)} can be read: a shard is "
                "missing; run `voxkin embed` with --verify to find and redo it"
            )
        yield box, locations


def _read(atlas: Atlas, box: Box) -> Locations:
    return _with_data(box_ids(atlas.grid, box), atlas.store.read(box).reshape(box.size, -1))


def _ahead(boxes: Sequence[Box], read: Callable[[Box], T]) -> Iterator[T]:
    """What is read of boxes, one more of which is being read while the caller is busy."""
    with ThreadPoolExecutor(1, "read-ahead") as reader:
        pending: deque[Future[T]] = deque()
        for box in boxes:
            pending.append(reader.submit(read, box))
            if len(pending) > 1:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


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
    numbers = {box: number for number, box in enumerate(atlas.shards)}
    parts = list(
        _ahead(atlas.shards, lambda box: sample_shard(atlas, box, rate, [seed, numbers[box]]))
    )
    ids = np.concatenate([part.ids for part in parts])
    if not ids.size:
        raise DataError(f"no location of atlas {atlas.name!r} has data")
    return Locations(ids, np.concatenate([part.vectors for part in parts]))


def sample_shard(atlas: Atlas, box: Box, rate: float, seed: list[int]) -> Locations:
    """A share of the locations of a shard, spread over it, as far as they have data.

    Raises:
        DataError: the shard is corrupt.
    """
    drawn = _draw(box.size, rate, np.random.default_rng(seed))
    ids = box_ids(atlas.grid, box)[drawn]
    if box.size > _MOST_OF_SHARD * len(drawn):
        return _with_data(ids, atlas.embeddings(ids))
    stored = atlas.store.read_stored(box).reshape(box.size, -1)[drawn]
    return _with_data(ids, atlas.store.decode(stored))


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
    if not known.any():
        return np.full(ids.shape, -np.inf, np.float32)
    # What is missing stands for one that is not: most often nothing is, and nothing is sorted out.
    vectors = atlas.embeddings(np.where(known, ids, ids.max()).reshape(-1))
    norms = _norms(vectors).reshape(ids.shape)
    found = np.einsum("qkd,qd->qk", vectors.reshape(*ids.shape, -1), queries)
    found /= np.where(norms > 0, norms, 1)
    return np.where(known, found, np.float32(-np.inf))


def unit(
    vectors: Float32[np.ndarray, "n dim"],
) -> tuple[Float32[np.ndarray, "n dim"], Bool[np.ndarray, " n"]]:
    """The vectors at unit length (float16 rounded them), and which of them are not zero.

    Raises:
        DataError: a vector is not finite.
    """
    norms = _norms(vectors)
    return vectors / np.where(norms > 0, norms, 1)[:, None], norms > 0


def _norms(vectors: Float32[np.ndarray, "n dim"]) -> Float32[np.ndarray, " n"]:
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    if not np.isfinite(norms).all():
        raise DataError("an embedding is not finite; run `voxkin embed` again from a sound run")
    return norms


def absent(ids: Int[np.ndarray, " n"], ascending: Int[np.ndarray, " m"]) -> Bool[np.ndarray, " n"]:
    """Which ids are not among some others, which are in order: they are not sorted each time."""
    if not len(ascending):
        return np.ones(len(ids), bool)
    rows = np.minimum(np.searchsorted(ascending, ids), len(ascending) - 1)
    return ascending[rows] != ids


def _with_data(ids: Int[np.ndarray, " n"], vectors: Float32[np.ndarray, "n dim"]) -> Locations:
    vectors, has_data = unit(vectors)
    return Locations(ids, vectors).take(has_data)


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
