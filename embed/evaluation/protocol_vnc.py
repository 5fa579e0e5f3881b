"""P-VNC: five classes in fly nerve cord, sections of 45 nm with voxels of 4.6 nm.

Sections 0–13 give the labels, 14–15 the strength of regularisation, 16–19 the score. No section is
seen from both sides: an encoder that sees neighbouring sections gives up those at the border.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int

from embed.errors import MismatchError
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
from embed.evaluation.vnc_places import CLASSES, points, split_sections, unanimous
from embed.geometry import Zyx, ZyxFloat

NAME = "P-VNC"
VOLUME = "vnc_left"

_POOL, _TEST_POOL = 2000, 1000
_LABELS = (5, 25, 100, _POOL)
_DRAWS = 5
_STRENGTHS = (0.01, 0.1, 1.0, 10.0)
_STRENGTH_DRAWS = 3
_NEIGHBOURS = 10
_UNKNOWN_LABELS = 100
# Chosen on sections 14–15, with the mean of three sections beside the section itself.
_BANK_STEPS = (2.0, 4.0, 8.0, 16.0)


def prepare(data: Path, fov: Zyx, trained_on: TrainedOn = ()) -> "FiveClasses":
    """Lays out the places for a field of view (voxels, ZYX).

    Raises:
        NotFoundError: a volume is not in `data`.
        MismatchError: the field of view leaves no section to test on; presets that fit are named.
    """
    volume = open_data(data, VOLUME)
    size = volume.frame.voxel_size_nm
    train, choose, test = split_sections(fov, volume.box.shape[0])
    if not (train and choose and test) or max(fov[1:]) > min(volume.box.shape[1:]):
        raise MismatchError(
            f"{NAME} tests on 4 of {volume.box.shape[0]} sections of {size[0]:g} nm, so a field of "
            f"view may see at most 5 sections; this encoder's is {per_axis(fov)}. "
            f"{_advice(volume.box.shape[0], size)}"
        )
    labels = labels_of(data, "vnc_left_classes", volume)
    rng = np.random.default_rng(0)
    allowed = unanimous(labels, fov)
    parts = [
        points(labels, allowed, sections, count, rng)
        for sections, count in ((train, _POOL), (choose, _TEST_POOL), (test, _TEST_POOL))
    ]
    voxels = np.concatenate(parts)
    return FiveClasses(
        volume=volume,
        grey=volume.read(volume.box),
        places=Places.around(voxels, fov),
        split={
            "train": f"sections {train[0]} to {train[-1]}",
            "choose": f"sections {choose[0]} to {choose[-1]}",
            "test": f"sections {test[0]} to {test[-1]}",
            "encoder_trained_on_this_volume": any(names_volume(e, VOLUME) for e in trained_on),
        },
        counts=dict(zip(("train", "choose", "test"), map(len, parts), strict=True)),
        labels=labels[tuple(voxels.T)].astype(np.int64),
        random_networks=2,
    )


@dataclasses.dataclass(frozen=True, eq=False)
class FiveClasses(Protocol):
    """P-VNC for one field of view.

    Attributes:
        labels: class of each place, 1 to 5.
    """

    labels: Int[np.ndarray, " n"]

    @property
    def chance(self) -> dict[str, float]:
        """One in five; a coin for what is unknown."""
        fitted = {f"f1@{n}": 1 / len(CLASSES) for n in _LABELS}
        return {**fitted, f"p@{_NEIGHBOURS}": 1 / len(CLASSES), "unknown_auroc": 0.5}

    def controls(self) -> dict[str, Features]:
        """Raw field of view, mean intensity, and the filter bank of a section and of three."""
        size = self.volume.frame.voxel_size_nm
        steps = controls.ladder_nm(size, _BANK_STEPS)
        bank = filterbank.responses(self.grey, size, steps, planar=True)
        at = filterbank.at_voxels(self.places.voxels, sections=(-1, 0, 1))
        (flat,) = filterbank.sampled(bank, at)
        three = flat.reshape(len(flat), -1, 3)
        rows = np.concatenate([three[..., 1], three.mean(axis=-1)], axis=1)
        return {
            **controls.raw_controls(self.grey, self.places, self._train),
            controls.LOGISTIC: Features(rows),
            controls.FOREST: Features(rows, classifier="forest"),
        }

    def score(self, features: Features, seeds: Sequence[int]) -> Scores:
        """Macro-F1 on few labels, precision of retrieval, and how well the unknown stands out."""
        scores: Scores = {}
        for count in _LABELS:
            c = self._strength(features, count)
            scores[f"f1@{count}"] = [self._f1(features, count, c, seed) for seed in seeds]
        if features.compares:
            scores[f"p@{_NEIGHBOURS}"] = [self._precision(features, seed) for seed in seeds]
        c = self._strength(features, _UNKNOWN_LABELS)
        scores["unknown_auroc"] = [self._unknown(features, c, seed) for seed in seeds]
        return scores

    @property
    def _train(self) -> Int[np.ndarray, " m"]:
        return np.arange(self.counts["train"])

    @property
    def _choose(self) -> Int[np.ndarray, " m"]:
        return self.counts["train"] + np.arange(self.counts["choose"])

    @property
    def _test(self) -> Int[np.ndarray, " m"]:
        return np.arange(len(self.places) - self.counts["test"], len(self.places))

    def _fitted(
        self, features: Features, c: float, seed: int, chosen: Int[np.ndarray, " m"]
    ) -> Probe:
        probe = Probe(features.classifier, c=c, seed=seed)
        return probe.fit(features.values[chosen], self.labels[chosen])

    def _macro_f1(self, probe: Probe, features: Features, block: Int[np.ndarray, " m"]) -> float:
        from sklearn.metrics import f1_score

        predicted = probe.predict(features.values[block])
        return float(f1_score(self.labels[block], predicted, average="macro", zero_division=0))

    def _strength(self, features: Features, count: int) -> float:
        """The regularisation that does best on the sections kept for choosing."""
        if features.classifier == "forest":
            return _STRENGTHS[0]
        draws = 1 if count == _POOL else _STRENGTH_DRAWS
        rng = np.random.default_rng(0)
        samples = [draw(self.labels[self._train], count, rng) for _ in range(draws)]

        def chosen_score(c: float) -> float:
            probes = (self._fitted(features, c, 0, s) for s in samples)
            return sum(self._macro_f1(probe, features, self._choose) for probe in probes)

        return max(_STRENGTHS, key=chosen_score)

    def _f1(self, features: Features, count: int, c: float, seed: int) -> float:
        rng = np.random.default_rng(seed)
        found = []
        for _ in range(1 if count == _POOL else _DRAWS):
            sample = draw(self.labels[self._train], count, rng)
            probe = self._fitted(features, c, seed, sample)
            found.append(self._macro_f1(probe, features, self._test))
        return float(np.mean(found))

    def _precision(self, features: Features, seed: int) -> float:
        """Mean over classes of the share of a query's neighbours that are of its class."""
        rng = np.random.default_rng(seed)
        labels = self.labels[self._train]
        balanced = int(np.unique(labels, return_counts=True)[1].min())
        gallery = draw(labels, balanced, rng)
        alike = features.comparable(self._train).between(self._test, gallery)
        best = np.argpartition(-alike, _NEIGHBOURS - 1, axis=1)[:, :_NEIGHBOURS]
        truth = self.labels[self._test]
        right = (labels[gallery][best] == truth[:, None]).mean(axis=1)
        return float(np.mean([right[truth == value].mean() for value in np.unique(truth)]))

    def _unknown(self, features: Features, c: float, seed: int) -> float:
        """Ranks test places by a probe's uncertainty, each class held out from it in turn."""
        from sklearn.metrics import roc_auc_score

        rng = np.random.default_rng(seed)
        found = []
        for value in np.unique(self.labels):
            known = self._train[self.labels[self._train] != value]
            sample = known[draw(self.labels[known], _UNKNOWN_LABELS, rng)]
            probe = self._fitted(features, c, seed, sample)
            mixed = self._half_unknown(int(value), rng)
            unsure = 1 - probe.probabilities(features.values[mixed]).max(axis=1)
            found.append(roc_auc_score(self.labels[mixed] == value, unsure))
        return float(np.mean(found))

    def _half_unknown(self, value: int, rng: np.random.Generator) -> Int[np.ndarray, " m"]:
        """As many test places of a class as of all the others together."""
        is_value = self.labels[self._test] == value
        unknown, known = self._test[is_value], self._test[~is_value]
        count = min(len(unknown), len(known))
        return np.concatenate([rng.permutation(part)[:count] for part in (unknown, known)])


def _advice(sections: int, voxel_size_nm: ZyxFloat) -> str:
    """Which presets make an encoder that this protocol can score."""
    from embed.config import load_preset, presets

    def suits(name: str) -> bool:
        encoder = load_preset(name).encoder
        pairs = zip(encoder.voxel_size_nm, voxel_size_nm, strict=True)
        return all(split_sections(encoder.fov, sections)) and all(
            0.85 < a / b < 1.15 for a, b in pairs
        )

    fitting = [name for name in presets() if suits(name)]
    if fitting:
        return f"Presets that fit: {', '.join(fitting)}"
    return "No preset fits; kernels and strides of 1 along z keep the sections few"
