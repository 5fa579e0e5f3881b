"""Tests of searching/together.py and remote.py: several atlases, searched as if they were one."""

import dataclasses
import itertools
import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed.atlas import Atlas
from embed.errors import DataError, MismatchError, OutOfBoundsError, RequestError
from embed.geometry import Box
from serve.client import Client
from serve.index import build_index, open_index
from serve.locations import shard_locations
from serve.queries import Filters
from serve.search import Searcher
from serve.searching import remote, selection, supplies
from serve.searching.together import find_together
from serve.served import ServedAtlas
from serve.server import start_server
from tests.atlases import make_atlas, make_given_atlas, make_partial_atlas

PLACE = (292.0, 292.0, 435.0)
"""A position in nm, XYZ, where every dense atlas of these tests has a location with data."""


@pytest.fixture(scope="session")
def paths(atlas, index, given, tmp_path_factory):
    """A grid and two sets of places of one volume, and a grid of another volume."""
    folder = tmp_path_factory.mktemp("together")
    elsewhere = make_atlas(folder / "elsewhere", (9, 10, 11), seed=3)
    more = make_given_atlas(folder / "more", atlas, 150, seed=7)
    for made in (elsewhere, more):
        build_index(made)
    return {
        "small": atlas.path,
        "places": given.path,
        "more": more.path,
        "elsewhere": elsewhere.path,
    }


@pytest.fixture(scope="session")
def searchers(paths):
    """Each of them, opened."""
    return {name: _searcher(path) for name, path in paths.items()}


def _searcher(path):
    atlas = Atlas.open(path)
    return Searcher(atlas, open_index(atlas))


@pytest.fixture(scope="module")
def client(paths):
    served = {name: ServedAtlas.open(path) for name, path in paths.items()}
    with start_server(served, "127.0.0.1:0", "127.0.0.1:0") as server:
        with Client(server.grpc_address) as client:
            yield client


def _union(searchers):
    """Names, spaces, vectors and positions of every location with data of all atlases."""
    names, spaces, vectors, positions = [], [], [], []
    for name, searcher in searchers.items():
        for _, locations in shard_locations(searcher.atlas):
            names += [(name, i) for i in locations.ids.tolist()]
            spaces += [searcher.space] * len(locations.ids)
            vectors.append(locations.vectors)
            positions.append(searcher.atlas.positions_nm_xyz(locations.ids))
    return names, np.array(spaces), np.concatenate(vectors), np.concatenate(positions)


def _brute_force(searchers, result, k, separation):
    """Similarities of greedy suppression over the union, in a plain loop."""
    names, spaces, vectors, positions = _union(searchers)
    row = names.index((result.query_atlas, result.query_id))
    similarities = vectors @ vectors[row]
    found, kept = [], [row]
    for best in np.argsort(-similarities, kind="stable"):
        if len(found) == k:
            break
        near = [other for other in kept if spaces[other] == spaces[best]]
        apart = np.linalg.norm(positions[near] - positions[best], axis=1).min(initial=np.inf)
        if best != row and apart >= separation * (1 - 1e-9):
            found.append(similarities[best])
            kept.append(best)
    return found


def _require_spread(searchers, result, separation):
    places = [(result.query_atlas, result.query_nm_xyz)]
    places += [(hit.atlas, hit.position_nm_xyz) for hit in result.hits]
    for (a, place), (b, other) in itertools.combinations(places, 2):
        if searchers[a].space == searchers[b].space:
            assert np.linalg.norm(np.subtract(place, other)) >= separation * (1 - 1e-9)


@settings(max_examples=25, deadline=None)
@given(
    chosen=st.permutations(["small", "places", "more", "elsewhere"]),
    count=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
    k=st.integers(1, 60),
    separation=st.sampled_from([0.0, 32.0, 100.0, 150.0, 333.3]),
    fetch=st.sampled_from([1, 7, 50, 1000]),
)
def test_hits_are_those_of_brute_force_over_the_union(
    searchers, chosen, count, seed, k, separation, fetch
):
    some = {name: searchers[name] for name in chosen[:count]}
    _, _, _, positions = _union({chosen[0]: searchers[chosen[0]]})
    place = positions[seed % len(positions)].tolist()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supplies, "FIRST_FETCH", fetch)
        result = find_together(some, place, k, separation)

    expected = _brute_force(some, result, k, separation)
    found = [hit.similarity for hit in result.hits]
    np.testing.assert_allclose(found, np.clip(expected, -1, 1), atol=2e-6)
    _require_spread(some, result, separation)
    assert result.exact
    assert result.complete == (len(expected) == k) == (result.reason == "")
    assert result.query_atlas == chosen[0]


