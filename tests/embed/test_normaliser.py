"""Tests of embed/normaliser.py: what makes volumes of different contrast alike."""

import numpy as np
import pytest

from embed.errors import DataError
from embed.normaliser import Normaliser, measure


@pytest.fixture(scope="module")
def noise():
    drawn = np.random.default_rng(0).normal(120, 20, size=(40, 48, 56))
    return drawn.clip(1, 255).astype(np.uint8)


def test_grey_values_come_out_with_about_zero_mean_and_unit_deviation(noise, write_volume):
    volume = write_volume(noise)

    grey = measure(volume)(volume.read(volume.box))

    assert grey.dtype == np.float32
    assert abs(float(grey.mean())) < 0.05
    assert abs(float(grey.std()) - 1) < 0.05


def test_what_is_missing_does_not_count(noise, write_volume):
    whole = measure(write_volume(noise, name="whole.zarr"))
    holed = noise.copy()
    holed[10:30, :, 20:] = 0

    found = measure(write_volume(holed, name="holed.zarr"))

    assert abs(found.centre - whole.centre) <= 1
    assert abs(found.scale / whole.scale - 1) < 0.05


def test_a_few_extreme_values_do_not_count(noise, write_volume):
    wide = noise.astype(np.uint16)
    wide[::4, ::4, ::4] = 60000

    found = measure(write_volume(wide))

    assert abs(found.centre - 120) <= 1
    assert abs(found.scale / 20 - 1) < 0.1


def test_measuring_again_gives_the_same_and_the_seed_is_what_decides(write_volume):
    rng = np.random.default_rng(1)
    volume = write_volume(rng.normal(size=(130, 40, 40)).astype(np.float32))

    assert measure(volume) == measure(volume)
    assert measure(volume, seed=1) != measure(volume)


@pytest.mark.parametrize("value", [0, 77])
def test_a_constant_volume_is_refused(value, write_volume):
    volume = write_volume(np.full((20, 20, 20), value, np.uint8))

    with pytest.raises(DataError, match=f"volume is constant .value {value} or missing"):
        measure(volume)


def test_a_volume_of_two_values_has_a_scale_though_its_quartiles_agree(write_volume):
    voxels = np.full((20, 20, 20), 100, np.uint8)
    voxels[::3] = 200
    voxels[1::3, :8] = 200

    found = measure(write_volume(voxels))

    assert found.scale > 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_no_number_is_refused_and_its_voxel_named(bad, write_volume):
    voxels = np.random.default_rng(0).normal(size=(20, 21, 22)).astype(np.float32)
    voxels[11, 5, 7] = bad
    volume = write_volume(voxels)

    with pytest.raises(DataError, match=r"as at voxel \(ZYX\) \(11, 5, 7\); replace them with 0"):
        measure(volume)
    with pytest.raises(DataError, match="1 values are NaN or infinite"):
        Normaliser(0.0, 1.0)(voxels)


def test_values_are_cut_off_at_five_deviations():
    grey = Normaliser(100.0, 10.0)(np.array([0, 90, 100, 120, 255], np.uint8))

    np.testing.assert_array_equal(grey, [-5, -1, 0, 2, 5])


def test_all_sections_are_normalised_however_many_fit_into_the_cache():
    voxels = np.random.default_rng(0).integers(0, 255, size=(70, 64, 64)).astype(np.uint8)

    grey = Normaliser(100.0, 60.0)(voxels)

    np.testing.assert_allclose(grey, (voxels - 100.0) / 60.0, rtol=1e-6, atol=1e-6)


def test_values_can_be_written_where_others_were():
    kept = np.full(3, 7, np.float32)

    grey = Normaliser(100.0, 10.0)(np.array([90, 100, 120], np.uint8), kept)

    assert grey is kept
    np.testing.assert_array_equal(kept, [-1, 0, 2])


def test_integers_too_large_for_their_type_do_not_wrap():
    grey = Normaliser(40000.0, 10000.0)(np.array([0, 65535], np.uint16))

    np.testing.assert_allclose(grey, [-4, 2.5535])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_quartiles_that_are_counted_are_those_of_the_same_values_as_floats(
    noise, dtype, write_volume
):
    counted = measure(write_volume(noise.astype(dtype), name="counted.zarr"))

    assert counted == measure(write_volume(noise.astype(np.float32), name="sorted.zarr"))
