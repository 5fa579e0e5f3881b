"""How much of a volume each class of a map takes up, and how many objects, with intervals.

A location counts for its likeliest class, or where classes are decided each alone for all that are
likelier than not, and stands for its cell. An interval is a block
bootstrap: neighbours are alike, so that blocks of space are drawn again with repetition, and not
locations (Künsch, Annals of Statistics 17 (1989) 1217).
"""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32, Float64, Int

from embed.atlas import Atlas
from embed.errors import ConfigError
from embed.geometry import Box, Zyx, zyx
from embed.probing.linear import Kind
from serve.gate.caller import require_caller
from serve.locations import Progress
from serve.mapping.components import Components, Objects
from serve.mapping.grids import likeliest
from serve.searching.class_maps import ReadMap

# Cells that are in memory at once; at least a section.
_AT_ONCE = 2**22
# Blocks along an axis at most, and their least edge in fields of view: few of two blocks overlap.
_BLOCKS, _EDGE = 6, 2
# With fewer an interval would tell more of how the blocks were cut than of the tissue.
_FEWEST = 8
_DRAWS = 2000
_PERCENT = (2.5, 97.5)
_LIKELY = 0.5


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A figure and its interval of 95 %.

    Attributes:
        value: of the volume as it is mapped.
        low: NaN where there are too few blocks to tell.
        high: likewise.
    """

    value: float
    low: float = math.nan
    high: float = math.nan


@dataclasses.dataclass(frozen=True)
class ClassCount:
    """What there is of a class.

    Attributes:
        name: of the class.
        locations: at which it is the likeliest.
        share: of the locations with data.
        volume_um3: of their cells, in cubic micrometres.
        objects: connected components of their cells.
        per_um3: objects for each cubic micrometre with data.
    """

    name: str
    locations: int
    share: Estimate
    volume_um3: Estimate
    objects: int
    per_um3: Estimate


def count_classes(
    atlas: Atlas,
    read: ReadMap,
    *,
    kind: Kind = "multiclass",
    least: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[ClassCount]:
    """Counts what a map says.

    Objects that touch count as one, and what is smaller than a cell is not seen.

    Args:
        atlas: on a grid.
        read: the map.
        kind: whether a place is of one class, or classes are decided each alone.
        least: locations of an object; smaller ones are no objects.
        seed: of the bootstrap.
        progress: called with the sections that are done and all there are.

    Raises:
        ConfigError: the atlas is of given places, or `least` is not a number of locations.
        DataError: the map cannot be read.
    """
    if atlas.info.points is not None:
        raise ConfigError(
            f"atlas {atlas.name!r} is of given places, which have no volume; count by segment "
            "with: voxkin probe segments"
        )
    if least < 1:
        raise ConfigError(f"an object has at least 1 location; got {least}")
    blocks = _Blocks(atlas)
    components = [Components() for _ in read.classes]
    counts = np.zeros((blocks.count, 1 + len(read.classes)), np.int64)
    for cells, probabilities in _slabs(atlas, read, progress or (lambda done, total: None)):
        require_caller()
        of_block = blocks.of_cells(cells)
        one = likeliest(probabilities)
        members = [one > 0]
        for number, found in enumerate(components):
            alone = probabilities[..., number] >= _LIKELY
            members.append(alone if kind == "multilabel" else one == number + 1)
            found.add(members[-1])
        for column, member in enumerate(members):
            counts[:, column] += np.bincount(of_block[member.reshape(-1)], minlength=blocks.count)
    data = counts[:, 0]
    cell_um3 = math.prod(np.multiply(atlas.grid.stride, atlas.frame.voxel_size_nm).tolist()) * 1e-9
    bootstrap = _Bootstrap(data, seed)
    made = []
    for number, name in enumerate(read.classes):
        objects = _large(components[number].objects(), least)
        of_class, per_block = counts[:, 1 + number], blocks.histogram(objects)
        share = bootstrap.ratio(of_class)
        made.append(
            ClassCount(
                name=name,
                locations=int(of_class.sum()),
                share=share,
                volume_um3=_scaled(share, float(data.sum()) * cell_um3),
                objects=len(objects.sizes),
                per_um3=_scaled(bootstrap.ratio(per_block), 1 / cell_um3),
            )
        )
    return made


class _Blocks:
    """The parts of a grid that are drawn again."""

    def __init__(self, atlas: Atlas) -> None:
        grid = atlas.grid
        edges = np.ceil(_EDGE * np.divide(grid.fov, grid.stride))  # cells of the least block
        self._per_axis = zyx(
            max(1, min(_BLOCKS, int(n // edge))) for n, edge in zip(grid.shape, edges, strict=True)
        )
        self._shape: Zyx = grid.shape
        self.count = math.prod(self._per_axis)

    def of_cells(self, cells: Box) -> Int[np.ndarray, " n"]:
        """The block of each cell of a box."""
        ends = zip(cells.start, cells.stop, strict=True)
        z, y, x = (self._along(axis, np.arange(a, b)) for axis, (a, b) in enumerate(ends))
        _, ny, nx = self._per_axis
        found = (z[:, None, None] * ny + y[:, None]) * nx + x
        return found.reshape(-1)

    def histogram(self, objects: Objects) -> Int[np.ndarray, " blocks"]:
        """How many objects have their centre in each block."""
        z, y, x = (self._along(axis, objects.centres[:, axis]) for axis in range(3))
        _, ny, nx = self._per_axis
        return np.bincount((z * ny + y) * nx + x, minlength=self.count)

    def _along(self, axis: int, cells: np.ndarray) -> Int[np.ndarray, " n"]:
        return (cells * self._per_axis[axis] // self._shape[axis]).astype(np.int64)


class _Bootstrap:
    """Blocks drawn again and again."""

    def __init__(self, data: Int[np.ndarray, " blocks"], seed: int) -> None:
        """Draws.

        Args:
            data: locations with data of each block; blocks without any are never drawn.
            seed: of the draws.
        """
        self._filled = np.flatnonzero(data)
        self._data = data[self._filled]
        self._drawn: Float64[np.ndarray, "draws blocks"] | None = None
        if len(self._filled) >= _FEWEST:
            count = len(self._filled)
            rng = np.random.default_rng(seed)
            self._drawn = rng.multinomial(count, np.full(count, 1 / count), _DRAWS).astype(float)

    def ratio(self, counts: Int[np.ndarray, " blocks"]) -> Estimate:
        """How many there are for each location with data."""
        of_block = counts[self._filled]
        value = float(of_block.sum() / max(self._data.sum(), 1))
        if self._drawn is None:
            return Estimate(value)
        ratios = (self._drawn @ of_block) / (self._drawn @ self._data)
        low, high = np.percentile(ratios, _PERCENT).tolist()
        return Estimate(value, low, high)


def _slabs(
    atlas: Atlas, read: ReadMap, report: Progress
) -> Iterator[tuple[Box, Float32[np.ndarray, "z y x classes"]]]:
    depth, height, width = atlas.grid.shape
    for slab in atlas.grid.cells.tiles((max(1, _AT_ONCE // (height * width)), height, width)):
        yield slab, read.of_cells(slab)
        report(slab.stop[0], depth)


def _large(objects: Objects, least: int) -> Objects:
    kept = objects.sizes >= least
    return Objects(objects.sizes[kept], objects.centres[kept])


def _scaled(estimate: Estimate, by: float) -> Estimate:
    return Estimate(estimate.value * by, estimate.low * by, estimate.high * by)
