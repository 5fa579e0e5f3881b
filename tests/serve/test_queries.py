"""Tests of serve/queries.py, aims.py and supplies.py: examples, probes, many vectors."""

import json

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

import serve.search
import serve.searching.supplies
from embed.errors import DataError, NotFoundError, OutOfBoundsError, RequestError
from serve.index import build_index, open_index
from serve.labels import LabelTable
from serve.probes import train_atlas_probe
from serve.queries import Filters, Query, Wish
from serve.search import Searcher
from tests.atlases import make_atlas
from tests.serve.brute import everything, greedy, rows_of

PLACES = ((292.0, 292.0, 435.0), (420.0, 420.0, 555.0), (516.0, 228.0, 315.0), (132, 420, 675))
"""Positions in nm, XYZ, where the atlas has data."""


@pytest.fixture(scope="session")
def searcher(atlas, index):
    return Searcher(atlas, index)


@pytest.fixture(scope="session")
def lists(tmp_path_factory):
    """A searcher over inverted lists that are all read."""
    atlas = make_atlas(tmp_path_factory.mktemp("lists") / "a")
    manifest = build_index(atlas, factory="IVF16,Flat")
    path = atlas.path / "index" / manifest.version / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "nprobe": manifest.lists}))
    return Searcher(atlas, open_index(atlas))


@pytest.fixture(scope="session")
def probed(tmp_path_factory):
    """A searcher over an atlas with a probe of two classes and one of three."""
    atlas = make_atlas(tmp_path_factory.mktemp("probed") / "a", (10, 12, 12))
    build_index(atlas)
    rng = np.random.default_rng(0)
    low, high = map(np.array, atlas.extent_nm_xyz)
    places = low + (high - low) * rng.uniform(0.4, 1, (60, 3))
    two = np.where(places[:, 0] > np.median(places[:, 0]), "mito", "other")
    train_atlas_probe(atlas, LabelTable(places, tuple(two.tolist())), "mito")
    three = np.array(["a", "b", "c"])[np.arange(60) % 3]
    train_atlas_probe(atlas, LabelTable(places, tuple(three.tolist())), "abc")
    return Searcher(atlas, open_index(atlas))


def _scores(query, likes, unlikes, vectors):
    likes, unlikes = np.array(likes), np.array(unlikes).reshape(-1, vectors.shape[1])
    if query.mode == "best":
        against = (vectors @ unlikes.T).max(axis=1) if len(unlikes) else 0
        return (vectors @ likes.T).max(axis=1) - against
    weights = likes.mean(axis=0)
    if len(unlikes):
        weights = weights - query.unlike_weight * unlikes.mean(axis=0)
    return vectors @ (weights / np.linalg.norm(weights))


@pytest.mark.parametrize("mode", ["average", "best"])
@pytest.mark.parametrize("which", ["searcher", "lists"])
@settings(max_examples=12, deadline=None)
@drawn(
    seed=st.integers(0, 2**32 - 1),
    likes=st.integers(1, 3),
    unlikes=st.integers(0, 3),
    k=st.integers(1, 30),
    separation=st.sampled_from([0.0, 150.0]),
    from_index=st.booleans(),
)
def test_examples_find_what_brute_force_finds(
    request, which, mode, seed, likes, unlikes, k, separation, from_index
):
    searcher = request.getfixturevalue(which)
    rng = np.random.default_rng(seed)
    given = [v / np.linalg.norm(v) for v in rng.normal(size=(likes + unlikes, 16))]
    query = Query(like=tuple(3 * v for v in given[:likes]), unlike=tuple(given[likes:]), mode=mode)

    with pytest.MonkeyPatch.context() as patch:
        if from_index:
            patch.setattr(serve.search, "FEW", 0)
            patch.setattr(serve.searching.supplies, "FIRST_FETCH", 50)
        result = searcher.find(query, Wish(k, separation))

    ids, vectors, positions = everything(searcher.atlas)
    scores = _scores(query, given[:likes], given[likes:], vectors)
    kept = greedy(ids, scores, positions, k, separation)
    np.testing.assert_allclose([h.similarity for h in result.hits], scores[kept], atol=5e-6)
    assert result.exact
    resembled = (vectors @ np.array(given[:likes]).T)[rows_of(ids, result)]
    assert [hit.example for hit in result.hits] == resembled.argmax(axis=1).tolist()


@pytest.mark.parametrize("mode", ["average", "best", "linear"])
def test_places_to_be_like_and_unlike_are_not_found_nor_what_is_near_them(searcher, mode):
    query = Query(like_nm_xyz=PLACES[:2], unlike_nm_xyz=PLACES[2:], mode=mode)

    result = searcher.find(query, Wish(20, 100))
    close = searcher.find(query, Wish(2000, 0))

    places = np.array([*PLACES, *(hit.position_nm_xyz for hit in result.hits)])
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)[4:]
    assert np.sort(apart, axis=1)[:, 1].min() >= 100 - 1e-6
    assert result.query_id is None
    examples = set(searcher.atlas.ids_at(np.array(PLACES)).tolist())
    assert not examples & {hit.id for hit in close.hits}


def test_one_example_is_what_was_asked_for(searcher):
    result = searcher.find(Query(like_nm_xyz=PLACES[:1]), Wish(5))

    assert result == searcher.find_at(PLACES[0], 5)
    assert (result.query_nm_xyz, result.hits[0].example) == (PLACES[0], 0)
    assert result.hits[0].why == "like the place"
    assert all(hit.exact for hit in result.hits)


