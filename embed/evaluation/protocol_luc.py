"""P-LUC: mitochondria in mouse hippocampus, FIB-SEM at 10 nm.

How well a place shows that its middle lies in a mitochondrion: few-label probes, and retrieval.
Training and test block are apart along y, and no voxel is seen from both.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from embed.errors import MismatchError, OutOfBoundsError
from embed.evaluation import controls, filterbank
from embed.evaluation.features import Features
from embed.evaluation.fewshot import Probe, draw
from embed.evaluation.places import Places
from embed.evaluation.protocol import (
    Protocol,
    Scores,
    TrainedOn,
    labels_of,
    names_volume,
    open_data,
    per_axis,
)
from embed.evaluation.retrieval import far_enough, separated
from embed.geometry import Box, Grid, Zyx

NAME = "P-LUC"
VOLUME = "lucchi_train"

_STRIDE = (8, 8, 8)
_TRAIN_STOP, _TEST_START = 184, 200  # along y
_LABELS: dict[str, int | None] = {"5": 5, "10": 10, "50": 50, "200": 200, "all": None}
_DRAWS = 10
_C = 0.1
_QUERIES = 200
_HITS = 50
_EXCLUDED_NM = 330.0
_SEPARATION_NM = 160.0
_BANK_STEPS = (1.0, 2.0, 4.0)
POOLED = "filter bank + pooled, logistic regression"
POOLED_FOREST = "filter bank + pooled, random forest"


def prepare(data: Path, fov: Zyx, trained_on: TrainedOn = ()) -> "Mitochondria":
    """Lays out the places for a field of view (voxels, ZYX).

    Raises:
        NotFoundError: a volume is not in `data`.
        MismatchError: the field of view fits neither block.
    """
    volume = open_data(data, VOLUME)
    depth, height, width = volume.box.shape
    blocks = (
        Box((0, 0, 0), (depth, _TRAIN_STOP, width)),
        Box((0, _TEST_START, 0), (depth, height, width)),
    )
    try:
        grids = [Grid.covering(block, fov, _STRIDE) for block in blocks]
    except OutOfBoundsError:
        raise MismatchError(
            f"{NAME} has blocks of {blocks[0].shape} and {blocks[1].shape} voxels (ZYX); a field "
            f"of view of {per_axis(fov)} does not fit: use an encoder with a smaller one"
        ) from None
    found = on_places(data, Places.on(*grids), trained_on)
    split = {"train": f"y < {_TRAIN_STOP}", "test": f"y >= {_TEST_START}", **found.split}
    counts = {"train": grids[0].size, "test": grids[1].size}
    return dataclasses.replace(found, split=split, counts=counts)


def on_places(data: Path, places: Places, trained_on: TrainedOn = ()) -> "Mitochondria":
    """The volume and its labels at some places, which are not split.

    Raises:
        NotFoundError: a volume is not in `data`.
    """
    volume = open_data(data, VOLUME)
    labels = labels_of(data, "lucchi_train_mitochondria", volume)
    on_it = any(names_volume(entry, VOLUME) for entry in trained_on)
    return Mitochondria(
        volume=volume,
        grey=volume.read(volume.box),
        places=places,
        split={"encoder_trained_on_this_volume": on_it},
        counts={},
        positive=labels[tuple(places.voxels.T)] > 0,
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Mitochondria(Protocol):
    """P-LUC for one field of view.

    Attributes:
        positive: whether the middle voxel of each place is labelled mitochondrion.
    """

    positive: Bool[np.ndarray, " n"]

    @property
    def chance(self) -> dict[str, float]:
        """Average precision and precision of a random order; F1 of a coin."""
        share = float(self._test_labels.mean())
        guess = {f"ap@{n}": share for n in _LABELS} | {
            f"f1@{n}": 2 * share * 0.5 / (share + 0.5) for n in _LABELS
        }
        return {**guess, f"precision@{_HITS}": share}

    def controls(self) -> dict[str, Features]:
        """Raw field of view, mean intensity, and the filter bank at the middle and pooled."""
        middle, both = self._banks()
        return {
            **controls.raw_controls(self.grey, self.places, np.arange(self._train)),
            controls.LOGISTIC: Features(middle),
            POOLED: Features(both),
            POOLED_FOREST: Features(both, classifier="forest"),
        }

    def filter_bank(self) -> Float32[np.ndarray, "n columns"]:
        """The filter bank at the middle of each place and pooled over its field of view."""
        return self._banks()[1]

    def _banks(
        self,
    ) -> tuple[Float32[np.ndarray, "n columns"], Float32[np.ndarray, "n more"]]:
        """The filter bank at the middle, and the same with what is pooled."""
        size = self.volume.frame.voxel_size_nm
        bank = filterbank.responses(self.grey, size, controls.ladder_nm(size, _BANK_STEPS))
        middle, mean = filterbank.sampled(
            bank,
            filterbank.at_voxels(self.places.voxels),
            filterbank.pooled(self.places.starts, self.places.fov),
        )
        return middle, np.concatenate([middle, mean], axis=1)

    def score(self, features: Features, seeds: Sequence[int]) -> Scores:
        """Average precision and F1 of probes on few labels, and precision of retrieval."""
        scores: Scores = {}
        for name, count in _LABELS.items():
            found = [self._probed(features, count, seed) for seed in seeds]
            scores[f"ap@{name}"] = [ap for ap, _ in found]
            scores[f"f1@{name}"] = [f1 for _, f1 in found]
        if features.compares:
            scores[f"precision@{_HITS}"] = [self._precision(features, seed) for seed in seeds]
        return scores

    @property
    def _train(self) -> int:
        return self.counts["train"]

    @property
    def _test_labels(self) -> Bool[np.ndarray, " m"]:
        return self.positive[self._train :]

    def _probed(self, features: Features, count: int | None, seed: int) -> tuple[float, float]:
        from sklearn.metrics import average_precision_score, f1_score

        rng = np.random.default_rng(seed)
        test = features.values[self._train :]
        found = []
        for _ in range(1 if count is None else _DRAWS):
            chosen = draw(self.positive[: self._train], count, rng)
            probe = Probe(features.classifier, c=_C, seed=seed)
            probe.fit(features.values[chosen], self.positive[chosen])
            sure = probe.probabilities(test)[:, 1]
            ap = average_precision_score(self._test_labels, sure)
            found.append((ap, f1_score(self._test_labels, sure > 0.5, zero_division=0)))
        ap, f1 = np.mean(found, axis=0)
        return float(ap), float(f1)

    def _precision(self, features: Features, seed: int) -> float:
        """Share of mitochondria among the hits of random mitochondria of the test block."""
        rng = np.random.default_rng(seed)
        queries = rng.permutation(np.flatnonzero(self._test_labels))[:_QUERIES]
        comparable = features.comparable(slice(self._train))
        test = np.arange(self._train, len(self.places))
        alike = comparable.between(test[queries], test)
        size = self.volume.frame.voxel_size_nm
        places_nm = self.places.centres[self._train :] * size
        found = [
            self._hits(q, row, places_nm) for q, row in zip(queries.tolist(), alike, strict=True)
        ]
        return float(np.mean([self._test_labels[hits].mean() for hits in found]))

    def _hits(
        self, query: int, alike: Float[np.ndarray, " m"], places_nm: Float[np.ndarray, "m 3"]
    ) -> Int[np.ndarray, " k"]:
        fov_nm = controls.fov_nm(self.places.fov, self.volume.frame.voxel_size_nm)
        allowed = np.flatnonzero(far_enough(places_nm[query], places_nm, fov_nm, _EXCLUDED_NM))
        best = separated(alike[allowed], places_nm[allowed], _HITS, _SEPARATION_NM)
        return allowed[best]
