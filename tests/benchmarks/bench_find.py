"""CPU per search of an atlas of 64,000 locations: plain, filtered, by examples, many at once.

    python -m tests.benchmarks.bench_find [--rounds N]

40 x 40 x 40 smooth random embeddings of 64 numbers under the index that is advised, ten hits a
field of view apart; each kind of search is made for the same 50 places, in turn. Milliseconds of
CPU per query, the least of the rounds; the last line is one JSON object.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

import tests.atlases
from embed.atlas import Atlas
from serve.index import build_index, open_index
from serve.queries import Filters, Query, Wish
from serve.search import Searcher
from tests.benchmarks.timing import in_turn

EDGE, DIM, QUERIES = 40, 64, 50


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    tests.atlases.SHARD = (EDGE, EDGE, EDGE)
    with tempfile.TemporaryDirectory() as folder:
        atlas = tests.atlases.make_atlas(Path(folder) / "a", (EDGE, EDGE, EDGE), DIM)
        build_index(atlas)
        seconds = in_turn(_searches(atlas), rounds)
    figures = {name: round(min(s) / QUERIES * 1e3, 3) for name, s in seconds.items()}
    for name, figure in figures.items():
        print(f"{figure:8.3f} ms  {name}")
    print(json.dumps(figures))


def _searches(atlas: Atlas) -> dict[str, Callable[[], object]]:
    searcher = Searcher(atlas, open_index(atlas))
    low, high = map(np.array, atlas.extent_nm_xyz)
    rng = np.random.default_rng(1)
    places = [tuple(p) for p in (low + rng.uniform(0.2, 1, (QUERIES, 3)) * (high - low)).tolist()]
    vectors = np.stack([searcher.place_at(place).vector for place in places])
    middle = (low + high) / 2

    def box(share: float) -> Filters:
        half = (high - low) * share ** (1 / 3) / 2
        return Filters(((tuple((middle - half).tolist()), tuple((middle + half).tolist())),))

    def each(wish: Wish, query: Callable[[int], Query]) -> Callable[[], object]:
        return lambda: [searcher.find(query(i), wish) for i in range(QUERIES)]

    def one(i: int) -> Query:
        return Query(like_nm_xyz=(places[i],))

    def three(i: int) -> Query:
        return Query(like_nm_xyz=(*places[i : i + 1], *places[:2]), unlike_nm_xyz=places[2:3])

    return {
        "a place": each(Wish(), one),
        "in a box of 0.1 %": each(Wish(filters=box(0.001)), one),
        "in a box of 70 %": each(Wish(filters=box(0.7)), one),
        "in a box of 90 %, by the index": each(Wish(filters=box(0.9)), one),
        "average of three less one": each(Wish(), three),
        "the second page": _second_pages(searcher, places),
        "a vector": lambda: [searcher.find(Query(like=(v,))) for v in vectors],
        "a vector, 50 at once": lambda: searcher.find_each(vectors),
    }


def _second_pages(searcher: Searcher, places: list[tuple[float, ...]]) -> Callable[[], object]:
    queries = [Query(like_nm_xyz=(place,)) for place in places]
    pages = [Wish(page=searcher.find(query).next_page) for query in queries]
    return lambda: [searcher.find(q, w) for q, w in zip(queries, pages, strict=True)]


if __name__ == "__main__":
    main()
