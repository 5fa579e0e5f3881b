"""Scanning the codes of an index list by list, as FAISS would, and query by query, as we do.

    python -m tests.benchmarks.bench_scan [--planes N]

The index that is advised for synthetic embeddings (see `synthetic`), 10,000 to a plane, as
`bench_search` has it; ten nearest of 150 candidates, from a few numbers of lists, on one thread and
in turn. CPU µs of a query among a thousand at once and by itself, and the share of the neighbours
that both find; the last line is one JSON object.
"""

import argparse
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from serve.index import build_index, open_index
from serve.search import KEPT_BYTES
from serve.searching.refined import refined
from tests.benchmarks import synthetic
from tests.benchmarks.bench_search import DIM, EDGE, PLANES, QUERIES, SLAB
from tests.benchmarks.timing import in_turn, machine, rounded

LISTS, CANDIDATES, NEAREST = (4, 8, 12, 16, 32), 150, 10
WAYS = {"by list": 0, "by query": 11}
_SINGLE, _ROUNDS = 200, 5


def main() -> None:
    """Prints a line for each number of lists."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--planes", type=int, default=PLANES)
    asked = parser.parse_args()
    faiss.omp_set_num_threads(1)
    print(machine())
    made = synthetic.vectors((asked.planes + SLAB, EDGE, EDGE), DIM)
    queries = made[asked.planes :].reshape(-1, DIM)
    queries = queries[np.random.default_rng(0).permutation(len(queries))[:QUERIES]]
    with tempfile.TemporaryDirectory(prefix="voxkin-") as folder:
        atlas = synthetic.atlas(Path(folder) / "synthetic", made[: asked.planes])
        build_index(atlas)
        index = refined(open_index(atlas), atlas, KEPT_BYTES)
        report = {lists: _compared(index, queries, lists) for lists in LISTS}
    for lists, found in report.items():
        columns = "  ".join(f"{name} {value:.4g}" for name, value in found.items())
        print(f"{lists:>3} lists  {columns}")
    print(json.dumps(rounded(report)))


def _compared(index: Any, queries: np.ndarray, lists: int) -> dict[str, float]:
    scanned = faiss.downcast_index(faiss.extract_index_ivf(index._search._parts[0]))

    def search(way: str, batch: int, many: int) -> np.ndarray:
        scanned.implem = WAYS[way]
        parts = (queries[i : i + batch] for i in range(0, many, batch))
        ids = [index.search(part, NEAREST, lists, compared=CANDIDATES)[1] for part in parts]
        return np.concatenate(ids)

    kinds = {"at once": (len(queries), len(queries)), "one by one": (1, _SINGLE)}
    us = {}
    for kind, how in kinds.items():
        seconds = in_turn({way: partial(search, way, *how) for way in WAYS}, _ROUNDS)
        for way, taken in seconds.items():
            us[f"{kind}, {way}"] = 1e6 * min(taken) / how[1]
    found = [search(way, *kinds["at once"]) for way in WAYS]
    same = [len(np.intersect1d(*both)) for both in zip(*found, strict=True)]
    return {**us, "found by both": sum(same) / found[0].size}


if __name__ == "__main__":
    main()
