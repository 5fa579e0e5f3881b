"""CPU seconds of works that are done in turn, so that what else a machine does falls on all."""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import threadpoolctl

PEAK = "peak"
_EDGE = 2048


def cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds of this process, all threads."""
    began = time.process_time()
    work()
    return time.process_time() - began


def in_turn(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each work in each round, A B C A B C …; all run once before, untimed."""
    for work in works.values():
        work()
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            seconds[name].append(cpu_s(work))
    return seconds


def product() -> Callable[[], object]:
    """A large float32 matrix product of NumPy, whose speed is the limit of any network's."""
    factor = np.random.default_rng(0).normal(size=(_EDGE, _EDGE)).astype(np.float32)
    return lambda: factor @ factor


PRODUCT_OPERATIONS = 2 * _EDGE**3


def machine() -> str:
    """What figures of time depend on: the kernels of NumPy's products, and the load just now."""
    pools = (p for p in threadpoolctl.threadpool_info() if p["internal_api"] == "openblas")
    kernels = {f"{p['architecture']}, {p['num_threads']} threads" for p in pools}
    load = ", ".join(f"{n:.1f}" for n in os.getloadavg())
    return f"{os.cpu_count()} cores, load {load}; OpenBLAS kernel {'; '.join(sorted(kernels))}"


def rounded(value: Any) -> Any:
    """To four significant digits."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value
