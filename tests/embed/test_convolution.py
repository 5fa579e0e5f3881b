"""Tests of embed/convolution.py against XLA's own convolution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from embed import convolution
from embed.convolution import _as_matrix_product, convolve

CASES = [
    # batch, voxels, kernel, stride, channels, width
    (1, (5, 6, 7), (1, 1, 1), (1, 1, 1), 3, 4),
    (2, (7, 6, 5), (3, 3, 3), (1, 1, 1), 2, 3),
    (2, (9, 9, 9), (3, 3, 3), (2, 2, 2), 1, 4),
    (1, (10, 9, 8), (2, 3, 4), (3, 2, 1), 2, 2),
    (1, (4, 11, 11), (1, 5, 5), (1, 4, 4), 1, 3),
    (1, (5, 5, 5), (5, 5, 5), (4, 4, 4), 1, 2),
    (3, (6, 7, 8), (2, 2, 2), (4, 3, 5), 2, 2),
]


def xla(x, kernel, stride):
    dimensions = ("NDHWC", "DHWIO", "NDHWC")
    return jax.lax.conv_general_dilated(x, kernel, stride, "VALID", dimension_numbers=dimensions)


def arrays(case):
    batch, voxels, kernel, stride, channels, width = case
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, *voxels, channels)).astype(np.float32)
    weights = rng.normal(size=(*kernel, channels, width)).astype(np.float32)
    return jnp.asarray(x), jnp.asarray(weights), stride


def compiled(function, stride):
    """Compiled whole: one by one, every slice would be a program of its own."""
    return jax.jit(lambda x, kernel: function(x, kernel, stride))


@pytest.fixture(params=[1, 1500, 2**21], ids="{} bytes at once".format)
def at_once(request, monkeypatch):
    """One block at a time, a few, all of them."""
    monkeypatch.setattr(convolution, "_AT_ONCE", request.param)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("case", CASES)
def test_the_matrix_product_equals_the_convolution_of_xla(case):
    x, kernel, stride = arrays(case)

    ours = compiled(_as_matrix_product, stride)(x, kernel)

    expected = compiled(xla, stride)(x, kernel)
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("case", [*CASES[1:4], CASES[6]])
def test_its_gradients_equal_those_of_xla(case):
    x, kernel, stride = arrays(case)

    def gradients(function):
        return jax.jit(
            jax.grad(lambda x, k: jnp.sum(jnp.sin(function(x, k, stride))), argnums=(0, 1))
        )(x, kernel)

    ours = gradients(_as_matrix_product)

    expected = gradients(xla)
    for a, b in zip(ours, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("backend", ["gpu", "tpu"])
def test_whatever_the_backend_the_answer_is_the_same(backend, monkeypatch):
    x, kernel, stride = arrays(CASES[3])
    here = compiled(convolve, stride)(x, kernel)

    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    there = compiled(convolve, stride)(x, kernel)

    np.testing.assert_allclose(here, there, rtol=1e-4, atol=1e-5)


def test_it_computes_in_the_type_of_its_input():
    x, kernel, stride = arrays(CASES[1])

    halved = compiled(convolve, stride)(x.astype(jnp.bfloat16), kernel)

    assert halved.dtype == jnp.bfloat16
    exact = compiled(xla, stride)(x, kernel)
    np.testing.assert_allclose(np.asarray(halved, np.float32), exact, atol=0.3)


def test_gradients_of_halved_numbers_are_summed_as_whole_ones(monkeypatch):
    monkeypatch.setattr(convolution, "_AT_ONCE", 1)
    x, kernel = jnp.ones((512, 2, 2, 2, 1), jnp.bfloat16), jnp.ones((2, 2, 2, 1, 1))

    gradient = jax.jit(jax.grad(lambda kernel: convolve(x, kernel).sum().astype(jnp.float32)))

    np.testing.assert_array_equal(gradient(kernel), 512)