@pytest.mark.parametrize("separation", [0, 100, None])
def test_one_atlas_alone_is_searched_as_ever(searchers, separation):
    alone = searchers["small"].find_at(PLACE, 20, separation)

    result = find_together({"small": searchers["small"]}, PLACE, 20, separation)

    told = [(hit.id, hit.position_nm_xyz, hit.similarity) for hit in result.hits]
    assert told == [(hit.id, hit.position_nm_xyz, hit.similarity) for hit in alone.hits]
    assert (result.query_id, result.candidates) == (alone.query_id, alone.candidates)


def test_a_hit_tells_its_atlas_and_what_names_it_there(searchers):
    result = find_together(searchers, PLACE, 40)

    for hit in result.hits:
        atlas = searchers[hit.atlas].atlas
        assert hit.position_nm_xyz == pytest.approx(atlas.positions_nm_xyz(np.array([hit.id]))[0])
        assert (hit.segment, hit.source) == atlas.known_of(np.array([hit.id]))[0]
    assert {hit.atlas for hit in result.hits} == set(searchers)


def test_places_of_two_volumes_are_in_nobodys_way(searchers):
    two = {name: searchers[name] for name in ("small", "elsewhere")}

    result = find_together(two, PLACE, 60, 200)

    here, there = (
        [hit.position_nm_xyz for hit in result.hits if hit.atlas == name] for name in two
    )
    apart = np.linalg.norm(np.subtract(np.array(here)[:, None], np.array(there)[None]), axis=2)
    assert apart.min() < 200
    _require_spread(two, result, 200)


def test_the_location_is_of_the_first_atlas_that_has_one_there(searchers, atlas, tmp_path):
    cells = Box((8, 8, 8), (12, 14, 16))
    part = make_partial_atlas(tmp_path / "part", atlas.grid.voxels(cells), atlas)
    build_index(part)
    part = Searcher(part, open_index(part))
    corner = atlas.extent_nm_xyz[1]

    void = find_together({"part": part, "small": searchers["small"]}, PLACE, 3)
    outside = find_together({"elsewhere": searchers["elsewhere"], **searchers}, corner, 3)
    both = find_together({"part": part, "small": searchers["small"]}, corner, 3)

    assert (void.query_atlas, outside.query_atlas, both.query_atlas) == ("small", "small", "part")


def test_a_place_where_no_atlas_has_one_is_refused_for_every_reason(searchers):
    with pytest.raises(DataError, match=r"small: there is no data .*; elsewhere: there is no data"):
        find_together({name: searchers[name] for name in ("small", "elsewhere")}, (68, 68, 75), 3)
    with pytest.raises(OutOfBoundsError, match="small: a position is outside .*; places: atlas"):
        find_together({name: searchers[name] for name in ("small", "places")}, (9e5, 0, 0), 3)
    with pytest.raises(DataError, match="more: .*half the field of view"):
        find_together({name: searchers[name] for name in ("more", "small")}, (68, 68, 75), 3)


def test_atlases_of_two_encoders_are_refused_and_both_named(searchers, tmp_path):
    other = make_atlas(tmp_path / "other", (5, 5, 5), encoder="another-encoder")
    build_index(other)
    mixed = {**searchers, "other": Searcher(other, open_index(other))}

    with pytest.raises(
        MismatchError,
        match="'small' was made by encoder a-test-encoder and 'other' by another-encoder: only",
    ):
        find_together(mixed, PLACE)


@pytest.mark.parametrize("few", [0, 50_000], ids=["by the index", "compared"])
def test_filters_hold_for_each_of_the_atlases(searchers, client, monkeypatch, few):
    monkeypatch.setattr(selection, "FEW", few)
    box = ((150.0, 150.0, 200.0), (400.0, 400.0, 500.0))
    names = ("small", "places", "elsewhere")

    here = find_together({name: searchers[name] for name in names}, PLACE, 30, 60, Filters((box,)))
    there = client.find_together(
        names, position_nm_xyz=PLACE, k=30, min_separation_nm=60, filters=Filters((box,))
    )

    places = np.array([hit.position_nm_xyz for hit in here.hits])
    assert ((places >= box[0]) & (places < box[1])).all()
    assert {hit.atlas for hit in here.hits} == set(names)
    assert [(hit.atlas, hit.id) for hit in there.hits] == [(h.atlas, h.id) for h in here.hits]
    assert here.complete or here.reason.endswith("lie in the box")


