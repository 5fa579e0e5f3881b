"""Classifiers fitted on few labels: how far a handful of clicks goes."""

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from embed.evaluation.features import Classifier

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # has no types

# Past this a forest's scores no longer rise on our volumes; below it they wobble.
_TREES = 100
# Rows from which two threads save a forest more than it costs to hand them the trees.
_SHARED = 2000


def draw(
    labels: Shaped[np.ndarray, " n"], per_class: int | None, rng: np.random.Generator
) -> Int[np.ndarray, " m"]:
    """Indices of up to `per_class` places of every class, without repetition; None draws all."""
    if per_class is None:
        return np.arange(len(labels))
    chosen = []
    for value in np.unique(labels):
        of_class = np.flatnonzero(labels == value)
        chosen.append(rng.permutation(of_class)[:per_class])
    return np.concatenate(chosen)


class Probe:
    """A class-balanced classifier: standardised L2 logistic regression, or a random forest."""

    def __init__(self, classifier: Classifier, *, c: float, seed: int):
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        if classifier == "forest":
            self._model = RandomForestClassifier(_TREES, class_weight="balanced", random_state=seed)
        else:
            regression = LogisticRegression(C=c, class_weight="balanced", max_iter=3000, tol=1e-3)
            self._model = make_pipeline(StandardScaler(), regression)

    def fit(self, rows: Shaped[np.ndarray, "n dim"], labels: Shaped[np.ndarray, " n"]) -> "Probe":
        """Fits on these rows alone; standardisation is theirs too."""
        # The matrices are small: threads of BLAS wait for each other and double the time.
        with _threads().limit(limits=1, user_api="blas"):
            self._model_for(rows).fit(rows.astype(np.float64), labels)
        return self

    def probabilities(self, rows: Shaped[np.ndarray, "n dim"]) -> Float[np.ndarray, "n classes"]:
        """Probability of each class, in the order of their sorted labels."""
        return self._model_for(rows).predict_proba(rows.astype(np.float64))

    def predict(self, rows: Shaped[np.ndarray, "n dim"]) -> Shaped[np.ndarray, " n"]:
        """The most probable label of each row."""
        return self._model_for(rows).predict(rows.astype(np.float64))

    def _model_for(self, rows: Shaped[np.ndarray, "n dim"]) -> Any:
        if hasattr(self._model, "n_jobs"):  # a forest
            self._model.n_jobs = 2 if len(rows) >= _SHARED else 1
        return self._model


@functools.cache
def _threads() -> "ThreadpoolController":
    """The thread pools of the libraries that are loaded when a first probe is fitted."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
