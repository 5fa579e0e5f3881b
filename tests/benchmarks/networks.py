"""A network over one block: dense, field of view by field of view, and in PyTorch and XLA."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from embed import operations
from embed.backends import openvino
from embed.backends.backend import Backend
from embed.backends.openvino import OpenVinoBackend
from embed.backends.xla import XlaBackend
from embed.checkpoint import TrainedEncoder, random_encoder
from embed.dense import block_shape
from embed.encoder import EncoderConfig, Stage
from embed.geometry import Zyx
from embed.threads import threads
from tests.benchmarks.timing import PEAK, PRODUCT_OPERATIONS, in_turn, product
from tests.benchmarks.torch_encoder import torch_encoder

BATCH = 128
# Per axis: where a block is far larger than its halo.
_ENDLESS = (1000,) * 3
_3, _2 = (3,) * 3, (2,) * 3

DEEP = EncoderConfig(
    stages=(
        Stage(64, (5, 5, 5), _2),
        Stage(64, _3),
        Stage(64, _3),
        Stage(128, _3, _2),
        Stage(128, _3),
        Stage(128, _3),
        Stage(256, _3, _2),
        Stage(256, _3),
    ),
    read=(7,),
)
"""A deeper network that sees 57 voxels and steps 8, with most of its work at 4 and 8 voxels."""


def deep() -> TrainedEncoder:
    """The deeper network, with random parameters: time does not depend on them."""
    return random_encoder(DEEP)


def compare(
    encoder: TrainedEncoder, tissue: Callable[[Zyx], np.ndarray], *, rounds: int, patches: int
) -> dict[str, Any]:
    """Costs of a location in every way, the least of some rounds, and how far results differ.

    Args:
        encoder: the network.
        tissue: normalised voxels of a shape.
        rounds: how often each way is timed.
        patches: fields of view to embed one by one, in batches of 128; the rest cost the same.
    """
    cells = block_shape(encoder, encoder.stride)
    block = tissue(encoder.config.voxels(cells))
    mine = OpenVinoBackend(encoder, "float32")
    ways = _ways(encoder, mine, block)
    picked = np.random.default_rng(0).permutation(int(np.prod(cells)))[:patches]
    results = {name: way().reshape(-1, encoder.embedding_dim) for name, way in ways.items()}
    batches = _fields(encoder, block, picked)
    ways["patch"] = lambda: np.concatenate([mine(batch)[:, 0, 0, 0] for batch in batches])
    results["patch"] = ways["patch"]()
    limit = product()
    works = {name: work for way in ways for name, work in ((way, ways[way]), (PEAK + way, limit))}
    best = {name: min(seconds) for name, seconds in in_turn(works, rounds).items()}
    peak = PRODUCT_OPERATIONS / min(best.pop(PEAK + way) for way in ways)
    costs = {name: 1e6 * s / len(results[name]) for name, s in best.items()}
    far = {name: _apart(results, name, picked) for name in results if name != "dense"}
    return _figures(encoder, cells, costs, far, peak)


def _figures(
    encoder: TrainedEncoder, cells: Zyx, costs: dict[str, float], far: dict[str, float], peak: float
) -> dict[str, Any]:
    config, stride = encoder.config, encoder.stride
    one, each = operations.of_one(config), operations.per_location(config, stride, cells)
    torch_f32 = min(costs["torch first"], costs["torch last"])
    bfloat16 = costs.get("dense bf16")
    return {
        "fov": encoder.fov[0],
        "block": cells[0],
        "us": costs,
        "operation_ratio": one / each,
        "operation_limit": one / operations.per_location(config, stride, _ENDLESS),
        "dense_vs_patch": costs["patch"] / costs["dense"],
        "vs_torch_f32": torch_f32 / costs["dense"],
        "vs_torch_bf16": costs["torch bf16"] / bfloat16 if bfloat16 else None,
        "vs_xla": costs["xla"] / costs["dense"],
        "gflops": each / costs["dense"] / 1e3,
        "peak_gflops": peak / 1e9,
        "max_abs_diff": far["patch"],
        "max_abs_diff_torch": max(far["torch first"], far["torch last"]),
        "max_abs_diff_xla": far["xla"],
    }


def _ways(
    encoder: TrainedEncoder, mine: Backend, block: np.ndarray
) -> dict[str, Callable[[], np.ndarray]]:
    """The network over a block; bfloat16 only where the processor has instructions for it."""
    torch.set_num_threads(threads())
    given = torch.from_numpy(block[None])
    last, first = (torch_encoder(encoder, channels_first=f) for f in (False, True))
    xla = XlaBackend(encoder, "float32")
    ways: dict[str, Callable[[], np.ndarray]] = {
        "dense": lambda: mine(block[None]),
        "torch last": lambda: last.embed(given),
        "torch first": lambda: first.embed(given),
        "xla": lambda: xla(block[None]),
    }
    if openvino.takes("bfloat16"):
        halved = OpenVinoBackend(encoder, "bfloat16")
        network = torch_encoder(encoder).to(torch.bfloat16)
        ways["dense bf16"] = lambda: halved(block[None])
        ways["torch bf16"] = lambda: network.embed(given.to(torch.bfloat16))
    return ways


def _fields(encoder: TrainedEncoder, block: np.ndarray, picked: np.ndarray) -> list[np.ndarray]:
    """Batches of the fields of view of a block, of those cells."""
    dz, dy, dx = encoder.stride
    fields = np.lib.stride_tricks.sliding_window_view(block, encoder.fov)[::dz, ::dy, ::dx]
    places = np.unravel_index(picked, fields.shape[:3])
    return np.split(fields[places], range(BATCH, len(picked), BATCH))


def _apart(results: dict[str, np.ndarray], name: str, picked: np.ndarray) -> float:
    """How far one way's embeddings are from the dense ones, at most."""
    dense = results["dense"][picked] if name == "patch" else results["dense"]
    return float(np.abs(results[name] - dense).max())
