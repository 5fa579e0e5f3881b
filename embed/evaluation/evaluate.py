"""Scores an encoder under a fixed protocol, beside every control, in one run."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from embed.checkpoint import TrainedEncoder, random_like
from embed.errors import ConfigError
from embed.evaluation import controls, protocol_fib, protocol_luc, protocol_vnc
from embed.evaluation.candidate import Candidate, input_of
from embed.evaluation.features import Features
from embed.evaluation.protocol import Protocol, Scores, TrainedOn, open_data
from embed.evaluation.scoreboard import Metrics, Result, summarised
from embed.geometry import Zyx, ZyxFloat
from embed.suitability import require_voxel_size

SEEDS = (0, 1, 2, 3, 4)
PROTOCOLS: dict[str, Callable[[Path, Zyx, TrainedOn], Protocol]] = {
    protocol_fib.NAME: protocol_fib.prepare,
    protocol_vnc.NAME: protocol_vnc.prepare,
    protocol_luc.NAME: protocol_luc.prepare,
}
_VOLUMES = {part.NAME: part.VOLUME for part in (protocol_fib, protocol_vnc, protocol_luc)}
_ENCODER = "encoder"


def evaluate(
    encoder: TrainedEncoder,
    protocol: str,
    data: Path,
    *,
    seeds: Sequence[int] = SEEDS,
    any_voxel_size: bool = False,
    progress: Callable[[str], None] = lambda _stage: None,
) -> Result:
    """Runs a protocol on an encoder and on every control.

    Args:
        encoder: what is judged.
        protocol: `P-FIB`, `P-VNC` or `P-LUC`.
        data: the folder of evaluation volumes, `fib25_b.zarr` and so on.
        seeds: of draws, queries and random encoders; fewer make a quicker, noisier figure.
        any_voxel_size: scores an encoder on voxels of a size it was not made for.
        progress: told the name of each stage before it begins.

    Raises:
        ConfigError: no such protocol, or no seeds.
        NotFoundError: a volume of the protocol is not in `data`.
        MismatchError: the encoder does not fit the volume, or was trained on the test block.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"no protocol {protocol!r}; there are {', '.join(PROTOCOLS)}")
    if not seeds:
        raise ConfigError("an evaluation needs at least one seed; the protocols use 0 to 4")
    began = time.monotonic()
    progress("laying out the places")
    task = PROTOCOLS[protocol](data, encoder.fov, encoder.trained_on)
    if not any_voxel_size:
        require_voxel_size(encoder, task.volume)
    means: dict[str, Metrics] = {}
    deviations: dict[str, Metrics] = {}
    for name, scores in _scored(encoder, task, seeds, progress):
        means[name], deviations[name] = summarised(scores)
    return Result(
        protocol=protocol,
        encoder=encoder.fingerprint,
        metrics=means.pop(_ENCODER),
        sd=deviations.pop(_ENCODER),
        controls=means,
        sd_controls=deviations,
        n=task.counts,
        split=task.split | input_of(encoder, task),
        seeds=tuple(seeds),
        random_networks=min(task.random_networks, len(seeds)),
        fov=encoder.fov,
        seconds=round(time.monotonic() - began, 1),
    )


def voxel_size_of(protocol: str, data: Path) -> ZyxFloat:
    """Edge lengths of the voxels of a protocol's volume, ZYX.

    Raises:
        NotFoundError: the volume is not in `data`.
    """
    return open_data(data, _VOLUMES[protocol]).frame.voxel_size_nm


def _of_encoder(encoder: TrainedEncoder, task: Protocol, seeds: Sequence[int]) -> Scores:
    candidate = Candidate(encoder, task)
    features = Features(candidate.embeddings(), is_embedding=True)
    scores = task.score(features, seeds)
    for seed in seeds:
        for name, value in candidate.stability(seed).items():
            scores.setdefault(name, []).append(value)
    return scores


def _scored(
    encoder: TrainedEncoder, task: Protocol, seeds: Sequence[int], progress: Callable[[str], None]
) -> Iterator[tuple[str, Scores]]:
    progress(_ENCODER)
    yield _ENCODER, _of_encoder(encoder, task, seeds)
    progress(controls.RANDOM)
    yield controls.RANDOM, _of_random(encoder, task, seeds)
    progress("features of the other controls")
    for name, features in task.controls().items():
        progress(name)
        yield name, task.score(features, seeds)
    yield controls.CHANCE, {name: [value] for name, value in task.chance.items()}


def _of_random(encoder: TrainedEncoder, task: Protocol, seeds: Sequence[int]) -> Scores:
    """Scores of random networks, which share the seeds out among them."""
    count = min(task.random_networks, len(seeds))
    scores: Scores = {}
    for i in range(count):
        for name, values in _of_encoder(random_like(encoder, i), task, seeds[i::count]).items():
            scores.setdefault(name, []).extend(values)
    return scores
