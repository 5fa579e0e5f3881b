"""Choosing how strongly a linear probe is held back, by what it says of places it never saw."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float, Int

PENALTIES = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Inverse strengths of the penalty (scikit-learn's C) that cross-validation chooses from."""

DEFAULT_PENALTY = 0.1
"""C where the labels allow no choice: the middle of the range."""

FOLDS = 5


@dataclasses.dataclass(frozen=True)
class Scores:
    """How well places are classified by probes that saw no label of their part of space.

    C was chosen on the same folds, so that they flatter a little.

    Attributes:
        folds: into how many parts space was divided.
        balanced_accuracy: mean of the classes' recalls, 0 to 1.
        f1: mean of the classes' F1 scores, 0 to 1.
        average_precision: of each class against the others, 0 to 1.
    """

    folds: int
    balanced_accuracy: float
    f1: float
    average_precision: dict[str, float]


def spatial_blocks(positions: Float[np.ndarray, "n 3"], edge: float) -> Int[np.ndarray, " n"]:
    """The number of the cube, of the given edge, that each position lies in."""
    cubes = np.floor(positions / edge).astype(np.int64)
    return np.unique(cubes, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def fit(vectors: Float[np.ndarray, "n dim"], targets: Int[np.ndarray, " n"], c: float) -> Any:
    """A scikit-learn pipeline: a fitted StandardScaler and a class-balanced LogisticRegression."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # Separable labels with a weak penalty take many small steps; each costs microseconds.
    regression = LogisticRegression(C=c, class_weight="balanced", max_iter=10_000)
    return make_pipeline(StandardScaler(), regression).fit(vectors, targets)


def choose_penalty(
    vectors: Float[np.ndarray, "n dim"],
    targets: Int[np.ndarray, " n"],
    parts: Int[np.ndarray, " n"],
    names: np.ndarray,
    seed: int,
) -> tuple[float, Scores | None]:
    """The penalty with the least class-balanced log loss on parts of space that were left out.

    Args:
        vectors: embeddings.
        targets: the number of the class of each, every number up to the largest being used.
        parts: the part of space that each lies in.
        names: of the classes.
        seed: of the division into folds.

    Returns:
        C, and the scores it reached; the default and None where a class lies in a single part.
    """
    from sklearn.metrics import log_loss
    from sklearn.utils.class_weight import compute_sample_weight

    folds = _folds(vectors, targets, parts, seed)
    if not folds:
        return DEFAULT_PENALTY, None
    weight = compute_sample_weight("balanced", targets)
    guesses = {c: _left_out(vectors, targets, folds, c) for c in PENALTIES}
    losses = {c: log_loss(targets, p, sample_weight=weight) for c, p in guesses.items()}
    best = min(PENALTIES, key=lambda c: losses[c])
    return best, _scores(targets, guesses[best], names, len(folds))


Fold = tuple[Int[np.ndarray, "..."], Int[np.ndarray, "..."]]
"""Indices of what to learn from and of what is left out; folds differ in their lengths."""


def _folds(
    vectors: Float[np.ndarray, "n dim"],
    targets: Int[np.ndarray, " n"],
    parts: Int[np.ndarray, " n"],
    seed: int,
) -> list[Fold]:
    """The finest division, up to five folds, that leaves every class to learn from in each."""
    from sklearn.model_selection import StratifiedGroupKFold

    most = min(FOLDS, len(np.unique(parts)), int(np.bincount(targets).min()))
    for count in range(most, 1, -1):
        division = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        folds = list(division.split(vectors, targets, parts))
        classes = targets.max() + 1
        if all(len(test) and len(np.unique(targets[train])) == classes for train, test in folds):
            return folds
    return []


def _left_out(
    vectors: Float[np.ndarray, "n dim"], targets: Int[np.ndarray, " n"], folds: list[Fold], c: float
) -> Float[np.ndarray, "n classes"]:
    probabilities = np.zeros((len(targets), int(targets.max()) + 1))
    for train, test in folds:
        probabilities[test] = fit(vectors[train], targets[train], c).predict_proba(vectors[test])
    return probabilities


def _scores(
    targets: Int[np.ndarray, " n"],
    probabilities: Float[np.ndarray, "n classes"],
    names: np.ndarray,
    folds: int,
) -> Scores:
    from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score

    guessed = probabilities.argmax(axis=1)
    precision = {
        str(name): float(average_precision_score(targets == number, probabilities[:, number]))
        for number, name in enumerate(names)
    }
    accuracy = float(balanced_accuracy_score(targets, guessed))
    return Scores(folds, accuracy, float(f1_score(targets, guessed, average="macro")), precision)
