"""What a protocol scores: one row of numbers per place, and how rows are compared."""

import dataclasses
from typing import Literal

import numpy as np
from jaxtyping import Float, Shaped

Classifier = Literal["logistic", "forest"]


@dataclasses.dataclass(frozen=True)
class Features:
    """A feature set: an encoder's embeddings, or a control.

    Attributes:
        values: one row per place.
        is_embedding: whether rows are embeddings, which are compared as the product compares
            them: by cosine, as they are. Other rows are standardised first, or the column with
            the largest unit would decide.
        classifier: what is fitted on the rows where a protocol fits something. A forest needs no
            comparison of rows, so with "forest" only fitted scores are made.
    """

    values: Shaped[np.ndarray, "n dim"]
    is_embedding: bool = False
    classifier: Classifier = "logistic"

    @property
    def compares(self) -> bool:
        """Whether similarities between rows are scored."""
        return self.classifier != "forest"

    def comparable(self, reference: np.ndarray | slice = slice(None)) -> "Comparable":
        """The rows made ready for comparison; scales are taken from the `reference` rows alone."""
        rows = self.values.astype(np.float32)
        if self.is_embedding:
            return Comparable(rows)
        spread = rows[reference].std(axis=0)
        rows = (rows - rows[reference].mean(axis=0)) / np.where(spread > 0, spread, 1)
        if rows.shape[1] == 1:
            return Comparable(rows)
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        return Comparable(rows / np.where(length > 0, length, 1))


@dataclasses.dataclass(frozen=True)
class Comparable:
    """Rows whose similarity is a dot product, or, with a single column, minus the distance.

    The cosine of two numbers is their sign: it would make nothing of a control like mean
    intensity.
    """

    rows: Float[np.ndarray, "n dim"]

    def between(
        self, a: Shaped[np.ndarray, " n"], b: Shaped[np.ndarray, " m"]
    ) -> Float[np.ndarray, "n m"]:
        """Similarity of every row of `a` with every row of `b`; both are indices or masks."""
        first, second = self.rows[a], self.rows[b]
        if self.rows.shape[1] == 1:
            return -np.abs(first - second.T)
        return first @ second.T

    def of_pairs(
        self, a: Shaped[np.ndarray, " n"], b: Shaped[np.ndarray, " n"]
    ) -> Float[np.ndarray, " n"]:
        """Similarity of row `a[k]` with row `b[k]`."""
        first, second = self.rows[a], self.rows[b]
        if self.rows.shape[1] == 1:
            return -np.abs(first - second)[:, 0]
        return np.einsum("nd,nd->n", first, second)
