"""The sharded store of dense embeddings: an array [z, y, x, channel], one vector per location."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorstore as ts
from jaxtyping import Float, Float32, Int

from embed.errors import AlignmentError, ConfigError, DataError, NotFoundError, OutOfBoundsError
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
        self.shard = zyx(store.chunk_layout.write_chunk.shape[:3])

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
            DataError: another array is already there.
            StorageError: the disk refuses.
        """
        if any(s < 1 or s % c for s, c in zip(shard, CHUNK, strict=True)):
            raise ConfigError(f"a shard holds whole chunks of {CHUNK} locations; got {shard} (ZYX)")
        with reports_storage(f"create the embeddings at {path}"):
            try:
                return cls(
                    ts.open(_spec(path, shape, dim, shard), open=True, create=True).result(), path
                )
            except ValueError as error:
                if "ALREADY_EXISTS" in str(error) or "mismatch" in str(error).lower():
                    raise DataError(f"{path} holds another array: choose a new place") from error
                raise

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
            raise DataError(f"the embeddings at {path} cannot be read: {error}") from error

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
        whole = box.snapped_out(self.shard).intersection(self.cells)
        if box != whole:
            raise AlignmentError(
                f"cannot write {box}: it splits shards of {self.shard} cells (ZYX); "
                f"the nearest box of whole shards is {whole}"
            )
        if embeddings.shape != (*box.shape, self.dim):
            expected = (*box.shape, self.dim)
            raise ValueError(f"{box} takes embeddings of shape {expected}; got {embeddings.shape}")
        with reports_storage(f"write the embeddings at {self.path}"):
            self._store[box.slices].write(embeddings.astype(np.float16)).result()

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
        """Reads the vectors of single cells that lie in the array."""
        z, y, x = np.moveaxis(np.asarray(cells, np.int64), -1, 0)
        return self._read(self._store.vindex[z, y, x])

    def _read(self, view: ts.TensorStore) -> np.ndarray:
        try:
            return np.asarray(view.read().result()).astype(np.float32)
        except ValueError as error:
            raise DataError(
                f"the embeddings at {self.path} are corrupt ({str(error).splitlines()[0]}); "
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
