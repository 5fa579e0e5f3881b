"""Dense inference: against field of view by field of view, PyTorch and the peak; whole jobs.

    make bench-dense                  about ten minutes
    make bench-dense BENCH=--full     with a job of 10^7 locations: another ten

All figures are CPU seconds, of what takes turns in one process (A B A B …), and the least of some
rounds. The last line is one JSON object:

dense_vs_patch      cost of a location, field of view by field of view over dense
vs_torch_f32        PyTorch over OpenVINO, same network, same blocks; the better of its two layouts
vs_torch_bf16       the same in bfloat16; null without instructions for it
peak_fraction_f32   of the speed of NumPy's float32 matrix product
flatness            by how much jobs of 10^4 to 10^6 or 10^7 locations differ per location, at most
overhead_inprocess  of a job (reading, normalising, writing, ledger) over the bare network
overhead_ray        the same on Ray, all its processes counted in; null where it is not installed
peak_memory_gb      of a process that does a job of 10^6 locations
max_abs_diff        of embeddings, dense against field of view by field of view
deep                the same for a deeper network, as far as they differ
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from embed.backends import openvino
from embed.checkpoint import TrainedEncoder
from embed.geometry import Box, Zyx
from embed.normaliser import measure
from embed.volume import open_volume
from tests.benchmarks import jobs
from tests.benchmarks.networks import compare, deep
from tests.benchmarks.timing import machine, rounded
from tests.benchmarks.tissue import volume_of

EDGES = {"10^4": 24, "10^5": 48, "10^6": 96}
"""Locations per edge of the volumes: whole shards, so that none pays for its shape."""
FULL = {"10^7": 216}
ROUNDS = 3
# Of jobs that take half a second the least of three is luck; that of 10^7 takes minutes.
_TIMES = {"10^4": 12, "10^5": 12, "10^6": 3, "10^7": 1}
# Blocks of the small network take seconds, and the least of more rounds is less a matter of luck.
_NETWORK_ROUNDS = 9


def main() -> None:
    """Prints what it measures, and one JSON object at the end."""
    parser = argparse.ArgumentParser(description="benchmark of dense inference")
    parser.add_argument("--full", action="store_true", help="a job of 10^7 locations, too")
    full = parser.parse_args().full
    encoder = jobs.pretrained()
    print(machine(), flush=True)
    if not openvino.takes("bfloat16"):
        print("bfloat16: this processor has no instructions for it, so vs_torch_bf16 is null")
    with tempfile.TemporaryDirectory(prefix="voxkin-") as folder:
        edges = {**EDGES, **(FULL if full else {})}
        volumes = {
            name: volume_of(Path(folder, name), encoder.config, edge)
            for name, edge in edges.items()
        }
        networks = _networks(encoder, volumes["10^6"])
        report = networks.pop("pretrained") | networks
        report |= _jobs(encoder, volumes, Path(folder))
    print(machine())
    print(json.dumps(rounded(report)))


def _networks(encoder: TrainedEncoder, path: Path) -> dict[str, dict[str, Any]]:
    volume = open_volume(path)

    def tissue(shape: Zyx) -> np.ndarray:
        return measure(volume)(volume.read(Box.of_shape(shape)))

    found = {
        "pretrained": compare(encoder, tissue, rounds=_NETWORK_ROUNDS, patches=1024),
        "deep": compare(deep(), tissue, rounds=ROUNDS, patches=128),
    }
    peak = max(figures["peak_gflops"] for figures in found.values())
    for name, figures in found.items():
        figures |= {"peak_gflops": peak, "peak_fraction_f32": figures["gflops"] / peak}
        _tell(name, figures)
    return found


def _tell(name: str, figures: dict[str, Any]) -> None:
    fov, block = figures["fov"], figures["block"]
    print(f"\n{name}: sees {fov}^3 voxels, blocks of {block}^3 locations at stride 8")
    print(
        f"  one field of view takes {figures['operation_ratio']:.1f} times the operations of "
        f"a location of a block, {figures['operation_limit']:.1f} in the limit of endless blocks:\n"
        "  the limit of dense_vs_patch where both run equally fast"
    )
    for way, cost in figures["us"].items():
        print(f"  {way:12} {cost:10.1f} CPU µs a location")
    for key in ("dense_vs_patch", "vs_torch_f32", "vs_xla", "peak_fraction_f32"):
        print(f"  {key:18} {figures[key]:8.2f}")
    print(f"  {figures['gflops']:.0f} of {figures['peak_gflops']:.0f} GF/s")
    print(
        f"  embeddings are {figures['max_abs_diff']:.1e} from those one by one, "
        f"{figures['max_abs_diff_torch']:.1e} from PyTorch's, "
        f"{figures['max_abs_diff_xla']:.1e} from XLA's"
    )


def _jobs(encoder: TrainedEncoder, volumes: dict[str, Path], folder: Path) -> dict[str, Any]:
    costs: dict[str, list[float]] = {name: [] for name in volumes}
    print("\nwhole jobs, from opening the volume to the last mark in the ledger, CPU µs a location")
    jobs.whole_job_us(encoder, volumes["10^4"], folder / "warm")
    for turn in range(max(_TIMES.values())):
        for name in [name for name in volumes if turn < _TIMES[name]]:
            out = folder / f"{name}-{turn}"
            costs[name].append(jobs.whole_job_us(encoder, volumes[name], out))
            print(f"  {name} locations  {costs[name][-1]:6.1f}", flush=True)
    least = {name: min(rounds) for name, rounds in costs.items()}
    size = "10^6"
    ray = jobs.overhead_ray(encoder, volumes[size], volumes["10^5"], folder / "ray")
    report = {
        "job_us": least,
        "flatness": max(least.values()) / min(least.values()) - 1,
        "overhead_inprocess": jobs.overhead_inprocess(encoder, volumes[size], folder / "bare"),
        "overhead_ray": None if ray is None else ray[0],
        "ray_start_cpu_s": None if ray is None else ray[1],
        "peak_memory_gb": jobs.peak_memory_gb(volumes[size], folder / "alone"),
    }
    for key in ("flatness", "overhead_inprocess", "overhead_ray", "peak_memory_gb"):
        print(f"  {key:18} {report[key]:.3f}" if report[key] is not None else f"  {key}: no Ray")
    return report


if __name__ == "__main__":
    main()
