"""What an index learns before it takes locations in: principal components, lists, codes."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float32

from embed.atlas import Atlas
from embed.errors import ConfigError
from serve.indexing.factory import Factory
from serve.locations import Locations, count_locations, sample_locations

QUERIES = 128
"""Locations held out of training to measure recall on: it is then known to about 0.005."""

TRAINING_PER_LIST = 64
"""Training locations per list; FAISS asks for 39 at least and uses 256 at most."""

LEAST = 8192
"""Training locations at least where principal components and codes are learnt."""

ROUNDS = 10
"""Of k-means: later ones change the recall by less than it is known."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """Locations spread over an atlas.

    Attributes:
        training: vectors to learn from.
        queries: other locations, to measure recall with.
    """

    training: Float32[np.ndarray, "n dim"]
    queries: Locations


def sample(atlas: Atlas, factory: Factory, seed: int) -> Sample:
    """The sample that an index of this kind is trained and measured with.

    It is stratified by place: see `sample_locations`.

    Raises:
        ConfigError: there are more lists than locations with data.
        DataError: a shard is corrupt, or no location has data.
    """
    count, lists = count_locations(atlas), factory.lists
    if lists > max(count, 1):
        raise ConfigError(
            f"{factory.text!r} sorts locations into {lists} lists; atlas {atlas.name!r} has "
            f"{count} locations with data, so at most IVF{max(count // 39, 1)} makes sense"
        )
    wanted = TRAINING_PER_LIST * lists
    if not factory.holds_vectors:
        wanted = max(wanted, LEAST)
    found = sample_locations(atlas, wanted + QUERIES, seed)
    order = np.random.default_rng(seed).permutation(len(found.ids))
    held = min(QUERIES, max(1, len(order) // 10))
    queries = Locations(found.ids[order[:held]], found.vectors[order[:held]])
    # Never fewer than the lists, and in a tiny atlas that leaves nothing to hold out.
    training = order[held:] if len(order) - held >= lists else order
    return Sample(found.vectors[training], queries)


def train(factory: Factory, training: Float32[np.ndarray, "n dim"], seed: int) -> Any:
    """An empty index that has learnt what it needs.

    Whole vectors are compared by inner product. Codes are compared by Euclidean distance, which for
    unit vectors orders alike and which, unlike the inner product, does not change when the
    principal components are centred.

    Raises:
        ConfigError: FAISS does not take this kind of index here.
    """
    import faiss

    metric = faiss.METRIC_INNER_PRODUCT if factory.holds_vectors else faiss.METRIC_L2
    try:
        made = faiss.index_factory(training.shape[1], factory.spelled, metric)
        inverted = faiss.extract_index_ivf(made)
        inverted.cp.seed = 1 + seed
        inverted.cp.niter = ROUNDS
        inverted.cp.min_points_per_centroid = 1  # the count is checked; faiss prints to stderr
        inverted.cp.max_points_per_centroid = TRAINING_PER_LIST
        made.train(training)
    except RuntimeError as error:
        reason = str(error).rpartition("Error: ")[2]
        raise ConfigError(f"FAISS refuses {factory.text!r} for this atlas: {reason}") from error
    return made
