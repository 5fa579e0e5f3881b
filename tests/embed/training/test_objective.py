"""Tests of embed/training/objective.py against plain loops."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from embed.angles import unit
from embed.training import objective

N, DIM = 6, 4

# Compiled whole: one by one, every operation would be a program of its own.
alignment, uniformity, contrastive_accuracy = map(
    jax.jit, (objective.alignment, objective.uniformity, objective.contrastive_accuracy)
)
nt_xent = jax.jit(objective.nt_xent, static_argnames=("temperature", "decoupled"))


def of_length_one(vectors):
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(0)
    first = of_length_one(rng.normal(size=(N, DIM)))
    second = of_length_one(first + 0.7 * rng.normal(size=(N, DIM)))
    return jnp.asarray(first), jnp.asarray(second)


@pytest.fixture(scope="module")
def ignored():
    drawn = np.random.default_rng(0).random((N, N)) < 0.3
    return jnp.asarray(drawn | drawn.T)


def loop_loss(a, b, temperature, ignored=None, decoupled=False):
    z = np.concatenate([a, b]).astype(np.float64)
    losses = []
    for i in range(2 * N):
        partner = (i + N) % (2 * N)
        total = 0.0 if decoupled else math.exp(z[i] @ z[partner] / temperature)
        for j in range(2 * N):
            near = ignored is not None and bool(ignored[i % N, j % N])
            if j not in (i, partner) and not near:
                total += math.exp(z[i] @ z[j] / temperature)
        losses.append(math.log(total) - z[i] @ z[partner] / temperature)
    return np.mean(losses)


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
@pytest.mark.parametrize("masked", [False, True])
def test_the_loss_equals_a_plain_loop(pair, ignored, temperature, masked, decoupled):
    mask = ignored if masked else None

    loss = nt_xent(*pair, temperature, ignored=mask, decoupled=decoupled)

    expected = loop_loss(*pair, temperature, mask, decoupled)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_the_diagonal_of_what_is_ignored_does_not_matter(pair, ignored):
    with_it, without = np.array(ignored), np.array(ignored)
    np.fill_diagonal(with_it, True)
    np.fill_diagonal(without, False)

    losses = [nt_xent(*pair, 0.2, ignored=jnp.asarray(mask)) for mask in (with_it, without)]

    assert losses[0] == losses[1]


def accuracy_loop(a, b, ignored=None):
    hits = []
    for queries, others in ((a, b), (b, a)):
        for i in range(N):
            rivals = [j for j in range(N) if j != i and not (ignored is not None and ignored[i, j])]
            hits.append(all(queries[i] @ others[i] > queries[i] @ others[j] for j in rivals))
    return np.mean(hits)


@pytest.mark.parametrize("masked", [False, True])
def test_accuracy_alignment_and_uniformity_equal_plain_loops(pair, ignored, masked):
    a, b = (np.asarray(x, np.float64) for x in pair)
    mask = ignored if masked else None

    accuracy = contrastive_accuracy(*pair, mask)

    assert 0 < accuracy < 1
    np.testing.assert_allclose(accuracy, accuracy_loop(a, b, mask), rtol=1e-6)
    distances = [float(np.sum((x - y) ** 2)) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(alignment(*pair), np.mean(distances), rtol=1e-5)
    pairs = [(i, j) for i in range(N) for j in range(N) if i != j]
    potential = np.mean([math.exp(-2 * np.sum((a[i] - a[j]) ** 2)) for i, j in pairs])
    np.testing.assert_allclose(uniformity(pair[0]), math.log(potential), rtol=1e-5)


@pytest.mark.parametrize("decoupled", [False, True])
def test_swapping_the_views_changes_nothing(pair, ignored, decoupled):
    a, b = pair

    for function in (
        lambda a, b: nt_xent(a, b, 0.2, ignored=ignored, decoupled=decoupled),
        lambda a, b: contrastive_accuracy(a, b, ignored),
        alignment,
    ):
        np.testing.assert_allclose(function(a, b), function(b, a), rtol=1e-6)


def test_rotating_all_embeddings_changes_nothing(pair, ignored):
    a, b = pair
    turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(DIM, DIM)))
    turned = [jnp.asarray(np.asarray(x) @ turn.astype(np.float32)) for x in pair]

    for function in (
        lambda a, b: nt_xent(a, b, 0.2, ignored=ignored),
        lambda a, b: contrastive_accuracy(a, b, ignored),
        alignment,
        lambda a, _: uniformity(a),
    ):
        np.testing.assert_allclose(function(*turned), function(a, b), rtol=1e-4)


def test_the_best_views_have_a_lower_loss_than_shuffled_ones(pair):
    a, _ = pair
    shuffled = jnp.asarray(np.roll(a, 1, axis=0))

    assert nt_xent(a, a, 0.2) < nt_xent(a, shuffled, 0.2)
    assert contrastive_accuracy(a, a) == 1
    assert contrastive_accuracy(a, shuffled) == 0
    assert alignment(a, a) == 0


@pytest.mark.parametrize("decoupled", [False, True])
def test_gradients_are_finite_when_all_embeddings_are_the_same(decoupled):
    same = jnp.full((N, DIM), DIM**-0.5)

    def loss(a, b):
        return nt_xent(unit(a), unit(b), 0.05, decoupled=decoupled)

    value, gradients = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(same, same)

    np.testing.assert_allclose(value, math.log(2 * N - 2 + (not decoupled)), rtol=1e-5)
    assert all(np.isfinite(g).all() for g in gradients)
    np.testing.assert_allclose(uniformity(same), 0, atol=1e-6)


@pytest.mark.parametrize("decoupled", [False, True])
def test_a_small_temperature_does_not_overflow(pair, decoupled):
    function = jax.jit(jax.value_and_grad(lambda a, b: nt_xent(a, b, 1e-3, decoupled=decoupled)))

    loss, gradient = function(*pair)

    assert np.isfinite(loss)
    assert np.isfinite(gradient).all()


def test_the_terms_of_vicreg_equal_plain_loops(pair):
    a, b = (np.asarray(z, np.float64) for z in pair)

    differences = [(x - y) ** 2 for x, y in zip(a.ravel(), b.ravel(), strict=True)]
    short = [max(0.0, 1 - math.sqrt(column.var() + 1e-4)) for column in a.T]
    together = np.cov(a.T)
    others = [together[i, j] ** 2 for i in range(DIM) for j in range(DIM) if i != j]

    np.testing.assert_allclose(objective.invariance(*pair), np.mean(differences), rtol=1e-5)
    np.testing.assert_allclose(objective.variance(pair[0]), np.mean(short), rtol=1e-5)
    np.testing.assert_allclose(objective.covariance(pair[0]), sum(others) / DIM, rtol=1e-5)


def test_a_point_has_finite_gradients_that_no_term_but_variance_minds():
    point = jnp.ones((N, DIM))

    value, gradient = jax.value_and_grad(objective.variance)(point)

    assert value > 0.9
    assert np.isfinite(gradient).all()
    assert objective.invariance(point, point) == objective.covariance(point) == 0
