"""What an embedding gains by reading classical filters, and how much they should weigh.

    python -m tests.benchmarks.bench_readout RUN [--weights 0 0.5 1 2] [--data FOLDER] [--seeds N]

Makes the encoder of the newest state of a training run several times, with filters of another
weight beside what was learnt (`train.read_filters`), and scores each where weights may be chosen:
on a part of the training block of P-LUC for isotropic voxels, else on sections 14 and 15 of P-VNC;
with `--test` on the blocks that the protocols score. Means over seeds; the last line is one JSON
object.
"""

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np

from embed.config import read_config
from embed.evaluation import protocol_luc, protocol_vnc
from embed.evaluation.candidate import Candidate
from embed.evaluation.features import Features
from embed.evaluation.protocol import Protocol
from embed.geometry import Zyx
from embed.keeper import encoder_of
from embed.learner import init_state
from embed.resume import TrainingStates
from embed.training_volumes import open_training_volumes
from tests.benchmarks.bench_suggestions import DATA


def main() -> None:
    """Prints a line for each weight."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--weights", type=float, nargs="+", default=[0.0, 0.5, 1.0, 2.0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--test", action="store_true")
    asked = parser.parse_args()
    config = read_config(asked.run)
    volumes = open_training_volumes(config)
    with TrainingStates(asked.run) as states:
        assert states.latest is not None, f"{asked.run} holds no state"
        state = states.restore(states.latest, init_state(config))
    isotropic = len({*config.encoder.voxel_size_nm}) == 1
    task, rows = (_luc if isotropic else _vnc)(asked.data, config.encoder.fov, asked.test)
    report = {}
    for weight in asked.weights:
        train = dataclasses.replace(config.train, read_filters=weight)
        encoder = encoder_of(dataclasses.replace(config, train=train), volumes, state)
        candidate = Candidate(encoder, task)
        found = Features(candidate.embeddings()[rows], is_embedding=True)
        chosen = dataclasses.replace(task, places=task.places.take(rows), **_labels(task, rows))
        scores = (chosen if not asked.test else task).score(found, range(asked.seeds))
        means = {name: round(float(np.mean(values)), 3) for name, values in scores.items()}
        means["stability"] = round(candidate.stability(0)["stability"], 3)
        report[f"{weight:g}"] = means
        print(f"{weight:5g}  " + "  ".join(f"{k} {v:.3f}" for k, v in means.items()), flush=True)
    print(json.dumps(report))


def _luc(data: Path, fov: Zyx, test: bool) -> tuple[Protocol, np.ndarray]:
    """The training block in two, a field of view apart: y < 90 and y >= 123."""
    task = protocol_luc.prepare(data, fov)
    if test:
        return task, np.arange(len(task.places))
    y = task.places.voxels[: task.counts["train"], 1]
    parts = np.flatnonzero(y < 90), np.flatnonzero(y >= 90 + fov[1])
    counts = dict(zip(("train", "test"), map(len, parts), strict=True))
    return dataclasses.replace(task, counts=counts), np.concatenate(parts)


def _vnc(data: Path, fov: Zyx, test: bool) -> tuple[Protocol, np.ndarray]:
    """The sections that choose the strength of regularisation choose this, too."""
    task = protocol_vnc.prepare(data, fov)
    train, choose, _ = (task.counts[name] for name in ("train", "choose", "test"))
    if test:
        return task, np.arange(len(task.places))
    counts = {"train": train, "choose": choose, "test": choose}
    known = np.arange(train + choose)
    return dataclasses.replace(task, counts=counts), np.concatenate([known, known[train:]])


def _labels(task: Protocol, rows: np.ndarray) -> dict[str, np.ndarray]:
    name = "positive" if isinstance(task, protocol_luc.Mitochondria) else "labels"
    return {name: getattr(task, name)[rows]}


if __name__ == "__main__":
    main()
