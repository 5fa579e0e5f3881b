"""Training of linear probes on labelled embeddings."""

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np
from jaxtyping import Float, Int

from embed.errors import DataError
from embed.penalty import Choice, choose_penalty
from embed.probe import Origin, Probe
from embed.probing import class_prior
from embed.probing.calibration import calibration_errors, fit_slopes
from embed.probing.learning_curve import learning_curve
from embed.probing.linear import EXACTLY, Kind, Standard, Targets, class_weights, fit
from embed.probing.novelty import Novelty, inverse_covariance
from embed.probing.scores import Scores, score, skill


@dataclasses.dataclass(frozen=True, eq=False)
class Examples:
    """Labelled embeddings.

    Attributes:
        kind: whether a place is of one class, or classes are decided each alone.
        classes: names, in the order of the targets.
        vectors: unit length, [n, dim].
        targets: what each is.
        parts: the part of space that each lies in; cross-validation never divides a part, since
            fields of view that overlap would make it too easy.
        places: ids of their locations; empty where they have none.
    """

    kind: Kind
    classes: tuple[str, ...]
    vectors: Float[np.ndarray, "n dim"]
    targets: Targets
    parts: Int[np.ndarray, " n"]
    places: Int[np.ndarray, " places"] = dataclasses.field(
        default_factory=lambda: np.empty(0, np.int64)
    )

    @classmethod
    def of_one_class_each(
        cls,
        vectors: Float[np.ndarray, "n dim"],
        labels: Sequence[str],
        parts: Int[np.ndarray, " n"] | None = None,
        places: Int[np.ndarray, " n"] | None = None,
    ) -> "Examples":
        """Embeddings with the class of each; parts not given: each is one of its own."""
        names = sorted(set(labels))
        targets = np.zeros((len(labels), len(names)), np.int8)
        targets[np.arange(len(labels)), [names.index(label) for label in labels]] = 1
        own = np.arange(len(labels)) if parts is None else parts
        kept = np.empty(0, np.int64) if places is None else places
        return cls("multiclass", tuple(names), vectors, targets, own, kept)

    @property
    def counts(self) -> dict[str, int]:
        """How many places are of each class."""
        members = (self.targets == 1).sum(axis=0).tolist()
        return dict(zip(self.classes, members, strict=True))

    def require_enough(self) -> None:
        """Checks that every class has two places, and two that are not of it.

        Raises:
            DataError: there are too few.
        """
        counts = self.counts
        others = (self.targets == 0).sum(axis=0)
        alone = self.kind == "multilabel"
        few = [name for name, count in counts.items() if count < 2]
        lonely = [name for name, n in zip(self.classes, others.tolist(), strict=True) if n < 2]
        if len(counts) < (1 if alone else 2) or few or (alone and lonely):
            got = ", ".join(f"{name}: {count}" for name, count in counts.items()) or "none"
            rule = (
                "a class that is decided alone needs two labelled places that are of it and two "
                "that are not"
                if alone
                else "a probe needs two classes or more with two labelled places or more each"
            )
            raise DataError(f"{rule}; got {got}")


def train_probe(
    examples: Examples,
    origin: Origin,
    *,
    sample: Float[np.ndarray, "m dim"] | None = None,
    prior: class_prior.Wish = "estimated",
    seed: int = 0,
) -> Probe:
    """Trains a probe on labelled embeddings.

    Args:
        examples: what to learn from.
        origin: what the probe is called and belongs to.
        sample: embeddings from everywhere in the volume, unit length; they standardise better than
            a few labelled ones (on P-LUC 5 labels of a class then score 0.05 more), and say how
            common the classes are. None: the labelled ones have to do.
        prior: how common the classes are in the volume.
        seed: of the division into folds.

    Raises:
        DataError: there are too few labels.
        ConfigError: shares are given that are none.
    """
    examples.require_enough()
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has none

    # Matrices this small wait longer for each other's threads than they compute: ten times less
    # processor time on one thread.
    with threadpool_limits(1, user_api="blas"):
        return _train(examples, origin, sample, prior, seed)


def _train(
    examples: Examples,
    origin: Origin,
    sample: Float[np.ndarray, "m dim"] | None,
    prior: class_prior.Wish,
    seed: int,
) -> Probe:
    kind, targets = examples.kind, examples.targets
    standard = Standard.of(examples.vectors if sample is None else sample)
    rows = standard(examples.vectors)
    everywhere = rows if sample is None else standard(sample)
    chosen = choose_penalty(kind, rows, targets, examples.parts, seed)
    linear = fit(kind, rows, targets, [chosen.c], EXACTLY)[0]
    cut = bool(chosen.folds)
    slopes = fit_slopes(kind, chosen.logits, targets) if cut else np.ones(len(examples.classes))
    counted = np.empty((0, len(slopes))) if sample is None else slopes * linear.logits(everywhere)
    scores = _scores(examples, chosen)
    told_apart = 1.0 if scores is None else skill(kind, scores)
    shares = class_prior.settle(prior, kind, examples.classes, counted, told_apart)
    return Probe(
        origin=origin,
        kind=kind,
        classes=examples.classes,
        mean=standard.mean,
        scale=standard.scale,
        weights=linear.weights,
        bias=linear.bias,
        slopes=slopes,
        shifts=class_prior.shifts(kind, shares),
        prior=shares,
        novelty=_novelty(examples, rows, everywhere, chosen),
        labels=examples.counts,
        places=examples.places,
        c=chosen.c,
        scores=scores,
        unscored="" if cut else "all labels of a class lie in one part of space; label others, too",
        curve=learning_curve(kind, rows, targets, chosen, seed),
        seed=seed,
        versions={name: version(name) for name in ("scikit-learn", "numpy")},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _scores(examples: Examples, chosen: Choice) -> Scores | None:
    if not chosen.folds:
        return None
    tests = [test for _, test in chosen.folds]
    errors = calibration_errors(examples.kind, chosen.logits, examples.targets, tests)
    return score(
        examples.kind,
        chosen.logits,
        examples.targets,
        examples.classes,
        len(chosen.folds),
        errors,
    )


def _novelty(
    examples: Examples,
    rows: Float[np.ndarray, "n dim"],
    everywhere: Float[np.ndarray, "m dim"],
    chosen: Choice,
) -> Novelty:
    targets = examples.targets
    among = inverse_covariance(everywhere)
    whole = Novelty.of(rows, targets, among)
    if not chosen.folds:
        return whole
    distances = np.empty(len(rows))
    for train, test in chosen.folds:
        part = Novelty.of(rows[train], targets[train], among)
        distances[test] = part.distances(rows[test])
    return whole.calibrated(distances, class_weights(examples.kind, targets).mean(axis=1))
