"""Fixed places of training volumes, on which the states of a run are looked at."""

import dataclasses
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Float, Float32, Int

from embed.encoder import EncoderConfig
from embed.errors import DataError
from embed.geometry import Box, Grid, Zyx, zyx
from embed.segments import masked_to_centre
from embed.training.sampling import TrainingVolume
from embed.training.zoom import resampled

# Blocks with less spread (in deviations of the volume) show no tissue.
_FLAT = 0.05
# Tiles tried for each that is wanted; where most of a volume is empty, fewer places have to do.
_TRIES = 4
_READERS = 8


@dataclasses.dataclass(frozen=True, eq=False)
class Places:
    """Blocks of voxels, and the places that an encoder finds in them, block after block.

    Attributes:
        blocks: normalised grey values; of volumes with segments 0 where another segment lies than
            in the middle.
        centres: continuous voxels of its own volume, ZYX.
        volumes: the number of the training volume that each place is of.
        parts: the number of the block that each place is of.
    """

    blocks: Float32[np.ndarray, "block z y x"]
    centres: Float[np.ndarray, "place 3"]
    volumes: Int[np.ndarray, " place"]
    parts: Int[np.ndarray, " place"]

    def __len__(self) -> int:
        return len(self.centres)


def take_places(
    source: TrainingVolume,
    number: int,
    box: Box,
    encoder: EncoderConfig,
    cells: Zyx,
    count: int,
    seed: int,
) -> Places:
    """Draws blocks of a box that do not overlap in their places and are not empty.

    A function of its arguments alone: no generator of random numbers is shared with training.

    A volume that training resamples is resampled here, too. Of one with a segmentation blocks show
    the segment in their middle alone, as training does.

    Args:
        source: the volume; with a segmentation blocks are of single places.
        number: of the volume, noted with every place.
        box: where, in its voxels; at least as large as a block of `cells`.
        encoder: gives field of view and stride.
        cells: places per axis of a block, ZYX.
        count: places wanted; a whole number of blocks, fewer where the box has no more.
        seed: of the choice.

    Raises:
        DataError: a chunk is corrupt or holds NaN, or nothing that was tried shows tissue.
    """
    grid = grid_over(source, box, encoder)
    tiles = zyx(n // c for n, c in zip(grid.shape, cells, strict=True))
    wanted = min(-(-count // math.prod(cells)), math.prod(tiles))
    tries = min(_TRIES * wanted, math.prod(tiles))
    drawn = np.random.default_rng(seed).choice(math.prod(tiles), tries, replace=False)
    boxes = [
        Box.of_shape(cells, zyx(np.asarray(cells) * np.unravel_index(tile, tiles)))
        for tile in drawn
    ]
    kept: list[tuple[Box, np.ndarray]] = []
    with ThreadPoolExecutor(_READERS, thread_name_prefix="voxkin-places") as pool:
        for first in range(0, tries, wanted):
            some = boxes[first : first + wanted]
            read = pool.map(lambda cells: _grey(source, box, grid.voxels(cells)), some)
            kept += [(b, grey) for b, grey in zip(some, read, strict=True) if grey.std() > _FLAT]
            if len(kept) >= wanted:
                break
    if not kept:
        segments = "" if source.segmentation is None else " or no segment in their middle"
        raise DataError(
            f"{source.volume.name}: {tries} blocks spread over {box} (voxels, ZYX) had no "
            f"contrast{segments}; is the volume mostly empty? Train on a box of it that holds "
            "tissue"
        )
    return _located(kept[:wanted], grid, number, source, box)


def grid_over(source: TrainingVolume, box: Box, encoder: EncoderConfig) -> Grid:
    """The places in a box of a volume, counted in voxels of the encoder from its corner."""
    shape = np.floor(np.asarray(box.shape) / source.step + 1e-6).astype(int)
    return Grid.covering(Box.of_shape(zyx(shape)), encoder.fov, encoder.stride)


def together(parts: Sequence[Places]) -> Places:
    """The places of several draws, whose blocks have one shape, as one set."""
    first = np.cumsum([0, *(len(p.blocks) for p in parts)])
    return Places(
        np.concatenate([p.blocks for p in parts]),
        np.concatenate([p.centres for p in parts]),
        np.concatenate([p.volumes for p in parts]),
        np.concatenate([p.parts + n for p, n in zip(parts, first, strict=False)]),
    )


def watched_places(
    sources: Sequence[TrainingVolume], encoder: EncoderConfig, cells: Zyx, count: int
) -> Places:
    """Places spread over all training volumes, in equal shares; errors as of `take_places`."""
    share = -(-count // len(sources))
    taken = [
        take_places(source, i, source.box, encoder, cells, share, seed=i)
        for i, source in enumerate(sources)
    ]
    return together(taken)


def _grey(source: TrainingVolume, box: Box, block: Box) -> Float32[np.ndarray, "z y x"]:
    """A block in voxels of the encoder, counted from the corner of a box of the volume."""
    start, stop = (
        np.rint(np.asarray(n) * source.step).astype(int) for n in (block.start, block.stop)
    )
    start = np.minimum(start, np.asarray(box.shape) - 1)
    stop = np.clip(stop, start + 1, box.shape)
    voxels = Box(zyx(start), zyx(stop)).shifted(box.start)
    try:
        grey = resampled(source.normaliser(source.volume.read(voxels)), block.shape)
        if source.segmentation is None:
            return grey
        return np.where(masked_to_centre(source.segmentation.read(voxels)), grey, np.float32(0))
    except DataError as error:
        raise DataError(f"{source.volume.name}, voxels {voxels} (ZYX): {error}") from error


def _located(
    kept: list[tuple[Box, np.ndarray]], grid: Grid, number: int, source: TrainingVolume, box: Box
) -> Places:
    inside = np.moveaxis(np.indices(kept[0][0].shape), 0, -1).reshape(-1, 3)
    cells = np.concatenate([inside + box.start for box, _ in kept])
    return Places(
        np.stack([grey for _, grey in kept]),
        grid.centres(cells) * source.step + box.start,
        np.full(len(cells), number, np.int64),
        np.repeat(np.arange(len(kept)), len(inside)),
    )
