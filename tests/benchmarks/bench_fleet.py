"""What it costs to ask a fleet instead of an index in memory: CPU of all processes, per query.

    python -m tests.benchmarks.bench_fleet [--locations 64] [--slabs 4] [--replicas 2] [--calls 300]

An atlas of smooth random vectors, its index `IVF256,Flat` in one file and in slabs, and a fleet on
a Ray of its own. Both are asked for 1000 candidates of one vector, and of 32 at once; the
fleet's idle cost (Ray and its replicas watch over each other) is measured and told by itself.
"""

import argparse
import functools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from serve.fleet.build import build_slabs
from serve.fleet.fleet import Fleet, FleetSettings
from serve.index import build_index, open_index
from tests.atlases import make_atlas
from tests.benchmarks.processes import family_cpu_s

FACTORY, CANDIDATES, ROUNDS = "IVF256,Flat", 1000, 3
IDLE_S = 10.0


def cpu_ms(call: Callable[[], object], calls: int, queries: int) -> tuple[float, float]:
    """CPU of a query in milliseconds: of this process, and of it and all it has started."""
    own, all_of_it = time.process_time(), family_cpu_s()
    for _ in range(calls):
        call()
    count = calls * queries / 1000
    return (time.process_time() - own) / count, (family_cpu_s() - all_of_it) / count


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--locations", type=int, default=64, help="along each axis")
    parser.add_argument("--slabs", type=int, default=4)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--calls", type=int, default=300)
    asked = parser.parse_args()
    settings = FleetSettings(None, asked.replicas, 0.1, deadline_s=120)
    with tempfile.TemporaryDirectory() as folder, Fleet(settings) as fleet:
        atlas = make_atlas(Path(folder) / "a", (asked.locations,) * 3, dim=64)
        build_index(atlas, factory=FACTORY)
        here = open_index(atlas)
        build_slabs(atlas, asked.slabs, factory=FACTORY)
        there = fleet.open_index(atlas)
        vectors = atlas.embeddings(np.arange(1, atlas.grid.size, atlas.grid.size // 32))[:32]
        idle = family_cpu_s()
        time.sleep(IDLE_S)
        print(f"idle: {(family_cpu_s() - idle) / IDLE_S:.2f} CPU seconds a second")
        for some in (vectors[:1], vectors):
            for index in (here, there):
                index.search(some, CANDIDATES, 16)
            found = {}
            for name, index in (("here", here), ("fleet", there)):
                call = functools.partial(index.search, some, CANDIDATES, 16)
                rounds = [cpu_ms(call, asked.calls, len(some)) for _ in range(ROUNDS)]
                found[name] = min(rounds, key=lambda one: one[1])
            for name, (own, total) in found.items():
                print(
                    f"{len(some)} at once, {name}: {own:.2f} ms in the server, {total:.2f} in all"
                )


if __name__ == "__main__":
    main()
