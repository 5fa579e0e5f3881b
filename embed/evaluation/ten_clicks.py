"""Mitochondria from ten clicks: how good the map of a probe is, beside a pixel classifier's.

Someone names five places in mitochondria and five beside them, anywhere in the volume of P-LUC; the
probe that learns from them maps the whole of it. The control learns from the same ten: a random
forest on a filter bank at the place and over its field of view, which is what ilastik's users do.
"""

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from embed.checkpoint import TrainedEncoder
from embed.evaluation import fewshot, protocol_luc
from embed.evaluation.candidate import Candidate
from embed.evaluation.places import Places
from embed.evaluation.protocol import open_data
from embed.geometry import Grid
from embed.probe import Origin
from embed.probing.training import Examples, train_probe
from embed.suitability import require_voxel_size

PER_CLASS = 5
DRAWS = 20
"""Times that ten places are drawn: of one draw the figure is off by a tenth either way."""

_STRIDE = (8, 8, 8)
# Places without labels that a probe sees besides, as `voxkin probe` shows it.
_SAMPLE = 8192


@dataclasses.dataclass(frozen=True)
class TenClicks:
    """Average precisions of maps against the labels of all voxels, one for each draw.

    Attributes:
        probe: of probes on embeddings.
        control: of forests on the filter bank.
        chance: of a map that knows nothing.
        places: that are mapped.
    """

    probe: tuple[float, ...]
    control: tuple[float, ...]
    chance: float
    places: int


def ten_clicks(encoder: TrainedEncoder, data: Path, *, draws: int = DRAWS) -> TenClicks:
    """Maps from ten clicks, and scores the maps.

    Places that share a voxel with a clicked one are not scored.

    Args:
        encoder: that has not been trained on the volume.
        data: the folder of evaluation volumes.
        draws: of ten places; they have the seeds from 0 on.

    Raises:
        NotFoundError: a volume is not in `data`.
        MismatchError: the encoder does not fit the volume.
    """
    volume = open_data(data, protocol_luc.VOLUME)
    grid = Grid.covering(volume.box, encoder.fov, _STRIDE)
    task = protocol_luc.on_places(data, Places.on(grid), encoder.trained_on)
    require_voxel_size(encoder, volume)
    embeddings = Candidate(encoder, task).embeddings()
    bank = task.filter_bank()
    aps: list[tuple[float, float]] = []
    for seed in range(draws):
        clicked = fewshot.draw(task.positive, PER_CLASS, np.random.default_rng(seed))
        scored = _apart(task.places, clicked)
        maps = (
            _probed(embeddings, task.positive, clicked, encoder),
            _forest(bank, task.positive, clicked, seed),
        )
        aps.append(_precisions(maps, task.positive, scored))
    probe, control = zip(*aps, strict=True)
    return TenClicks(probe, control, float(task.positive.mean()), len(task.places))


def _precisions(
    maps: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]],
    positive: Bool[np.ndarray, " n"],
    scored: Bool[np.ndarray, " n"],
) -> tuple[float, float]:
    from sklearn.metrics import average_precision_score

    one, other = (average_precision_score(positive[scored], found[scored]) for found in maps)
    return float(one), float(other)


def _probed(
    embeddings: Float[np.ndarray, "n dim"],
    positive: Bool[np.ndarray, " n"],
    clicked: Int[np.ndarray, " k"],
    encoder: TrainedEncoder,
) -> Float[np.ndarray, " n"]:
    """The map of a probe as `voxkin probe` trains it."""
    labels = ["yes" if yes else "no" for yes in positive[clicked]]
    origin = Origin("ten-clicks", "", encoder.fingerprint)
    examples = Examples.of_one_class_each(embeddings[clicked], labels, places=clicked)
    everywhere = np.random.default_rng(0).permutation(len(embeddings))[:_SAMPLE]
    probe = train_probe(examples, origin, sample=embeddings[everywhere])
    return probe.probabilities(embeddings)[:, probe.classes.index("yes")]


def _forest(
    bank: Shaped[np.ndarray, "n columns"],
    positive: Bool[np.ndarray, " n"],
    clicked: Int[np.ndarray, " k"],
    seed: int,
) -> Float[np.ndarray, " n"]:
    forest = fewshot.Probe("forest", c=1.0, seed=seed).fit(bank[clicked], positive[clicked])
    return forest.probabilities(bank)[:, 1]


def _apart(places: Places, clicked: Int[np.ndarray, " k"]) -> Bool[np.ndarray, " n"]:
    """Places whose field of view shares no voxel with that of a clicked one."""
    apart = np.ones(len(places), bool)
    for start in places.starts[clicked]:
        apart &= (np.abs(places.starts - start) >= places.fov).any(axis=1)
    return apart