def test_a_linear_query_orders_as_the_regression_that_it_trains(searcher):
    from sklearn.linear_model import LogisticRegression

    query = Query(like_nm_xyz=PLACES[:2], unlike_nm_xyz=PLACES[2:], mode="linear")
    atlas = searcher.atlas
    given = atlas.embeddings(atlas.ids_at(np.array(PLACES)))
    given /= np.linalg.norm(given, axis=1, keepdims=True)
    trained = LogisticRegression(C=10.0, class_weight="balanced").fit(given, [1, 1, 0, 0])

    result = searcher.find(query, Wish(50, 0))

    ids, vectors, _ = everything(atlas)
    odds = trained.decision_function(vectors)
    rows = rows_of(ids, result)
    others = ~np.isin(ids, [*ids[rows], *atlas.ids_at(np.array(PLACES))])
    assert np.all(np.diff(odds[rows]) <= 1e-3)
    assert odds[rows].min() >= odds[others].max() - 1e-3


@pytest.mark.parametrize(("probe", "chosen"), [("mito", ""), ("mito", "other"), ("abc", "b")])
def test_a_probe_finds_where_it_is_surest(probed, probe, chosen):
    from serve.probes import load_probe

    found = load_probe(probed.atlas, probe)
    number = found.classes.index(chosen or probe)

    result = probed.find(Query(probe=probe, probe_class=chosen), Wish(20, 0))

    ids, vectors, _ = everything(probed.atlas)
    logits = (vectors - found.mean) / found.scale @ found.weights.T + found.bias
    margin = logits[:, number] - np.delete(logits, number, axis=1).mean(axis=1)
    rows = rows_of(ids, result)
    np.testing.assert_allclose(np.sort(margin[rows]), np.sort(margin)[-20:], atol=1e-4)
    sure = found.probabilities(vectors[rows])[:, number]
    assert [hit.why for hit in result.hits] == [
        f"probe {probe!r}: {chosen or probe!r} with probability {p:.3f}" for p in sure
    ]
    assert result.hits[0].example is None


def test_a_class_that_a_probe_lacks_is_refused_and_its_own_are_named(probed):
    with pytest.raises(RequestError, match="no class 'abc'.*: a, b, c"):
        probed.find(Query(probe="abc"))
    with pytest.raises(NotFoundError, match="there are: abc, mito"):
        probed.find(Query(probe="nobody"))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "what to look for"),
        ({"unlike_nm_xyz": PLACES[:1]}, "at least one example to be like"),
        ({"like_nm_xyz": PLACES, "probe": "mito"}, "not both"),
        ({"like_nm_xyz": PLACES, "probe_class": "mito"}, "which probe"),
        ({"like_nm_xyz": PLACES, "mode": "linear"}, "at least one to be unlike"),
        ({"like_nm_xyz": PLACES, "mode": "worst"}, "average, best, linear"),
        ({"like_nm_xyz": PLACES, "unlike_weight": -1.0}, "unlike_weight is 0 or more"),
        ({"like_nm_xyz": PLACES, "typical_weight": -1.0}, "typical_weight is 0 or more"),
        ({"like_nm_xyz": PLACES, "typical_weight": float("nan")}, "typical_weight is 0 or more"),
        ({"probe": "mito", "typical_weight": 0.5}, "typical_weight is for examples"),
        ({"like_nm_xyz": PLACES * 300}, "at most 1000"),
    ],
)
def test_what_does_not_go_together_is_refused(asked, words):
    with pytest.raises(RequestError, match=words):
        Query(**asked)


@pytest.mark.parametrize("mode", ["average", "best"])
def test_examples_that_cancel_each_other_are_refused(searcher, mode):
    query = Query(like_nm_xyz=PLACES[:1], unlike_nm_xyz=PLACES[:1], mode=mode, unlike_weight=1.0)

    with pytest.raises(RequestError, match="cancel"):
        searcher.find(query)


def test_an_example_that_is_no_place_is_refused(searcher):
    with pytest.raises(OutOfBoundsError, match="9e"):
        searcher.find(Query(like_nm_xyz=(PLACES[0], (9e9, 0, 0))))
    with pytest.raises(DataError, match="no data"):
        searcher.find(Query(like_nm_xyz=PLACES[:1], unlike_nm_xyz=((68, 68, 75),)))
    with pytest.raises(RequestError, match="16-dimensional"):
        searcher.find(Query(like=(np.ones(3),)))
    with pytest.raises(NotFoundError, match="cut-outs"):
        searcher.find(Query(cut_out=np.ones((5, 17, 17), np.uint8)))


@pytest.mark.parametrize("which", ["searcher", "lists"])
@pytest.mark.parametrize(
    "wish",
    [
        Wish(7),
        Wish(5, 100, at_least=0.3),
        Wish(4, 0, Filters((((200.0, 200.0, 300.0), (450.0, 420.0, 500.0)),))),
    ],
)
def test_many_vectors_find_what_each_finds_alone(request, which, wish):
    searcher = request.getfixturevalue(which)
    vectors = np.random.default_rng(0).normal(size=(70, 16)).astype(np.float32)

    together = searcher.find_each(vectors, wish)

    alone = [searcher.find(Query(like=(vector,)), wish) for vector in vectors]
    for one, other in zip(together, alone, strict=True):
        assert [hit.id for hit in one.hits] == [hit.id for hit in other.hits]
        assert (one.complete, one.reason, one.exact) == (other.complete, other.reason, other.exact)


@pytest.mark.parametrize(("n", "k"), [(0, 1), (1025, 1), (1000, 101)])
def test_more_vectors_than_one_call_takes_are_refused(searcher, n, k):
    with pytest.raises(RequestError, match=f"got {n} vectors with k = {k}"):
        searcher.find_each(np.ones((n, 16)), Wish(k))
