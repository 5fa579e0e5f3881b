"""What each part of the training recipe is worth: one change at a time, at equal compute.

    python -m tests.benchmarks.bench_recipes OUT [--kind sections] [--only NAME ...] [--seeds N]
        [--steps N] [--room Z Y X] [--data FOLDER]

Trains every recipe from nothing for the same few steps with several seeds, and scores it where
recipes may be chosen: on a part of the training block of P-LUC, or on sections 14 and 15 of P-VNC.
What is in OUT already is not done again, so that a stopped run goes on, and several processes share
the recipes out by `--only`. Prints means over the seeds and, seed by seed, the difference to the
recipe as it is; the last line is one JSON object. With the defaults a recipe and seed take some two
minutes on one vCPU.
"""

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from embed.config import RunConfig, VolumeConfig, load_preset
from embed.encoder import EncoderConfig, Stage
from embed.geometry import Zyx, zyx
from embed.reporting.config import ReportConfig
from embed.train import fit
from embed.training.volumes import open_training_volumes
from tests.benchmarks.bench_suggestions import DATA
from tests.benchmarks.validation import scorer

_AS_IT_IS = "as it is"
# Fewer than the presets': more steps for the same time, and of few steps that is the better use.
_CROPS = 4
_COLUMNS = {
    "isotropic": ("ap@5", "ap@50", "ap@all", "precision@50", "stability", "cosine_between"),
    "sections": ("f1@5", "f1@25", "f1@100", "p@10", "stability", "cosine_between"),
}

_FIB = load_preset("pretrained_isotropic").volumes[:2]
_ALL = load_preset("pretrained_isotropic").volumes
_SECTIONS = load_preset("pretrained_sections").volumes
_LUCCHI = (VolumeConfig("volumes/lucchi_train.zarr"),)
_VNC = (VolumeConfig("volumes/vnc_left.zarr"),)
_VICREG = {"train.loss": "invariance", "train.variance": 1.0, "train.covariance": 0.04}
_PLAIN_GREY = {"augment.contrast": 0.0, "augment.brightness": 0.0, "augment.curve": 0.0}

# What a recipe changes: settings by the names that the command line gives them.
RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "isotropic": {
        _AS_IT_IS: {},
        "shift 60 nm": {"sampling.shift_nm": 60.0},
        "shift 160 nm": {"sampling.shift_nm": 160.0},
        "shift 240 nm": {"sampling.shift_nm": 240.0},
        "temperature 0.05": {"train.temperature": 0.05},
        "temperature 0.2": {"train.temperature": 0.2},
        "decoupled": {"train.decoupled": True},
        "with the variance term": {"train.variance": 1.0},
        "with the covariance term": {"train.covariance": 0.04},
        "VICReg": _VICREG,
        "predicts no filters": {"train.filters": 0.0},
        "near places are negatives": {"train.ignore_cells": 1},
        "128 numbers": {"encoder.embedding_dim": 128},
        "reads the last stage alone": {"encoder.read": (2,)},
        "sees 490 nm": {
            "encoder.stages": (*EncoderConfig().stages, Stage(192, (3, 3, 3), blocks=1)),
            "encoder.read": (1, 2, 3),
        },
        "no change of grey values": _PLAIN_GREY,
        "no blur, no noise": {"augment.blur": 0.0, "augment.noise": 0.0},
        "no zoom": {"sampling.zoom": 1.0},
        "shot noise": {"augment.shot_noise": 0.3},
        "cut-outs": {"augment.cut_out": 0.5},
        "elastic": {"augment.elastic": 2.0},
        "FIB-25 alone": {"volumes": _FIB},
        "P-LUC's volume alone": {"volumes": _LUCCHI},
        "P-LUC's volume and all others": {"volumes": (*_LUCCHI, *_ALL)},
    },
    "sections": {
        _AS_IT_IS: {},
        "reads no filters": {"train.read_filters": 0.0},
        "predicts and reads no filters": {"train.read_filters": 0.0, "train.filters": 0.0},
        "section jitter": {"augment.section_jitter": 0.2},
        "missing, duplicated, misaligned": {
            "augment.missing": 0.02,
            "augment.duplicated": 0.02,
            "augment.misaligned": 0.2,
        },
        "P-VNC's volume alone": {"volumes": _VNC},
        "P-VNC's volume and all others": {"volumes": (*_VNC, *_SECTIONS)},
    },
}


