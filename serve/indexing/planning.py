"""What building an index of an atlas would come to, before it is built."""

import dataclasses
import math
import time

import numpy as np

from embed.atlas import Atlas
from embed.threads import threads
from serve.indexing.advice import Advice, Spectrum, advise, described, usual_memory
from serve.indexing.factory import Factory
from serve.indexing.training import QUERIES, ROUNDS, TRAINING_PER_LIST, Sample, sample
from serve.locations import count_locations

_READ_US, _CODE_US, _GRAPH_US = 1.5, 2.0, 60.0
"""CPU of a location: reading and comparing it with the queries; making its code; finding its list
by a graph. Measured with 64 numbers on a core that multiplies matrices at 40 GFLOP/s."""

_PROCESS = 300e6
"""Bytes of the libraries themselves."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """What kind of index is asked for.

    Attributes:
        factory: FAISS factory string, or "Flat"; advised where it is None.
        every: 1 or 2, see `serve.indexing.spacing`.
        memory: bytes that an advised index may take; half of the machine's where it is None.
        seed: of the training sample and of k-means.
    """

    factory: str | None
    every: int
    memory: int | None
    seed: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be built, and from what.

    Attributes:
        advice: what, and why.
        sample: to train and measure it with.
        spectrum: of the embeddings.
    """

    advice: Advice
    sample: Sample
    spectrum: Spectrum

    @property
    def factory(self) -> Factory:
        """Kind of index."""
        return Factory(self.advice.chosen.factory)


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a build would take.

    Attributes:
        cpu_s: CPU seconds of this machine.
        seconds: with all of its cores.
        memory: bytes while it is built.
        bytes: of the index.
    """

    cpu_s: float
    seconds: float
    memory: int
    bytes: int


def plan_index(atlas: Atlas, asked: Asked) -> Plan:
    """Draws the sample, and looks at its spectrum to advise an index where none is named.

    Raises:
        ConfigError: the factory asks for more lists than locations.
        DataError: a shard is corrupt, or no location has data.
    """
    count, dim = -(-count_locations(atlas) // asked.every**3), atlas.info.embedding_dim
    if asked.factory is not None:
        found = sample(atlas, Factory(asked.factory), asked.seed)
        chosen = described(asked.factory, count, dim, "asked for")
        advice = Advice(chosen, None, None, None, count)
        return Plan(advice, found, Spectrum.of(found.training))
    memory = asked.memory or usual_memory()
    # The number of lists, which the sample depends on, does not depend on the spectrum.
    draft = advise(count, dim, Spectrum.unknown(dim), memory)
    found = sample(atlas, Factory(draft.factory), asked.seed)
    spectrum = Spectrum.of(found.training)
    return Plan(advise(count, dim, spectrum, memory), found, spectrum)


def estimate(atlas: Atlas, plan: Plan) -> Estimate:
    """What a build would take on this machine, whose speed is measured for an instant."""
    factory, dim, count = plan.factory, atlas.info.embedding_dim, count_locations(atlas)
    dims, lists, flops = factory.dims(dim), factory.lists, _flops()
    slower = 40e9 / flops
    assigning = 2 * lists * dims / flops * 1e6
    if "HNSW" in factory.text:
        assigning = _GRAPH_US * slower
    each_us = (_READ_US + QUERIES * dim / flops * 2e6) * slower * dim / 64
    added_us = assigning + (0 if factory.holds_vectors else _CODE_US * slower)
    training = ROUNDS * TRAINING_PER_LIST * lists * 2 * lists * dims / flops
    cpu_s = (count * each_us + plan.advice.count * added_us) / 1e6 + training
    size = plan.advice.chosen.bytes
    shard = math.prod(atlas.store.shard) * dim * 4
    sampled = plan.sample.training.nbytes
    # Lists grow by doubling; three shards are in memory in two precisions.
    memory = _PROCESS + max(2 * sampled, 1.5 * size + 4.5 * shard)
    return Estimate(cpu_s, cpu_s / threads(), int(memory), size)


def _flops() -> float:
    factor = np.full((512, 512), 0.5, np.float32)
    factor @ factor
    began = time.process_time()
    for _ in range(4):
        factor @ factor
    return 4 * 2 * 512**3 / max(time.process_time() - began, 1e-6)
