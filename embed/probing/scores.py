"""How well places are classified by probes that saw no label of their part of space."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float

from embed.probing.linear import Kind, Targets


@dataclasses.dataclass(frozen=True)
class Scores:
    """How well places are classified by probes that saw no label of their part of space.

    The strength of the penalty was chosen on the same folds, so that they flatter a little.

    Attributes:
        folds: into how many parts space was divided.
        balanced_accuracy: mean of the classes' recalls, 0 to 1; where classes are decided alone
            the mean over classes of that of yes and no.
        f1: mean of the classes' F1 scores, 0 to 1.
        average_precision: of each class against the others, 0 to 1.
        calibration_error: how far probabilities are from what comes true, 0 to 1, classes weighing
            alike; None of a probe that was not calibrated.
        uncalibrated_error: how far they were before they were calibrated.
    """

    folds: int
    balanced_accuracy: float
    f1: float
    average_precision: dict[str, float]
    calibration_error: float | None = None
    uncalibrated_error: float | None = None


def skill(kind: Kind, scores: Scores) -> float:
    """1 where no place is classified wrongly, 0 where all are by chance."""
    chance = 0.5 if kind == "multilabel" else 1 / len(scores.average_precision)
    return max((scores.balanced_accuracy - chance) / (1 - chance), 0.0)


def decided(kind: Kind, logits: Float[np.ndarray, "n classes"]) -> Bool[np.ndarray, "n classes"]:
    """Which classes places are said to be of."""
    if kind == "multilabel":
        return logits > 0
    return logits.argmax(axis=1)[:, None] == np.arange(logits.shape[1])


def balanced_accuracy(
    kind: Kind, guessed: Bool[np.ndarray, "n classes"], targets: Targets
) -> float:
    """See `Scores`; over the classes that are among the targets."""
    hits = _shares(guessed, targets == 1)
    if kind == "multilabel":
        hits = (hits + _shares(~guessed, targets == 0)) / 2
    return float(np.nanmean(hits))


def score(
    kind: Kind,
    logits: Float[np.ndarray, "n classes"],
    targets: Targets,
    names: tuple[str, ...],
    folds: int,
    calibration: tuple[float, float],
) -> Scores:
    """The scores of logits of places that were left out.

    Args:
        kind: of what the classes are to each other.
        logits: before classes are made as common as they are in the volume.
        targets: what the places are.
        names: of the classes.
        folds: into how many parts space was divided.
        calibration: the error before and after.
    """
    from sklearn.metrics import average_precision_score, f1_score

    guessed, ranked = decided(kind, logits), logits
    if kind == "multiclass":  # against the others
        ranked = np.exp(logits - logits.max(axis=1, keepdims=True))
        ranked = ranked / ranked.sum(axis=1, keepdims=True)
    precision, f1 = {}, []
    for name, truth, said, sure in zip(names, targets.T, guessed.T, ranked.T, strict=True):
        known = truth >= 0
        precision[name] = float(average_precision_score(truth[known] == 1, sure[known]))
        f1.append(f1_score(truth[known] == 1, said[known], zero_division=0))
    before, after = calibration
    return Scores(
        folds=folds,
        balanced_accuracy=balanced_accuracy(kind, guessed, targets),
        f1=float(np.mean(f1)),
        average_precision=precision,
        calibration_error=after,
        uncalibrated_error=before,
    )


def _shares(
    guessed: Bool[np.ndarray, "n classes"], truth: Bool[np.ndarray, "n classes"]
) -> Float[np.ndarray, " classes"]:
    """Of each class, the share of its places that is guessed; nan where there are none."""
    counts = truth.sum(axis=0)
    return np.where(counts > 0, (guessed & truth).sum(axis=0) / np.maximum(counts, 1), np.nan)
