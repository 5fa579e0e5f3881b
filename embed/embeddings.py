"""The sharded store of dense embeddings: an array [z, y, x, channel], one vector per location."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import tensorstore as ts
from jaxtyping import Float, Float32, Int

from embed.errors import AlignmentError, ConfigError, DataError, NotFoundError, OutOfBoundsError
from embed.formats.arrays import reason
from embed.geometry import Box, Zyx, zyx
from embed.storage import reports_storage

# Reading 40 scattered vectors costs 1.5 ms with inner chunks of 4 cells and 25 ms with 32.
CHUNK: Zyx = (4, 4, 4)


class EmbeddingStore:
    """Embeddings on disk: zarr v3, float16, written a whole shard at a time.

    A location without data (a void) holds the zero vector, which is also what was never written
    reads as; every other vector has length 1. Reading is safe from many threads; different shards
    may be written at once from many threads and processes.
    """

    def __init__(self, store: ts.TensorStore, path: Path):
        self._store = store
        self.path = path
        self.cells = Box((0, 0, 0), zyx(store.shape[:3]))
        self.dim = int(store.shape[3])
        self.shard = zyx(store.chunk_layout.write_chunk_template.shape[:3])

    @classmethod
    def create(cls, path: Path, shape: Zyx, dim: int, shard: Zyx) -> "EmbeddingStore":
        """Makes an empty store.

        Args:
            path: the directory to make, or one that a killed run made with the same arguments.
            shape: locations per axis, ZYX.
            dim: length of an embedding.
            shard: locations per shard, ZYX, in multiples of 4.

        Raises:
            ConfigError: the shard is not made of whole chunks.
            DataError: another array is already there, or a damaged one.
            StorageError: the disk refuses.
        """
        if any(s < 1 or s % c for s, c in zip(shard, CHUNK, strict=True)):
            raise ConfigError(f"a shard holds whole chunks of {CHUNK} locations; got {shard} (ZYX)")
        with reports_storage(f"create the embeddings at {path}"):
            try:
                spec = _spec(path, shape, dim, shard)
                return cls(ts.open(spec, open=True, create=True).result(), path)
            except ValueError as error:
                raise DataError(
                    f"{path} is not the array that belongs there ({reason(error)}); restore it or "
                    "choose a new place"
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

    def write(self, box: Box, embeddings: Float[np.ndarray, "z y x dim"]) -> None:
        """Writes one or more whole shards; each appears at once or not at all.

        Args:
            box: cells, on the shard grid or at the edge of the array.
            embeddings: one vector per cell; rounded to float16.

        Raises:
            OutOfBoundsError: `box` leaves the array.
            AlignmentError: `box` covers only part of a shard.
            ValueError: the shape of `embeddings` is not that of `box`.
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
        beyond = [(0, b - a) for a, b in zip(box.stop, whole.stop, strict=True)]
        padded = np.pad(embeddings.astype(np.float16), [*beyond, (0, 0)])
        with reports_storage(f"write the embeddings at {self.path}"):
            self._endless[whole.slices].write(padded).result()

    def read(self, box: Box) -> Float32[np.ndarray, "z y x dim"]:
        """Reads any box of cells.

        Raises:
            OutOfBoundsError: `box` leaves the array.
            DataError: a shard is corrupt.
        """
        if not self.cells.contains(box):
            raise OutOfBoundsError(f"cannot read {box}: the array ends at zyx={self.cells.stop}")
        return self._read(self._store[box.slices])

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
        return self._read(self._store.vindex[z, y, x])

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

    def _read(self, view: ts.TensorStore) -> np.ndarray:
        try:
            return np.asarray(view.read().result()).astype(np.float32)
        except ValueError as error:
            raise DataError(
                f"the embeddings at {self.path} are corrupt ({reason(error)}); "
                "run `voxkin embed` with --verify to find and redo the shard"
            ) from error


def _spec(path: Path, shape: Zyx, dim: int, shard: Zyx) -> dict[str, object]:
    inner = {
        "chunk_shape": [*CHUNK, dim],
        # Embeddings are close to incompressible: a checksum, and no compressor in the way.
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
        "index_codecs": [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "crc32c"},
        ],
    }
    return {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{path}/"},
        "metadata": {
            "shape": [*shape, dim],
            "data_type": "float16",
            "fill_value": 0.0,
            "dimension_names": ["z", "y", "x", "channel"],
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [*shard, dim]}},
            "codecs": [{"name": "sharding_indexed", "configuration": inner}],
        },
    }
