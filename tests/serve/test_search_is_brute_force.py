"""A property: searches of small random atlases find what brute force does, ties allowed."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as some

from serve.index import build_index, open_index
from serve.queries import Query, Wish
from serve.search import Searcher
from tests.atlases import make_atlas
from tests.serve.brute import everything, greedy, rows_of

TIE = 1e-5

shapes = some.tuples(*[some.integers(5, 8)] * 3)
# All lists are read where a manifest says so: of a small index the sweep asks for it, or all of
# its candidates are fetched.
kinds = some.sampled_from(["Flat", "IVF4,Flat", "PCAR4,IVF2,PQ4x4fsr", "every second"])


@settings(max_examples=10, deadline=None)
@given(
    shapes, some.sampled_from([8, 12]), kinds, some.integers(0, 10**6), some.sampled_from([0, 150])
)
def test_a_search_finds_what_brute_force_does(shape, dim, kind, seed, separation):
    with tempfile.TemporaryDirectory() as folder:
        atlas = make_atlas(Path(folder) / "a", shape, dim, seed)
        asked = {"every": 2} if kind == "every second" else {"factory": kind}
        build_index(atlas, **asked)
        ids, vectors, places = everything(atlas)
        wanted = np.random.default_rng(seed).normal(size=dim).astype(np.float32)
        wanted /= np.linalg.norm(wanted)
        wish = Wish(len(ids), separation)

        result = Searcher(atlas, open_index(atlas)).find(Query(like=(wanted,)), wish)

    scores = vectors @ wanted
    expected = scores[greedy(ids, scores, places, len(ids), separation)]
    found = [hit.similarity for hit in result.hits]
    np.testing.assert_allclose(found, expected, atol=TIE)
    np.testing.assert_allclose(found, scores[rows_of(ids, result)], atol=TIE)