def test_a_short_list_comes_with_its_reason(searchers):
    two = {name: searchers[name] for name in ("small", "places")}

    result = find_together(two, PLACE, 500, 250)

    assert not result.complete
    assert result.reason == (
        f"only {len(result.hits)} places are at least 250 nm from each other and from the query"
    )
    assert result.candidates == sum(s._index.size for s in two.values())


def test_a_search_that_gives_up_says_how_far_it_looked(searchers, monkeypatch):
    monkeypatch.setattr(supplies, "MAX_FETCH", 1500)

    result = find_together(searchers, PLACE, 200, 150)

    assert not result.complete
    assert result.reason.endswith(f"among the {result.candidates:,} most similar locations")
    assert len(result.hits) < result.candidates


def test_codes_and_lists_are_searched_together_with_what_is_exact(searchers, atlas, tmp_path):
    few = make_given_atlas(tmp_path / "few", atlas, 400, seed=9)
    manifest = build_index(few, factory="IVF8,SQfp16")
    path = few.path / "index" / manifest.version / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "nprobe": 1}))
    mixed = {"small": searchers["small"], "few": Searcher(few, open_index(few))}

    result = find_together(mixed, PLACE, 60, 100)

    expected = _brute_force(mixed, result, 60, 100)
    found = [hit.similarity for hit in result.hits]
    assert not result.exact
    assert len(found) == len(expected)
    assert np.mean(np.abs(np.subtract(found, expected)) < 0.05) > 0.9


@pytest.mark.parametrize("separation", [0.0, 100.0, None])
@pytest.mark.parametrize("names", [["small", "places"], ["elsewhere", "more", "small"], ["more"]])
def test_a_client_merges_what_is_served_as_it_is_done_here(client, searchers, names, separation):
    place = searchers[names[0]].atlas.positions_nm_xyz(np.array([140]))[0].tolist()

    there = client.find_together(names, position_nm_xyz=place, k=25, min_separation_nm=separation)

    here = find_together({name: searchers[name] for name in names}, place, 25, separation)
    assert [(hit.atlas, hit.id) for hit in there.hits] == [(h.atlas, h.id) for h in here.hits]
    assert [hit.source for hit in there.hits] == [hit.source for hit in here.hits]
    assert (there.query_atlas, there.query_id) == (here.query_atlas, here.query_id)
    assert (there.complete, there.exact) == (here.complete, here.exact)


def test_a_client_asks_for_more_until_there_are_enough(client, searchers, monkeypatch):
    monkeypatch.setattr(remote, "FIRST_FETCH", 5)
    monkeypatch.setattr(remote, "REFILL", 2)

    there = client.find_together(["small", "places"], position_nm_xyz=PLACE, k=30)

    two = {name: searchers[name] for name in ("small", "places")}
    assert [hit.id for hit in there.hits] == [h.id for h in find_together(two, PLACE, 30).hits]


def test_a_client_refuses_what_cannot_be_searched(client):
    with pytest.raises(RequestError, match="at least one"):
        client.find_together([], position_nm_xyz=PLACE)
    with pytest.raises(RequestError, match="1 to 10000; got 0"):
        client.find_together(["small"], position_nm_xyz=PLACE, k=0)
    with pytest.raises(OutOfBoundsError, match="none of the atlases has a location there"):
        client.find_together(["small", "places"], position_nm_xyz=(9e5, 0, 0))


def test_two_copies_of_one_atlas_share_a_volume(atlas, index, tmp_path):
    copy = _searcher(shutil.copytree(atlas.path, tmp_path / "copy"))
    both = {"one": Searcher(atlas, index), "two": copy}

    result = find_together(both, PLACE, 10)

    assert {hit.atlas for hit in result.hits} == {"one"}
    assert [hit.id for hit in result.hits] == [
        hit.id for hit in both["one"].find_at(PLACE, 10).hits
    ]
    assert dataclasses.asdict(result)["hits"][0]["atlas"] == "one"
