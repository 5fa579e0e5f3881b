"""Convolution on a CPU: XLA's own against the matrix product, forward and with gradients.

    python -m tests.benchmarks.bench_convolution

Interleaved, best of five, process CPU seconds. The limit is the float32 matrix product, which is
timed in the same run.
"""

import json
import math
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from embed.convolution import _as_matrix_product
from embed.encoder import EncoderConfig

ROUNDS = 5
BLOCKS = 16


def main() -> None:
    """Prints a line per stage of the default encoder, and one JSON object at the end."""
    peak = _peak()
    print(f"matrix product, float32: {peak:.0f} GFLOP/s of CPU time")
    report: dict[str, dict[str, float]] = {}
    for i, (shape, kernel, stride) in enumerate(_stages()):
        figures = _compare(shape, kernel, stride)
        report[f"stage{i}"] = figures
        print(
            f"stage {i} {kernel} stride {stride}: "
            + "  ".join(f"{name} {value:.1f}" for name, value in figures.items())
        )
    print(json.dumps({"matmul_gflops": round(peak, 1), **report}))


def _stages() -> list[tuple[tuple[int, ...], tuple[int, ...], tuple[int, int, int]]]:
    config = EncoderConfig()
    edges, channels, stages = config.voxels((4, 4, 4)), 1, []
    for stage in config.stages:
        stages.append(
            ((BLOCKS, *edges, channels), (*stage.kernel, channels, stage.width), stage.stride)
        )
        edges = tuple(
            (n - k) // s + 1 for n, k, s in zip(edges, stage.kernel, stage.stride, strict=True)
        )
        channels = stage.width
    return stages


def _compare(
    shape: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, int, int]
) -> dict[str, float]:
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=shape), jnp.float32)
    w = jnp.asarray(rng.normal(size=kernel), jnp.float32)
    cells = math.prod(
        (n - k) // s + 1 for n, k, s in zip(shape[1:4], kernel[:3], stride, strict=True)
    )
    flop = 2 * shape[0] * cells * math.prod(kernel)
    programs = {}
    for name, function in (("xla", _xla), ("product", _as_matrix_product)):
        forward = jax.jit(lambda x, w, f=function: f(x, w, stride))
        loss = lambda x, w, f=function: (f(x, w, stride) ** 2).sum()  # noqa: E731
        programs[f"{name}_forward"] = (forward, 1)
        # Nothing asks for the gradient of the voxels themselves.
        of, times = ((1,), 2) if shape[-1] == 1 else ((0, 1), 3)
        programs[f"{name}_gradient"] = (jax.jit(jax.grad(loss, of)), times)
    seconds = _interleaved({name: (lambda p=p: p(x, w)) for name, (p, _) in programs.items()})
    return {
        f"{name}_gflops": round(flop * programs[name][1] / s / 1e9, 1)
        for name, s in seconds.items()
    }


def _xla(x: jax.Array, w: jax.Array, stride: tuple[int, int, int]) -> jax.Array:
    order = ("NDHWC", "DHWIO", "NDHWC")
    return jax.lax.conv_general_dilated(x, w, stride, "VALID", dimension_numbers=order)


def _interleaved(programs: dict[str, Callable[[], object]]) -> dict[str, float]:
    best = dict.fromkeys(programs, math.inf)
    for program in programs.values():
        jax.block_until_ready(program())
    for _ in range(ROUNDS):
        for name, program in programs.items():
            began = time.process_time()
            jax.block_until_ready(program())
            best[name] = min(best[name], time.process_time() - began)
    return best


def _peak() -> float:
    n = 2048
    a = jnp.ones((n, n), jnp.float32)
    product = jax.jit(lambda a: a @ a)
    seconds = _interleaved({"matmul": lambda: product(a)})["matmul"]
    return 2 * n**3 / seconds / 1e9


if __name__ == "__main__":
    main()
