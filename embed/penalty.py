"""Choosing how strongly a linear probe is held back, by what it says of places it never saw."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from embed.probing.calibration import log_losses
from embed.probing.linear import Kind, Targets, fit

PENALTIES = (0.001, 0.01, 0.1, 1.0)
"""Inverse strengths of the penalty (scikit-learn's C) that cross-validation chooses from."""

DEFAULT_PENALTY = 0.1
"""C where the labels allow no choice."""

FOLDS = 5

Fold = tuple[Int[np.ndarray, "..."], Int[np.ndarray, "..."]]
"""Indices of what to learn from and of what is left out; folds differ in their lengths."""


@dataclasses.dataclass(frozen=True, eq=False)
class Choice:
    """The penalty that was chosen, and what led to it.

    Attributes:
        c: inverse strength.
        folds: into which the labelled places were divided; none where the labels allow none.
        logits: of every place from a classifier that saw nothing of its fold; empty without folds.
    """

    c: float
    folds: list[Fold]
    logits: Float[np.ndarray, "n classes"]


def spatial_blocks(positions: Float[np.ndarray, "n 3"], edge: float) -> Int[np.ndarray, " n"]:
    """The number of the cube, of the given edge, that each position lies in."""
    cubes = np.floor(positions / edge).astype(np.int64)
    return np.unique(cubes, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def choose_penalty(
    kind: Kind,
    rows: Float[np.ndarray, "n dim"],
    targets: Targets,
    parts: Int[np.ndarray, " n"],
    seed: int,
) -> Choice:
    """The penalty with the least class-balanced log loss on parts of space that were left out.

    Args:
        kind: of what the classes are to each other.
        rows: standardised embeddings.
        targets: what each place is.
        parts: the part of space that each lies in.
        seed: of the division into folds.
    """
    folds = divide(kind, targets, parts, seed)
    if not folds:
        return Choice(DEFAULT_PENALTY, [], np.empty((0, targets.shape[1])))
    logits = np.zeros((len(PENALTIES), *targets.shape))
    for train, test in folds:
        for number, linear in enumerate(fit(kind, rows[train], targets[train], PENALTIES)):
            logits[number, test] = linear.logits(rows[test])
    losses = [float(log_losses(kind, guess, targets).sum()) for guess in logits]
    best = int(np.argmin(losses))
    return Choice(PENALTIES[best], folds, logits[best])


def divide(kind: Kind, targets: Targets, parts: Int[np.ndarray, " n"], seed: int) -> list[Fold]:
    """The finest division, up to five folds, that leaves every class to learn from in each."""
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    one_of_all = kind == "multiclass"
    rarest = targets.sum(axis=0) if one_of_all else _decided(targets)
    most = min(FOLDS, len(np.unique(parts)), int(rarest.min()))
    for count in range(most, 1, -1):
        how = StratifiedGroupKFold if one_of_all else GroupKFold
        division = how(count, shuffle=True, random_state=seed)
        folds = list(division.split(targets, targets.argmax(axis=1), parts))
        if all(len(test) and _decided(targets[train]).min() > 0 for train, test in folds):
            return folds
    return []


def _decided(targets: Targets) -> Int[np.ndarray, " classes"]:
    """Of each class, how many places are of it or are not, whichever are fewer."""
    return np.minimum((targets == 1).sum(axis=0), (targets == 0).sum(axis=0))
