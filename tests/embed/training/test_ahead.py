"""Tests of embed/training/ahead.py: batches cut in threads."""

import threading

import numpy as np
import pytest
import threadpoolctl

from embed.errors import DataError
from embed.normaliser import Normaliser, measure
from embed.training.ahead import cut_ahead
from embed.training.sampling import PairSampler, SamplingConfig, TrainingVolume

CONFIG = SamplingConfig(crops=3, places=(2, 2, 2), shift_nm=40.0)


@pytest.fixture(scope="module")
def sampler(tissue_volume, tiny):
    real = TrainingVolume(tissue_volume, tissue_volume.box, measure(tissue_volume))
    return PairSampler([real], tiny, CONFIG)


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("voxkin-")]


def threads_of_blas():
    pools = threadpoolctl.threadpool_info()
    return {pool["num_threads"] for pool in pools if pool["user_api"] == "blas"}


def test_the_batches_of_the_steps_come_in_their_order(sampler):
    found = list(cut_ahead(sampler, 3, 9))

    assert len(found) == 6
    for step, batch in enumerate(found, 3):
        np.testing.assert_array_equal(batch.views, sampler.batch(step).views)
    assert not threads()


def test_closing_early_leaves_no_thread(sampler):
    ahead = cut_ahead(sampler, 0, 10**9)

    next(ahead)
    running = threads()
    ahead.close()

    assert running
    assert not threads()


def test_blas_has_one_thread_as_long_as_crops_are_cut_side_by_side(sampler):
    with threadpoolctl.threadpool_limits(2, "blas"):
        ahead = cut_ahead(sampler, 0, 10**9)

        next(ahead)
        meanwhile = threads_of_blas()
        ahead.close()

        assert meanwhile == {1}
        assert threads_of_blas() == {2}


def test_an_error_reaches_the_one_who_waits(write_volume, tiny):
    volume = write_volume(np.zeros((40, 48, 56), np.uint8))
    empty = TrainingVolume(volume, volume.box, Normaliser(0.0, 1.0))

    with pytest.raises(DataError, match="had no contrast"):
        list(cut_ahead(PairSampler([empty], tiny, CONFIG), 0, 5))

    assert not threads()
