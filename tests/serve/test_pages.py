"""Tests of serve/searching/pages.py: one list cut up, nothing told twice and nothing left out."""

import dataclasses

import numpy as np
import pytest

import serve.search
import serve.searching.candidates
import serve.searching.pages
import serve.searching.telling
from embed.errors import MismatchError, RequestError
from serve.index import build_index, open_index
from serve.queries import Filters, Query, Wish
from serve.search import Searcher
from tests.atlases import make_atlas

PLACES = ((292.0, 292.0, 435.0), (420.0, 420.0, 555.0))
"""Positions in nm, XYZ, where the atlas has data."""


@pytest.fixture(scope="session")
def searcher(atlas, index):
    return Searcher(atlas, index)


@pytest.mark.parametrize(
    "wish",
    [
        Wish(1),
        Wish(7, 100),
        Wish(10, 0, Filters((((200.0, 200.0, 300.0), (450.0, 420.0, 500.0)),))),
        Wish(9, 150, at_least=0.1),
    ],
)
@pytest.mark.parametrize(
    "query", [Query(like_nm_xyz=PLACES[:2], mode="best"), Query(like=(np.ones(16),))]
)
@pytest.mark.parametrize("first", [1, 50])
def test_pages_are_one_list_cut_up(searcher, query, wish, first, monkeypatch):
    monkeypatch.setattr(serve.searching.candidates, "_AT_FIRST", first)
    pages = [searcher.find(query, wish)]
    while pages[-1].next_page and len(pages) < 12:
        pages.append(searcher.find(query, dataclasses.replace(wish, page=pages[-1].next_page)))

    hits = [hit for page in pages for hit in page.hits]
    whole = searcher.find(query, dataclasses.replace(wish, k=len(hits)))
    assert [hit.id for hit in hits] == [hit.id for hit in whole.hits]
    assert len(pages) > 1
    if not pages[-1].complete:
        assert "more places" in pages[-1].reason


def test_pages_of_an_index_that_guesses_repeat_nothing_and_keep_apart(tmp_path):
    atlas = make_atlas(tmp_path / "a", (12, 12, 12))
    build_index(atlas, factory="IVF32,PQ4x4fs")
    searcher = Searcher(atlas, open_index(atlas))
    query, page, hits = Query(like_nm_xyz=PLACES[:1]), b"", []

    for _ in range(6):
        result = searcher.find(query, Wish(5, 100, page=page))
        hits, page = hits + list(result.hits), result.next_page

    assert len({hit.id for hit in hits}) == 30
    places = np.array([hit.position_nm_xyz for hit in hits])
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    assert np.sort(apart, axis=1)[:, 1].min() >= 100 - 1e-6


def test_a_page_of_another_search_or_index_or_of_nothing_is_refused(searcher, tmp_path):
    other_atlas = make_atlas(tmp_path / "a")
    build_index(other_atlas, factory="IVF16,Flat")
    replaced = Searcher(other_atlas, open_index(other_atlas))
    query, wish = Query(like_nm_xyz=PLACES[:1]), Wish(3)
    page = searcher.find(query, wish).next_page

    for other in (Query(like_nm_xyz=PLACES[1:2]), query):
        changed = Wish(3, 99.0 if other is query else None, page=page)
        with pytest.raises(RequestError, match="of another search"):
            searcher.find(other, changed)
    with pytest.raises(MismatchError, match="replaced"):
        replaced.find(query, Wish(3, page=page))
    for forged in (b"x", page + b"x", page[:32], page[:32] + b"\xff" * 8):
        with pytest.raises(RequestError, match="page token"):
            searcher.find(query, Wish(3, page=forged))


def test_pages_end_at_ten_thousand_hits_and_say_so(searcher, monkeypatch):
    for module in (serve.searching.pages, serve.searching.telling, serve.search):
        monkeypatch.setattr(module, "MAX_HITS", 12)
    query = Query(like=(np.ones(16),))
    first = searcher.find(query, Wish(8, 0))

    second = searcher.find(query, Wish(8, 0, page=first.next_page))

    assert (len(second.hits), second.complete, second.next_page) == (4, False, b"")
    assert second.reason == "only 4 more places are told: pages end at 12 hits"
