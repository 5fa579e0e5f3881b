"""One shard of given places: their fields of view, seen whole or masked to a segment."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Bool, Float32, Shaped

from embed.backends.backend import Backend
from embed.geometry import Box
from embed.normaliser import Normaliser
from embed.points import Points
from embed.segments import masked_to_centre
from embed.voids import VOID_SHARE
from embed.volume import Volume

# Fields of view at once: 20 MB of float32 for 33 voxels an edge, and one shape to compile.
_BATCH = 128
# Each waits for the store most of the time.
_READERS = 8


def read_fields(
    volume: Volume, segmentation: Volume | None, points: Points, cells: Box
) -> Shaped[np.ndarray, "n z y x"]:
    """The fields of view of some places, as they are in the volume.

    Where there is a segmentation, everything but the segment in the middle of each is masked, as
    numpy's masked arrays have it, and 0; all of it where no segment is in the middle.

    Raises:
        DataError: a chunk cannot be read.
    """

    def read(location: int) -> np.ndarray:
        box = points.box(location)
        voxels = volume.read(box)
        if segmentation is None:
            return voxels
        shown = masked_to_centre(segmentation.read(box))
        return np.ma.MaskedArray(np.where(shown, voxels, 0), ~shown)

    stack = np.stack if segmentation is None else np.ma.stack
    with ThreadPoolExecutor(_READERS, "voxkin-fields") as pool:
        return stack([*pool.map(read, range(cells.start[2], cells.stop[2]))])


def given_parts(
    backend: Backend, normaliser: Normaliser, fields: Shaped[np.ndarray, "n z y x"]
) -> tuple[Bool[np.ndarray, "1 1 n"], Iterator[tuple[Box, np.ndarray]]]:
    """Embeds fields of view one by one.

    Args:
        backend: runs the encoder.
        normaliser: of the grey values of the volume.
        fields: as `read_fields` gives them.

    Returns:
        The voids, `[1, 1, n]`: where at least half of what is shown is missing, all of it is of one
        grey value, or nothing is shown; and boxes of cells with their embeddings.
    """
    shown = ~np.ma.getmaskarray(fields)
    missing = shown & (np.ma.getdata(fields) == 0)
    axes = (1, 2, 3)
    void = missing.sum(axis=axes) >= VOID_SHARE * shown.sum(axis=axes)
    void |= np.ma.filled(np.ma.asarray(fields).min(axis=axes) == fields.max(axis=axes), True)
    return void[None, None], _embedded(backend, normaliser, fields)


def _embedded(
    backend: Backend, normaliser: Normaliser, fields: Shaped[np.ndarray, "n z y x"]
) -> Iterator[tuple[Box, Float32[np.ndarray, "1 1 n dim"]]]:
    for first in range(0, len(fields), _BATCH):
        part = fields[first : first + _BATCH]
        blocks = np.zeros((_BATCH, *part.shape[1:]), np.float32)
        # Masked is 0, the mean of the volume, as in training.
        blocks[: len(part)] = normaliser(np.ma.getdata(part)) * ~np.ma.getmaskarray(part)
        vectors = backend(blocks)[: len(part), 0, 0, 0]
        yield Box((0, 0, first), (1, 1, first + len(part))), vectors[None, None]
