"""How fast and how well places are put on a map that they were not laid out on.

    python -m tests.benchmarks.bench_placing ATLAS

The atlas has a map (`voxkin project`). Its other locations are placed: how many a second, and how
many come to the cluster that comparing with all points would give. Then a tenth of the points is
left out and placed among the rest: how many come to the cluster that UMAP and HDBSCAN put them in,
and how far from where they lie, in widths of the map (the middle value). The last line is one JSON
object.
"""

import json
import sys
import time
from pathlib import Path

import faiss
import numpy as np

from embed.atlas import Atlas
from serve.clusters.placing import NEIGHBOURS, Placer
from serve.clusters.projection import load_projection
from serve.clusters.table import Points
from serve.locations import unit

MOST, COMPARED = 200_000, 5_000


def main() -> None:
    """Measures and prints."""
    atlas = Atlas.open(Path(sys.argv[1]))
    points = load_projection(atlas).points
    vectors, _ = unit(atlas.embeddings(points.ids))
    rng = np.random.default_rng(0)
    others = np.setdiff1d(np.arange(atlas.grid.size), points.ids)
    others = np.sort(rng.permutation(others)[:MOST])
    wanted, has_data = unit(atlas.embeddings(others))
    wanted = wanted[has_data]
    begun = time.perf_counter()
    placer = Placer(vectors, points)
    opened = time.perf_counter() - begun
    placer.place(wanted[:1000])  # starts the threads
    begun, cpu = time.perf_counter(), time.process_time()
    _, found = placer.place(wanted)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    some = rng.permutation(len(wanted))[:COMPARED]
    begun = time.process_time()
    agreeing = float((found[some] == _exact(placer, vectors, wanted[some])).mean())
    exact_cpu = time.process_time() - begun
    same, apart = _left_out(points, vectors, rng)
    figures = {
        "points": len(points.ids),
        "open_s": round(opened, 2),
        "placed": len(wanted),
        "per_s": round(len(wanted) / seconds),
        "per_cpu_s": round(len(wanted) / cpu),
        "all_compared_per_cpu_s": round(len(some) / exact_cpu),
        "as_by_comparing_with_all": round(agreeing, 4),
        "left_out_same_cluster": round(same, 4),
        "left_out_apart": round(apart, 4),
    }
    print(json.dumps(figures))


def _exact(placer: Placer, vectors: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The clusters that comparing with all points gives."""
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return placer._mean(*index.search(wanted, NEIGHBOURS))[1]


def _left_out(points: Points, vectors: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    order = rng.permutation(len(points.ids))
    out, kept = order[: len(order) // 10], order[len(order) // 10 :]
    rest = Points(
        *(getattr(points, f)[kept] for f in ("ids", "positions_nm_xyz", "xy", "clusters"))
    )
    xy, clusters = Placer(vectors[kept], rest).place(vectors[out])
    width = np.ptp(points.xy, axis=0).max()
    apart = np.linalg.norm(xy - points.xy[out], axis=1) / width
    return float((clusters == points.clusters[out]).mean()), float(np.median(apart))


if __name__ == "__main__":
    main()
