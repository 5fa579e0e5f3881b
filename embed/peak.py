"""The most that this machine computes: the speed of a large matrix product, measured."""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

# Large enough that a product is limited by arithmetic; some 0.1 s on a core.
_EDGE_CPU = 1536
_EDGE_ACCELERATOR = 8192
_ROUNDS = 4


def peak_flops(precision: str = "float32") -> float:
    """Operations per second, with all threads or on the first accelerator.

    On a CPU it is NumPy's product, in float32 always: a processor with bfloat16 instructions may
    exceed it twofold with them.

    Args:
        precision: of the product on an accelerator.
    """
    if jax.default_backend() == "cpu":
        edge = _EDGE_CPU
        factor = np.full((edge, edge), 0.5, np.float32)
        seconds = min(_timed(lambda: factor @ factor) for _ in range(_ROUNDS))
    else:
        edge = _EDGE_ACCELERATOR
        placed = jnp.full((edge, edge), 0.5, precision)
        product = jax.jit(lambda x: x @ x)
        product(placed).block_until_ready()
        seconds = min(_timed(lambda: product(placed).block_until_ready()) for _ in range(_ROUNDS))
    return 2 * edge**3 / seconds


def _timed(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
