"""The sharded store of dense embeddings: an array [z, y, x, channel], one vector per location."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import tensorstore as ts
from jaxtyping import Float, Float32, Int, Shaped

from embed.embedding_array import array_spec, difference, quantiser_of
from embed.errors import (
    AlignmentError,
    ConfigError,
    DataError,
    MismatchError,
    NotFoundError,
    OutOfBoundsError,
)
from embed.formats.arrays import reason
from embed.geometry import Box, Zyx, zyx
from embed.quantiser import Quantiser
from embed.storage import reports_storage

# Reading 40 scattered vectors costs 1.5 ms with inner chunks of 4 cells and 25 ms with 32.
CHUNK: Zyx = (4, 4, 4)


class EmbeddingStore:
    """Embeddings on disk: zarr v3, float16 or int8 codes, written a whole shard at a time.

    A location without data (a void) holds the zero vector, which is also what was never written
    reads as; every other vector has length 1 (up to 0.1 % in float16, which rounds each number by
    itself). Reading is safe from many threads; different shards may be written at once from many
    threads and processes.

    Attributes:
        quantiser: makes and reads the int8 codes; None where float16 is stored.
    """

    def __init__(self, store: ts.TensorStore, path: Path):
        self._store = store
        self.quantiser = quantiser_of(store)
        self.dtype = np.dtype(store.dtype.numpy_dtype)
        self.path = path
        self.cells = Box((0, 0, 0), zyx(store.shape[:3]))
        self.dim = int(store.shape[3])
        self.shard = zyx(store.chunk_layout.write_chunk_template.shape[:3])
        self._owner: object = None
        self._kept: np.ndarray | None = None

    @classmethod
    def create(
        cls,
        path: Path,
        shape: Zyx,
        dim: int,
        shard: Zyx,
        quantiser: Quantiser | None = None,
        *,
        chunk: Zyx = CHUNK,
    ) -> "EmbeddingStore":
        """Makes an empty store.

        Args:
            path: the directory to make, or one that a killed run made with the same arguments.
            shape: locations per axis, ZYX.
            dim: length of an embedding.
            shard: locations per shard, ZYX, in multiples of `chunk`.
            quantiser: stores int8 codes made by it, and its scales beside them; float16 if None.
            chunk: locations that are read at once, ZYX.

        Raises:
            ConfigError: the shard is not made of whole chunks.
            MismatchError: the quantiser is for embeddings of another length.
            DataError: another array is already there, or a damaged one.
            StorageError: the disk refuses.
        """
        if any(c < 1 or s < 1 or s % c for s, c in zip(shard, chunk, strict=True)):
            raise ConfigError(f"a shard holds whole chunks of {chunk} locations; got {shard} (ZYX)")
        if quantiser is not None and len(quantiser.scale) != dim:
            raise MismatchError(f"{len(quantiser.scale)} scales, and embeddings of {dim} numbers")
        with reports_storage(f"create the embeddings at {path}"):
            try:
                spec = array_spec(path, (*shape, dim), (*shard, dim), (*chunk, dim), quantiser)
                return cls(ts.open(spec, open=True, create=True).result(), path)
            except ValueError as error:
                raise DataError(
                    f"{path} is not the array that belongs there ({difference(error)}); restore "
                    "it or choose a new place"
                ) from error

    @classmethod
    def open(cls, path: Path) -> "EmbeddingStore":
        """Opens what `create` made.

        Raises:
            NotFoundError: nothing is there.
            DataError: what is there cannot be read.
        """
        try:
            spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}}
            return cls(ts.open(spec, open=True).result(), path)
        except ValueError as error:
            if "NOT_FOUND" in str(error):
                raise NotFoundError(f"no embeddings at {path}") from error
            raise DataError(f"the embeddings at {path} cannot be read: {reason(error)}") from error

    @property
    def shards(self) -> Iterator[Box]:
        """The boxes of cells that are written at once, in z, y, x order."""
        return self.cells.tiles(self.shard)

    def encode(
        self, embeddings: Float[np.ndarray, "*cells dim"]
    ) -> Shaped[np.ndarray, "*cells dim"]:
        """Embeddings as they are stored: rounded to float16, or the codes of the quantiser.

        Raises:
            DataError: a number is not finite and has no code.
        """
        if self.quantiser is None:
            return embeddings.astype(np.float16, copy=False)
        return self.quantiser.encode(embeddings)

    def write(self, box: Box, embeddings: Shaped[np.ndarray, "z y x dim"]) -> None:
        """Writes one or more whole shards; each appears at once or not at all.

        Args:
            box: cells, on the shard grid or at the edge of the array.
            embeddings: one vector per cell: floats, or what `encode` made of them.

        Raises:
            OutOfBoundsError: `box` leaves the array.
            AlignmentError: `box` covers only part of a shard.
            ValueError: the shape of `embeddings` is not that of `box`, or they are neither.
            DataError: a number is not finite and has no code.
            StorageError: the disk refuses; the shard is as it was.
        """
        if not self.cells.contains(box):
            raise OutOfBoundsError(f"cannot write {box}: the array ends at zyx={self.cells.stop}")
        whole = box.snapped_out(self.shard)
        if box != whole.intersection(self.cells):
            raise AlignmentError(
                f"cannot write {box}: it splits shards of {self.shard} cells (ZYX); "
                f"the nearest box of whole shards is {whole.intersection(self.cells)}"
            )
        if embeddings.shape != (*box.shape, self.dim):
            expected = (*box.shape, self.dim)
            raise ValueError(f"{box} takes embeddings of shape {expected}; got {embeddings.shape}")
        if embeddings.dtype != self.dtype:
            if embeddings.dtype.kind != "f":
                raise ValueError(f"{self.dtype} is stored; cannot write {embeddings.dtype}")
            embeddings = self.encode(embeddings)
        if box != whole:
            beyond = [(0, b - a) for a, b in zip(box.stop, whole.stop, strict=True)]
            embeddings = np.pad(embeddings, [*beyond, (0, 0)])
        with reports_storage(f"write the embeddings at {self.path}"):
            self._endless[whole.slices].write(embeddings).result()

    def read(self, box: Box) -> Float32[np.ndarray, "z y x dim"]:
        """Reads any box of cells.

        Raises:
            OutOfBoundsError: `box` leaves the array.
            DataError: a shard is corrupt.
        """
        return self.decode(self.read_stored(box))

    def look_at(self, box: Box) -> Float32[np.ndarray, "z y x dim"]:
        """Reads any box of cells, from memory where they are kept: see `keep`.

        Raises:
            OutOfBoundsError: `box` leaves the array.
            DataError: a shard is corrupt.
        """
        if self._kept is None or not self.cells.contains(box):
            return self.read(box)
        return self._kept.reshape(*self.cells.shape, self.dim)[box.slices]

    def read_stored(self, box: Box) -> Shaped[np.ndarray, "z y x dim"]:
        """Reads any box of cells as it is stored, which is what `encode` gives.

        Raises:
            OutOfBoundsError: `box` leaves the array.
            DataError: a shard is corrupt.
        """
        if not self.cells.contains(box):
            raise OutOfBoundsError(f"cannot read {box}: the array ends at zyx={self.cells.stop}")
        return self._load(self._store[box.slices])

    def read_at(self, cells: Int[np.ndarray, "n 3"]) -> Float32[np.ndarray, "n dim"]:
        """Reads the vectors of single cells, ZYX.

        Raises:
            OutOfBoundsError: a cell leaves the array.
            DataError: a shard is corrupt.
        """
        cells = np.asarray(cells, np.int64)
        outside = ((cells < 0) | (cells >= self.cells.stop)).any(axis=-1)
        if outside.any():
            bad = zyx(cells[outside][0])
            raise OutOfBoundsError(f"cannot read {bad}: the array ends at zyx={self.cells.stop}")
        z, y, x = np.moveaxis(cells, -1, 0)
        return self.decode(self._load(self._store.vindex[z, y, x]))

    def read_numbered(self, numbers: Int[np.ndarray, " n"]) -> Float32[np.ndarray, "n dim"]:
        """Reads the vectors of single cells, numbered in z, y, x order.

        Raises:
            OutOfBoundsError: there is no such cell.
            DataError: a shard is corrupt.
        """
        if numbers.size and not 0 <= numbers.min() <= numbers.max() < self.cells.size:
            bad = numbers[(numbers < 0) | (numbers >= self.cells.size)][0]
            raise OutOfBoundsError(f"no location {bad}: ids run from 0 to {self.cells.size - 1}")
        if self._kept is not None:
            return self._kept.take(numbers, axis=0)
        return self.read_at(np.stack(np.unravel_index(numbers, self.cells.shape), axis=-1))

    @property
    def is_kept(self) -> bool:
        """Whether all of them are held in memory."""
        return self._kept is not None

    def keep(self, vectors: Float32[np.ndarray, "n dim"], owner: object = None) -> None:
        """Reads numbered cells, and what is looked at, from memory from now on.

        That is a hundred times faster for single cells, and they are read as they are here.

        Args:
            vectors: of all cells, in z, y, x order; not copied.
            owner: what their memory belongs to, if not to the array.
        """
        assert vectors.shape == (self.cells.size, self.dim)
        self._owner, self._kept = owner, vectors

    @cached_property
    def _endless(self) -> ts.TensorStore:
        """The array grown to whole shards, which are then written without being read before.

        TensorStore reads a chunk that the end of the array cuts, to keep what lies beyond; a
        corrupt one could then never be written anew.
        """
        spec = self._store.spec().to_json()
        del spec["transform"]
        whole = self.cells.snapped_out(self.shard)
        spec["metadata"]["shape"] = [*whole.shape, self.dim]
        return ts.open(spec, assume_metadata=True).result()

    def decode(self, stored: Shaped[np.ndarray, "*cells dim"]) -> Float32[np.ndarray, "*cells dim"]:
        """The embeddings that stored numbers stand for."""
        if self.quantiser is None:
            return stored.astype(np.float32)
        return self.quantiser.decode(stored)

    def _load(self, view: ts.TensorStore) -> np.ndarray:
        try:
            return np.asarray(view.read().result())
        except ValueError as error:
            raise DataError(
                f"the embeddings at {self.path} are corrupt ({reason(error)}); "
                "run `voxkin embed` with --verify to find and redo the shard"
            ) from error
