"""Scores where recipes may be chosen: on parts of P-LUC and P-VNC that no score is taken from."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from embed.checkpoint import TrainedEncoder
from embed.encoder import EncoderConfig
from embed.evaluation import protocol_luc, protocol_vnc
from embed.evaluation.candidate import Candidate
from embed.evaluation.features import Features
from embed.evaluation.protocol import Protocol
from embed.geometry import Zyx

Scored = Callable[[TrainedEncoder], dict[str, float]]


def scorer(
    data: Path,
    config: EncoderConfig,
    seeds: Sequence[int],
    *,
    test: bool = False,
    room: Zyx | None = None,
) -> Scored:
    """Scores encoders of one shape: on P-LUC if its voxels are cubes, else on P-VNC.

    Args:
        data: the folder of the volumes.
        config: of the encoders.
        seeds: to take means over.
        test: score where the protocols do, not where recipes may be chosen.
        room: score only places with room for a field of view of so many voxels (ZYX) around them,
            to compare encoders that see more with those that see less.
    """
    task, rows = prepared(data, config, test=test)
    if room is not None:
        assert isinstance(task, protocol_luc.Mitochondria), "fields of view are compared on P-LUC"
        task, rows = _with_room(task, rows, _luc(data, room, test))

    def scored(encoder: TrainedEncoder) -> dict[str, float]:
        candidate = Candidate(encoder, task)
        found = Features(candidate.embeddings()[rows], is_embedding=True)
        means = {k: float(np.mean(v)) for k, v in chosen(task, rows).score(found, seeds).items()}
        return means | candidate.stability(0)

    return scored


def prepared(
    data: Path, config: EncoderConfig, *, test: bool = False
) -> tuple[Protocol, np.ndarray]:
    """The protocol that scores an encoder, and which of its places: those to train on come first.

    Args:
        data: the folder of the volumes.
        config: of the encoder.
        test: where the protocol scores, not where recipes may be chosen.
    """
    return (_luc if len({*config.voxel_size_nm}) == 1 else _vnc)(data, config.fov, test)


def chosen(task: Protocol, rows: np.ndarray) -> Protocol:
    """The protocol with some of its places alone."""
    name = "positive" if isinstance(task, protocol_luc.Mitochondria) else "labels"
    labels = {name: getattr(task, name)[rows]}
    return dataclasses.replace(task, places=task.places.take(rows), **labels)


def _luc(data: Path, fov: Zyx, test: bool) -> tuple[Protocol, np.ndarray]:
    """The training block in two, a field of view apart: y < 90 and y >= 123."""
    task = protocol_luc.prepare(data, fov)
    if test:
        return task, np.arange(len(task.places))
    y = task.places.voxels[: task.counts["train"], 1]
    parts = np.flatnonzero(y < 90), np.flatnonzero(y >= 90 + fov[1])
    counts = dict(zip(("train", "test"), map(len, parts), strict=True))
    return dataclasses.replace(task, counts=counts), np.concatenate(parts)


def _with_room(
    task: Protocol, rows: np.ndarray, larger: tuple[Protocol, np.ndarray]
) -> tuple[Protocol, np.ndarray]:
    """Those of the rows that a larger field of view leaves, in its blocks."""
    at = {tuple(voxel): row for row, voxel in enumerate(task.places.voxels.tolist())}
    theirs, kept = larger
    rows = np.array([at[tuple(voxel)] for voxel in theirs.places.voxels[kept].tolist()])
    return dataclasses.replace(task, counts=theirs.counts), rows


def _vnc(data: Path, fov: Zyx, test: bool) -> tuple[Protocol, np.ndarray]:
    """The sections that choose the strength of regularisation choose this, too."""
    task = protocol_vnc.prepare(data, fov)
    train, choose, _ = (task.counts[name] for name in ("train", "choose", "test"))
    if test:
        return task, np.arange(len(task.places))
    counts = {"train": train, "choose": choose, "test": choose}
    known = np.arange(train + choose)
    return dataclasses.replace(task, counts=counts), np.concatenate([known, known[train:]])
