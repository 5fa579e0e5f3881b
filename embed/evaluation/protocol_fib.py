"""P-FIB: same neuron or not, in fly medulla, FIB-SEM at 10 nm.

Pairs of places a little apart, within one neuron or in two, ranked by similarity. Hard pairs lie in
neurons that touch, easy ones in neurons that do not. An encoder sees the field of view, never the
segmentation, unless it was trained on masked fields of view: then it is scored on such. The masked
controls see it too, so they say what is there to be had, and are what a masked encoder has to beat.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int, Shaped

from embed.errors import MismatchError
from embed.evaluation import bodies, controls, filterbank, verification
from embed.evaluation.features import Features
from embed.evaluation.places import Places
from embed.evaluation.protocol import (
    Protocol,
    Scores,
    TrainedOn,
    crop_of,
    labels_of,
    names_volume,
    open_data,
    per_axis,
)
from embed.evaluation.verification import Pairs
from embed.geometry import Box, Zyx

NAME = "P-FIB"
VOLUME = "fib25_b"

_REACH_NM = 1500.0
_TRAINED_BELOW, _TESTED_FROM = 120, 130  # along z, where the encoder trained on this volume
_BANK_STEPS = (1.0, 2.0, 4.0)
# With fewer, an AUC over bodies says more of the bodies than of the features.
_FEWEST_BODIES = 5
MASK_VOLUME = "mask volume"
MASK_SHAPE = "mask shape"
MASKED_MEAN = "masked mean intensity"
MASKED_BANK = "masked filter bank"
SHAPE_AND_BANK = "shape + masked filter bank"


def prepare(data: Path, fov: Zyx, trained_on: TrainedOn = ()) -> "SameNeuron":
    """Lays out the pairs for a field of view (voxels, ZYX).

    Raises:
        NotFoundError: a volume is not in `data`.
        MismatchError: the encoder was trained on what it would be tested on, or too few bodies
            have pairs of this field of view.
    """
    first = _tested_from(trained_on)
    volume = open_data(data, VOLUME)
    ids = labels_of(data, "fib25_b_bodies", volume)
    size = volume.frame.voxel_size_nm
    label = _from_zero(ids)
    places = Places.around(bodies.nodes(label), fov)
    places = places.take(places.inside(Box((first, 0, 0), volume.box.shape)))
    body = label[tuple(places.voxels.T)]
    pairs = verification.near_pairs(places, body, bodies.touching(label), size, _REACH_NM)
    sample = verification.draw(pairs, np.random.default_rng(0))
    drawn = [sample.bodies(hard=hard) for hard in (True, False)]
    if min(drawn) < _FEWEST_BODIES:
        raise MismatchError(
            f"only {min(drawn)} neurons of {volume.name} have pairs at z >= {first} whose fields "
            f"of view of {per_axis(fov)} do not overlap; {NAME} needs {_FEWEST_BODIES}: use an "
            "encoder with a smaller field of view, or one that was not trained on this volume"
        )
    return SameNeuron(
        volume=volume,
        grey=volume.read(volume.box),
        places=places,
        split={"places": f"fields of view wholly at z >= {first}", "reason": _reason(first)},
        counts=_counts(places, body, pairs, drawn),
        bodies=label,
        pairs=pairs,
    )


@dataclasses.dataclass(frozen=True, eq=False)
class SameNeuron(Protocol):
    """P-FIB for one field of view.

    Attributes:
        bodies: the segmentation, labels counted from 0 without gaps.
        pairs: every pair that may be drawn.
    """

    bodies: Shaped[np.ndarray, "z y x"]
    pairs: Pairs

    @property
    def segments(self) -> Shaped[np.ndarray, "z y x"]:
        """The bodies."""
        return self.bodies

    @property
    def chance(self) -> dict[str, float]:
        """A coin."""
        kinds = ("auc_touching", "auc_apart", "auc")
        return {f"{prefix}{kind}": 0.5 for prefix in ("", "probe_") for kind in kinds}

    def controls(self) -> dict[str, Features]:
        """What sees the field of view, then what sees the segmentation too."""
        masks = list(bodies.masks_of(self.bodies, self.places))
        size, starts = self.volume.frame.voxel_size_nm, self.places.starts
        bank = filterbank.responses(self.grey, size, controls.ladder_nm(size, _BANK_STEPS))
        of_body = filterbank.masked(starts, masks)
        pooled, masked = filterbank.sampled(
            bank, filterbank.pooled(starts, self.places.fov), of_body
        )
        mean = of_body(self.grey.astype(np.float32))[:, :1]
        shape = bodies.mask_shape(masks)
        return {
            **controls.raw_controls(self.grey, self.places, np.arange(len(self.places))),
            controls.LOGISTIC: Features(pooled),
            controls.FOREST: Features(pooled, classifier="forest"),
            MASK_VOLUME: Features(bodies.mask_volume(masks)),
            MASK_SHAPE: Features(shape),
            MASKED_MEAN: Features(mean),
            MASKED_BANK: Features(masked),
            SHAPE_AND_BANK: Features(np.concatenate([shape, masked], axis=1)),
        }

    def score(self, features: Features, seeds: Sequence[int]) -> Scores:
        """AUC over body-balanced pairs: of similarity, and of a classifier of other pairs.

        The classifier of a pair saw no pair of its body. A seed draws the same pairs for every
        feature set.
        """
        scores: Scores = {}
        alike = verification.similarity(features, self.pairs)
        for seed in seeds:
            sample = verification.draw(self.pairs, np.random.default_rng(seed))
            found: dict[str, float] = {}
            if features.compares:
                found |= verification.auc(self.pairs, sample, alike[sample.pairs])
            fitted = verification.fitted_similarity(features, self.pairs, sample, seed)
            by_probe = verification.auc(self.pairs, sample, fitted)
            found |= {f"probe_{name}": value for name, value in by_probe.items()}
            for name, value in found.items():
                scores.setdefault(name, []).append(value)
        return scores


def _tested_from(trained_on: TrainedOn) -> int:
    """The first section whose fields of view the encoder cannot have seen."""
    mine = [entry for entry in trained_on if names_volume(entry, VOLUME)]
    if not mine:
        return 0
    last = max(_last_section(entry) for entry in mine)
    if last <= _TRAINED_BELOW:
        return _TESTED_FROM
    raise MismatchError(
        f"this encoder was trained on {VOLUME} up to z = {last}, and {NAME} tests there; train on "
        f"another volume, or on its z < {_TRAINED_BELOW} alone (then z >= {_TESTED_FROM} is tested)"
    )


def _last_section(entry: dict) -> int:
    """Where along z of the volume the training of an entry ended."""
    crop = crop_of(entry)
    if crop.get("name") == VOLUME:
        return int(crop["box_zyx"][0][1])
    return int(entry["box_zyx"][0][1])


def _reason(first: int) -> str:
    if first:
        return f"the encoder was trained on {VOLUME} at z < {_TRAINED_BELOW}"
    return f"the encoder was not trained on {VOLUME}"


def _from_zero(ids: Shaped[np.ndarray, "z y x"]) -> Int[np.ndarray, "z y x"]:
    """Labels counted from 0 without gaps; 0 stays background even where there is none."""
    values, flat = np.unique(ids, return_inverse=True)
    return flat.reshape(ids.shape) + int(values[0] != 0)


def _counts(
    places: Places, body: Int[np.ndarray, " n"], pairs: Pairs, drawn: list[int]
) -> dict[str, int]:
    return {
        "places": len(places),
        "bodies": len(np.unique(body)),
        "pairs_same": int(pairs.same.sum()),
        "pairs_touching": int(pairs.touch.sum()),
        "pairs_apart": int((~pairs.same & ~pairs.touch).sum()),
        "bodies_drawn_touching": drawn[0],
        "bodies_drawn_apart": drawn[1],
    }
