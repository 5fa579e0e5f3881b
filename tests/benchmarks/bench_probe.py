"""What training a probe costs, and asking one: seconds, by labels, numbers and classes.

    python -m tests.benchmarks.bench_probe [--rounds N]

Overlapping classes of random directions, as hard to tell as those of P-VNC (balanced accuracy about
0.8), a sample of 8192 locations, fields of view in 60 parts of space. Training is cross-validation,
calibration, shares of classes, novelty and learning curve together. CPU seconds and wall seconds
of one thread, the lesser of the rounds. The last line is one JSON object.
"""

import argparse
import json
import time
from collections.abc import Callable

import numpy as np

from embed.probe import Origin, Probe
from embed.probing.training import Examples, train_probe
from serve.locations import Locations
from serve.probes import SAMPLE
from serve.probing.suggestions import Pool, Wish, suggest
from tests.benchmarks.timing import cpu_s, machine

SPREAD = 0.4
CASES = [(100, 64, 2), (1000, 64, 2), (1000, 64, 5), (1000, 64, 10), (1000, 128, 5), (5000, 64, 5)]


def main() -> None:
    """Prints a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    print(machine())
    report = []
    for labels, dim, classes in CASES:
        examples, sample = drawn(labels, dim, classes)
        trained: list[Probe] = []

        def train(examples: Examples = examples, sample: np.ndarray = sample) -> None:
            trained.append(train_probe(examples, Origin("p", "", ""), sample=sample))  # noqa: B023

        wall, cpu = measured(train, rounds)
        probe = trained[-1]
        pool = Pool(
            Locations(np.arange(SAMPLE), sample),
            np.random.default_rng(0).uniform(0, 1e5, (SAMPLE, 3)),
            100.0,
        )
        known = Locations(np.arange(SAMPLE, SAMPLE + labels), examples.vectors)
        asked, _ = measured(lambda: suggest(probe, pool, known, Wish()), rounds)  # noqa: B023
        row = {
            "labels": labels,
            "dim": dim,
            "classes": classes,
            "train_s": round(wall, 3),
            "train_cpu_s": round(cpu, 3),
            "suggest_s": round(asked, 3),
            "balanced_accuracy": round(probe.scores.balanced_accuracy if probe.scores else 0, 3),
        }
        report.append(row)
        print("  ".join(f"{key} {value}" for key, value in row.items()))
    print(json.dumps({"probes": report}))


def drawn(labels: int, dim: int, classes: int) -> tuple[Examples, np.ndarray]:
    """Labelled vectors, and a sample of the volume in which classes halve in number."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(classes, dim)) / np.sqrt(dim)

    def vectors(numbers: np.ndarray) -> np.ndarray:
        rows = centres[numbers] + SPREAD * rng.normal(size=(len(numbers), dim))
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    shares = 0.5 ** np.arange(classes)
    everywhere = vectors(rng.choice(classes, SAMPLE, p=shares / shares.sum()))
    numbers = rng.integers(0, classes, labels)
    names = [f"class {number:02}" for number in numbers]
    parts = rng.integers(0, 60, labels)
    return Examples.of_one_class_each(vectors(numbers), names, parts), everywhere


def measured(work: Callable[[], object], rounds: int) -> tuple[float, float]:
    """The least wall and CPU seconds of a work, after one round that is not counted."""
    work()
    walls, cpus = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        cpus.append(cpu_s(work))
        walls.append(time.perf_counter() - began)
    return min(walls), min(cpus)


if __name__ == "__main__":
    main()
