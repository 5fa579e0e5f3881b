"""Tests of embed/training/learner.py: the first state, and what the head gets at the end."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from embed.encoder import Encoder
from embed.training.learner import calibrated, init_state, standardised


def test_the_seed_decides_the_first_parameters(tiny_run):
    other = dataclasses.replace(tiny_run, sampling=dataclasses.replace(tiny_run.sampling, seed=1))

    states = [init_state(config) for config in (tiny_run, tiny_run, other)]

    leaves = [[np.asarray(leaf) for leaf in jax.tree.leaves(s.params)] for s in states]
    assert all(map(np.array_equal, leaves[0], leaves[1]))
    assert not all(map(np.array_equal, leaves[0], leaves[2]))


def test_features_are_standardised_over_all_places_of_both_views():
    drawn = np.random.default_rng(0).normal(3, [1, 5, 0.1, 0], size=(2, 200, 4))

    features = np.asarray(standardised(jnp.asarray(drawn.astype(np.float32))))

    np.testing.assert_allclose(features.mean(axis=(0, 1)), 0, atol=1e-4)
    np.testing.assert_allclose(features.std(axis=(0, 1)), [1, 1, 1, 0], atol=1e-2)


def features_of(config, params, views):
    graph, _ = nnx.split(nnx.eval_shape(lambda: Encoder(config, rngs=nnx.Rngs(0))), nnx.Param)
    run = jax.jit(lambda blocks: nnx.merge(graph, params).features(blocks))
    blocks = np.concatenate([v.reshape(-1, *v.shape[2:]) for v in views])
    return np.asarray(run(jnp.asarray(blocks))).reshape(-1, config.embedding_dim)


def test_a_calibrated_encoder_has_features_of_zero_mean_and_unit_deviation(learnt):
    config, sampler, state, _ = learnt
    views = [sampler.batch(step).views for step in range(4)]
    raw = features_of(config.encoder, state.params["encoder"], views)

    params = calibrated(state.params["encoder"], config.encoder, views)

    found = features_of(config.encoder, params, views)
    assert np.abs(raw.mean(axis=0)).max() > 0.05
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(found.std(axis=0), 1, atol=1e-2)
    # Cosines are those that training compared: of the standardised features.
    pair = jnp.asarray(np.stack([raw, raw]))
    expected = of_length_one(np.asarray(standardised(pair))[0])
    np.testing.assert_allclose(of_length_one(found), expected, atol=1e-3)


def of_length_one(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_calibrating_changes_the_head_alone_and_not_what_it_was_given(learnt):
    config, sampler, state, _ = learnt
    before = jax.tree.map(np.array, state.params["encoder"])

    params = calibrated(state.params["encoder"], config.encoder, [sampler.batch(0).views])

    given = jax.tree_util.tree_leaves_with_path(state.params["encoder"])
    changed = set()
    rows = zip(given, jax.tree.leaves(before), jax.tree.leaves(params), strict=True)
    for (path, now), old, new in rows:
        np.testing.assert_array_equal(now, old)
        if not np.array_equal(new, old):
            changed.add(jax.tree_util.keystr(path))
    assert changed == {"['head']['kernel'].value", "['head']['bias'].value"}
