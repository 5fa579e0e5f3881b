"""What is typical of the tissue of an atlas: the mean of its embeddings, by a sample."""

import contextlib
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Float32

from embed.atlas import Atlas
from embed.errors import DataError
from serve.locations import sample_shard

_SHARDS = 64
_LOCATIONS = 4096

_known: WeakKeyDictionary[Atlas, Float32[np.ndarray, " dim"]] = WeakKeyDictionary()


def typical_of(atlas: Atlas) -> Float32[np.ndarray, " dim"]:
    """The mean embedding of some four thousand locations, from at most 64 shards.

    It is shorter than 1: the less locations resemble each other, the shorter; zero where none of
    those drawn has data. The same whenever the atlas is opened, and read once for each that is.
    """
    found = _known.get(atlas)
    if found is None:
        found = _known[atlas] = _mean(atlas)
    return found


def _mean(atlas: Atlas) -> Float32[np.ndarray, " dim"]:
    shards = atlas.shards
    chosen = sorted({*np.linspace(0, len(shards) - 1, _SHARDS).round().astype(int).tolist()})
    rate = min(1.0, _LOCATIONS / max(1, sum(shards[i].size for i in chosen)))
    parts = [np.zeros((0, atlas.info.embedding_dim), np.float32)]
    for number in chosen:
        with contextlib.suppress(DataError):  # what is corrupt is told to whoever finds it
            parts.append(sample_shard(atlas, shards[number], rate, [number]).vectors)
    vectors = np.concatenate(parts)
    return vectors.sum(axis=0, dtype=np.float64).astype(np.float32) / max(1, len(vectors))
