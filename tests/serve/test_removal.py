"""Tests of serve/removal.py: what is removed is found by no search, and can be put back."""

import numpy as np
import pytest

from embed.errors import DataError, NotFoundError, RequestError
from serve.index import build_index, open_index
from serve.manifest import index_root
from serve.queries import Filters, Query, Wish
from serve.removal import allowed_bits, remove, restore
from serve.search import Searcher
from serve.verbs.place_boxes import ids_in_boxes
from serve.versions import roll_back
from tests.atlases import make_atlas
from tests.serve.brute import everything

BOX = ((200.0, 200.0, 300.0), (330.0, 330.0, 600.0))


@pytest.fixture(scope="module", params=["Flat", "PCAR8,IVF8,PQ8x4fsr", "every second"])
def removed(request, tmp_path_factory):
    """An atlas, from whose index a box was removed."""
    atlas = make_atlas(tmp_path_factory.mktemp("removed") / "a")
    if request.param == "every second":
        build_index(atlas, every=2)
    else:
        build_index(atlas, factory=request.param)
    remove(atlas, ids_in_boxes(atlas, (BOX,)))
    return atlas


@pytest.fixture(scope="module")
def searcher(removed):
    return Searcher(removed, open_index(removed))


def _inside(hits):
    low, high = BOX
    places = np.array([hit.position_nm_xyz for hit in hits])
    return ((places >= low) & (places < high)).all(axis=1)


def _searches(searcher):
    ids, vectors, places = everything(searcher.atlas)
    row = int(np.flatnonzero(np.isin(ids, ids_in_boxes(searcher.atlas, (BOX,))))[5])
    one, other = Query(like=(vectors[row],)), Query(like=(vectors[row], vectors[row - 1]))
    best = Query(like=(vectors[row], vectors[0]), mode="best")
    around = Filters(boxes_nm=(((0, 0, 0), (500, 500, 900)),))
    return {
        "a vector": lambda: searcher.find(one, Wish(50, 0)).hits,
        "a place": lambda: searcher.find_at(places[row], 50, 0).hits,
        "all there are": lambda: searcher.find(one, Wish(10_000, 0)).hits,
        "many vectors": lambda: searcher.find_each(vectors[[row]], Wish(50, 0))[0].hits,
        "an average": lambda: searcher.find(other, Wish(50, 0)).hits,
        "the best of two": lambda: searcher.find(best, Wish(50, 0)).hits,
        "in a box": lambda: searcher.find(one, Wish(50, 0, filters=around)).hits,
        "above a similarity": lambda: [
            hit for _, hits in searcher.find_all(one, -1.0) for hit in hits
        ],
    }


def test_a_map_shows_nothing_where_locations_are_removed(searcher):
    low, high = BOX
    wider = (low, tuple(n + 200 for n in high))

    inside, around = (
        searcher.map_similarity(Query(like=(np.ones(16),)), box).values for box in (BOX, wider)
    )

    assert inside.size > 50
    assert not inside.any()
    assert (around > 0).sum() > 50


@pytest.mark.parametrize(
    "search",
    [
        "a vector",
        "a place",
        "all there are",
        "many vectors",
        "an average",
        "the best of two",
        "in a box",
        "above a similarity",
    ],
)
def test_no_search_finds_what_is_removed(searcher, search):
    hits = _searches(searcher)[search]()

    assert len(hits) >= 50
    assert not _inside(hits).any()


def test_all_that_is_not_removed_is_still_found(searcher):
    ids = everything(searcher.atlas)[0]

    found = [hit.id for hit in _searches(searcher)["all there are"]()]

    assert sorted(found) == np.setdiff1d(ids, ids_in_boxes(searcher.atlas, (BOX,))).tolist()


@pytest.fixture
def own(tmp_path):
    """A small atlas with an index."""
    atlas = make_atlas(tmp_path / "a", (6, 6, 6))
    build_index(atlas)
    return atlas


def test_removing_shares_the_index_and_can_be_undone(own):
    first = remove(own, np.array([5, 7, 5]))
    second = remove(own, np.array([7, 200]))

    root = index_root(own)
    files = [root / name / "index.faiss" for name in ("0001", "0002", "0003")]
    assert (first.removed, second.removed) == (2, 3)
    assert second.note == "1 locations removed"
    assert len({file.stat().st_ino for file in files}) == 1
    assert open_index(own).removed.tolist() == [5, 7, 200]
    assert roll_back(own).removed == 2
    assert restore(own).removed == 0
    assert open_index(own).removed.tolist() == []


@pytest.mark.parametrize(
    ("ids", "said"), [([], "no location to remove"), ([216], "from 0 to 215"), ([-1], "got -1")]
)
def test_what_is_no_location_is_refused(own, ids, said):
    with pytest.raises(RequestError, match=said):
        remove(own, np.array(ids, np.int64))


def test_without_an_index_there_is_nothing_to_remove_from(tmp_path):
    with pytest.raises(NotFoundError, match="has no index"):
        remove(make_atlas(tmp_path / "a", (5, 5, 5)), np.array([1]))


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY damaged"])
def test_a_damaged_list_is_refused(own, content):
    remove(own, np.array([5]))
    (index_root(own) / "0002" / "removed.npy").write_bytes(content)

    with pytest.raises(DataError, match=r"removed\.npy is damaged.* --rebuild"):
        open_index(own)


def test_places_of_given_atlases_lie_in_boxes_too(given):
    places = given.positions_nm_xyz(np.arange(given.grid.size))
    low, high = np.sort(places[:2], axis=0) - [0, 0, 0]
    box = (tuple(low.tolist()), tuple((high + 1).tolist()))

    found = ids_in_boxes(given, (box,))

    inside = ((places >= low) & (places < high + 1)).all(axis=1)
    assert found.tolist() == np.flatnonzero(inside).tolist()


def test_bits_are_those_of_all_others():
    bits = allowed_bits(20, np.array([0, 9, 10]))

    found = np.flatnonzero(np.unpackbits(bits, count=20, bitorder="little"))
    assert found.tolist() == np.setdiff1d(np.arange(20), [0, 9, 10]).tolist()
    assert allowed_bits(20, np.array([], np.int64)) is None
