"""Finding similar places: against other libraries and brute force, spread out, in boxes, served.

    make bench-search                  about a quarter of an hour
    make bench-search BENCH=--full     with an index of 10^7 locations: another half

A million synthetic embeddings of 64 numbers (see `synthetic`), and a thousand of a slab beside them
to search for; once more the included sample under the pretrained encoder at steps of four voxels.
All costs are CPU time on one thread, of what takes turns (A B C A B C …), the least of some rounds.
The last line is one JSON object:

recall_at_10         share of the ten nearest that the advised index finds as it is set up: what it
                     proposes is compared exactly, by the stored vectors
cpu_us_batch         µs of a query at a recall of 0.96 (on a line between two settings), a thousand
                     at once; exact comparison counted in, with the stored vectors held in memory,
                     as a server does where they take at most a gigabyte
cpu_us_single        the same, one at a time
stored_extra_us      how much more a query costs (as set up, a thousand at once) where the stored
                     vectors are not held in memory but read from the store
vs_best_peer_batch   cost at that recall of the cheapest of hnswlib, usearch and ScaNN over ours;
                     which it is says best_peer_batch
vs_best_peer_single  the same, one at a time
peers                for each, its costs at that recall and CPU of building it; or why none
bytes_per_vector     of the index file
separated_fraction   of places with ten hits at least eight steps from each other and the place
separated_recall     share of the ten that brute force finds
separated_ms         CPU of such a search
box_recall           recall@10 in boxes of 0.1 % of the locations
box_short_lists      lists there with fewer hits than there are
box_…_of_10_percent  the same in boxes of 10 %
served_ratio_64      CPU of `voxkin serve` (TLS, token) over that in one process, of 64 vectors in
                     a call; call by call in turn, so that both find the caches as cold
served_ratio_heavy   the same of one query that takes 2 ms or more
p99_over_p50         of times of calls at half of what the server can do, 32 clients; the median of
                     some rounds
empty_call_us        server CPU of a call that asks nothing (TLS, token)
build_us_per_vector  CPU of building the index, alone in a process
build_memory_gb      peak of its memory
build_recall         recall@10 that the build measured, for locations of the atlas; with --full all
                     three are of 10^7 locations
sample               recall and separated hits of real embeddings
"""

import argparse
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from embed.atlas import Atlas
from embed.grid_layout import create_atlas
from embed.inference import embed_shards
from embed.layout import Wanted
from embed.samples import PATH
from embed.volume import open_volume
from serve.index import Index, build_index, open_index
from serve.locations import Locations
from serve.search import KEPT_BYTES, Searcher
from serve.searching.refined import refined
from tests.benchmarks import rivals, spread, synthetic
from tests.benchmarks.building import built
from tests.benchmarks.jobs import pretrained
from tests.benchmarks.rivals import NEAREST, Rival, Truth, costs_at
from tests.benchmarks.served_calls import empty_call_us
from tests.benchmarks.served_search import served
from tests.benchmarks.timing import cpu_s, machine, rounded

PLANES, EDGE, SLAB, DIM = 100, 100, 12, 64
"""10^6 locations, and the planes beside them that queries are drawn from."""

QUERIES = 1000
RECALL = 0.96
STEPS = 8
ROUNDS = 3


def main() -> None:
    """Prints what it measures, and one JSON object at the end."""
    parser = argparse.ArgumentParser(description="benchmark of finding similar places")
    parser.add_argument("--full", action="store_true", help="an index of 10^7 locations, too")
    parser.add_argument("--planes", type=int, default=PLANES, help="of 10,000 locations each")
    asked = parser.parse_args()
    faiss.omp_set_num_threads(1)
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="voxkin-") as folder:
        report = _synthetic(Path(folder), asked.planes) | {"sample": _sample(Path(folder))}
        if asked.full:
            made = synthetic.vectors((1000, EDGE, EDGE), DIM)
            report |= _told("10^7 locations", built(synthetic.atlas(Path(folder) / "full", made)))
    print(machine())
    print(json.dumps(rounded(report)))


