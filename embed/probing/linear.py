"""Linear classifiers of embeddings: logistic regression that weighs classes alike."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int8

Kind = Literal["multiclass", "multilabel"]
"""Whether a place is of exactly one class, or of every class that fits, decided one by one."""

Targets = Int8[np.ndarray, "n classes"]
"""1 where a place is of a class, 0 where it is not, -1 where nobody said."""

# Newton's steps are few, and scikit-learn's cost of a step decides.
_SOLVER = "newton-cg"
_MOST_STEPS = 1000
ROUGHLY, EXACTLY = 1e-3, 1e-5
"""Tolerances of a fit: for comparing probes (scores change in the third digit), and to keep."""


@dataclasses.dataclass(frozen=True, eq=False)
class Standard:
    """How the numbers of embeddings are brought to one scale.

    Attributes:
        mean: subtracted, float64 [dim].
        scale: divided into what is left, float64 [dim].
    """

    mean: Float[np.ndarray, " dim"]
    scale: Float[np.ndarray, " dim"]

    @classmethod
    def of(cls, vectors: Float[np.ndarray, "n dim"]) -> "Standard":
        """That of some embeddings; a number that never changes is left at its size."""
        spread = vectors.std(axis=0, dtype=np.float64)
        scale = np.where(spread > 1e-12, spread, 1.0)
        return cls(vectors.mean(axis=0, dtype=np.float64), scale)

    def __call__(self, vectors: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n dim"]:
        return (vectors - self.mean) / self.scale


@dataclasses.dataclass(frozen=True, eq=False)
class Linear:
    """Weights of a fitted classifier.

    Attributes:
        weights: float64 [classes, dim].
        bias: float64 [classes].
    """

    weights: Float[np.ndarray, "classes dim"]
    bias: Float[np.ndarray, " classes"]

    def logits(self, rows: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n classes"]:
        """How much speaks for each class, of standardised embeddings."""
        return rows @ self.weights.T + self.bias


def probabilities_of(
    kind: Kind, logits: Float[np.ndarray, "n classes"]
) -> Float[np.ndarray, "n classes"]:
    """Logits as probabilities: of one class among all (softmax), or of each alone (sigmoid)."""
    if kind == "multilabel":
        return np.exp(-np.logaddexp(0, -logits))
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def class_weights(kind: Kind, targets: Targets) -> Float[np.ndarray, "n classes"]:
    """The weight of each place in the judgement of each class: classes count alike.

    Of one class among all every column is the same and a class weighs as much as any other; of
    each alone the places that are of it weigh as much as those that are not, and places of which
    nobody said 0. The weights of a column have a mean of 1 over the places that count.
    """
    if kind == "multiclass":
        counts = np.maximum(targets.sum(axis=0), 1)
        row = len(targets) / (len(counts) * counts[targets.argmax(axis=1)])
        return np.repeat(row[:, None], len(counts), axis=1)
    said = targets >= 0
    members = np.maximum((targets == 1).sum(axis=0), 1)
    others = np.maximum((targets == 0).sum(axis=0), 1)
    return said * said.sum(axis=0) / (2 * np.where(targets == 1, members, others))


def fit(
    kind: Kind,
    rows: Float[np.ndarray, "n dim"],
    targets: Targets,
    penalties: Sequence[float],
    tolerance: float = ROUGHLY,
) -> list[Linear]:
    """A classifier for each strength of the penalty.

    Args:
        kind: of what the classes are to each other.
        rows: standardised embeddings.
        targets: of which every class has places that are of it and places that are not.
        penalties: inverse strengths (scikit-learn's C), ascending: each fit goes on from the last.
        tolerance: of the largest slope that is left.
    """
    if kind == "multiclass":
        fitted = _fit(rows, targets.argmax(axis=1), penalties, tolerance)
        return [Linear(*_as_softmax(*pair)) for pair in fitted]
    columns = []
    for column in targets.T:
        said: Bool[np.ndarray, " n"] = column >= 0
        columns.append(_fit(rows[said], column[said], penalties, tolerance))
    return [
        Linear(np.concatenate([w for w, _ in pairs]), np.concatenate([b for _, b in pairs]))
        for pairs in zip(*columns, strict=True)
    ]


def _fit(
    rows: Float[np.ndarray, "n dim"], classes: Any, penalties: Sequence[float], tolerance: float
) -> list[tuple[np.ndarray, np.ndarray]]:
    from sklearn import config_context
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(
        class_weight="balanced",
        max_iter=_MOST_STEPS,
        solver=_SOLVER,
        tol=tolerance,
        warm_start=True,
    )
    # Checking what is known to be sound takes as long as a small fit.
    with config_context(assume_finite=True, skip_parameter_validation=True):
        fitted = (model.set_params(C=c).fit(rows, classes) for c in penalties)
        # Copied, as the next fit changes them in place.
        return [(m.coef_.copy(), m.intercept_.copy()) for m in fitted]


def _as_softmax(
    weights: Float[np.ndarray, "rows dim"], bias: Float[np.ndarray, " rows"]
) -> tuple[Float[np.ndarray, "classes dim"], Float[np.ndarray, " classes"]]:
    """Two classes are fitted as one row, the log odds of the second: the first one's are zero."""
    if len(weights) > 1:
        return weights, bias
    return np.concatenate([0 * weights, weights]), np.concatenate([0 * bias, bias])
