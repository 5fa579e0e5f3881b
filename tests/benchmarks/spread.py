"""Searches as people make them: hits that keep apart, hits in a box; against brute force."""

from collections.abc import Sequence

import numpy as np

from embed.atlas import Atlas
from serve.hits import SearchResult
from serve.indexing.sweep import TIE
from serve.locations import Locations, shard_locations
from serve.queries import Filters, Query, Wish
from serve.search import Searcher
from serve.searching.suppression import suppress
from tests.benchmarks.timing import in_turn

NEAREST = 10
# Of all, by similarity: more than hold ten that keep apart.
_CONSIDERED = 20_000


def everything(atlas: Atlas) -> Locations:
    """All locations with data, ids ascending."""
    parts = [locations for _, locations in shard_locations(atlas)]
    ids = np.concatenate([part.ids for part in parts])
    order = np.argsort(ids)
    return Locations(ids[order], np.concatenate([part.vectors for part in parts])[order])


def separated(
    searcher: Searcher,
    among: Locations,
    separation_nm: float,
    *,
    queries: int,
    checked: int,
    rounds: int,
    seed: int = 0,
) -> dict[str, float]:
    """Ten hits of places, which keep apart from each other and from the place.

    Args:
        searcher: of the atlas.
        among: all its locations.
        separation_nm: least distance.
        queries: how many places, drawn at random.
        checked: how many of them are compared with what brute force finds.
        rounds: of timing, of which the least counts.
        seed: of the draw.

    Returns:
        The share of places with ten good hits, the share of the best hits found, CPU ms of a query.
    """
    rows = np.random.default_rng(seed).choice(len(among.ids), queries, replace=False)
    places = searcher.atlas.positions_nm_xyz(among.ids[rows])
    wish = Wish(NEAREST, separation_nm)
    asked = [Query(like_nm_xyz=(tuple(place),)) for place in places.tolist()]
    found = [searcher.find(query, wish) for query in asked]
    good = [_useful(r, separation_nm, p) for r, p in zip(found, places, strict=True)]
    offsets = searcher.atlas.offsets_nm(among.ids)
    shares = [
        _share_of_best(found[n], among, offsets, int(rows[n]), separation_nm)
        for n in range(checked)
    ]
    seconds = in_turn({"find": lambda: [searcher.find(query, wish) for query in asked]}, rounds)
    return {
        "separated_fraction": float(np.mean(good)),
        "separated_recall": float(np.mean(shares)),
        "separated_ms": min(seconds["find"]) / queries * 1e3,
    }


def boxed(
    searcher: Searcher,
    among: Locations,
    vectors: np.ndarray,
    share: float,
    *,
    rounds: int,
    seed: int = 0,
) -> dict[str, float]:
    """Ten nearest in boxes that hold a share of all locations, another box for each vector.

    Returns:
        Recall@10 against brute force, lists with fewer hits than there are, CPU ms of a query.
    """
    atlas, rng = searcher.atlas, np.random.default_rng(seed)
    shape = np.array(atlas.grid.shape)
    edges = np.maximum(np.rint(shape * share ** (1 / 3)), 2).astype(int)
    starts = [rng.integers(0, shape - edges + 1) for _ in vectors]
    cells = atlas.grid.cells_of(among.ids)
    wishes, hits, wanted, short = [], 0, 0, 0
    for vector, start in zip(vectors, starts, strict=True):
        ends = np.array([start, start + edges - 1])
        low, high = atlas.positions_nm_xyz(atlas.grid.ids(ends))
        half = np.array(atlas.frame.voxel_size_nm[::-1]) / 2
        box = (tuple((low - half).tolist()), tuple((high + half).tolist()))
        wishes.append(Wish(NEAREST, 0.0, Filters((box,))))
        inside = ((cells >= start) & (cells < start + edges)).all(axis=1)
        scores = among.vectors[inside] @ vector
        there = min(NEAREST, len(scores))
        least = np.partition(scores, len(scores) - there)[len(scores) - there]
        found = searcher.find(Query(like=(vector,)), wishes[-1])
        hits += sum(hit.similarity >= least - TIE for hit in found.hits)
        wanted += there
        short += len(found.hits) < there
    asked = [(Query(like=(v,)), w) for v, w in zip(vectors, wishes, strict=True)]
    seconds = in_turn({"find": lambda: [searcher.find(*pair) for pair in asked]}, rounds)
    return {
        "box_recall": hits / wanted,
        "box_short_lists": short,
        "box_ms": min(seconds["find"]) / len(vectors) * 1e3,
    }


def _useful(found: SearchResult, separation_nm: float, place: Sequence[float]) -> bool:
    """Whether there are ten hits and all keep apart."""
    spots = np.array([place, *(hit.position_nm_xyz for hit in found.hits)])
    apart = np.linalg.norm(spots[:, None] - spots[None], axis=2)[np.triu_indices(len(spots), 1)]
    return len(found.hits) == NEAREST and bool((apart >= separation_nm * (1 - 1e-9)).all())


def _share_of_best(
    found: SearchResult, among: Locations, offsets: np.ndarray, row: int, separation_nm: float
) -> float:
    """The share of the hits that brute force finds."""
    scores = among.vectors @ among.vectors[row]
    most = min(_CONSIDERED, len(scores))
    best = np.argpartition(-scores, most - 1)[:most]
    best = best[np.lexsort((among.ids[best], -scores[best]))]
    stay = suppress(offsets[best], NEAREST, separation_nm, offsets[row][None])
    true = set(among.ids[best[stay]].tolist())
    return len(true & {hit.id for hit in found.hits}) / max(len(true), 1)
