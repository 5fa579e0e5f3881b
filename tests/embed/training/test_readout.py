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
from embed.training.readout import Tones, with_angles, with_filters, with_length
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


def rows_of(function, views):
    blocks = np.concatenate([v.reshape(-1, *v.shape[2:]) for v in views])
    found = np.asarray(jax.jit(function)(jnp.asarray(blocks)))
    return found.reshape(-1, found.shape[-1])


def numbers_of(shape, views):
    """What is read as angles, of zero mean and unit deviation."""
    found = [rows_of(shape.tone_bank.means, views)] if shape.tones else []
    found += [rows_of(shape.segment.__call__, views)] if shape.statistics else []
    rows = np.concatenate(found, axis=1).astype(np.float64)
    return (rows - rows.mean(axis=0)) / rows.std(axis=0)


@pytest.mark.parametrize(
    ("tones", "segment", "read", "turns"),
    [
        (Tones((1.0,), 0.5), 0.0, ((1.0,), False), [1.5]),
        (Tones((1.0, 2.0, 3.0), 1.0), 0.0, ((1.0, 2.0), False), [1.5, 1.5]),
        (Tones((1.0,), 0.0), 0.5, ((), True), [1, 1]),
        (Tones((1.0, 2.0), 0.5), 2.0, ((), True), [1, 1]),
    ],
    ids=["a tone", "more than there is room for", "segments", "segments before tones"],
)
def test_places_of_like_numbers_become_more_alike(shown_alone, tones, segment, read, turns):
    config, params, views = shown_alone
    before = rows_of(network(config, params).__call__, views)[::7]

    shape, made = with_angles(params, config, views, tones, segment)

    assert shape == dataclasses.replace(config, tones=read[0], statistics=read[1])
    after = rows_of(network(shape, made).__call__, views)[::7]
    angles = numbers_of(shape, views)[::7] * turns
    own = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    # They have the last numbers for themselves, and weigh there what they were given.
    last = after[:, -own.shape[1] :]
    np.testing.assert_allclose(np.linalg.norm(after, axis=1), 1, atol=1e-5)
    for column, angle in zip(last.T, own.T, strict=True):
        assert np.corrcoef(column, angle)[0, 1] > 0.95
    weight = segment if read[1] else tones.weight
    share = (last**2).sum(axis=1) / (1 - (last**2).sum(axis=1))
    # Of what there was some is lost where numbers made room: then theirs weigh more.
    assert weight * 0.99 < np.median(share) < 3 * weight
    assert best_fit(after, angles).mean() > best_fit(before, angles).mean()


def test_what_there_was_stays_nearly_as_it_was(shown_alone):
    config, params, views = shown_alone
    rows = rows_of(network(config, params).__call__, views)

    shape, made = with_angles(params, config, views, Tones((1.0,), 1e-8), 0.0)

    after = rows_of(network(shape, made).__call__, views)
    kept = np.linalg.eigvalsh(rows.T.astype(float) @ rows)[2:].sum() / len(rows)
    assert np.square(after[:, :-2]).sum() / len(rows) == pytest.approx(1, abs=1e-4)
    cosines = (rows[:, :-2] * after[:, :-2]).sum(axis=1) / np.linalg.norm(rows[:, :-2], axis=1)
    assert np.median(cosines) > 0.9
    assert kept > 0.9


def test_nothing_is_read_without_weight(shown_alone):
    config, params, views = shown_alone

    shape, made = with_angles(params, config, views, Tones((1.0,), 0.0), 0.0)

    assert shape == config
    assert made is params


def test_angles_are_read_beside_filters_and_length_and_training_starts_without(shown_alone, learnt):
    config, params, views = shown_alone
    shape, wider = with_filters(params, config, views, SCALES, weight=1.0)
    wider = with_length(wider, shape, views, share=1.0)
    before = jax.tree.map(np.array, wider)

    both, made = with_angles(wider, shape, views, Tones((2.0,), 0.1), 0.0)

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
