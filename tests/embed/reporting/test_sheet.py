"""Tests of embed/reporting/sheet.py and slices.py: neighbours, and what is drawn of them."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from embed.geometry import Box
from embed.normaliser import Normaliser, measure
from embed.reporting.places import watched_places
from embed.reporting.sheet import Row, choose_queries, draw_sheet, find_rows, seen_nm
from embed.reporting.slices import XY, XZ, ZY, Window, draw_segment, draw_slice
from embed.training.sampling import TrainingVolume


class AsTheyAre(Normaliser):
    """Draws a grey value as itself."""

    def __call__(self, voxels):
        return (voxels.astype(np.float32) - 127.5) * np.float32(3 / 127.5)


@pytest.fixture(scope="module")
def sources(tissue_volume):
    """One volume twice, as two."""
    whole = TrainingVolume(tissue_volume, tissue_volume.box, measure(tissue_volume))
    return [whole, dataclasses.replace(whole, box=Box((0, 0, 0), (40, 48, 30)))]


@pytest.fixture(scope="module")
def places(sources, tiny):
    return watched_places(sources, tiny, (2, 2, 2), 400)


@pytest.fixture(scope="module")
def rows(places):
    drawn = np.random.default_rng(0).normal(size=(len(places), 8)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def test_queries_are_the_same_every_time_and_of_all_volumes_in_turn(places):
    queries = choose_queries(places, 6)

    np.testing.assert_array_equal(queries, choose_queries(places, 6))
    assert places.volumes[queries].tolist() == [0, 1, 0, 1, 0, 1]
    assert len(set(queries.tolist())) == 6


def test_hits_are_the_best_that_share_no_voxel_with_the_query(places, rows, sources, tiny):
    (query,) = choose_queries(places, 1)

    (row,) = find_rows(rows, places, np.array([query]), sources, tiny.fov)

    apart = np.abs(places.centres - places.centres[query])
    overlaps = (apart < tiny.fov).all(axis=1) & (places.volumes == places.volumes[query])
    cosine = np.where(overlaps, -2, rows @ rows[query])
    assert len(row.hits) == 5
    assert row.hits[0] == cosine.argmax()
    assert not overlaps[[*row.hits]].any()
    assert sorted(row.similarity, reverse=True) == [*row.similarity]
    np.testing.assert_allclose(row.similarity, cosine[[*row.hits]], rtol=1e-5)


def test_what_is_seen_of_a_resampled_volume_is_as_long_as_of_one_that_is_not(sources, tiny):
    plain = sources[0]
    resampled = dataclasses.replace(plain, step=(0.5, 2.0, 2.0))

    size = np.asarray(plain.volume.frame.voxel_size_nm)
    np.testing.assert_allclose(seen_nm(tiny.fov, plain), size * tiny.fov)
    np.testing.assert_allclose(seen_nm(tiny.fov, resampled), size * tiny.fov * (0.5, 2, 2))


def test_a_sheet_is_a_picture_with_a_row_for_every_query(places, rows, sources, tiny):
    found = find_rows(rows, places, choose_queries(places, 3), sources, tiny.fov)

    pictures = [
        Image.open(io.BytesIO(draw_sheet(found[:n], places, sources, tiny.fov, "title")))
        for n in (1, 3)
    ]

    heights = [picture.size[1] for picture in pictures]
    assert pictures[0].size[0] == pictures[1].size[0] > 1000
    assert heights[1] - heights[0] == 2 * (heights[0] - 46)
    assert len(set(pictures[1].convert("L").tobytes())) > 100


@pytest.mark.parametrize(
    ("axes", "row", "column"),
    [(XY, (0, 1, 0), (0, 0, 1)), (ZY, (0, 1, 0), (1, 0, 0)), (XZ, (1, 0, 0), (0, 0, 1))],
)
def test_a_slice_shows_its_plane_with_the_place_in_the_middle(write_volume, axes, row, column):
    voxels = np.full((21, 21, 21), 100, np.uint8)
    voxels[10, 10, 10] = 120
    voxels[tuple(10 + 4 * np.array(row))] = 200
    voxels[tuple(10 + 6 * np.array(column))] = 255
    volume = write_volume(voxels)
    middle = np.array([10.5, 10.5, 10.5])

    drawn = np.asarray(draw_slice(volume, AsTheyAre(0.0, 1.0), middle, axes, Window(150.0, 15)))

    assert drawn[7, 7] == pytest.approx(120, abs=1)
    assert drawn[7 + 4, 7] == pytest.approx(200, abs=1)
    assert drawn[7, 7 + 6] == pytest.approx(255, abs=1)


def test_what_lies_outside_the_volume_is_empty(write_volume):
    voxels = np.random.default_rng(0).integers(1, 90, (21, 21, 21)).astype(np.uint8)
    volume = write_volume(voxels)

    drawn = draw_slice(volume, measure(volume), np.full(3, -50.0), XY, Window(100.0, 16))

    assert set(drawn.tobytes()) == {228}


def test_places_of_a_resampled_volume_are_seen_as_training_sees_them(tissue_volume, tiny):
    """Of a volume of half the voxels along each axis a place shows as many of the encoder's own."""
    plain = TrainingVolume(tissue_volume, tissue_volume.box, measure(tissue_volume))
    coarse = dataclasses.replace(plain, step=(0.5, 0.5, 0.5))

    places = watched_places([coarse], tiny, (2, 2, 2), 64)

    assert places.blocks.shape[1:] == tiny.voxels((2, 2, 2))
    first, last = places.centres.min(axis=0), places.centres.max(axis=0)
    half_fov = np.asarray(tiny.fov) / 4
    assert (first >= half_fov).all()
    assert (last <= np.asarray(tissue_volume.box.stop) - half_fov).all()
    # Neighbours lie half a stride of the encoder apart, in voxels of the volume.
    steps = np.diff(places.centres[:2], axis=0)[0]
    assert np.abs(steps).max() == np.asarray(tiny.stride).max() / 2
    smooth = [np.abs(np.diff(block, axis=2)).mean() for block in places.blocks]
    sharp = watched_places([plain], tiny, (2, 2, 2), 64).blocks
    assert np.mean(smooth) < 0.8 * np.mean([np.abs(np.diff(b, axis=2)).mean() for b in sharp])


