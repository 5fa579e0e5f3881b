"""What a GPU or TPU gives: the bare network, whole jobs and training.

    python -m tests.benchmarks.bench_accelerator [--only PART ...]

Wall-clock seconds, the median of some rounds. The limit is a bfloat16 matrix product, timed in the
same run. The last line is one JSON object:

peak_tflops    of a product of two matrices of 8192^2 numbers, bfloat16
networks       locations/s and TFLOP/s of encoders on blocks that are on the device
jobs           locations/s from a volume on disk to a finished atlas
training       steps/s, places/s, bytes on the device and the share of time that it waits for blocks
"""

import argparse
import dataclasses
import functools
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from embed import operations
from embed.checkpoint import TrainedEncoder, random_encoder
from embed.config import RunConfig, VolumeConfig, load_preset
from embed.dense import block_shape
from embed.encoder import EncoderConfig, Stage
from embed.grid_layout import create_atlas
from embed.inference import embed_shards
from embed.layout import Wanted
from embed.samples import PATH
from embed.train import fit
from embed.training.volumes import open_training_volumes
from embed.volume import open_volume
from tests.benchmarks.jobs import pretrained
from tests.benchmarks.timing import rounded
from tests.benchmarks.tissue import volume_of

PARTS = ("networks", "jobs", "training")
ROUNDS = 7
DEEP = EncoderConfig(
    stages=(
        Stage(64, (5, 5, 5), (2, 2, 2)),
        Stage(64, (3, 3, 3)),
        Stage(128, (3, 3, 3), (2, 2, 2)),
        Stage(128, (3, 3, 3), blocks=1),
        Stage(256, (3, 3, 3), (2, 2, 2)),
        Stage(256, (3, 3, 3), blocks=1),
    ),
    read=(3, 5),
)
"""3.6 million parameters, 53 MFLOP a location in blocks of 12 an edge; sees 45 voxels, steps 8."""
_EDGE = 8192
_JOB_EDGE = 128
_STEPS = 60


def main() -> None:
    """Prints what it measures, and one JSON object at the end."""
    parser = argparse.ArgumentParser(description="benchmark of an accelerator")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    given = parser.parse_args()
    device = jax.devices()[0]
    print(f"{device.device_kind}, JAX {jax.__version__}", flush=True)
    report: dict[str, Any] = {"device": device.device_kind, "peak_tflops": _peak()}
    print(f"bfloat16 product: {report['peak_tflops']:.0f} TFLOP/s", flush=True)
    works = {"networks": _networks, "jobs": _jobs, "training": _training}
    for part in given.only:
        began = time.monotonic()
        report[part] = works[part]()
        print(f"{part}: {time.monotonic() - began:.0f} s", flush=True)
    print(json.dumps(rounded(report)))


def encoders() -> dict[str, TrainedEncoder]:
    """That which ships, and a deeper one with random parameters."""
    return {"pretrained": pretrained(), "deep": random_encoder(DEEP)}


def _seconds(work: Callable[[], object]) -> float:
    """The median, once it is compiled."""
    jax.block_until_ready(work())
    return statistics.median(_once(work) for _ in range(ROUNDS))


def _once(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    jax.block_until_ready(work())
    return time.perf_counter() - began


def _peak() -> float:
    factor = jax.random.normal(jax.random.key(0), (_EDGE, _EDGE), jnp.bfloat16)
    product = jax.jit(jnp.matmul)
    return 2e-12 * _EDGE**3 / _seconds(lambda: product(factor, factor))


def _networks() -> dict[str, Any]:
    report = {}
    for name, encoder in encoders().items():
        cells = block_shape(encoder, encoder.stride)
        voxels = np.random.default_rng(0).normal(size=(1, *encoder.config.voxels(cells)))
        operations_each = operations.of_block(encoder.config, cells) / math.prod(cells)
        for precision in ("bfloat16", "float32"):
            block = jnp.asarray(voxels, precision)
            params = jax.device_put(encoder.params)
            seconds = _seconds(functools.partial(encoder.run, params, block))
            found = {"locations_per_s": math.prod(cells) / seconds}
            found["tflops"] = 1e-12 * operations_each * found["locations_per_s"]
            report[f"{name} {precision}"] = found
            told = "  ".join(f"{key} {value:.4g}" for key, value in found.items())
            print(f"  {name}, {cells} locations, {precision}: {told}", flush=True)
    return report


def _jobs() -> dict[str, Any]:
    report = {}
    with tempfile.TemporaryDirectory(prefix="voxkin-") as folder:
        for name, encoder in encoders().items():
            volume = open_volume(volume_of(Path(folder, name), encoder.config, _JOB_EDGE))
            for turn in ("warm", "timed"):
                out = Path(folder, f"{name}-{turn}")
                began = time.perf_counter()
                atlas = create_atlas(encoder, volume, out, Wanted(), run="benchmark")
                assert not embed_shards(atlas)
                rate = atlas.grid.size / (time.perf_counter() - began)
            report[name] = {"locations": atlas.grid.size, "locations_per_s": rate}
            print(f"  {name}: {rate:.4g} locations/s of {atlas.grid.size}", flush=True)
    return report


def _training() -> dict[str, Any]:
    report = {}
    for name in ("gpu", "pretrained_isotropic"):
        preset = load_preset(name)
        train = dataclasses.replace(preset.train, steps=_STEPS, log_every=20, save_every=_STEPS)
        config = dataclasses.replace(preset, volumes=(VolumeConfig(str(PATH)),), train=train)
        with tempfile.TemporaryDirectory(prefix="voxkin-") as folder:
            report[name] = _trained(config, Path(folder) / "run")
        known = {key: value for key, value in report[name].items() if value is not None}
        told = "  ".join(f"{key} {value:.4g}" for key, value in known.items())
        print(f"  {name}: {told}", flush=True)
    return report


def _trained(config: RunConfig, run: Path) -> dict[str, float | None]:
    began = time.perf_counter()
    fit(config, open_training_volumes(config), run)
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    memory = jax.devices()[0].memory_stats() or {}
    return {
        **{key: last[key] for key in ("steps_per_s", "places_per_s", "starved")},
        "peak_bytes": memory.get("peak_bytes_in_use"),  # a CPU does not say
        "with_start_s": time.perf_counter() - began,
    }


if __name__ == "__main__":
    main()
