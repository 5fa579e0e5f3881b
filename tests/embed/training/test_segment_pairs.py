"""Tests of embed/training/segment_pairs.py: distances, neighbours, masks, and what is refused."""

import dataclasses
import itertools

import numpy as np
import pytest

from embed.errors import ConfigError, DataError
from embed.geometry import Box
from embed.segments import moved
from embed.training.segment_pairs import SegmentPairs, SegmentSampling
from embed.volume import open_volume
from tests.tubes import SHAPE, positions, tubes

FOV = (13, 13, 13)
WHOLE = Box.of_shape(SHAPE)
BUCKETS = ((0.0, 100.0), (100.0, 300.0), (300.0, 600.0))
CONFIG = SegmentSampling(buckets_nm=BUCKETS, mask_jitter=0)


@pytest.fixture
def volumes(write_volume):
    return write_volume(positions()), write_volume(tubes(), name="tubes.zarr")


@pytest.fixture
def make(volumes):
    def pairs(config=CONFIG, box=WHOLE, seed=(0, 0)):
        return SegmentPairs(*volumes, box, FOV, config, seed)

    return pairs


def drawn(pairs, count=200, step=0):
    return [pairs.draw(step, np.random.default_rng(i)) for i in range(count)]


def places(pair):
    return [pair.near.nodes[node] + pair.near.box.start for node in pair.nodes]


def apart_nm(pair):
    a, b = places(pair)
    return np.linalg.norm((a - b) * 10.0)


def test_both_places_lie_in_one_segment(make):
    ids = tubes()

    for pair in drawn(make()):
        assert {int(ids[tuple(place)]) for place in places(pair)} == {pair.segment}


def test_distances_fall_into_the_buckets_as_often_as_their_weights_say(make):
    config = dataclasses.replace(CONFIG, weights=(1.0, 0.0, 3.0))

    apart = [apart_nm(pair) for pair in drawn(make(config), 400)]

    near, middle, far = np.histogram(apart, [0, 100, 300, 600])[0] / 400
    assert near == pytest.approx(0.25, abs=0.07)
    assert middle == 0
    assert far == pytest.approx(0.75, abs=0.07)


def test_a_pair_after_another_lies_in_a_segment_that_touches_its_own(make):
    pairs = make()

    for i, first in enumerate(drawn(pairs, 100)):
        second = pairs.draw(0, np.random.default_rng([1, i]), first)
        alone = first.segment == 300
        assert alone or {first.segment, second.segment} == {7, 2**40 + 1}
        assert alone or np.linalg.norm(places(first)[0] - places(second)[0]) < 60


def test_masks_are_of_the_segment_and_of_nothing_else(make):
    pairs, ids = make(), tubes()

    for i, pair in enumerate(drawn(pairs, 20)):
        masks = pairs.masks(pair, np.random.default_rng(i))
        for mask, (z, y, x) in zip(masks, places(pair), strict=True):
            window = ids[z - 6 : z + 7, y - 6 : y + 7, x - 6 : x + 7]
            np.testing.assert_array_equal(mask, window == pair.segment)


def test_the_edge_of_a_mask_moves_no_farther_than_the_jitter(make):
    exact, loose = make(), make(dataclasses.replace(CONFIG, mask_jitter=2))

    sizes = set()
    for i, pair in enumerate(drawn(exact, 60)):
        true = exact.masks(pair, np.random.default_rng(i))
        for mask, found in zip(true, loose.masks(pair, np.random.default_rng(i)), strict=True):
            assert (moved(mask, -2) <= found).all()
            assert (found <= moved(mask, 2)).all()
            sizes.add(int(np.sign(found.sum() - mask.sum())))
    assert sizes == {-1, 0, 1}


def test_a_share_of_the_views_is_masked_each_by_itself(make):
    exact, pairs = make(), make(dataclasses.replace(CONFIG, mask=0.5))

    whole = []
    for i, pair in enumerate(drawn(pairs, 400)):
        filled = exact.masks(pair, np.random.default_rng(i)).all(axis=(1, 2, 3))
        if not filled.any():
            whole.append(pairs.masks(pair, np.random.default_rng(i)).all(axis=(1, 2, 3)))

    assert np.mean(whole) == pytest.approx(0.5, abs=0.1)
    assert np.mean([a == b for a, b in whole]) == pytest.approx(0.5, abs=0.15)


def test_a_pair_is_a_function_of_seed_step_and_draw(make):
    again = [places(pair) for pair in drawn(make(), 30)]

    np.testing.assert_array_equal([places(pair) for pair in drawn(make(), 30)], again)


