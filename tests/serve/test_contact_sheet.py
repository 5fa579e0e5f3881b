"""Tests of serve/contact_sheet.py, on a small atlas of random texture with a void corner."""

import io

import numpy as np
import pytest
from PIL import Image

from serve.contact_sheet import _CAPTION, _GAP, _HEAD, _NAME, _TILE, draw_sheet
from serve.search import Hit, SearchResult
from serve.tiles import EMPTY, MARK, PAPER


def _result(query, *hits) -> SearchResult:
    found = tuple(Hit(i, place, 0.9 - i / 10) for i, place in enumerate(hits))
    return SearchResult(found, 0, query, True, "", 0, True)


@pytest.fixture(scope="module")
def corners(atlas):
    """The centres of the first location, of the one in the middle, and of the last."""
    first, last = map(np.asarray, atlas.extent_nm_xyz)
    return [tuple(place.tolist()) for place in (first, (first + last) / 2, last)]


def _draw(atlas, results, **options) -> np.ndarray:
    png = draw_sheet(atlas, results, "a title", **options)
    return np.asarray(Image.open(io.BytesIO(png)))


def _tile(sheet: np.ndarray, row: int, column: int) -> np.ndarray:
    y = _HEAD + row * (_NAME + _TILE + _CAPTION + _GAP) + _NAME
    x = _GAP + column * (_TILE + _GAP) + (_GAP if column else 0)
    return sheet[y : y + _TILE, x : x + _TILE]


def _share(tile: np.ndarray, colour: tuple[int, int, int]) -> float:
    return float((tile == colour).all(axis=-1).mean())


def test_a_sheet_has_a_row_per_query_and_a_column_per_hit(atlas, corners):
    _, middle, last = corners
    results = {"one": _result(middle, last, last), "two": _result(middle, last)}

    sheet = _draw(atlas, results)

    assert sheet.shape == (
        _HEAD + 2 * (_NAME + _TILE + _CAPTION + _GAP),
        3 * (_TILE + _GAP) + 2 * _GAP,
        3,
    )


def test_every_tile_shows_tissue_and_the_frame_of_what_the_encoder_sees(atlas, corners):
    _, middle, _ = corners

    sheet = _draw(atlas, {"one": _result(middle, middle)})

    query, hit = _tile(sheet, 0, 0), _tile(sheet, 0, 1)
    grey = query[(query[..., 0] == query[..., 1]) & (query[..., 1] == query[..., 2])]
    assert len(grey) > 0.9 * _TILE**2
    assert grey.std() > 20
    np.testing.assert_array_equal(query, hit)
    edge = _TILE // 4
    assert tuple(query[edge, _TILE // 2]) == MARK
    assert tuple(query[_TILE // 2, edge]) == MARK


def test_a_query_with_fewer_hits_leaves_its_row_empty(atlas, corners):
    _, middle, _ = corners
    results = {"one": _result(middle, middle, middle), "two": _result(middle, middle)}

    sheet = _draw(atlas, results)

    assert _tile(sheet, 0, 2).std() > 20
    assert _share(_tile(sheet, 1, 2), PAPER) == 1


def test_what_is_outside_the_volume_or_void_is_not_black(atlas, corners):
    first, _, last = corners

    sheet = _draw(atlas, {"one": _result(last, first)})

    assert 0.2 < _share(_tile(sheet, 0, 0), EMPTY) < 0.8
    # Half of the tile lies outside, and a quarter of the rest is void.
    assert _share(_tile(sheet, 0, 1), EMPTY) > 0.55
    assert _share(_tile(sheet, 0, 1), (0, 0, 0)) < 0.01


def test_the_frame_is_as_flat_as_the_field_of_view_in_planes_across(atlas, corners):
    _, middle, _ = corners

    sheet = _draw(atlas, {"one": _result(middle, middle)}, plane="xz")

    rows, columns = np.nonzero((_tile(sheet, 0, 0) == MARK).all(axis=-1))
    # 136 nm along x and 150 nm along z: 17 voxels of 8 nm and 5 of 30 nm.
    assert np.ptp(columns) / np.ptp(rows) == pytest.approx(136 / 150, rel=0.03)


def test_no_results_are_a_sheet_with_a_title(atlas):
    assert _draw(atlas, {}).shape[0] == _HEAD
