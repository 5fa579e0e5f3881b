"""Embeddings of fixed places by the state of a run, and the alarm when they collapse."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32, PyTree

from embed.encoder import Encoder, EncoderConfig
from embed.reporting.spectrum import mean_cosine, rank_me, spread

# Blocks embedded at once: as many as a step of training holds, or memory would decide.
_BLOCKS = 16
# Variance below which a feature is taken not to change; that of calibration at the end of training.
_LEAST = 1e-6

COSINE = 0.9999
"""Mean cosine of features from which places count as one direction.

Training takes the mean of the features away, so what places have in common does no harm by itself:
healthy runs stand at 0.5 to 0.9. Here what tells places apart is 1 % of what they share, little
more than the 0.4 % to which bfloat16 rounds."""

RANK = 1.5
"""Effective rank below which embeddings lie along one line. Healthy runs of 64 dimensions have
15 to 50; two independent dimensions alone would have 2."""


@dataclasses.dataclass(frozen=True, eq=False)
class Embedded:
    """What a state makes of the watched places.

    Attributes:
        mean: of the features.
        deviation: of the features.
        rows: embeddings as the encoder would give them if training ended here, length 1.
        figures: `rank_me`, `cosine`, `spread` and `spread_least`.
    """

    mean: Float[np.ndarray, " dim"]
    deviation: Float[np.ndarray, " dim"]
    rows: Float32[np.ndarray, "n dim"]
    figures: dict[str, float]

    @property
    def collapse(self) -> str | None:
        """How the embeddings have collapsed, in words; None where they have not."""
        rank, cosine = self.figures["rank_me"], self.figures["cosine"]
        if cosine > COSINE:
            return f"all places have nearly the same features (mean cosine {cosine:.6f})"
        if rank < RANK < self.rows.shape[1]:
            dim = self.rows.shape[1]
            return f"embeddings lie along one direction (effective rank {rank:.2f} of {dim})"
        return None

    def like(self, features: Float32[np.ndarray, "n dim"]) -> Float32[np.ndarray, "n dim"]:
        """Embeddings of other places, from their features."""
        return _calibrated(features, self.mean, self.deviation)


class Embedder:
    """The encoder of a training state, run over blocks; compiled once for all states."""

    def __init__(self, config: EncoderConfig):
        graph, _ = nnx.split(nnx.eval_shape(lambda: Encoder(config, rngs=nnx.Rngs(0))), nnx.Param)
        self._run: Callable[[PyTree[Array], Array], Array] = jax.jit(
            lambda params, blocks: nnx.merge(graph, params).features(blocks)
        )

    def features(
        self, params: PyTree[Array], blocks: Float32[np.ndarray, "block z y x"]
    ) -> Float32[np.ndarray, "n dim"]:
        """Features of all places of the blocks, before calibration."""
        found = []
        for first in range(0, len(blocks), _BLOCKS):
            part = blocks[first : first + _BLOCKS]
            full = np.zeros((_BLOCKS, *part.shape[1:]), np.float32)  # one shape, compiled once
            full[: len(part)] = part
            cells = np.asarray(self._run(params, jnp.asarray(full)))[: len(part)]
            found.append(cells.reshape(-1, cells.shape[-1]))
        return np.concatenate(found)


def look_at(features: Float32[np.ndarray, "n dim"]) -> Embedded:
    """What features of the watched places say of the state they are of; all must be finite."""
    exact = features.astype(np.float64)
    mean, deviation = exact.mean(axis=0), np.sqrt(exact.var(axis=0) + _LEAST)
    rows, spreads = _calibrated(features, mean, deviation), spread(features)
    figures = {
        "rank_me": rank_me(rows),
        "cosine": mean_cosine(features),
        "spread": float(spreads.mean()),
        "spread_least": float(spreads.min()),
    }
    return Embedded(mean, deviation, rows, figures)


def _calibrated(
    features: Float32[np.ndarray, "n dim"],
    mean: Float[np.ndarray, " dim"],
    deviation: Float[np.ndarray, " dim"],
) -> Float32[np.ndarray, "n dim"]:
    scaled = (features - mean) / deviation
    length = np.linalg.norm(scaled, axis=1, keepdims=True)
    return (scaled / np.maximum(length, 1e-6)).astype(np.float32)