def main() -> None:
    """Trains what is missing and prints a line for each recipe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kind", choices=[*RECIPES], default="isotropic")
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"of {', '.join(_names())}")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument(
        "--room", type=int, nargs=3, metavar=("Z", "Y", "X"), help="see validation.scorer"
    )
    parser.add_argument("--data", type=Path, default=DATA)
    asked = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {}
    for name, change in RECIPES[asked.kind].items():
        if asked.only and name not in asked.only:
            continue
        config = configured(asked.kind, change, asked.steps, asked.data)
        runs = asked.out / f"{asked.kind}_{asked.steps}" / _slug(name)
        room = None if asked.room is None else zyx(asked.room)
        found[name] = [_scores(config, seed, runs, asked.data, room) for seed in range(asked.seeds)]
        told = _summary(found[name], found.get(_AS_IT_IS), _COLUMNS[asked.kind])
        print(f"{name:32} " + "  ".join(f"{k} {v}" for k, v in told.items()), flush=True)
    print(json.dumps(found))


def configured(kind: str, change: Mapping[str, Any], steps: int, data: Path) -> RunConfig:
    """The preset of a kind with some settings changed and its volumes found in `data`."""
    config = load_preset(f"pretrained_{kind}")
    # What is laid beside what was learnt would only blur what recipes learn.
    plain = {"train.steps": steps, "sampling.crops": _CROPS, "train.keep_length": 0.0}
    config = _set(config, plain | dict(change))
    volumes = (
        dataclasses.replace(v, source=str(data / Path(v.source).name)) for v in config.volumes
    )
    return dataclasses.replace(config, volumes=tuple(volumes))


def _set(config: Any, change: Mapping[str, Any]) -> Any:
    """A configuration with the settings changed that dotted names give."""
    whole = {name: value for name, value in change.items() if "." not in name}
    for part in dict.fromkeys(name.split(".")[0] for name in change if "." in name):
        inner = {
            k.removeprefix(f"{part}."): v for k, v in change.items() if k.startswith(f"{part}.")
        }
        whole[part] = _set(getattr(config, part), inner)
    return dataclasses.replace(config, **whole)


def _scores(
    config: RunConfig, seed: int, runs: Path, data: Path, room: Zyx | None
) -> dict[str, float]:
    """Of one run; it is trained unless it was."""
    run = runs / str(seed)
    done = run / ("validation.json" if room is None else f"validation_{room}.json")
    if not done.exists():
        config = _set(config, {"sampling.seed": seed})
        began = time.process_time()
        volumes = open_training_volumes(config)
        quiet = ReportConfig(places=0, queries=0, tensorboard=False)
        encoder = fit(config, volumes, run, report=quiet)
        assert encoder is not None, "stopped; the same command goes on"
        spent = {"cpu_s": time.process_time() - began}
        found = scorer(data, encoder.config, range(3), room=room)(encoder)
        done.write_text(json.dumps(found | spent))
    scores: dict[str, float] = json.loads(done.read_text())
    return scores


def _summary(
    found: list[dict[str, float]], without: list[dict[str, float]] | None, columns: tuple[str, ...]
) -> dict[str, str]:
    """Mean over seeds, and what the change makes of each seed: mean and standard deviation."""
    told = {}
    for name in (*columns, "cpu_s"):
        values = [scores[name] for scores in found]
        told[name] = f"{statistics.mean(values):.3f}"
        if without is not None and found is not without and len(values) > 1:
            gains = [b - a[name] for a, b in zip(without, values, strict=True)]
            told[name] += f" ({statistics.mean(gains):+.3f} ± {statistics.stdev(gains):.3f})"
    return told


def _names() -> list[str]:
    return [name for recipes in RECIPES.values() for name in recipes]


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name)


if __name__ == "__main__":
    main()
