"""Tests of embed/training/noise.py: cheap random numbers, random enough for images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from embed.training.noise import happens, seeds, signed, uniform, white, words

SHAPE = (64, 64, 64)
COUNT = 64**3


def seed_of(*halves):
    return jnp.asarray(halves, jnp.uint32)


@pytest.fixture(scope="module")
def grain():
    return np.asarray(white(seed_of(1, 2), SHAPE)).astype(np.float64)


def test_words_are_the_hash_of_a_counter():
    first, second = 0xFFFFFFF0, 0x12345678

    found = np.asarray(words(seed_of(first, second), (5, 4, 3)))

    x = (np.arange(60, dtype=np.uint64) + first) % 2**32
    x = ((x ^ (x >> 17)) * 0xED5AD4BB) % 2**32 ^ second
    x = ((x ^ (x >> 11)) * 0xAC4C1B51) % 2**32
    x = ((x ^ (x >> 15)) * 0x31848BAB) % 2**32
    np.testing.assert_array_equal(found, (x ^ (x >> 14)).reshape(5, 4, 3))


def test_every_byte_of_the_words_is_uniform():
    found = np.asarray(words(seed_of(1, 2), SHAPE)).view(np.uint8).reshape(-1, 4)

    expected = COUNT / 256
    for byte in found.T:
        chi_squared = ((np.bincount(byte, minlength=256) - expected) ** 2 / expected).sum()
        assert 150 < chi_squared < 380  # 255 expected, deviation 22.6


def test_uniform_numbers_fill_their_range_evenly():
    found = np.asarray(uniform(seed_of(1, 2), SHAPE)).astype(np.float64)

    assert 0 <= found.min() < 1e-4
    assert 1 - 1e-4 < found.max() < 1
    assert abs(found.mean() - 1 / 2) < 4 / np.sqrt(12 * COUNT)
    assert abs(found.var() - 1 / 12) < 1e-3
    np.testing.assert_allclose(signed(seed_of(1, 2), SHAPE), 2 * found - 1, atol=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_what_has_a_probability_happens_that_often(share):
    found = np.asarray(happens(seed_of(1, 2), share, SHAPE))

    assert set(np.unique(found)) <= {0.0, 1.0}
    assert abs(found.mean() - share) <= 4 * np.sqrt(share * (1 - share) / COUNT)


def test_white_noise_has_the_moments_of_the_sum_of_four_bytes(grain):
    assert abs(grain.mean()) < 4 / np.sqrt(COUNT)
    assert abs(grain.var() - 1) < 0.01
    assert abs((grain**3).mean()) < 0.02
    assert abs((grain**4).mean() - 2.7) < 0.05
    assert np.abs(grain).max() < 3.46


@pytest.mark.parametrize("lag", [1, 2, 57, 64, 256, 4096, 32768])
def test_voxels_are_independent_of_those_at_any_distance(grain, lag):
    flat = grain.ravel()

    for powered in (flat, flat**2 - 1):
        product = powered[:-lag] * powered[lag:]
        assert abs(product.mean()) < 4.5 * product.std() / np.sqrt(product.size)


def test_no_wave_stands_out_of_white_noise(grain):
    power = np.abs(np.fft.rfftn(grain)) ** 2 / COUNT

    # Of normal numbers the power is distributed exponentially: log(COUNT) = 12.5 is the largest.
    assert power.max() < 22
    assert abs(np.median(power) - np.log(2)) < 0.02


@pytest.mark.parametrize("other", [(1, 3), (2, 2), (1 ^ 2**31, 2), (1, 2 ^ 2**31)])
def test_seeds_that_differ_in_one_bit_give_other_noise(grain, other):
    found = np.asarray(white(seed_of(*other), SHAPE))

    assert abs((grain * found).mean()) < 4.5 / np.sqrt(COUNT)


def test_seeds_are_a_function_of_the_key_and_all_differ():
    first, again, other = (np.asarray(seeds(jax.random.key(n), 16)) for n in (0, 0, 1))

    np.testing.assert_array_equal(first, again)
    assert len(np.unique(np.concatenate([first, other]))) == 64
