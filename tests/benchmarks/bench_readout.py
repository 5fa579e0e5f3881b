"""What an embedding gains by what is laid beside what was learnt, and how much that should weigh.

    python -m tests.benchmarks.bench_readout RUN [--filters 0 0.5 1 2] [--lengths 0 1 2]
        [--data FOLDER] [--seeds N]

Makes the encoder of the newest state of a training run several times, with filters of another
weight (`train.read_filters`) and a constant of another length (`train.keep_length`), and scores
each where weights may be chosen: on a part of the training block of P-LUC for isotropic voxels,
else on sections 14 and 15 of P-VNC; with `--test` on the blocks that the protocols score. Means
over seeds; the last line is one JSON object. RUN may also be the file of an encoder, which is
scored as it is.
"""

import argparse
import dataclasses
import itertools
import json
from pathlib import Path

from embed.checkpoint import load_encoder
from embed.config import read_config
from embed.encoder import EncoderConfig
from embed.geometry import zyx
from embed.training.keeper import encoder_of
from embed.training.learner import init_state
from embed.training.resume import TrainingStates
from embed.training.volumes import open_training_volumes
from tests.benchmarks.bench_suggestions import DATA
from tests.benchmarks.validation import Scored, scorer


def main() -> None:
    """Prints a line for each weight."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--filters", type=float, nargs="+", help="default: the run's")
    parser.add_argument("--lengths", type=float, nargs="+", help="default: the run's")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--test", action="store_true")
    parser.add_argument(
        "--room", type=int, nargs=3, metavar=("Z", "Y", "X"), help="see validation.scorer"
    )
    asked = parser.parse_args()
    if asked.run.is_file():
        encoder = load_encoder(asked.run)
        scored = _scorer(asked, encoder.config)
        print(json.dumps({name: round(value, 3) for name, value in scored(encoder).items()}))
        return
    config = read_config(asked.run)
    volumes = open_training_volumes(config)
    with TrainingStates(asked.run) as states:
        assert states.latest is not None, f"{asked.run} holds no state"
        state = states.restore(states.latest, init_state(config))
    scored = _scorer(asked, config.encoder)
    report = {}
    filters = asked.filters or [config.train.read_filters]
    lengths = asked.lengths or [config.train.keep_length]
    for weight, length in itertools.product(filters, lengths):
        train = dataclasses.replace(config.train, read_filters=weight, keep_length=length)
        encoder = encoder_of(dataclasses.replace(config, train=train), volumes, state)
        means = {name: round(value, 3) for name, value in scored(encoder).items()}
        report[f"{weight:g}, {length:g}"] = means
        columns = "  ".join(f"{k} {v:.3f}" for k, v in means.items())
        print(f"filters {weight:<4g} length {length:<4g}  {columns}", flush=True)
    print(json.dumps(report))


def _scorer(asked: argparse.Namespace, config: EncoderConfig) -> Scored:
    room = None if asked.room is None else zyx(asked.room)
    return scorer(asked.data, config, range(asked.seeds), test=asked.test, room=room)


if __name__ == "__main__":
    main()
