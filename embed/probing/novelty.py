"""What a probe was never shown: a score of how unlike the labelled places a place is.

The relative Mahalanobis distance (Ren et al. 2021): how far a place lies from the nearest class,
less how far it lies from the middle of the volume, so that what is rare but labelled is not called
unknown. Of the scores that were compared on sections 14–15 of P-VNC and a half of P-LUC's training
block with a class left out (maximum probability, maximum logit, energy, distances to nearest
labels, Mahalanobis) it did best over both.
"""

import dataclasses
from typing import Annotated

import numpy as np
from jaxtyping import Float, Float32

from embed.probing.linear import Targets
from embed.probing.stored import Stored

_SHRUNK = 0.7
"""How far a covariance is drawn towards that of a ball: the best of 0.1 to 0.9 with 4 to 100 labels
of a class."""

_STEPS = np.linspace(0, 1, 51)


@dataclasses.dataclass(frozen=True, eq=False)
class Novelty:
    """Distances to what was labelled, of standardised embeddings: their middle is the volume's.

    Attributes:
        centres: mean of the places of each class, float64 [classes, dim].
        within: inverse covariance of places about the mean of their class, float64 [dim, dim].
        among: inverse covariance of all places, float64 [dim, dim].
        quantiles: of the distances of labelled places that were left out, ascending, in even steps;
            empty where none could be.
    """

    centres: Annotated[Float[np.ndarray, "classes dim"], *Stored]
    within: Annotated[Float[np.ndarray, "dim dim"], *Stored]
    among: Annotated[Float[np.ndarray, "dim dim"], *Stored]
    quantiles: Annotated[Float[np.ndarray, " steps"], *Stored]

    def __post_init__(self) -> None:
        dim = self.centres.shape[1]
        if {self.within.shape, self.among.shape} != {(dim, dim)}:
            raise ValueError(f"distances of {dim} numbers; got {self.within.shape}")
        if (np.diff(self.quantiles) < 0).any():
            raise ValueError("quantiles do not ascend")

    @classmethod
    def of(
        cls,
        rows: Float[np.ndarray, "n dim"],
        targets: Targets,
        among: Float[np.ndarray, "dim dim"],
    ) -> "Novelty":
        """Measures distances; `calibrated` says what they mean.

        Args:
            rows: standardised embeddings of labelled places.
            targets: what they are; those that are of no class count for none.
            among: inverse covariance of all places; see `inverse_covariance`.
        """
        member = targets == 1
        counts = np.maximum(member.sum(axis=0), 1)
        centres = member.T.astype(float) @ rows / counts[:, None]
        apart = np.concatenate(
            [rows[column] - centre for column, centre in zip(member.T, centres, strict=True)]
        )
        return cls(centres, inverse_covariance(apart), among, np.empty(0))

    def calibrated(
        self, left_out: Float[np.ndarray, " n"], weights: Float[np.ndarray, " n"]
    ) -> "Novelty":
        """The same with distances of labelled places that were left out, each of a weight."""
        order = np.argsort(left_out)
        shares = np.cumsum(weights[order]) / weights.sum()
        quantiles = np.interp(_STEPS, shares, left_out[order])
        return dataclasses.replace(self, quantiles=quantiles)

    def distances(self, rows: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, " n"]:
        """The larger, the less like what was labelled."""
        near = np.min([_squares(rows - centre, self.within) for centre in self.centres], axis=0)
        return near - _squares(rows, self.among)

    def score(self, rows: Float[np.ndarray, "n dim"]) -> Float32[np.ndarray, " n"]:
        """How unknown places are, 0 to 1: the share of labelled places that are less so."""
        if not len(self.quantiles):
            return np.zeros(len(rows), np.float32)
        steps = np.linspace(0, 1, len(self.quantiles))
        return np.interp(self.distances(rows), self.quantiles, steps).astype(np.float32)


def inverse_covariance(rows: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "dim dim"]:
    """That of rows about zero, drawn towards a ball so that few of them give one."""
    dim = rows.shape[1]
    covariance = rows.T @ rows / max(len(rows), 1)
    ball = max(np.trace(covariance) / dim, 1e-6) * np.eye(dim)
    inverse: np.ndarray = np.linalg.inv((1 - _SHRUNK) * covariance + _SHRUNK * ball)
    return inverse


def _squares(
    rows: Float[np.ndarray, "n dim"], inverse: Float[np.ndarray, "dim dim"]
) -> Float[np.ndarray, " n"]:
    return np.einsum("nd,nd->n", rows @ inverse, rows)