def test_where_the_segment_of_a_place_lies_is_white(tissue_volume, write_volume):
    ids = np.full(tissue_volume.box.shape, 5, np.uint64)
    ids[:, 20:, :] = 2**40
    segmentation = write_volume(ids, name="ids.zarr")
    window = Window(200.0, 40)

    above, below = (
        np.asarray(draw_segment(segmentation, np.array([20.5, y, 28.5]), XY, window))
        for y in (15.5, 24.5)
    )

    # 20 voxels of 10 nm are 40 pixels: the border at y = 20 lies 4.5 voxels from either middle.
    assert (above[:27] == 255).all()
    assert not above[31:].any()
    assert not below[:9].any()
    assert (below[13:] == 255).all()


def test_other_segments_are_pale_on_a_sheet(sources, write_volume, tiny):
    (source, _) = sources
    ids = np.ones(source.volume.box.shape, np.uint8)
    ids[:, 24:] = 2
    segmented = dataclasses.replace(source, segmentation=write_volume(ids, name="ids.zarr"))
    places = watched_places([segmented], tiny, (1, 1, 1), 100)
    rows = [Row(int(choose_queries(places, 1)[0]), (), ())]

    plain, pale = (
        np.asarray(Image.open(io.BytesIO(draw_sheet(rows, places, [s], tiny.fov, ""))), float)
        for s in (source, segmented)
    )

    changed = (plain != pale).any(axis=2)[46:]
    paper = np.array([250, 250, 249])
    assert 0.02 < changed.mean() < 0.9
    assert (abs(pale - paper) <= abs(plain - paper) + 1)[46:][changed].all()
