"""Scores of a state on places with a label, none of which training ever sees."""

import dataclasses
import math

import numpy as np
from jaxtyping import Float32, Int, Shaped

from embed.encoder import EncoderConfig
from embed.errors import DataError, MismatchError
from embed.evaluation.fewshot import Probe, draw
from embed.geometry import Box, Zyx, zyx
from embed.reporting.config import ReportConfig
from embed.reporting.places import Places, grid_over, take_places, together
from embed.samples import locate
from embed.training.sampling import TrainingVolume
from embed.volume import Volume, open_volume

SIZES = (5, 25, 100)
"""Labels of each class that a probe learns from."""

_DRAWS = 5
_NEIGHBOURS = 10
# Gallery and test are cut to this many places of a class; more move no score by a hundredth.
_MOST = 500
_FEWEST = 5


def open_labels(config: ReportConfig, source: TrainingVolume, encoder: EncoderConfig) -> Volume:
    """The label volume of a training volume, checked; nothing but metadata is read.

    Raises:
        VolumeError: it cannot be opened.
        MismatchError: it has other voxels than the volume, or values that are no classes.
    """
    assert config.labels is not None
    z, y, x = source.volume.frame.voxel_size_nm
    labels = open_volume(locate(config.labels), voxel_size_nm=(x, y, z))
    if len(labels.description.levels) > 1:
        labels = open_volume(locate(config.labels), at_voxel_size_nm=encoder.voxel_size_nm)
    if labels.box != source.volume.box:
        raise MismatchError(
            f"the labels {labels.name} cover {labels.box} and {source.volume.name} "
            f"{source.volume.box} (voxels, ZYX); labels need the grid of the first training volume"
        )
    if labels.dtype.kind not in "iu":
        raise MismatchError(
            f"the labels {labels.name} are {labels.dtype}; classes are whole numbers, so store "
            "them as an integer type"
        )
    return labels


@dataclasses.dataclass(frozen=True, eq=False)
class LabelledPlaces:
    """Places with a class, in two halves of the volume that share no voxel.

    Attributes:
        places: where.
        classes: of each place, numbers from 0; -1 for none.
        names: the value of each class in the label volume.
        learn: whether each place is in the half that is learnt from.
    """

    places: Places
    classes: Int[np.ndarray, " place"]
    names: tuple[int, ...]
    learn: Shaped[np.ndarray, " place"]

    def scores(self, rows: Float32[np.ndarray, "place dim"]) -> dict[str, float]:
        """How far labels go with these embeddings.

        Returns:
            `knn_accuracy`: mean of the classes' recalls by the 10 nearest neighbours among as many
            places of every class. `ap_5` and so on: average precision of a linear probe that
            learnt from 5 labels of each class, mean of 5 draws, for two classes; for more,
            `f1_5` and so on: the mean of the classes' F1 scores. `knn_chance` and `probe_chance`:
            what guessing would reach.
        """
        rng = np.random.default_rng(0)
        learn, test = (
            np.flatnonzero((self.classes >= 0) & half) for half in (self.learn, ~self.learn)
        )
        counts = np.bincount(self.classes[learn])
        gallery = learn[draw(self.classes[learn], min(_MOST, int(counts.min())), rng)]
        # Of both halves alike, or average precision would be of another mixture than the tissue's.
        test = rng.permutation(test)[: _MOST * len(self.names)]
        found = {
            "knn_accuracy": _balanced(self.classes[test], self._neighbours(rows, gallery, test)),
            "knn_chance": 1 / len(self.names),
            "probe_chance": self._chance(test),
        }
        for size in SIZES:
            if size <= counts.min():
                scores = [self._probe(rows, learn, test, size, rng) for _ in range(_DRAWS)]
                found[f"{self.kind}_{size}"] = float(np.mean(scores))
        return found

    @property
    def kind(self) -> str:
        """What probes are scored by: `ap` for two classes, `f1` for more."""
        return "ap" if len(self.names) == 2 else "f1"

    def _neighbours(
        self,
        rows: Float32[np.ndarray, "place dim"],
        gallery: Int[np.ndarray, " g"],
        test: Int[np.ndarray, " t"],
    ) -> Int[np.ndarray, " t"]:
        similarity = rows[test] @ rows[gallery].T
        k = min(_NEIGHBOURS, len(gallery))
        nearest = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
        votes = np.zeros((len(test), len(self.names)))
        # Weighted by similarity, so that ties are rare.
        weight = 1 + np.take_along_axis(similarity, nearest, axis=1)
        at = np.arange(len(test))[:, None].repeat(k, axis=1)
        np.add.at(votes, (at, self.classes[gallery[nearest]]), weight)
        return votes.argmax(axis=1)

    def _probe(
        self,
        rows: Float32[np.ndarray, "place dim"],
        learn: Int[np.ndarray, " l"],
        test: Int[np.ndarray, " t"],
        size: int,
        rng: np.random.Generator,
    ) -> float:
        from sklearn.metrics import average_precision_score, f1_score

        some = learn[draw(self.classes[learn], size, rng)]
        probe = Probe("logistic", c=0.1, seed=0).fit(rows[some], self.classes[some])
        truth = self.classes[test]
        if self.kind == "ap":
            return float(average_precision_score(truth == 1, probe.probabilities(rows[test])[:, 1]))
        return float(f1_score(truth, probe.predict(rows[test]), average="macro"))

    def _chance(self, test: Int[np.ndarray, " t"]) -> float:
        shares = np.bincount(self.classes[test], minlength=len(self.names)) / len(test)
        if self.kind == "ap":
            return float(shares[1])
        guess = 1 / len(self.names)  # precision is the share of a class, recall 1 / classes
        return float(np.mean(2 * shares * guess / (shares + guess)))


