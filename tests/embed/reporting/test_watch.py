"""Tests of embed/reporting/watch.py: what is healthy and what has collapsed."""

import jax
import numpy as np
import pytest

from embed.checkpoint import random_encoder
from embed.reporting.watch import Embedder, look_at

DIM = 16


def features(seed=0, n=300):
    return np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32)


def test_features_in_all_directions_are_healthy():
    seen = look_at(features())

    assert seen.collapse is None
    assert seen.figures["rank_me"] > 15
    assert abs(seen.figures["cosine"]) < 0.05
    np.testing.assert_allclose(np.linalg.norm(seen.rows, axis=1), 1, rtol=1e-5)


def test_a_large_common_part_is_healthy_because_calibration_takes_it_away():
    seen = look_at(features() + 5)

    assert seen.figures["cosine"] > 0.95
    assert seen.collapse is None


@pytest.mark.parametrize("noise", [0, 1e-3])
def test_features_that_are_all_the_same_have_collapsed(noise):
    seen = look_at((noise * features() + 1).astype(np.float32))

    assert "all places have nearly the same features" in seen.collapse


def test_features_along_one_line_have_collapsed():
    along = np.random.default_rng(1).normal(size=(300, 1)) * np.linspace(1, 2, DIM)

    seen = look_at(along.astype(np.float32))

    assert "along one direction (effective rank 1.00 of 16)" in seen.collapse


def test_two_independent_directions_are_not_yet_collapse():
    plane = np.random.default_rng(1).normal(size=(300, 2)) @ np.random.default_rng(2).normal(
        size=(2, DIM)
    )

    assert look_at(plane.astype(np.float32)).collapse is None


def test_other_places_are_calibrated_alike():
    seen = look_at(features())

    np.testing.assert_array_equal(seen.like(features()), seen.rows)


def test_places_are_embedded_as_the_encoder_does_however_many_blocks_there_are(tiny):
    encoder = random_encoder(tiny)
    blocks = np.random.default_rng(0).normal(size=(19, *tiny.voxels((2, 2, 2)))).astype(np.float32)

    found = Embedder(tiny).features(encoder.params, blocks)

    rows = found / np.linalg.norm(found, axis=1, keepdims=True)
    expected = np.asarray(encoder.apply(jax.numpy.asarray(blocks))).reshape(-1, tiny.embedding_dim)
    np.testing.assert_allclose(rows, expected, atol=1e-5)


def test_a_constant_encoder_has_collapsed(tiny):
    encoder = random_encoder(tiny)
    constant = jax.tree.map(lambda leaf: leaf * 0 if leaf.ndim > 1 else leaf + 1, encoder.params)
    blocks = np.random.default_rng(0).normal(size=(4, *tiny.voxels((2, 2, 2)))).astype(np.float32)

    seen = look_at(Embedder(tiny).features(constant, blocks))

    assert seen.collapse is not None
    assert seen.figures["spread"] == pytest.approx(0, abs=1e-5)
