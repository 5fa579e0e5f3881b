"""How well embeddings tell which volume a place is from, which they should not need to."""

import numpy as np
from jaxtyping import Float, Int

from embed.evaluation.fewshot import Probe

_FOLDS = 5
# Places of each volume; more move the figure by less than a hundredth.
_EACH = 500


def domain_accuracy(
    rows: Float[np.ndarray, "n dim"],
    volumes: Int[np.ndarray, " n"],
    parts: Int[np.ndarray, " n"],
) -> float | None:
    """Cross-validated balanced accuracy of a linear probe for the volume that a place is from.

    1 / volumes is chance: nothing tells the volumes apart. 1 means that contrast, noise or stain
    tell, and neighbours will mostly be of the query's own volume.

    Args:
        rows: embeddings.
        volumes: the number of the volume of each.
        parts: blocks of places; none is divided between learning and test.

    Returns:
        The mean of the volumes' recalls; None where a volume has fewer than two blocks.
    """
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedGroupKFold

    rng = np.random.default_rng(0)
    drawn = [rng.permutation(np.flatnonzero(volumes == v))[:_EACH] for v in np.unique(volumes)]
    folds = min(_FOLDS, *(len(np.unique(parts[some])) for some in drawn))
    if folds < 2:
        return None
    chosen = np.concatenate(drawn)
    x, y, groups = rows[chosen], volumes[chosen], parts[chosen]
    guessed = np.empty_like(y)
    division = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    for train, test in division.split(x, y, groups):
        guessed[test] = Probe("logistic", c=0.1, seed=0).fit(x[train], y[train]).predict(x[test])
    return float(balanced_accuracy_score(y, guessed))
