"""Tests of embed/training/sampling.py: which blocks a step sees."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from embed.encoder import EncoderConfig, Stage
from embed.errors import ConfigError, DataError
from embed.geometry import Box
from embed.normaliser import Normaliser, measure
from embed.training.sampling import PairSampler, SamplingConfig, TrainingVolume

CONFIG = SamplingConfig(crops=3, places=(2, 2, 2), shift_nm=40.0)
FLAT = EncoderConfig(
    voxel_size_nm=(40.0, 5.0, 5.0), stages=(Stage(8, (2, 3, 3), (1, 2, 2)),), read=(0,)
)
AS_THEY_ARE = Normaliser(0.0, 1.0)


def positions(shape):
    """Voxels whose value is their own place: z + 100 y + 10000 x, and some contrast."""
    z, y, x = np.indices(shape)
    return (z + 100 * y + 10000 * x + 1).astype(np.float64)


class Places(Normaliser):
    """Leaves every value as it is, so that a view tells where it was cut."""

    def __call__(self, voxels):
        return voxels.astype(np.float32)


def starts(view):
    """The first voxel of a block of `positions`."""
    value = int(view[0, 0, 0]) - 1
    return np.array([value % 100, value // 100 % 100, value // 10000])


@pytest.fixture
def located(write_volume):
    """40 x 48 x 56 voxels that say where they are, trained on as a whole."""
    volume = write_volume(positions((40, 48, 56)))
    return TrainingVolume(volume, volume.box, Places(0.0, 1.0))


@pytest.fixture(scope="module")
def real(tissue_volume):
    """Real tissue, trained on as a whole."""
    return TrainingVolume(tissue_volume, tissue_volume.box, measure(tissue_volume))


def test_views_are_normalised_blocks_of_the_places_asked_for(real, tiny):
    views = PairSampler([real], tiny, CONFIG).batch(0).views

    assert views.shape == (2, 3, *tiny.voxels((2, 2, 2)))
    assert views.dtype == np.float32
    assert 0.3 < views.std() < 2


def test_views_are_a_function_of_seed_and_step(real, tiny):
    sampler = PairSampler([real], tiny, CONFIG)
    other = PairSampler([real], tiny, dataclasses.replace(CONFIG, seed=1))

    first = sampler.batch(5).views
    sampler.batch(6)

    np.testing.assert_array_equal(sampler.batch(5).views, first)
    np.testing.assert_array_equal(PairSampler([real], tiny, CONFIG).batch(5).views, first)
    assert not np.array_equal(sampler.batch(6).views, first)
    assert not np.array_equal(other.batch(5).views, first)


def test_crops_cut_side_by_side_are_those_cut_one_by_one(real, tiny):
    sampler = PairSampler([real], tiny, dataclasses.replace(CONFIG, crops=5), range(1, 4))

    with ThreadPoolExecutor(3) as pool:
        views = sampler.batch(5, pool.map).views

    np.testing.assert_array_equal(views, sampler.batch(5).views)
    assert len(np.unique(views.reshape(6, -1).mean(axis=1))) == 6


@pytest.mark.parametrize(
    ("encoder", "voxel_size_nm", "most"),
    [("tiny", (10.0, 10.0, 10.0), (4, 4, 4)), (FLAT, (40.0, 5.0, 5.0), (1, 8, 8))],
)
def test_two_views_lie_no_farther_apart_than_the_shift_on_any_axis(
    encoder, voxel_size_nm, most, write_volume, request
):
    config = request.getfixturevalue("tiny") if encoder == "tiny" else encoder
    volume = write_volume(positions((40, 48, 56)), voxel_size_nm)
    source = TrainingVolume(volume, volume.box, Places(0.0, 1.0))
    sampler = PairSampler([source], config, CONFIG)

    shifts = []
    for step in range(60):
        first, second = sampler.batch(step).views
        shifts += [starts(b) - starts(a) for a, b in zip(first, second, strict=True)]

    np.testing.assert_array_equal(np.abs(shifts).max(axis=0), most)
    assert (np.min(shifts, axis=0) < 0).all()


def test_a_shift_smaller_than_a_voxel_is_none(located, tiny):
    sampler = PairSampler([located], tiny, dataclasses.replace(CONFIG, shift_nm=9.9))

    first, second = sampler.batch(0).views

    np.testing.assert_array_equal(first, second)


def test_blocks_stay_in_the_box_and_reach_its_edges(located, tiny):
    box = Box((10, 8, 30), (24, 48, 45))
    sampler = PairSampler([dataclasses.replace(located, box=box)], tiny, CONFIG)

    found = np.array(
        [starts(v) for step in range(80) for v in np.concatenate(sampler.batch(step).views)]
    )

    size = np.array(tiny.voxels(CONFIG.places))
    np.testing.assert_array_equal(found.min(axis=0), box.start)
    np.testing.assert_array_equal(found.max(axis=0) + size, box.stop)


def test_blocks_of_a_volume_whose_voxels_start_elsewhere_are_in_its_box(located, tiny):
    moved = dataclasses.replace(
        located.volume,
        box=located.volume.box.shifted((-7, 5, -100)),
        store=located.volume.store.translate_by[-7, 5, -100],
    )
    source = dataclasses.replace(located, volume=moved, box=moved.box)

    views = PairSampler([source], tiny, CONFIG).batch(3).views

    np.testing.assert_array_equal(views, PairSampler([located], tiny, CONFIG).batch(3).views)


def test_several_volumes_take_equal_turns(located, tiny):
    brighter = dataclasses.replace(located, normaliser=Marked(0.0, 1.0))
    sampler = PairSampler([located, brighter], tiny, CONFIG)

    first = [bool(view.min() < 0) for step in range(4) for view in sampler.batch(step).views[0]]

    assert first == [False, True] * 6


class Marked(Normaliser):
    """Negative values tell which volume a view is of."""

    def __call__(self, voxels):
        return -voxels.astype(np.float32)


def test_a_volume_too_small_is_refused_with_what_it_has_and_what_is_needed(located, tiny):
    small = dataclasses.replace(located, box=Box((0, 0, 0), (40, 8, 56)))

    with pytest.raises(ConfigError) as error:
        PairSampler([located, small], tiny, CONFIG)

    assert "volume has (40, 8, 56) voxels (ZYX) to train on" in str(error.value)
    assert "blocks of (2, 2, 2) places need (9, 9, 9)" in str(error.value)
    assert "(the field of view of the encoder alone is (7, 7, 7))" in str(error.value)


def test_a_volume_of_just_the_size_of_a_block_will_do(located, tiny):
    exact = dataclasses.replace(located, box=Box.of_shape((9, 9, 9), (3, 4, 5)))

    views = PairSampler([exact], tiny, CONFIG).batch(0).views

    assert [starts(view).tolist() for view in views[:, 0]] == [[3, 4, 5]] * 2


def test_an_empty_volume_is_refused_with_what_to_do(write_volume, tiny):
    volume = write_volume(np.zeros((40, 48, 56), np.uint8))
    source = TrainingVolume(volume, volume.box, AS_THEY_ARE)

    with pytest.raises(DataError, match=r"50 random blocks of .* had no contrast; .* holds tissue"):
        PairSampler([source], tiny, CONFIG).batch(0)


def test_blocks_without_contrast_are_passed_over(tissue, write_volume, tiny):
    holed = tissue.copy()
    holed[:, :, 16:] = 0
    volume = write_volume(holed)
    source = TrainingVolume(volume, volume.box, measure(volume))

    views = np.concatenate(
        [PairSampler([source], tiny, CONFIG).batch(step).views for step in range(5)]
    )

    assert views.std(axis=(2, 3, 4)).min() > 0.05


def test_a_value_that_is_no_number_is_refused_with_its_box(write_volume, tiny):
    voxels = np.random.default_rng(0).normal(size=(40, 48, 56)).astype(np.float32)
    voxels[:] = np.nan
    volume = write_volume(voxels)
    source = TrainingVolume(volume, volume.box, AS_THEY_ARE)

    with pytest.raises(DataError, match=r"volume, voxels Box\(.*ZYX.*: \d+ values are NaN"):
        PairSampler([source], tiny, CONFIG).batch(0)


def test_a_volume_of_other_voxels_is_resampled_to_blocks_of_the_encoder(write_volume, tiny):
    """A ramp along x: half as many voxels to the micrometre are twice as steep a ramp."""
    ramp = np.broadcast_to(np.arange(64, dtype=np.float32) / 16, (40, 48, 64)).copy()
    volume = write_volume(ramp)
    source = TrainingVolume(volume, volume.box, AS_THEY_ARE, step=(1.0, 1.0, 2.0))

    views = PairSampler([source], tiny, CONFIG).batch(0).views

    assert views.shape[2:] == tiny.voxels(CONFIG.places)
    np.testing.assert_allclose(np.diff(views, axis=-1), 2 / 16, atol=1e-3)
    np.testing.assert_allclose(np.diff(views, axis=-2), 0, atol=1e-3)


def test_zoom_cuts_blocks_of_other_sizes_and_gives_them_one_shape(write_volume, tiny):
    ramp = np.broadcast_to(np.arange(64, dtype=np.float32) / 16, (40, 48, 64)).copy()
    volume = write_volume(ramp)
    source = TrainingVolume(volume, volume.box, AS_THEY_ARE)
    config = dataclasses.replace(CONFIG, zoom=1.5)

    views = [PairSampler([source], tiny, config).batch(step).views for step in range(20)]

    slopes = 16 * np.array([np.diff(v, axis=-1).mean(axis=(2, 3, 4)) for v in views])
    assert {v.shape[2:] for v in views} == {tiny.voxels(CONFIG.places)}
    assert slopes.min() < 0.8
    assert slopes.max() > 1.25
    np.testing.assert_allclose(slopes[:, 0], slopes[:, 1], rtol=0.05)


def test_hosts_cut_their_own_crops_of_one_step(real, tiny):
    whole = PairSampler([real], tiny, CONFIG).batch(4)

    parts = [PairSampler([real], tiny, CONFIG, own).batch(4) for own in (range(0, 2), range(2, 3))]

    np.testing.assert_array_equal(np.concatenate([p.views for p in parts], axis=1), whole.views)
    assert all(np.array_equal(part.groups, whole.groups) for part in parts)


@pytest.mark.parametrize(
    "bad",
    [
        {"crops": 0},
        {"places": (2, 0, 2)},
        {"shift_nm": -1.0},
        {"zoom": 0.9},
        {"zoom": 2.0},
        {"seed": -1},
        {"seed": 2**32},
    ],
)
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(
        ConfigError, match=r"at least|a seed is a number from 0 to|zoom is a factor"
    ):
        SamplingConfig(**bad)
