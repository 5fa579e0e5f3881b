"""Valid 3D convolution, written so that each backend runs it on its fast path."""

import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from embed.geometry import Zyx

# Bytes of windows that are gathered at once. On a CPU they are multiplied in the cache two to three
# times as fast as in memory (see tests/benchmarks/bench_convolution.py); a GPU wants to be filled.
_AT_ONCE = 2 * 2**20
_AT_ONCE_ON_GPU = 2**30
_PAGE, _SPARE = 4096, 16


def convolve(
    x: Float[Array, "batch z y x channel"],
    kernel: Float[Array, "kz ky kx channel width"],
    stride: Zyx = (1, 1, 1),
) -> Float[Array, "batch oz oy ox width"]:
    """Convolves without padding: `o = (n - k) // stride + 1` cells per axis.

    Compute runs in the type of `x`; the kernel is cast to it.
    """
    kernel = kernel.astype(x.dtype)
    if jax.default_backend() != "tpu":
        return _as_matrix_product(x, kernel, stride)
    return jax.lax.conv_general_dilated(
        x, kernel, stride, "VALID", dimension_numbers=("NDHWC", "DHWIO", "NDHWC")
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _as_matrix_product(x: Array, kernel: Array, stride: Zyx) -> Array:
    """The same by gathering each window into a row and multiplying, some of them at a time.

    XLA's own 3D convolution runs at 2-52 GFLOP per CPU second and its gradients at 1-26, this at
    21-75 and 19-74 on the same stages of the default encoder. The gradient gathers again what it
    needs, which is cheaper than to keep it.
    """
    parts = _parts(x, kernel, stride)
    fit = _bytes(x, kernel, stride) <= _at_once()
    multiply = functools.partial(_multiplied if fit else _by_planes, kernel=kernel, stride=stride)
    cells = jax.lax.map(multiply, parts)
    return cells.reshape(len(x), *cells.shape[2:])


def _multiplied(x: Array, kernel: Array, stride: Zyx) -> Array:
    return _windows(x, kernel, stride) @ kernel.reshape(-1, kernel.shape[-1])


def _by_planes(x: Array, kernel: Array, stride: Zyx) -> Array:
    """The same, a plane of cells at a time."""
    depth = kernel.shape[0]

    def plane(first: Array) -> Array:
        slab = jax.lax.dynamic_slice_in_dim(x, first, depth, axis=1)
        return _multiplied(slab, kernel, stride)[:, 0]

    planes = jax.lax.map(plane, jnp.arange(0, x.shape[1] - depth + 1, stride[0]))
    return jnp.moveaxis(planes, 0, 1)


def _forward(x: Array, kernel: Array, stride: Zyx) -> tuple[Array, tuple[Array, Array]]:
    return _as_matrix_product(x, kernel, stride), (x, kernel)


def _backward(stride: Zyx, seen: tuple[Array, Array], slope: Array) -> tuple[Array, Array]:
    """Gradients of blocks and kernel from that of the cells."""
    x, kernel = seen
    weights, parts = kernel.reshape(-1, kernel.shape[-1]), _parts(x, kernel, stride)

    def add(total: Array, part: tuple[Array, Array]) -> tuple[Array, Array]:
        blocks, slope = part
        windows, scatter = jax.vjp(lambda blocks: _windows(blocks, kernel, stride), blocks)
        rows, slopes = (value.reshape(-1, value.shape[-1]) for value in (windows, slope))
        rows = jnp.pad(rows, ((0, 0), (0, spare)))
        total += jnp.matmul(slopes.T, rows, preferred_element_type=total.dtype)
        return total, scatter((slopes @ weights.T).reshape(windows.shape))[0]

    # Rows as long as a page all begin in the same few sets of the cache: half as fast.
    spare = _SPARE if len(weights) * x.dtype.itemsize % _PAGE == 0 else 0
    shape = weights.shape[1], len(weights) + spare
    nothing = jnp.zeros(shape, jnp.promote_types(x.dtype, jnp.float32))
    slopes = slope.reshape(*parts.shape[:2], *slope.shape[1:])
    total, found = jax.lax.scan(add, nothing, (parts, slopes))
    gradient = total[:, : len(weights)].T.reshape(kernel.shape)
    return found.reshape(x.shape), gradient.astype(kernel.dtype)


_as_matrix_product.defvjp(_forward, _backward)


def _parts(x: Array, kernel: Array, stride: Zyx) -> Float[Array, "part block z y x channel"]:
    """The blocks in equal parts whose windows stay in the cache, or one by one."""
    most = max(1, _at_once() // _bytes(x, kernel, stride))
    size = next(n for n in range(min(most, len(x)), 0, -1) if len(x) % n == 0)
    return x.reshape(-1, size, *x.shape[1:])


def _at_once() -> int:
    return _AT_ONCE if jax.default_backend() == "cpu" else _AT_ONCE_ON_GPU


def _bytes(x: Array, kernel: Array, stride: Zyx) -> int:
    """Of the windows of one block."""
    edges = zip(x.shape[1:4], kernel.shape[:3], stride, strict=True)
    windows = math.prod((n - k) // s + 1 for n, k, s in edges)
    return windows * math.prod(kernel.shape[:4]) * x.dtype.itemsize


def _windows(x: Array, kernel: Array, stride: Zyx) -> Array:
    """Each window as a row.

    Gathering axis by axis gives the same rows as all windows at once, from a graph of a tenth of
    the size that compiles in a tenth of the time.
    """
    for axis in (3, 2, 1):
        n, k, s = x.shape[axis], kernel.shape[axis - 1], stride[axis - 1]
        last = (n - k) // s * s
        parts = [jax.lax.slice_in_dim(x, a, a + last + 1, s, axis) for a in range(k)]
        x = jnp.concatenate(parts, axis=-1)
    return x
