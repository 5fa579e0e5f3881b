"""Tests of embed/filters.py against scipy, voxel by voxel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from embed.filters import FilterBank

FOV, STRIDE, CELLS = (21, 21, 21), (4, 4, 4), (2, 3, 2)
SHAPE = tuple(f + (c - 1) * s for f, c, s in zip(FOV, CELLS, STRIDE, strict=True))
BANK = FilterBank((10.0, 10.0, 10.0), FOV, STRIDE, scales=(1.0, 2.0))
THICK = FilterBank((45.0, 4.5, 4.5), (3, 21, 21), (1, 4, 4), scales=(2.0,))


@pytest.fixture(scope="module")
def block():
    return np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


@pytest.fixture(scope="module")
def found(block):
    return np.asarray(jax.jit(BANK.__call__)(block[None]))[0]


def at_cells(response):
    return response[tuple(slice(f // 2, None, s) for f, s in zip(FOV, STRIDE, strict=True))][
        tuple(map(slice, CELLS))
    ]


def derivative(block, sigma, *axes):
    order = [axes.count(axis) for axis in range(block.ndim)]
    return sigma ** len(axes) * ndimage.gaussian_filter(block, sigma, order, truncate=10 / sigma)


def eigenvalues_of_hessian(block, sigma):
    hessian = np.empty((*SHAPE, 3, 3), np.float32)
    for a in range(3):
        for b in range(3):
            hessian[..., a, b] = derivative(block, sigma, *sorted((a, b)))
    return np.linalg.eigvalsh(hessian)[..., ::-1]


@pytest.mark.parametrize(("index", "sigma"), [(0, 1.0), (1, 2.0)])
def test_responses_are_those_of_gaussian_derivatives(block, found, index, sigma):
    mine = found[..., index::2]
    mean = derivative(block, sigma)
    slope = np.sqrt(sum(derivative(block, sigma, a) ** 2 for a in range(3)))
    high, middle, low = np.moveaxis(eigenvalues_of_hessian(block, sigma), -1, 0)
    centre = (high + middle + low) / 3
    squares = (high - centre) ** 2 + (middle - centre) ** 2 + (low - centre) ** 2
    skew = (high - centre) * (middle - centre) * (low - centre) / (squares / 3 + 2e-6)
    expected = [mean, slope, 3 * centre, np.sqrt(squares / 6), skew]

    assert BANK.count == 2 * len(expected)
    for k, response in enumerate(expected):
        np.testing.assert_allclose(mine[..., k], at_cells(response), atol=0.02)


def test_of_thick_sections_the_difference_between_two_eigenvalues_is_left():
    block = np.random.default_rng(0).normal(size=(3, 21, 21)).astype(np.float32)

    *_, laplacian, spread = np.asarray(THICK(jnp.asarray(block[None])))[0, 0, 0, 0]

    section = ndimage.gaussian_filter(block, (0.3, 0, 0), truncate=4, mode="nearest")[1]
    two = [[derivative(section, 2.0, *sorted((a, b))) for b in range(2)] for a in range(2)]
    low, high = np.linalg.eigvalsh(np.array(two)[..., 10, 10])
    np.testing.assert_allclose([laplacian, spread], [low + high, (high - low) / 2], atol=0.02)


def test_responses_turn_with_the_block(block, found):
    """Every response is one of the place, whichever way the block lies."""
    turned = jax.jit(BANK.__call__)(block[None, ::-1, :, ::-1])[0]

    np.testing.assert_allclose(turned[::-1, :, ::-1], found, atol=1e-4)


def test_a_constant_has_a_mean_and_nothing_else():
    flat = np.asarray(BANK(jnp.full((1, *SHAPE), 1.5)))

    mean, rest = np.split(flat, [2], axis=-1)
    np.testing.assert_allclose(mean, 1.5, atol=1e-4)
    np.testing.assert_allclose(rest, 0, atol=5e-3)


def test_across_thick_sections_no_derivative_is_taken():
    rng = np.random.default_rng(0)
    sections = rng.normal(size=(4, 1, 1)) * np.ones((4, 25 + 4, 25))

    found = np.asarray(THICK(jnp.asarray(sections[None], jnp.float32)))

    assert THICK.axes == (1, 2)
    assert found.shape == (1, 2, 3, 2, THICK.count) == (1, 2, 3, 2, 4)
    np.testing.assert_allclose(found[..., 1:], 0, atol=5e-3)
    # A Gaussian of 9 nm is narrower than a section of 45: the section alone is seen.
    np.testing.assert_allclose(found[0, :, 0, 0, 0], sections[1:3, 0, 0], atol=0.02)


def test_gradients_are_finite_where_nothing_changes():
    gradient = jax.grad(lambda x: jnp.sum(BANK(x)))(jnp.zeros((1, *SHAPE)))

    assert np.isfinite(gradient).all()


def test_a_block_of_more_fields_of_view_gives_the_same(block, found):
    one = np.asarray(BANK(jnp.asarray(block[None, 4:, 8:, :21])))

    np.testing.assert_allclose(one[0, 0, 0, 0], found[1, 2, 0], atol=1e-6)


@pytest.mark.parametrize("bank", [BANK, THICK], ids=["cubic", "thick"])
def test_means_alone_are_the_first_responses(bank):
    cells = (2, 3, 2)
    shape = tuple(f + (c - 1) * s for f, c, s in zip(bank.fov, cells, bank.stride, strict=True))
    blocks = np.random.default_rng(3).normal(size=(2, *shape)).astype(np.float32)

    alone, all_of_them = (np.asarray(jax.jit(f)(blocks)) for f in (bank.means, bank.__call__))

    assert alone.shape == (2, *cells, len(bank.scales))
    np.testing.assert_allclose(alone, all_of_them[..., : len(bank.scales)], atol=1e-6)
