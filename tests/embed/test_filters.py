"""Tests of embed/filters.py against scipy, voxel by voxel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from embed.filters import FilterBank

FOV, STRIDE, PLACES = (21, 21, 21), (4, 4, 4), (2, 3, 2)
SHAPE = tuple(f + (p - 1) * s for f, p, s in zip(FOV, PLACES, STRIDE, strict=True))
BANK = FilterBank((10.0, 10.0, 10.0), FOV, STRIDE, PLACES, scales=(1.0, 2.0))
THICK = FilterBank((45.0, 4.5, 4.5), (3, 21, 21), (1, 4, 4), (2, 3, 2), scales=(2.0,))


@pytest.fixture(scope="module")
def block():
    return np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


@pytest.fixture(scope="module")
def found(block):
    return np.asarray(jax.jit(BANK.__call__)(block[None]))[0]


def at_places(response):
    return response[tuple(slice(f // 2, None, s) for f, s in zip(FOV, STRIDE, strict=True))][
        tuple(map(slice, PLACES))
    ]


def derivative(block, sigma, *axes):
    order = [axes.count(axis) for axis in range(3)]
    return sigma ** len(axes) * ndimage.gaussian_filter(block, sigma, order, truncate=10 / sigma)


@pytest.mark.parametrize(("index", "sigma"), [(0, 1.0), (1, 2.0)])
def test_responses_are_those_of_gaussian_derivatives(block, found, index, sigma):
    per_scale = BANK.count // 2
    mine = found[..., index * per_scale : (index + 1) * per_scale]
    mean = derivative(block, sigma)
    slope = np.sqrt(sum(derivative(block, sigma, a) ** 2 for a in range(3)))
    deviation = np.sqrt(np.maximum(derivative(block**2, sigma) - mean**2, 0))
    hessian = np.empty((*SHAPE, 3, 3), np.float32)
    for a in range(3):
        for b in range(3):
            hessian[..., a, b] = derivative(block, sigma, *sorted((a, b)))
    eigenvalues = np.linalg.eigvalsh(hessian)[..., ::-1]
    expected = [mean, slope, deviation, np.trace(hessian, axis1=-2, axis2=-1)]
    expected += [eigenvalues[..., i] for i in range(3)]

    for k, response in enumerate(expected):
        np.testing.assert_allclose(mine[..., k], at_places(response), atol=0.02)


def test_responses_turn_with_the_block(block, found):
    """Every response is one of the place, whichever way the block lies."""
    turned = jax.jit(BANK.__call__)(block[None, ::-1, :, ::-1])[0]

    np.testing.assert_allclose(turned[::-1, :, ::-1], found, atol=1e-4)


def test_a_constant_has_a_mean_and_nothing_else():
    flat = np.asarray(BANK(jnp.full((1, *SHAPE), 1.5)))

    per_scale = flat.reshape(-1, 2, BANK.count // 2)
    np.testing.assert_allclose(per_scale[..., 0], 1.5, atol=1e-4)
    np.testing.assert_allclose(per_scale[..., 1:], 0, atol=5e-3)


def test_across_thick_sections_no_derivative_is_taken():
    rng = np.random.default_rng(0)
    sections = rng.normal(size=(4, 1, 1)) * np.ones((4, 25 + 4, 25))

    found = np.asarray(THICK(jnp.asarray(sections[None], jnp.float32)))

    assert THICK.axes == (1, 2)
    assert found.shape == (1, 2, 3, 2, THICK.count) == (1, 2, 3, 2, 6)
    np.testing.assert_allclose(found[..., [1, 3, 4, 5]], 0, atol=5e-3)
    # A Gaussian of 9 nm is narrower than a section of 45: the section alone is seen.
    np.testing.assert_allclose(found[0, :, 0, 0, 0], sections[1:3, 0, 0], atol=0.02)


def test_gradients_are_finite_where_nothing_changes():
    gradient = jax.grad(lambda x: jnp.sum(BANK(x)))(jnp.zeros((1, *SHAPE)))

    assert np.isfinite(gradient).all()
