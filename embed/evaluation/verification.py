"""Same or different: pairs of places, balanced over bodies, ranked by how alike they are."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from embed.evaluation.features import Features
from embed.evaluation.fewshot import Probe
from embed.evaluation.places import Places
from embed.geometry import ZyxFloat

_PER_BODY = 40
_FOLDS = 5
_C = 0.1
Metrics = dict[str, float]


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Pairs of places that are near each other and share no voxel.

    Attributes:
        first: index of one place.
        second: index of the other.
        bodies: the bodies that the two lie in, counted from 0.
        touch: whether the two bodies touch; False where they are one body.
    """

    first: Int[np.ndarray, " n"]
    second: Int[np.ndarray, " n"]
    bodies: Int[np.ndarray, "n 2"]
    touch: Bool[np.ndarray, " n"]

    @property
    def same(self) -> Bool[np.ndarray, " n"]:
        """Whether both lie in one body."""
        return self.bodies[:, 0] == self.bodies[:, 1]

    def of(self, body: int) -> Bool[np.ndarray, " n"]:
        """Whether a pair has an end in a body."""
        return (self.bodies == body).any(axis=1)


@dataclasses.dataclass(frozen=True)
class Draw:
    """A body-balanced sample: as many pairs of one body as of two, for every body that has both.

    Attributes:
        pairs: indices into `Pairs`, with repetition where a body has few.
        anchors: the body that each was drawn for.
        hard: whether it was drawn to stand among pairs of touching bodies, or of bodies apart.
    """

    pairs: Int[np.ndarray, " n"]
    anchors: Int[np.ndarray, " n"]
    hard: Bool[np.ndarray, " n"]

    def bodies(self, *, hard: bool) -> int:
        """How many bodies pairs were drawn for."""
        return len(np.unique(self.anchors[self.hard == hard]))


def near_pairs(
    places: Places,
    bodies: Int[np.ndarray, " n"],
    touch: Bool[np.ndarray, "bodies bodies"],
    voxel_size_nm: ZyxFloat,
    reach_nm: float,
) -> Pairs:
    """Every pair of places nearer than `reach_nm` whose fields of view do not overlap."""
    i, j = np.triu_indices(len(places), 1)
    apart = np.abs(places.starts[i] - places.starts[j])
    near = np.linalg.norm(apart * np.asarray(voxel_size_nm), axis=1) < reach_nm
    keep = near & (apart >= places.fov).any(axis=1)
    i, j = i[keep], j[keep]
    ends = np.stack([bodies[i], bodies[j]], axis=1)
    return Pairs(i, j, ends, touch[ends[:, 0], ends[:, 1]])


def draw(pairs: Pairs, rng: np.random.Generator) -> Draw:
    """Draws 40 pairs within a body and 40 across for every body that has both, hard, then easy."""
    chosen, anchors, hard = [], [], []
    for across in (pairs.touch, ~pairs.same & ~pairs.touch):
        for body in np.unique(pairs.bodies):
            mine = pairs.of(int(body))
            kinds = np.flatnonzero(pairs.same & mine), np.flatnonzero(across & mine)
            if min(map(len, kinds)):
                chosen += [rng.choice(kind, _PER_BODY) for kind in kinds]
                anchors += [body] * 2 * _PER_BODY
                hard += [across is pairs.touch] * 2 * _PER_BODY
    indices = np.concatenate([np.zeros(0, np.int64), *chosen])
    return Draw(indices, np.asarray(anchors, np.int64), np.asarray(hard, bool))


def auc(pairs: Pairs, sample: Draw, alike: Float[np.ndarray, " m"]) -> dict[str, float]:
    """How well the drawn pairs of one body rank above those of two: hard, easy, and both."""
    from sklearn.metrics import roc_auc_score

    same = pairs.same[sample.pairs]
    parts = {"_touching": sample.hard, "_apart": ~sample.hard, "": np.ones_like(same)}
    return {f"auc{k}": float(roc_auc_score(same[m], alike[m])) for k, m in parts.items()}


def similarity(features: Features, pairs: Pairs) -> Float[np.ndarray, " n"]:
    """How alike the two places of every pair are, with nothing fitted."""
    return features.comparable().of_pairs(pairs.first, pairs.second)


def fitted_similarity(
    features: Features, pairs: Pairs, sample: Draw, seed: int
) -> Float[np.ndarray, " m"]:
    """How surely a classifier calls each drawn pair one body.

    The bodies are dealt into five folds; the pairs drawn for a fold's bodies are scored by a
    classifier that was fitted on the pairs with no end in any of them.
    """
    rows = _pair_rows(features, pairs, sample.pairs)
    same = pairs.same[sample.pairs]
    dealt = np.random.default_rng(seed).permutation(np.unique(sample.anchors))
    scores = np.full(len(sample.pairs), 0.5)
    for bodies in np.array_split(dealt, min(_FOLDS, len(dealt))):
        test = np.isin(sample.anchors, bodies)
        train = ~np.isin(pairs.bodies[sample.pairs], bodies).any(axis=1)
        if len(np.unique(same[train])) == 2:
            probe = Probe(features.classifier, c=_C, seed=seed).fit(rows[train], same[train])
            scores[test] = probe.probabilities(rows[test])[:, 1]
    return scores


def _pair_rows(
    features: Features, pairs: Pairs, which: Int[np.ndarray, " m"]
) -> Shaped[np.ndarray, "m _"]:
    """What a classifier sees of a pair: how far apart, and where both are large together."""
    rows = features.comparable().rows
    a, b = rows[pairs.first[which]], rows[pairs.second[which]]
    return np.concatenate([np.abs(a - b), a * b], axis=1)