def _synthetic(folder: Path, planes: int) -> dict[str, Any]:
    made = synthetic.vectors((planes + SLAB, EDGE, EDGE), DIM)
    slab = made[planes:].reshape(-1, DIM)
    queries = slab[np.random.default_rng(0).permutation(len(slab))[:QUERIES]]
    atlas = synthetic.atlas(folder / "synthetic", made[:planes])
    del made
    report = _told("building", built(atlas))
    index = open_index(atlas)
    manifest = index.manifest
    print(f"  {manifest.factory} over {manifest.count:,} locations: {manifest.reason}", flush=True)
    among = spread.everything(atlas)
    report |= _compared(atlas, index, among, queries)
    report |= {"bytes_per_vector": manifest.bytes / manifest.count}
    report |= _searched(atlas, index, among, queries, places=1000)
    del among
    report |= _told("served", served(atlas.path, queries, ROUNDS))
    return report | _told("an empty call", {"empty_call_us": empty_call_us(ROUNDS)})


def _compared(atlas: Atlas, index: Index, among: Locations, queries: np.ndarray) -> dict[str, Any]:
    """Costs at one recall, ours and those of other libraries."""
    truth = Truth(among.vectors, queries)
    mine, manifest = rivals.ours(atlas, index), index.manifest
    usual = manifest.nprobe, manifest.candidates
    report: dict[str, Any] = {"recall_at_10": truth.recall(mine.batch(queries, usual))}
    stored = cpu_s(partial(mine.batch, queries, usual))
    mine = rivals.ours(atlas, refined(index, atlas, KEPT_BYTES))
    mine.batch(queries, usual)
    report["stored_extra_us"] = (
        1e6 * (stored - cpu_s(partial(mine.batch, queries, usual))) / QUERIES
    )
    made = list(rivals.others(among.vectors))
    peers = [rival for rival in made if isinstance(rival, Rival)]
    print(f"\n{NEAREST} nearest: lists and candidates, or effort; recall; at once, one by one")
    costs = costs_at(RECALL, [mine, *peers], truth, ROUNDS)
    ours = costs.pop(mine.name)
    for number, kind in enumerate(("batch", "single")):
        known = {name: cost[number] for name, cost in costs.items() if cost[number] is not None}
        best = min(known, key=known.__getitem__, default=None)
        report |= {f"cpu_us_{kind}": ours[number], f"best_peer_{kind}": best}
        both = best is not None and ours[number] is not None
        report[f"vs_best_peer_{kind}"] = known[best] / ours[number] if both else None
    told = {
        peer.name: {
            "cpu_us_batch": costs[peer.name][0],
            "cpu_us_single": costs[peer.name][1],
            "build_us_per_vector": 1e6 * peer.build_cpu_s / len(among.ids),
        }
        for peer in peers
    }
    missing = dict(reason for reason in made if not isinstance(reason, Rival))
    return _told("against others", report | {"peers": told | missing})


def _searched(
    atlas: Atlas, index: Index, among: Locations, queries: np.ndarray, places: int
) -> dict[str, Any]:
    """Hits spread out, and in boxes."""
    searcher = Searcher(atlas, index, keep_bytes=KEPT_BYTES)
    step_nm = max(n * s for n, s in zip(atlas.grid.stride, atlas.frame.voxel_size_nm, strict=True))
    apart = spread.separated(
        searcher, among, STEPS * step_nm, queries=places, checked=200, rounds=ROUNDS
    )
    small = spread.boxed(searcher, among, queries[:200], 0.001, rounds=ROUNDS)
    large = spread.boxed(searcher, among, queries[:50], 0.1, rounds=ROUNDS)
    large = {f"{key}_of_10_percent": value for key, value in large.items()}
    return _told(f"hits {STEPS} steps apart, and in boxes", apart | small | large)


def _sample(folder: Path) -> dict[str, Any]:
    """The included sample, by the encoder for its voxels, at steps of four."""
    atlas = create_atlas(
        pretrained(),
        open_volume(PATH),
        folder / "sample",
        Wanted(stride=(4, 4, 4)),
        run="benchmark",
    )
    assert not embed_shards(atlas)
    build_index(atlas)
    index, among = open_index(atlas), spread.everything(atlas)
    manifest = index.manifest
    print(f"\nthe sample: {manifest.factory} over {manifest.count:,} locations")
    rows = np.random.default_rng(0).permutation(len(among.ids))[:QUERIES]
    report = {"locations": manifest.count, "recall_at_10": manifest.recall}
    return report | _searched(atlas, index, among, among.vectors[rows], places=500)


def _told(what: str, figures: dict[str, Any]) -> dict[str, Any]:
    print(f"\n{what}")
    for key, value in figures.items():
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        print(f"  {key:28} {text}", flush=True)
    return figures


if __name__ == "__main__":
    main()
