"""The order to embed shards in, so that few chunks of the volume are fetched twice.

Shards beside each other share chunks, since fields of view overlap and chunks lie across borders.
Half as many are fetched twice as along a Morton curve (`tests/benchmarks/bench_order.py`).
"""

from collections.abc import Iterable

from embed.formats.arrays import CACHE_BYTES
from embed.geometry import Box, Grid, Zyx

# Voxels, of a byte as nearly all are: chunks reach beyond what is read, and are in the cache too.
_LAYER = int(0.6 * CACHE_BYTES)


def swept(cells: Iterable[Zyx], width: int) -> list[Zyx]:
    """Cells in the order of columns along their longest axis, each swept layer by layer.

    A layer is followed by the one that it has a whole face in common with; faces between columns
    are met again only after a whole column.

    >>> swept([(z, 0, x) for z in range(3) for x in range(4)], width=2)[:5]
    [(0, 0, 0), (1, 0, 0), (0, 0, 1), (1, 0, 1), (0, 0, 2)]

    Args:
        cells: not negative, ZYX.
        width: of a column on the two other axes.
    """
    cells = list(cells)
    reach = [max(axis, default=0) for axis in zip(*cells, strict=True)]
    along = reach.index(max(reach)) if cells else 0

    def place(cell: Zyx) -> tuple[list[int], int, Zyx]:
        column = [n // width for axis, n in enumerate(cell) if axis != along]
        return column, cell[along], cell

    return sorted(cells, key=place)


def layer_width(grid: Grid, shard: Zyx, layer: int = _LAYER) -> int:
    """How many shards, on each of two axes, make a layer of so many voxels; at least one."""
    z, y, x = shard
    beside = 1
    while grid.voxels(Box.of_shape((z, (beside + 1) * y, (beside + 1) * x))).size <= layer:
        beside += 1
    return beside
