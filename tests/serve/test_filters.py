"""Tests of searching/selection.py and place_segments.py: filters keep recall, and say why not."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

import serve.search
import serve.searching.candidates
import serve.searching.selection
from embed.errors import DataError, RequestError
from serve.index import build_index, open_index
from serve.queries import Filters, Query, Wish
from serve.search import Searcher
from tests.atlases import make_atlas
from tests.serve.brute import everything, greedy, segment_at, write_segmentation

KINDS = ("grid", "grid by the index", "lists", "codes", "given")


@pytest.fixture(scope="session")
def segmentation(tmp_path_factory):
    return write_segmentation(tmp_path_factory.mktemp("segments") / "s.zarr")


@pytest.fixture(scope="session")
def searchers(atlas, index, given, segmentation, tmp_path_factory):
    lists = make_atlas(tmp_path_factory.mktemp("lists") / "a")
    manifest = build_index(lists, factory="IVF32,Flat")
    path = lists.path / "index" / manifest.version / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "nprobe": manifest.lists}))
    codes = make_atlas(tmp_path_factory.mktemp("codes") / "a")
    build_index(codes, factory="PCAR12,IVF8,PQ12x4fs")
    return {
        "grid": Searcher(atlas, index, segmentation),
        "grid by the index": Searcher(atlas, index, segmentation),
        "lists": Searcher(lists, open_index(lists), segmentation),
        "codes": Searcher(codes, open_index(codes), segmentation),
        "given": Searcher(given, open_index(given)),
    }


def _allowed(searcher, filters, positions, ids):
    allowed = np.ones(len(ids), bool)
    if filters.boxes_nm:
        inside = [((positions >= a) & (positions < b)).all(axis=1) for a, b in filters.boxes_nm]
        allowed &= np.any(inside, axis=0)
    segments = _segments(searcher, positions, ids)
    if filters.segments:
        allowed &= np.isin(segments, [float(s) for s in filters.segments])
    if filters.not_segments:
        allowed &= ~np.isin(segments, [float(s) for s in filters.not_segments])
    return allowed, segments


def _segments(searcher, positions, ids):
    known = searcher.atlas.known_of(ids)
    if known[0][1] is None:
        return segment_at(positions).astype(float)
    return np.array([float(segment or 0) for segment, _ in known])


def _some_filters(searcher, rng):
    """Boxes, segments to be in and not to be in, each or none."""
    low, high = map(np.array, searcher.atlas.extent_nm_xyz)
    ids, _, positions = everything(searcher.atlas)
    boxes = []
    for _ in range(rng.integers(3)):
        a, b = np.sort(rng.uniform(low - 50, high + 50, (2, 3)), axis=0)
        if rng.random() < 0.5:  # borders on centres, which belong to what begins there
            a, b = np.sort(positions[rng.integers(0, len(ids), 2)], axis=0)
        boxes.append((tuple(a.tolist()), tuple(np.maximum(b, a + 1).tolist())))
    there = np.unique(_segments(searcher, positions, ids))
    some = [frozenset(int(s) for s in rng.choice(there, 2)) for _ in range(2)]
    used = rng.random(2) < 0.3
    return Filters(
        tuple(boxes), *(s if u else frozenset() for s, u in zip(some, used, strict=True))
    )


@pytest.mark.parametrize("which", KINDS)
@settings(max_examples=15, deadline=None)
@drawn(
    seed=st.integers(0, 2**32 - 1),
    k=st.integers(1, 40),
    separation=st.sampled_from([0.0, 100.0, 150.0]),
    most=st.sampled_from([None, 1, 3]),
    first=st.sampled_from([1, 3, 50]),
)
def test_filtered_hits_are_those_of_brute_force(searchers, which, seed, k, separation, most, first):
    searcher = searchers[which]
    rng = np.random.default_rng(seed)
    filters = _some_filters(searcher, rng)
    query = rng.normal(size=16).astype(np.float32)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serve.searching.candidates, "_AT_FIRST", first)
        if which in ("grid by the index", "lists"):  # and not from the store
            patch.setattr(serve.searching.selection, "FEW", 0)
            patch.setattr(serve.search, "FEW", 0)
            searcher._selections = serve.searching.selection.Selections(
                searcher.atlas, searcher._rules
            )
        result = searcher.find(Query(like=(query,)), Wish(k, separation, filters, per_segment=most))

    ids, vectors, positions = everything(searcher.atlas)
    allowed, segments = _allowed(searcher, filters, positions, ids)
    scores = vectors @ (query / np.linalg.norm(query))
    kept = greedy(
        ids, scores, positions, k, separation, allowed=allowed, segments=segments, most=most
    )
    if which != "codes" or filters:  # codes alone only choose well
        found = [hit.similarity for hit in result.hits]
        np.testing.assert_allclose(found, scores[kept], atol=3e-6)
    assert result.complete == (len(result.hits) == k) == (result.reason == "")
    assert len(result.hits) == len(kept)
    assert result.exact == all(hit.exact for hit in result.hits) or not result.hits


def test_a_box_of_a_thousandth_of_an_atlas_is_searched_exactly_whatever_the_index(tmp_path):
    atlas = make_atlas(tmp_path / "a", (20, 20, 20), seed=3)
    build_index(atlas, factory="IVF8,PQ8x4fs")
    searcher = Searcher(atlas, open_index(atlas))
    ids, vectors, positions = everything(atlas)
    low = atlas.positions_nm_xyz(atlas.grid.ids(np.array([[15, 10, 12]])))[0]
    box = (tuple(low.tolist()), tuple((low + np.array([32, 32, 60]) * 2).tolist()))

    results = [
        searcher.find(Query(like=(query,)), Wish(5, 0, Filters(boxes_nm=(box,))))
        for query in vectors[:: len(vectors) // 20]
    ]

    inside = ((positions >= box[0]) & (positions < box[1])).all(axis=1)
    assert inside.sum() == 8
    for query, result in zip(vectors[:: len(vectors) // 20], results, strict=True):
        kept = greedy(ids, vectors @ query, positions, 5, 0, allowed=inside)
        assert [hit.id for hit in result.hits] == ids[kept].tolist()
        assert result.complete
        assert result.exact


def test_a_larger_box_is_refilled_until_there_are_enough(tmp_path, monkeypatch):
    monkeypatch.setattr(serve.searching.selection, "FEW", 0)
    atlas = make_atlas(tmp_path / "a", (16, 16, 16), seed=3)
    manifest = build_index(atlas, factory="IVF32,Flat")
    path = atlas.path / "index" / manifest.version / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "nprobe": 1}))
    searcher = Searcher(atlas, open_index(atlas))
    low, high = map(np.array, atlas.extent_nm_xyz)
    box = (tuple(low.tolist()), tuple((low + (high - low) * 0.6).tolist()))

    result = searcher.find(
        Query(like_nm_xyz=(tuple(high.tolist()),)), Wish(12, 150, Filters(boxes_nm=(box,)))
    )

    assert result.complete
    for hit in result.hits:
        assert all(a <= v < b for a, v, b in zip(box[0], hit.position_nm_xyz, box[1], strict=True))


def test_a_list_that_filters_cut_short_says_which(searchers):
    searcher = searchers["grid"]
    box = ((260.0, 260.0, 400.0), (400.0, 400.0, 500.0))
    filters = Filters((box,), frozenset({111, 112, 121}), frozenset({9}))

    result = searcher.find(
        Query(like=(np.ones(16),)), Wish(900, 50, filters, per_segment=2, at_least=-0.5)
    )

    assert not result.complete
    assert result.reason == (
        f"only {len(result.hits)} places are at least 50 nm apart, lie in the box, lie in the "
        "segments, do not lie in the segments left out, have a similarity of at least -0.5 and are "
        "among the best 2 of their segment"
    )


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        (Wish(9, 0), "only 1 place has data and lies in the box"),
        (Wish(9, 50), "only 1 place is at least 50 nm apart and lies in the box"),
        (
            Wish(9, 0, per_segment=1),
            "only 1 place has data, lies in the box and is among the best 1 of its segment",
        ),
    ],
)
def test_a_single_place_is_told_of_in_the_singular(searchers, wish, told):
    place = everything(searchers["grid"].atlas)[2][900]
    box = (tuple((place - 1).tolist()), tuple((place + 1).tolist()))

    result = searchers["grid"].find(
        Query(like=(np.ones(16),)), dataclasses.replace(wish, filters=Filters((box,)))
    )

    assert result.reason == told


def test_a_box_without_locations_finds_nothing_and_says_so(searchers):
    box = ((9e6, 9e6, 9e6), (9.1e6, 9.1e6, 9.1e6))

    for which in ("grid", "given"):
        result = searchers[which].find(Query(like=(np.ones(16),)), Wish(3, 0, Filters((box,))))
        assert (result.hits, result.complete) == ((), False)
        assert result.reason == "only 0 places have data and lie in the box"


@pytest.mark.parametrize("at_least", [-1.0, 0.3, 0.6, 2.0])
@pytest.mark.parametrize("which", ["grid", "lists"])
def test_hits_below_the_least_similarity_are_left_out(searchers, which, at_least):
    searcher = searchers[which]
    query = everything(searcher.atlas)[1][700]
    wanted = searcher.find(Query(like=(query,)), Wish(60, 100)).hits

    result = searcher.find(Query(like=(query,)), Wish(60, 100, at_least=at_least))

    kept = tuple(hit for hit in wanted if hit.similarity >= at_least)
    assert [hit.id for hit in result.hits] == [hit.id for hit in kept]
    assert result.complete == (len(kept) == 60)


def test_segments_of_a_grid_are_told_where_a_segmentation_is_given(searchers):
    result = searchers["grid"].find(Query(like=(np.ones(16),)), Wish(30, 60))

    positions = np.array([hit.position_nm_xyz for hit in result.hits])
    assert [hit.segment or 0 for hit in result.hits] == segment_at(positions).tolist()


def test_places_outside_the_segmentation_are_in_no_segment(atlas, index, tmp_path):
    small = write_segmentation(tmp_path / "s.zarr", (4, 4, 4))
    searcher = Searcher(atlas, index, small)

    result = searcher.find(Query(like=(np.ones(16),)), Wish(3000, 0, Filters((), frozenset({0}))))

    ids, _, positions = everything(atlas)
    inside = (positions < np.array([256, 256, 360])).all(axis=1)
    expected = ids[~inside | (segment_at(positions) == 0)]
    assert {hit.id for hit in result.hits} == set(expected.tolist())


def test_segments_that_nobody_knows_are_refused_with_how_to_give_them(atlas, index):
    searcher = Searcher(atlas, index)

    for wish in (Wish(filters=Filters((), frozenset({1}))), Wish(per_segment=1)):
        with pytest.raises(DataError, match="--segmentation"):
            searcher.find(Query(like=(np.ones(16),)), wish)


def test_a_segmentation_of_fractions_is_refused(atlas, index, segmentation):
    with pytest.raises(DataError, match="whole numbers"):
        Searcher(atlas, index, dataclasses.replace(segmentation, dtype=np.dtype("f4")))


def test_segments_of_too_many_locations_are_refused(searchers, monkeypatch):
    monkeypatch.setattr(serve.searching.selection, "MOST_LOOKED_UP", 100)

    with pytest.raises(RequestError, match=r"2,688 locations .* at most 100: ask for boxes"):
        searchers["grid"].find(
            Query(like=(np.ones(16),)), Wish(filters=Filters((), frozenset({77})))
        )


@pytest.mark.parametrize(
    ("low", "high"),
    [((0, 0, 0), (0, 1, 1)), ((0, 0, 5), (1, 1, 1)), ((float("nan"), 0, 0), (1, 1, 1))],
)
def test_a_box_that_holds_nothing_is_refused(low, high):
    with pytest.raises(RequestError, match=r"lower corner .* nm \(XYZ\)"):
        Filters(((low, high),))


@pytest.mark.parametrize(
    "wrong", [{"k": 0}, {"k": 10_001}, {"per_segment": 0}, {"at_least": float("nan")}]
)
def test_a_wish_out_of_range_is_refused(wrong):
    with pytest.raises(RequestError, match=r"got (0|10001|nan)"):
        Wish(**wrong)


def test_a_segment_that_no_message_holds_is_refused():
    with pytest.raises(RequestError, match="got -1"):
        Filters((), frozenset({-1}))
