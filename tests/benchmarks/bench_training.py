"""A training step on a CPU against PyTorch: the same network, forward and backward.

    pip install --group bench
    python -m tests.benchmarks.bench_training

Interleaved, process CPU seconds, median of seven pairs. The network is that of the default CPU
preset, on the blocks of one step (8 crops, two views), float32 both; the loss is the mean square of
the features, so that neither side is timed on anything but the network. The limit is the float32
matrix product, timed in the same run. A whole step of voxkin (views, network, loss, update) is
timed too; and cutting and zooming the blocks of a step, with one thread of BLAS, as training does
it, and with as many as BLAS takes.
"""

import dataclasses
import json
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has none

from embed.config import RunConfig, VolumeConfig, load_preset
from embed.encoder import Encoder, EncoderConfig
from embed.training.learner import init_state
from embed.training.sampling import Batch, PairSampler
from embed.training.step import make_train_step
from embed.training.volumes import open_training_volumes
from tests.benchmarks.torch_encoder import TorchEncoder

ROUNDS = 7
_CUT_STEPS = 4


def main() -> None:
    """Prints medians and the ratio, and one JSON object at the end."""
    config = load_preset("demo")
    rng = np.random.default_rng(0)
    size = config.encoder.voxels(config.sampling.places)
    views = rng.normal(size=(2, config.sampling.crops, *size)).astype(np.float32)
    mine, step = _of_jax(config.encoder, views), _whole_step(config, views)
    theirs = _of_torch(config.encoder, views)
    pairs = [(_cpu(mine), _cpu(theirs), _cpu(step)) for _ in range(ROUNDS)]
    one, many = _cutting(1), _cutting(None)
    cuts = [(_cpu(one), _cpu(many)) for _ in range(ROUNDS)]
    flops = _flops(config.encoder, views)
    report = {
        "network_cpu_s": statistics.median(a for a, _, _ in pairs),
        "torch_cpu_s": statistics.median(b for _, b, _ in pairs),
        "vs_torch_f32": statistics.median(b / a for a, b, _ in pairs),
        "step_cpu_s": statistics.median(c for _, _, c in pairs),
        "cut_cpu_s": statistics.median(a for a, _ in cuts) / _CUT_STEPS,
        "cut_blas_threads_cpu_s": statistics.median(b for _, b in cuts) / _CUT_STEPS,
        "gflops": statistics.median(3 * flops / a for a, _, _ in pairs),
        "peak_gflops": _peak(),
    }
    for name, value in report.items():
        print(f"{name:14} {value:.3g}")
    print(json.dumps({name: round(value, 4) for name, value in report.items()}))


def _of_jax(config: EncoderConfig, views: np.ndarray) -> Callable[[], object]:
    graph, params = nnx.split(Encoder(config, rngs=nnx.Rngs(0)), nnx.Param)
    blocks = jnp.asarray(views.reshape(-1, *views.shape[2:]))
    gradient = jax.jit(jax.grad(lambda p, x: jnp.mean(nnx.merge(graph, p).features(x) ** 2)))
    return lambda: jax.block_until_ready(gradient(params, blocks))


def _of_torch(config: EncoderConfig, views: np.ndarray) -> Callable[[], object]:
    network = TorchEncoder(config)
    blocks = torch.from_numpy(views.reshape(-1, *views.shape[2:]))

    def gradient() -> None:
        network.zero_grad()
        (network(blocks) ** 2).mean().backward()

    return gradient


def _whole_step(config: RunConfig, views: np.ndarray) -> Callable[[], object]:
    state, step = init_state(config), make_train_step(config)
    batch = Batch(views, np.arange(views.shape[1], dtype=np.int32))
    return lambda: jax.block_until_ready(step(state, batch))


def _cutting(blas_threads: int | None) -> Callable[[], object]:
    """Cuts the blocks of some steps out of the sample and zooms them."""
    preset = load_preset("pretrained_isotropic")
    config = dataclasses.replace(preset, volumes=(VolumeConfig("sample"),))
    sampler = PairSampler(open_training_volumes(config), config.encoder, config.sampling)

    def cut() -> None:
        with threadpool_limits(blas_threads, "blas"):
            for step in range(_CUT_STEPS):
                sampler.batch(step)

    return cut


def _flops(config: EncoderConfig, views: np.ndarray) -> float:
    """Of one forward pass, in 10^9; multiplications and additions of the products alone."""
    total, edges, channels = 0.0, views.shape[2:], 1
    for stage in config.stages:
        edges = [
            (n - k) // s + 1 for n, k, s in zip(edges, stage.kernel, stage.stride, strict=True)
        ]
        per_cell = np.prod(stage.kernel) * channels * stage.width
        total += np.prod(edges) * (per_cell + 2 * stage.blocks * stage.width**2)
        channels = stage.width
    return 2 * total * views.shape[0] * views.shape[1] / 1e9


def _peak() -> float:
    square = jnp.ones((2048, 2048))
    product = jax.jit(lambda x: x @ x)
    seconds = [_cpu(lambda: jax.block_until_ready(product(square))) for _ in range(ROUNDS)]
    return 2 * 2048**3 / min(seconds[1:]) / 1e9


def _cpu(work: Callable[[], object]) -> float:
    if work not in _WARM:
        work()
        _WARM.append(work)
    start = time.process_time()
    work()
    return time.process_time() - start


_WARM: list[Callable[[], object]] = []

if __name__ == "__main__":
    main()