SMALL = dataclasses.replace(
    CONFIG, buckets_nm=((0.0, 100.0),), weights=(1.0,), neighbourhoods=4, hold=8, smallest_um3=1e-3
)


def test_neighbourhoods_are_kept_for_a_while_and_replaced_in_turn(make):
    pairs = make(SMALL)

    boxes = [[pairs.near(step, slot).box for slot in range(4)] for step in range(40)]

    changes = [
        sum(a != b for a, b in zip(*rows, strict=True)) for rows in itertools.pairwise(boxes)
    ]
    assert max(changes) == 1
    assert sum(changes) > 12
    assert all(WHOLE.contains(box) and box.shape == (28, 28, 28) for row in boxes for box in row)
    assert [make(SMALL).near(25, slot).box for slot in range(4)] == boxes[25]
    assert make(SMALL, seed=(1, 0)).near(25, 0).box != boxes[25][0]


def test_no_place_leaves_the_box(make):
    box = Box((5, 0, 10), (33, 48, 80))
    pairs = make(SMALL, box)

    found = np.concatenate([places(pair) for step in range(60) for pair in drawn(pairs, 5, step)])

    assert (found - 6 >= box.start).all()
    assert (found + 7 <= box.stop).all()


def test_an_empty_segmentation_is_refused(write_volume, volumes):
    empty = write_volume(np.zeros(SHAPE, np.uint32), name="empty.zarr")

    with pytest.raises(DataError, match=r"empty: 50 random blocks .*ZYX.* is it empty there"):
        SegmentPairs(volumes[0], empty, WHOLE, FOV, CONFIG, (0,))


def test_segments_too_short_for_a_bucket_are_refused(make):
    config = dataclasses.replace(
        CONFIG, buckets_nm=((0.0, 100.0), (400.0, 500.0)), weights=(1.0, 1.0)
    )

    with pytest.raises(DataError, match="two places for each of the buckets_nm"):
        make(config, Box((0, 0, 0), (40, 48, 20)))


def test_a_bucket_that_the_box_cannot_hold_is_refused(make):
    config = dataclasses.replace(CONFIG, buckets_nm=((2000.0, 3000.0),), weights=(1.0,))

    with pytest.raises(ConfigError, match="at most 940 nm apart and one .* begins at 2000"):
        make(config)


def test_neighbourhoods_too_large_to_hold_are_refused(volumes):
    huge = dataclasses.replace(volumes[1], box=Box.of_shape((9000, 9000, 9000)))
    config = dataclasses.replace(CONFIG, buckets_nm=((0.0, 20_000.0),), weights=(1.0,))

    with pytest.raises(ConfigError, match="up to 20000 nm apart need blocks of"):
        SegmentPairs(volumes[0], huge, huge.box, FOV, config, (0,))


@pytest.mark.parametrize(
    "bad",
    [
        {"buckets_nm": ()},
        {"buckets_nm": ((5.0, 5.0),)},
        {"weights": (1.0,)},
        {"weights": (0.0, 0.0, 0.0)},
        {"weights": (2.0, -1.0, 1.0)},
        {"touching": 1.5},
        {"mask": -0.1},
        {"mask_jitter": -1},
        {"depth_nm": -1.0},
        {"hold": 0},
        {"neighbourhoods": 0},
    ],
)
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ConfigError, match=r"got SegmentSampling\("):
        SegmentSampling(**bad)


def test_pairs_in_real_neurons(shared):
    volume = open_volume(shared / "data" / "fib25_b.zarr")
    segmentation = open_volume(shared / "data" / "fib25_b_bodies.zarr")
    box = Box((0, 0, 0), (120, 250, 250))
    ids = segmentation.read(box)
    pairs = SegmentPairs(volume, segmentation, box, (33, 33, 33), SegmentSampling(), (0,))

    found = drawn(pairs, 100)

    assert len({pair.segment for pair in found}) > 20
    for pair in found:
        assert {int(ids[tuple(place)]) for place in places(pair)} == {pair.segment}
        assert max(place[0] for place in places(pair)) + 17 <= 120
        after = pairs.draw(0, np.random.default_rng(0), pair)
        lonely = pair.near.beside(pair.nodes[0], (0.0, 1500.0), np.random.default_rng(0)) is None
        assert lonely or after.segment != pair.segment
    shares = np.histogram([apart_nm(pair) for pair in found], [0, 150, 500, 1500])[0]
    assert shares.sum() == 100
    assert shares.min() > 15
