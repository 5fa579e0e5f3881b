"""Tests of serve/locations.py."""

import shutil

import numpy as np
import pytest

from embed.errors import DataError
from serve.locations import count_locations, sample_locations, shard_locations, similarities
from tests.atlases import VOID, make_atlas


def test_shards_together_hold_every_location_with_data_once(atlas):
    ids = np.concatenate([locations.ids for _, locations in shard_locations(atlas)])

    everything = np.arange(atlas.grid.size)
    voids = atlas.grid.ids(np.argwhere(np.ones(VOID.shape)) + VOID.start)
    np.testing.assert_array_equal(np.sort(ids), np.setdiff1d(everything, voids))
    assert count_locations(atlas) == len(ids)


def test_a_sample_is_spread_over_all_octants_and_never_void(atlas):
    sample = sample_locations(atlas, 400, seed=3)

    octants = (atlas.grid.cells_of(sample.ids) >= np.array(atlas.grid.shape) // 2) @ [4, 2, 1]
    assert 360 <= len(sample.ids) <= 420
    assert len(np.unique(sample.ids)) == len(sample.ids)
    assert np.bincount(octants, minlength=8).min() >= 400 / 8 * 0.7
    np.testing.assert_allclose(np.linalg.norm(sample.vectors, axis=1), 1, atol=1e-6)


def test_the_same_seed_draws_the_same_sample_and_another_seed_another(atlas):
    first, again, other = (sample_locations(atlas, 50, seed).ids for seed in (1, 1, 2))

    np.testing.assert_array_equal(first, again)
    assert set(first) != set(other)


def test_a_sample_larger_than_the_atlas_is_all_of_it(atlas):
    assert len(sample_locations(atlas, 10**6, 0).ids) == count_locations(atlas)


def test_similarities_are_those_of_the_stored_vectors(atlas):
    sample = sample_locations(atlas, 20, 0)
    ids = np.array([[sample.ids[3], -1, sample.ids[5]]])

    found = similarities(atlas, sample.vectors[3:4], ids)

    expected = sample.vectors[3] @ sample.vectors[5]
    np.testing.assert_allclose(found, [[1, -np.inf, expected]], atol=1e-6)


def test_a_shard_that_has_gone_missing_is_said(tmp_path):
    atlas = make_atlas(tmp_path / "a")
    shutil.rmtree(atlas.path / "embeddings.zarr" / "c" / "1")

    with pytest.raises(DataError, match="a shard is missing"):
        list(shard_locations(atlas))
