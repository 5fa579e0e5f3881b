"""Tests of embed/training/sampling.py where volumes have a segmentation."""

import dataclasses
import itertools

import numpy as np
import pytest

from embed.errors import ConfigError
from embed.normaliser import Normaliser
from embed.training.sampling import PairSampler, SamplingConfig, TrainingVolume
from embed.training.segment_pairs import SegmentSampling
from tests import tubes

ALONG = SamplingConfig(
    crops=12,
    places=(1, 1, 1),
    segments=SegmentSampling(buckets_nm=((50.0, 600.0),), weights=(1.0,), mask_jitter=0),
)


class Places(Normaliser):
    """Leaves every value as it is, so that a view tells where it was cut."""

    def __call__(self, voxels):
        return voxels.astype(np.float32)


@pytest.fixture
def segmented(write_volume):
    """Three tubes in voxels that say where they are."""
    volume = write_volume(tubes.positions(), name="coded.zarr")
    segmentation = write_volume(tubes.tubes(), name="tubes.zarr")
    return TrainingVolume(volume, volume.box, Places(0.0, 1.0), segmentation)


@pytest.fixture
def whole(segmented):
    """The same voxels without a segmentation."""
    return dataclasses.replace(segmented, segmentation=None)


def centres(batch):
    """The voxel in the middle of each view, [view, crop, 3]."""
    middle = batch.views[:, :, 3, 3, 3]
    return np.array([[tubes.place_of(value) for value in view] for view in middle])


def test_pairs_lie_along_segments_and_one_segment_is_one_group(segmented, tiny):
    batch = PairSampler([segmented], tiny, ALONG).batch(2)

    first, second = centres(batch)
    ids = [tubes.tubes()[tuple(places.T)] for places in (first, second)]
    np.testing.assert_array_equal(*ids)
    same = ids[0][:, None] == ids[0][None]
    np.testing.assert_array_equal(batch.groups[:, None] == batch.groups[None], same)
    assert 1 < len(set(batch.groups.tolist())) <= 3
    apart = 10 * np.linalg.norm(first - second, axis=1)
    assert ((apart >= 50) & (apart < 600)).all()


@pytest.mark.parametrize(("touching", "share"), [(1.0, 1.0), (0.0, 2 / 9)])
def test_crops_are_followed_by_segments_that_touch_theirs(segmented, tiny, touching, share):
    config = dataclasses.replace(ALONG.segments, touching=touching)
    sampler = PairSampler([segmented], tiny, dataclasses.replace(ALONG, segments=config))

    follows = []
    for step in range(20):
        ids = tubes.tubes()[tuple(centres(sampler.batch(step))[0].T)].tolist()
        follows += [
            {a, b} == {tubes.UPPER, tubes.LOWER}
            for a, b in itertools.pairwise(ids)
            if a != tubes.ALONE or not touching  # it has no neighbour
        ]

    assert np.mean(follows) == pytest.approx(share, abs=0.1)


def test_masks_hide_other_segments_once_they_are_laid_over_the_views(segmented, tiny):
    sampler = PairSampler([segmented], tiny, ALONG)
    batch = sampler.batch(0)

    code = batch.views.astype(int) - 1
    ids = tubes.tubes()[code % 100, code // 100 % 100, code // 10000]
    own = ids[:, :, 3:4, 3:4, 3:4]
    np.testing.assert_array_equal(batch.seen, np.where(ids == own, batch.views, 0))
    assert sampler.masked


def test_without_masks_everything_is_seen(segmented, whole, tiny):
    config = dataclasses.replace(ALONG, segments=dataclasses.replace(ALONG.segments, mask=0.0))

    for sampler in (PairSampler([segmented], tiny, config), PairSampler([whole], tiny, ALONG)):
        batch = sampler.batch(0)
        assert batch.masks is None
        assert batch.seen is batch.views
        assert not sampler.masked


def test_pairs_along_segments_are_a_function_of_seed_and_step(segmented, tiny):
    first = PairSampler([segmented], tiny, ALONG)
    first.batch(4)

    for found, again in zip(
        first.batch(5), PairSampler([segmented], tiny, ALONG).batch(5), strict=True
    ):
        np.testing.assert_array_equal(found, again)
    assert not np.array_equal(first.batch(6).views, first.batch(5).views)


def test_volumes_with_and_without_a_segmentation_share_a_step(segmented, whole, tiny):
    config = dataclasses.replace(
        ALONG, segments=dataclasses.replace(ALONG.segments, touching=0.0), shift_nm=0.0
    )

    batch = PairSampler([segmented, whole], tiny, config).batch(0)

    assert batch.masks[:, 1::2].all()
    assert len(set(batch.groups[1::2].tolist())) == 6
    assert not set(batch.groups[::2].tolist()) & set(batch.groups[1::2].tolist())
    np.testing.assert_array_equal(batch.views[0, 1::2], batch.views[1, 1::2])


def test_blocks_of_several_places_are_refused_along_segments(segmented, tiny):
    with pytest.raises(
        ConfigError, match=r"not of blocks of \(2, 2, 2\) .* use places of \(1, 1, 1"
    ):
        PairSampler([segmented], tiny, dataclasses.replace(ALONG, places=(2, 2, 2)))
