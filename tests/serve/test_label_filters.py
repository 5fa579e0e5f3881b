"""Filters by what people have labelled: places.labels and not_labels, against brute force."""

import dataclasses

import numpy as np
import pytest

from embed.errors import NotFoundError, RequestError
from serve.index import build_index, open_index
from serve.labelling.label import Place
from serve.labelling.store import LabelStore
from serve.queries import Filters, LabelFilter, Query, Wish
from serve.search import Searcher
from serve.searching.together import find_together
from tests.atlases import make_atlas, make_given_atlas
from tests.serve.brute import everything, greedy, rows_of

SET, MITO, AXON = LabelFilter("s"), LabelFilter("s", "mito"), LabelFilter("s", "axon")


@pytest.fixture(scope="module", params=["grid", "codes", "given"])
def searcher(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    atlas = make_atlas(folder / "a")
    if request.param == "given":
        atlas = make_given_atlas(folder / "g", atlas)
    build_index(atlas, factory="PCAR12,IVF8,PQ12x4fsr" if request.param == "codes" else None)
    return Searcher(atlas, open_index(atlas))


@pytest.fixture(scope="module")
def labelled(searcher):
    """Ids of the locations of each class; what was labelled otherwise later does not count."""
    ids, _, positions = everything(searcher.atlas)
    rows = np.random.default_rng(1).permutation(len(ids))[:60]
    found = {"mito": rows[:40], "axon": rows[40:]}
    store = LabelStore.open(searcher.atlas)
    for label, some in found.items():
        label_all(store, positions[some], label)
    label_all(store, positions[found["mito"][:10]], "axon")
    return {"mito": ids[rows[10:40]], "axon": ids[np.r_[rows[:10], rows[40:]]]}


def label_all(store, positions, label, author="ana"):
    places = [Place(tuple(position), label) for position in positions.tolist()]
    store.add("s", author, places, "a test", new_classes=True)


def queries(searcher, count=5):
    return np.random.default_rng(2).normal(size=(count, searcher.atlas.info.embedding_dim))


def brute(searcher, query, k, separation, *, among=None, off=()):
    ids, vectors, positions = everything(searcher.atlas)
    allowed = np.ones(len(ids), bool) if among is None else np.isin(ids, among)
    avoided = np.isin(ids, np.array(off, int))
    scores = vectors @ (query / np.linalg.norm(query))
    kept = greedy(
        ids, scores, positions, k, separation, allowed=allowed, excluded=positions[avoided]
    )
    return scores[kept]


@pytest.mark.parametrize("separation", [0.0, 100.0])
@pytest.mark.parametrize(
    ("wanted", "classes"), [((SET,), ["mito", "axon"]), ((MITO,), ["mito"]), ((AXON,), ["axon"])]
)
def test_only_what_is_labelled_so_is_found(searcher, labelled, wanted, classes, separation):
    among = np.concatenate([labelled[name] for name in classes])

    for query in queries(searcher):
        wish = Wish(8, separation, Filters(labels=wanted))
        result = searcher.find(Query(like=(query,)), wish)

        assert {hit.id for hit in result.hits} <= {*among.tolist()}
        expected = brute(searcher, query, 8, separation, among=among)
        np.testing.assert_allclose([hit.similarity for hit in result.hits], expected, atol=3e-6)


@pytest.mark.parametrize("separation", [0.0, 100.0, 150.0])
def test_what_is_labelled_is_kept_off(searcher, labelled, separation):
    off = np.concatenate([*labelled.values()])

    for query in queries(searcher):
        wish = Wish(8, separation, Filters(not_labels=(SET,)))
        result = searcher.find(Query(like=(query,)), wish)

        assert not {hit.id for hit in result.hits} & {*off.tolist()}
        expected = brute(searcher, query, 8, separation, off=off)
        found = [hit.similarity for hit in result.hits]
        if not searcher._index.tells_exactly:
            assert len(found) == len(expected)
        else:
            np.testing.assert_allclose(found, expected, atol=3e-6)
        (each,) = searcher.find_each(query[None], wish)
        assert [hit.id for hit in each.hits] == [hit.id for hit in result.hits]


def test_filters_by_labels_join_others(searcher, labelled):
    low, high = map(np.array, searcher.atlas.extent_nm_xyz)
    half = (tuple(low.tolist()), (float((low + high)[0] / 2), *(high[1:] + 1).tolist()))
    (query,) = queries(searcher, 1)
    filters = Filters((half,), labels=(SET,), not_labels=(AXON,))

    result = searcher.find(Query(like=(query,)), Wish(100, 0.0, filters))

    ids, _, positions = everything(searcher.atlas)
    inside = ids[(positions >= half[0]).all(axis=1) & (positions < half[1]).all(axis=1)]
    assert {hit.id for hit in result.hits} == {*np.intersect1d(inside, labelled["mito"]).tolist()}
    assert result.reason.endswith(
        "have data, lie in the box, are labelled so and are not labelled so, nor near what is"
    )


def test_everything_alike_tells_by_labels_too(searcher, labelled):
    (query,) = queries(searcher, 1)

    def ids_of(filters):
        parts = searcher.find_all(Query(like=(query,)), -1.0, filters)
        return {hit.id for _, hits in parts for hit in hits}

    everywhere = ids_of(Filters())
    assert ids_of(Filters(labels=(MITO,))) == {*labelled["mito"].tolist()}
    assert ids_of(Filters(not_labels=(MITO,))) == everywhere - {*labelled["mito"].tolist()}


def test_pages_go_on_beside_what_is_labelled(searcher, labelled):
    (query,) = queries(searcher, 1)
    wish = Wish(4, 100.0, Filters(not_labels=(SET,)))
    first = searcher.find(Query(like=(query,)), wish)

    second = searcher.find(Query(like=(query,)), dataclasses.replace(wish, page=first.next_page))

    both = searcher.find(Query(like=(query,)), dataclasses.replace(wish, k=8))
    assert [*first.hits, *second.hits] == [*both.hits]
    other = Wish(4, 100.0, Filters(not_labels=(MITO,)), page=first.next_page)
    with pytest.raises(RequestError, match="page token is of another search"):
        searcher.find(Query(like=(query,)), other)


def test_a_label_counts_at_once_and_until_it_is_undone(tmp_path):
    atlas = make_atlas(tmp_path / "a")
    build_index(atlas)
    searcher, store = Searcher(atlas, open_index(atlas)), LabelStore.open(atlas)
    (query,) = queries(searcher, 1)
    wishes = [Wish(1, 0.0, f) for f in (Filters(not_labels=(SET,)), Filters(labels=(SET,)))]
    best = searcher.find(Query(like=(query,)), Wish(1, 0.0)).hits[0]
    label_all(store, np.array([[500.0, 500.0, 500.0]]), "mito")

    label_all(store, np.array([best.position_nm_xyz]), "mito", "bob")
    off, on = (searcher.find(Query(like=(query,)), wish).hits[0] for wish in wishes)
    store.undo("bob")
    back, gone = (searcher.find(Query(like=(query,)), wish).hits[0] for wish in wishes)

    assert (on.id, back.id) == (best.id, best.id)
    assert best.id not in (off.id, gone.id)
    ids, _, positions = everything(atlas)
    kept = rows_of(ids, searcher.find(Query(like=(query,)), wishes[1]))
    assert np.abs(positions[kept] - 500).max() < 100


@pytest.mark.parametrize(
    ("filters", "error", "says"),
    [
        (Filters(labels=(LabelFilter("t"),)), NotFoundError, "no class set 't'; there are: s"),
        (Filters(not_labels=(LabelFilter("t"),)), NotFoundError, "no class set 't'"),
        (Filters(labels=(LabelFilter("s", "x"),)), RequestError, "no class 'x' in set 's'; it has"),
        (Filters(labels=(LabelFilter("../s"),)), RequestError, "a-z, 0-9"),
    ],
)
def test_what_is_not_there_is_told(searcher, labelled, filters, error, says):
    (query,) = queries(searcher, 1)

    with pytest.raises(error, match=says):
        searcher.find(Query(like=(query,)), Wish(filters=filters))
    with pytest.raises(error, match=says):
        next(searcher.find_all(Query(like=(query,)), 0.5, filters))


def test_labels_are_of_one_atlas(searcher, labelled):
    position = everything(searcher.atlas)[2][0].tolist()

    with pytest.raises(RequestError, match="labels are of one atlas"):
        find_together({"a": searcher}, position, filters=Filters(not_labels=(SET,)))


def test_so_many_kinds_of_labels_are_too_many():
    with pytest.raises(RequestError, match="at most 16 kinds of labels; got 17"):
        Filters(labels=(MITO,) * 10, not_labels=(AXON,) * 7)
