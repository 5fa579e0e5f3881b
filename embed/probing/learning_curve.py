"""How far a probe gets with fewer labels, which tells whether more of them would help."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from embed.penalty import Choice
from embed.probing.linear import Kind, Targets, fit
from embed.probing.scores import balanced_accuracy, decided

_COUNTS = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000)


@dataclasses.dataclass(frozen=True)
class CurvePoint:
    """What probes with some of the labels score on parts of space that they saw nothing of.

    Attributes:
        labels: how many they learnt from.
        score: mean of their balanced accuracies, 0 to 1.
        deviation: standard deviation over draws of labels and parts of space.
    """

    labels: int
    score: float
    deviation: float


def learning_curve(
    kind: Kind,
    rows: Float[np.ndarray, "n dim"],
    targets: Targets,
    chosen: Choice,
    seed: int,
) -> tuple[CurvePoint, ...]:
    """Scores of probes with 5, 10, 25 … labels, up to all that one fold leaves to learn from.

    A draw shares labels among the classes as all of them are, every class having one at least. The
    strength of the penalty is the one chosen for all of them. There is a draw for each fold.

    Args:
        kind: of what the classes are to each other.
        rows: standardised embeddings.
        targets: what each place is.
        chosen: the penalty, and the folds of cross-validation; without folds there are no points.
        seed: of the draws.
    """
    if not chosen.folds:
        return ()
    rng = np.random.default_rng(seed)
    most = min(len(train) for train, _ in chosen.folds)
    points = []
    for count in (n for n in _COUNTS if targets.shape[1] < n < most):
        found = []
        for train, test in chosen.folds:
            some = _drawn(kind, targets, train, count, rng)
            linear = fit(kind, rows[some], targets[some], [chosen.c])[0]
            guessed = decided(kind, linear.logits(rows[test]))
            found.append(balanced_accuracy(kind, guessed, targets[test]))
        points.append(_point(count, found))
    # With all of them, the places were classified when the penalty was chosen.
    whole = decided(kind, chosen.logits)
    tests = [test for _, test in chosen.folds]
    found = [balanced_accuracy(kind, whole[test], targets[test]) for test in tests]
    return (*points, _point(most, found))


def _point(labels: int, scores: list[float]) -> CurvePoint:
    return CurvePoint(labels, float(np.mean(scores)), float(np.std(scores)))


def _drawn(
    kind: Kind,
    targets: Targets,
    train: Int[np.ndarray, " m"],
    count: int,
    rng: np.random.Generator,
) -> Int[np.ndarray, " k"]:
    """Some places, with one at least that is of each class, and one that is not."""
    mixed = rng.permutation(train)
    needed: list[int] = []
    for column in targets[mixed].T:
        for value in (1,) if kind == "multiclass" else (1, 0):
            if not (column[np.isin(mixed, needed)] == value).any():
                needed.append(int(mixed[np.argmax(column == value)]))
    others = mixed[~np.isin(mixed, needed)]
    return np.concatenate([np.array(needed, np.int64), others[: max(count - len(needed), 0)]])
