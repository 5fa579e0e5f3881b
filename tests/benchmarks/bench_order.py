"""How many chunks of a volume are fetched twice, by the order of shards and the size of the cache.

    python -m tests.benchmarks.bench_order [SHARDS]

Counted, not timed: a cube of SHARDS (default 12) shards an edge, of 32 cells 8 voxels apart, is
read through a cache of chunks that drops the one that was longest not asked for, as TensorStore's
does.
"""

import itertools
import sys
from collections import OrderedDict
from collections.abc import Iterable

from embed.geometry import Grid, Zyx, zyx
from embed.sweep import layer_width, swept

CACHES_MB = (64, 128, 256, 512, 1024, 2048)
CHUNKS = (64, 128)
SHARD: Zyx = (32, 32, 32)
FOV, STEP = 33, 8


def main() -> None:
    """Prints a table for each size of chunk."""
    edge = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    grid = Grid((0, 0, 0), (FOV,) * 3, (STEP,) * 3, zyx(edge * n for n in SHARD))
    shards = [zyx(index) for index in itertools.product(range(edge), repeat=3)]
    orders = {
        "z, y, x": shards,
        "Morton": sorted(shards, key=morton),
        "swept": swept(shards, layer_width(grid, SHARD)),
    }
    for chunk in CHUNKS:
        print(f"\nchunks of {chunk} voxels an edge, of a byte; share that is fetched again")
        print(f"{'cache':>8}" + "".join(f"{order:>10}" for order in orders))
        for megabytes in CACHES_MB:
            room = megabytes * 2**20 // chunk**3
            shares = (fetched_again(order, chunk, room) for order in orders.values())
            print(f"{megabytes:>5} MB" + "".join(f"{share:>10.1%}" for share in shares))


def fetched_again(order: Iterable[Zyx], chunk: int, room: int) -> float:
    """Fetches beyond the first of each chunk, per chunk."""
    kept: OrderedDict[Zyx, None] = OrderedDict()
    ever, fetched = set(), 0
    for shard in order:
        for found in _chunks(shard, chunk):
            fetched += found not in kept
            kept[found] = None
            kept.move_to_end(found)
            if len(kept) > room:
                kept.popitem(last=False)
            ever.add(found)
    return fetched / len(ever) - 1


def _chunks(shard: Zyx, chunk: int) -> Iterable[Zyx]:
    def along(index: int, cells: int) -> range:
        first = index * cells * STEP
        return range(first // chunk, (first + (cells - 1) * STEP + FOV - 1) // chunk + 1)

    return map(zyx, itertools.product(*map(along, shard, SHARD)))


def morton(cell: Zyx) -> int:
    """The place of a cell on a curve that interleaves the bits of its indices."""
    bits = max(cell).bit_length()
    return sum((n >> b & 1) << (3 * b + 2 - a) for b in range(bits) for a, n in enumerate(cell))


if __name__ == "__main__":
    main()
