"""Contrastive losses and what is watched beside them: pure functions of embeddings."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def nt_xent(
    a: Float[Array, "n dim"],
    b: Float[Array, "n dim"],
    temperature: float,
    *,
    ignored: Bool[Array, "n n"] | None = None,
    decoupled: bool = False,
) -> Float[Array, ""]:
    """Normalised temperature-scaled cross entropy of SimCLR (Chen et al. 2020, arXiv 2002.05709).

    Each of the 2n embeddings must pick its partner out of all others.

    Args:
        a: unit-length embeddings of the first views.
        b: unit-length embeddings of the second views; row i is the partner of row i of `a`.
        temperature: > 0; small ones make near negatives count more.
        ignored: pairs of places that are no negatives of each other, because they lie so near
            that they show the same thing. Symmetric; its diagonal does not matter.
        decoupled: leaves the partner out of the denominator (Yeh et al. 2022, arXiv 2110.06848),
            which keeps small batches learning.

    Returns:
        The mean over the 2n embeddings.
    """
    n = a.shape[0]
    z = jnp.concatenate([a, b])
    logits = (z @ z.T) / temperature
    partner = jnp.concatenate([jnp.diagonal(logits, n), jnp.diagonal(logits, -n)])
    same_place = jnp.tile(jnp.eye(n, dtype=bool), (2, 2))
    hidden = same_place if ignored is None else same_place | jnp.tile(ignored, (2, 2))
    negatives = jax.nn.logsumexp(jnp.where(hidden, -jnp.inf, logits), axis=-1)
    total = negatives if decoupled else jnp.logaddexp(negatives, partner)
    return jnp.mean(total - partner)


def invariance(a: Float[Array, "n dim"], b: Float[Array, "n dim"]) -> Float[Array, ""]:
    """Mean squared difference between partners; without `variance` beside it, a point wins."""
    return jnp.mean((a - b) ** 2)


def variance(z: Float[Array, "n dim"]) -> Float[Array, ""]:
    """By how much deviations fall short of 1, a mean over dimensions.

    The variance term of VICReg (Bardes et al. 2022, arXiv 2105.04906).
    """
    return jnp.mean(jax.nn.relu(1 - jnp.sqrt(jnp.var(z, axis=0) + 1e-4)))


def covariance(z: Float[Array, "n dim"]) -> Float[Array, ""]:
    """Squared covariances of different dimensions, summed over pairs and divided by dimensions.

    The covariance term of VICReg (ibid.).
    """
    n, dim = z.shape
    centred = z - jnp.mean(z, axis=0, keepdims=True)
    squared = (centred.T @ centred / (n - 1)) ** 2
    return (jnp.sum(squared) - jnp.sum(jnp.diagonal(squared))) / dim


def contrastive_accuracy(
    a: Float[Array, "n dim"], b: Float[Array, "n dim"], ignored: Bool[Array, "n n"] | None = None
) -> Float[Array, ""]:
    """How often the partner is nearer than every negative, both ways; chance is 1 / n."""
    similarity = a @ b.T
    n = a.shape[0]
    if ignored is not None:
        similarity = jnp.where(ignored & ~jnp.eye(n, dtype=bool), -jnp.inf, similarity)
    hits = [jnp.mean(jnp.argmax(s, axis=-1) == jnp.arange(n)) for s in (similarity, similarity.T)]
    return (hits[0] + hits[1]) / 2


def alignment(a: Float[Array, "n dim"], b: Float[Array, "n dim"]) -> Float[Array, ""]:
    """Mean squared distance between partners (Wang and Isola 2020, arXiv 2005.10242); 0 is best."""
    return jnp.mean(jnp.sum((a - b) ** 2, axis=-1))


def uniformity(a: Float[Array, "n dim"]) -> Float[Array, ""]:
    """Log mean Gaussian potential of all pairs (ibid.); 0 is collapse, about -4 is uniform."""
    n = a.shape[0]
    squared = 2 - 2 * (a @ a.T)
    pairs = jnp.where(jnp.eye(n, dtype=bool), -jnp.inf, -2 * squared)
    return jax.nn.logsumexp(pairs) - jnp.log(n * (n - 1.0))
