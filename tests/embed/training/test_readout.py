"""Tests of embed/training/readout.py: what is laid beside what was learnt."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from embed.checkpoint import TrainedEncoder
from embed.encoder import Encoder, network
from embed.training.learner import calibrated, started_from
from embed.training.readout import with_filters, with_length, with_segment
from tests.embed.training.test_learner import features_of, of_length_one

pytestmark = pytest.mark.slow

SCALES = (1.0, 2.0)


@pytest.fixture(scope="module")
def calibrated_run(learnt):
    config, sampler, state, _ = learnt
    views = [sampler.batch(step).views for step in range(4)]
    return config.encoder, calibrated(state.params["encoder"], config.encoder, views), views


def answers_of(shape, views):
    blocks = np.concatenate([v.reshape(-1, *v.shape[2:]) for v in views])
    answers = np.asarray(jax.jit(shape.bank.__call__)(jnp.asarray(blocks)))
    return answers.reshape(-1, answers.shape[-1]).astype(np.float64)


def best_fit(rows, wanted):
    """The share of the variance of each column of `wanted` that lines through `rows` give."""
    rows = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
    given = rows @ np.linalg.lstsq(rows, wanted, rcond=None)[0]
    return 1 - ((wanted - given) ** 2).mean(axis=0) / wanted.var(axis=0)


def test_an_embedding_as_long_knows_what_the_filters_answer(calibrated_run):
    config, params, views = calibrated_run
    before = features_of(config, params, views)

    shape, made = with_filters(params, config, views, SCALES, weight=1.0)

    after = features_of(shape, made, views)
    answers = answers_of(shape, views)
    assert shape.filters == SCALES
    assert after.shape == before.shape
    assert best_fit(after, answers).mean() > best_fit(before, answers).mean() + 0.1
    np.testing.assert_allclose(after.mean(axis=0), 0, atol=1e-3)


def test_no_number_holds_much_more_than_another(calibrated_run):
    config, params, views = calibrated_run

    shape, made = with_filters(params, config, views, SCALES, weight=1.0)

    spread = features_of(shape, made, views).std(axis=0)
    assert spread.max() < 3 * spread.min()


def test_without_weight_cosines_are_those_that_were_learnt(calibrated_run):
    config, params, views = calibrated_run

    shape, made = with_filters(params, config, views, SCALES, weight=1e-6)

    pairs = [of_length_one(features_of(*e, views))[:50] for e in ((config, params), (shape, made))]
    np.testing.assert_allclose(pairs[0] @ pairs[0].T, pairs[1] @ pairs[1].T, atol=1e-3)


def test_the_parameters_given_stay_and_so_do_the_stages(calibrated_run):
    config, params, views = calibrated_run
    before = jax.tree.map(np.array, params)

    _, made = with_filters(params, config, views, SCALES, weight=1.0)

    assert all(map(np.array_equal, jax.tree.leaves(params), jax.tree.leaves(before)))
    named = dict(jax.tree_util.tree_leaves_with_path(made))
    for path, old in jax.tree_util.tree_leaves_with_path(before):
        if "head" not in jax.tree_util.keystr(path):
            np.testing.assert_array_equal(named[path], old)


def test_the_same_views_give_the_same_encoder(calibrated_run):
    config, params, views = calibrated_run

    first, again = (with_filters(params, config, views, SCALES, weight=1.0)[1] for _ in range(2))

    assert all(map(np.array_equal, jax.tree.leaves(first), jax.tree.leaves(again)))


def test_what_it_gives_is_an_encoder_of_its_shape(calibrated_run):
    config, params, views = calibrated_run

    shape, made = with_filters(params, config, views, SCALES, weight=1.0)

    expected = nnx.state(Encoder(shape, rngs=nnx.Rngs(0)), nnx.Param)
    assert jax.tree.structure(made) == jax.tree.structure(expected)
    assert {leaf.dtype for leaf in jax.tree.leaves(made)} == {np.dtype(np.float32)}


@pytest.mark.parametrize("filters", [False, True])
def test_a_constant_keeps_the_length_of_features(calibrated_run, filters):
    shape, params, views = calibrated_run
    if filters:
        shape, params = with_filters(params, shape, views, SCALES, weight=1.0)
    before = features_of(shape, params, views)

    made = with_length(params, shape, views, share=1.0)

    after = features_of(shape, made, views)
    constant = after.mean(axis=0)
    size = np.linalg.norm(constant)
    rest = after - np.outer(after @ constant / size**2, constant)
    lengths = np.linalg.norm(rest, axis=1)
    np.testing.assert_allclose(after @ constant / size, size, rtol=1e-3)  # in every place the same
    np.testing.assert_allclose(size, lengths.mean(), rtol=1e-2)
    least = np.linalg.eigvalsh(np.cov(before.T, ddof=0))[0]
    lost = before.var(axis=0).sum() - after.var(axis=0).sum()
    np.testing.assert_allclose(lost, least, rtol=1e-2)
    # The embedding tells how long the features were.
    kept = of_length_one(after) @ constant / size
    np.testing.assert_allclose(kept, size / np.hypot(size, lengths), rtol=1e-3)


def test_keeping_the_length_leaves_the_parameters_given_as_they_are(calibrated_run):
    config, params, views = calibrated_run
    before = jax.tree.map(np.array, params)

    made = with_length(params, config, views, share=1.0)

    assert jax.tree.structure(made) == jax.tree.structure(params)
    assert all(map(np.array_equal, jax.tree.leaves(params), jax.tree.leaves(before)))
    assert {leaf.dtype for leaf in jax.tree.leaves(made)} == {np.dtype(np.float32)}


@pytest.fixture(scope="module")
def shown_alone(calibrated_run):
    """The same, of views that show what is bright, and 0 around it."""
    config, params, views = calibrated_run
    return config, params, [np.where(view > 0, view, 0).astype(np.float32) for view in views]


def embeddings_of(shape, params, views):
    run = jax.jit(network(shape, params).__call__)
    blocks = np.concatenate([v.reshape(-1, *v.shape[2:]) for v in views])
    return np.asarray(run(jnp.asarray(blocks))).reshape(-1, shape.embedding_dim)


def statistics_of(shape, views):
    blocks = np.concatenate([v.reshape(-1, *v.shape[2:]) for v in views])
    found = np.asarray(jax.jit(shape.segment.__call__)(jnp.asarray(blocks)))
    return found.reshape(-1, found.shape[-1]).astype(np.float64)


@pytest.mark.parametrize("weight", [0.5, 2.0])
def test_segments_that_are_as_bright_and_as_rough_become_more_alike(shown_alone, weight):
    config, params, views = shown_alone
    before = embeddings_of(config, params, views)[::7]
    statistics = statistics_of(config, views)
    apart = (statistics - statistics.mean(axis=0)) / statistics.std(axis=0)

    shape, made = with_segment(params, config, views, weight)

    after = embeddings_of(shape, made, views)[::7]
    differences = apart[::7][:, None] - apart[::7][None]
    alike = (before @ before.T + weight * np.cos(differences).mean(axis=2)) / (1 + weight)
    assert shape == dataclasses.replace(config, statistics=True)
    np.testing.assert_allclose(np.linalg.norm(after, axis=1), 1, atol=1e-5)
    # No more than what there is no room for is lost.
    assert np.corrcoef((after @ after.T).ravel(), alike.ravel())[0, 1] > 0.99
    assert best_fit(after, apart[::7]).mean() > best_fit(before, apart[::7]).mean() + 0.1


def test_segments_are_read_beside_filters_and_length_and_training_starts_without(
    shown_alone, learnt
):
    config, params, views = shown_alone
    shape, wider = with_filters(params, config, views, SCALES, weight=1.0)
    wider = with_length(wider, shape, views, share=1.0)
    before = jax.tree.map(np.array, wider)

    both, made = with_segment(wider, shape, views, weight=0.5)

    assert both.plain == config
    assert all(map(np.array_equal, jax.tree.leaves(wider), jax.tree.leaves(before)))
    expected = nnx.state(Encoder(both, rngs=nnx.Rngs(0)), nnx.Param)
    assert jax.tree.structure(made) == jax.tree.structure(expected)
    assert {leaf.dtype for leaf in jax.tree.leaves(made)} == {np.dtype(np.float32)}
    np.testing.assert_allclose(
        features_of(both, made, views), features_of(shape, wider, views), atol=1e-5
    )
    state = started_from(TrainedEncoder(both, made), learnt[0])
    assert jax.tree.structure(state.params["encoder"]) == jax.tree.structure(params)