def labelled_places(
    config: ReportConfig,
    labels: Volume,
    source: TrainingVolume,
    encoder: EncoderConfig,
    cells: Zyx,
) -> LabelledPlaces:
    """Draws places in the two halves of the box of the first training volume, and their classes.

    Args:
        config: how many places, and which value is no class.
        labels: of `open_labels`.
        source: the training volume that they belong to.
        encoder: gives field of view and stride.
        cells: places per axis of a block at most, ZYX.

    Raises:
        DataError: fewer than two classes have a few places in both halves.
        MismatchError: the box is too small for two halves.
    """
    halves = _halves(source, encoder)
    grids = [grid_over(source, half, encoder) for half in halves]
    cells = zyx(map(min, cells, *(grid.shape for grid in grids)))
    parts = [
        take_places(source, 0, half, encoder, cells, config.places // 2, seed=i + 1)
        for i, half in enumerate(halves)
    ]
    places = together(parts)
    learn = np.arange(len(places)) < len(parts[0])
    values = _values(labels, places, math.prod(cells))
    labelled = np.ones(len(values), bool)
    if config.unlabelled is not None:
        labelled = values != config.unlabelled
    names, kept = [int(v) for v in np.unique(values[labelled])], []
    for name in names:
        if min((values[half] == name).sum() for half in (learn, ~learn)) >= _FEWEST:
            kept.append(name)
    if len(kept) < 2:
        raise DataError(
            f"the labels {labels.name} have {len(names)} classes at {len(values)} places of "
            f"{source.box} (voxels, ZYX), and {len(kept)} of them have {_FEWEST} places in both "
            "halves; two are needed: name more places, or train on a box that holds more labels"
        )
    classes = np.full(len(values), -1)
    for number, name in enumerate(kept):
        classes[values == name] = number
    return LabelledPlaces(places, classes, tuple(kept), learn)


def _halves(source: TrainingVolume, encoder: EncoderConfig) -> tuple[Box, Box]:
    """The box cut across its longest axis, so far apart that no field of view reaches across."""
    box, sizes = source.box, source.volume.frame.voxel_size_nm
    axis = int(np.argmax(np.asarray(box.shape) * sizes))
    middle = (box.start[axis] + box.stop[axis]) // 2
    needed = math.ceil(2 * encoder.fov[axis] * source.step[axis])
    if box.shape[axis] < needed:
        raise MismatchError(
            f"labels are scored in two halves of the box to train on, which is {box.shape} voxels "
            f"(ZYX): its longest axis needs at least two fields of view, {needed}"
        )
    stop, start = list(box.stop), list(box.start)
    stop[axis] = start[axis] = middle
    return Box(box.start, zyx(stop)), Box(zyx(start), box.stop)


def _values(labels: Volume, places: Places, per_block: int) -> Shaped[np.ndarray, " place"]:
    """The value of the voxel in the middle of each place, read block by block."""
    voxels = np.floor(places.centres).astype(int)
    found = []
    for first in range(0, len(voxels), per_block):
        some = voxels[first : first + per_block]
        low = some.min(axis=0)
        grey = labels.read(Box(zyx(low), zyx(some.max(axis=0) + 1)))
        found.append(grey[tuple((some - low).T)])
    return np.concatenate(found)


def _balanced(truth: Int[np.ndarray, " n"], guess: Int[np.ndarray, " n"]) -> float:
    recalls = [(guess[truth == c] == c).mean() for c in np.unique(truth)]
    return float(np.mean(recalls))
