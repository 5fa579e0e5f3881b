"""Tests of embed/reporting/spectrum.py against known spectra and plain loops."""

import numpy as np
import pytest

from embed.reporting.spectrum import mean_cosine, rank_me, spread


def with_spectrum(values, n=60, seed=0):
    """A matrix whose singular values are these."""
    rng = np.random.default_rng(seed)
    left = np.linalg.qr(rng.normal(size=(n, len(values))))[0]
    right = np.linalg.qr(rng.normal(size=(len(values), len(values))))[0]
    return left @ np.diag(values) @ right


@pytest.mark.parametrize("values", [[5, 5, 5, 5], [8, 4, 2, 1], [1, 0, 0, 0], [3, 3, 0, 0]])
def test_the_effective_rank_is_the_entropy_of_the_spectrum(values):
    p = np.array(values) / np.sum(values)
    entropy = -sum(q * np.log(q) for q in p if q > 0)

    assert rank_me(with_spectrum(values)) == pytest.approx(np.exp(entropy), rel=1e-4)


def test_the_effective_rank_equals_that_of_numpys_singular_values():
    z = np.random.default_rng(1).normal(size=(200, 16)) * np.linspace(0.1, 3, 16)
    values = np.linalg.svd(z)[1]
    p = values / values.sum() + 1e-7

    assert rank_me(z) == pytest.approx(np.exp(-np.sum(p * np.log(p))))
    assert rank_me(7 * z) == pytest.approx(rank_me(z))


def test_embeddings_that_are_all_zero_have_no_rank():
    assert rank_me(np.zeros((5, 3))) == 0


def test_the_mean_cosine_equals_a_plain_loop():
    z = np.random.default_rng(2).normal(size=(12, 5)) + 0.5
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    pairs = [unit[i] @ unit[j] for i in range(12) for j in range(12) if i != j]

    assert mean_cosine(z) == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize("same", [np.zeros(4), np.array([1.0, 2.0, 0.0, -1.0])])
def test_places_that_are_all_the_same_have_cosine_one_and_no_spread(same):
    z = np.tile(same, (9, 1))

    assert mean_cosine(z) == pytest.approx(1)
    assert spread(z) == pytest.approx(np.zeros(4))


def test_the_spread_of_even_directions_is_one_and_of_a_dead_dimension_zero():
    z = np.random.default_rng(3).normal(size=(4000, 8))
    dead = z.copy()
    dead[:, 2] = 0

    np.testing.assert_allclose(spread(z), 1, atol=0.05)
    assert spread(dead)[2] == 0
