"""Calibration: how far a probe's logits are stretched so that its probabilities come true.

One slope for all classes (Guo et al. 2017), or where each class is decided alone one for each
(Platt 1999, without an offset: classes weigh alike). It is measured on parts of space that were
left out, classes weighing alike; for their shares in the volume see `embed.probing.class_prior`.
"""

import numpy as np
from jaxtyping import Float, Int

from embed.probing.linear import Kind, Targets, class_weights, probabilities_of

_STEEPEST = 8.0
_HELD = 5.0
"""What a slope of e costs in nats, as five places would: a handful of labels says little of it."""

_BINS = 10


def log_losses(
    kind: Kind, logits: Float[np.ndarray, "n classes"], targets: Targets
) -> Float[np.ndarray, "n classes"]:
    """What each place costs each class, in nats, weighted so that classes count alike.

    Of one class among all the cost of a place is that of its class.
    """
    if kind == "multiclass":
        logits = logits - logits.max(axis=1, keepdims=True)
        surely = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        losses = -surely * (targets == 1)
    else:
        losses = np.logaddexp(0, np.where(targets == 1, -logits, logits))
    return losses * class_weights(kind, targets)


def fit_slopes(
    kind: Kind, logits: Float[np.ndarray, "n classes"], targets: Targets
) -> Float[np.ndarray, " classes"]:
    """What to multiply the logits of each class with; logits of places that were left out."""
    if kind == "multiclass":
        return np.full(logits.shape[1], _slope(kind, logits, targets))
    columns = range(logits.shape[1])
    return np.array([_slope(kind, logits[:, [c]], targets[:, [c]]) for c in columns])


def _slope(kind: Kind, logits: Float[np.ndarray, "n _"], targets: Targets) -> float:
    from scipy.optimize import minimize_scalar

    def cost(log_slope: float) -> float:
        losses = log_losses(kind, np.exp(log_slope) * logits, targets)
        return float(losses.sum()) + _HELD * log_slope**2 / 2

    most = float(np.log(_STEEPEST))
    return float(np.exp(minimize_scalar(cost, bounds=(-most, most), method="bounded").x))


def calibration_errors(
    kind: Kind,
    logits: Float[np.ndarray, "n classes"],
    targets: Targets,
    folds: list[Int[np.ndarray, "..."]],
) -> tuple[float, float]:
    """Expected calibration error as the logits are, and with the slopes of the other folds.

    Args:
        kind: of what the classes are to each other.
        logits: of places that were left out.
        targets: what they are.
        folds: which places were left out together.
    """
    stretched = np.empty_like(logits)
    for fold in folds:
        others = np.setdiff1d(np.arange(len(logits)), fold)
        stretched[fold] = logits[fold] * fit_slopes(kind, logits[others], targets[others])
    return _expected_error(kind, logits, targets), _expected_error(kind, stretched, targets)


def _expected_error(kind: Kind, logits: Float[np.ndarray, "n classes"], targets: Targets) -> float:
    """Mean difference of confidence and truth over ten bins of as many places, 0 to 1.

    The confidence is that in the likeliest class, or where classes are decided alone that in each
    decision. Classes weigh alike.
    """
    probabilities, weights = probabilities_of(kind, logits), class_weights(kind, targets)
    if kind == "multiclass":
        rows, likeliest = np.arange(len(logits)), probabilities.argmax(axis=1)
        sure, right = probabilities[rows, likeliest], targets[rows, likeliest] == 1
        weights = weights[:, 0]
    else:
        said = targets >= 0
        sure, weights = np.maximum(probabilities, 1 - probabilities)[said], weights[said]
        right = ((probabilities > 0.5) == (targets == 1))[said]
    gaps = (sure - right) * weights
    bins = np.array_split(np.argsort(sure, kind="stable"), min(_BINS, len(sure)))
    return float(sum(abs(gaps[chosen].sum()) for chosen in bins) / weights.sum())
