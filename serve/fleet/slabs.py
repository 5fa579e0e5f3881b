"""Slabs: the parts of an index that is too large for one machine, and searching them together.

A slab holds the locations of a run of neighbouring shards. All slabs have one trained quantiser, so
that a list of one and the same list of another hold what is alike, similarities can be compared,
and the best of all slabs are what one index of everything would have found.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from jaxtyping import Float32, Int, UInt8

from embed.atlas import Atlas
from embed.errors import ConfigError
from embed.geometry import Box

Found = tuple[Float32[np.ndarray, "n k"], Int[np.ndarray, "n k"]]
"""Similarities and ids, best first; -inf and -1 where there are fewer."""

Bits = UInt8[np.ndarray, " bytes"]


@dataclasses.dataclass(frozen=True)
class Slab:
    """One part of an index.

    Attributes:
        file: its FAISS file, in the directory of the version.
        start: the least id of a location that may be in it.
        stop: one more than the greatest.
        count: locations in it.
        bytes: size of its file.
        sha256: of its file.
    """

    file: str
    start: int
    stop: int
    count: int
    bytes: int
    sha256: str

    @property
    def of_bits(self) -> slice:
        """Where, in a bit for each id, its own are; the first and the last byte hold others too."""
        return slice(self.start >> 3, (self.stop + 7) >> 3)


@dataclasses.dataclass(frozen=True)
class Question:
    """What one slab is asked.

    Attributes:
        number: of the slab.
        vectors: of length 1.
        k: how many locations.
        nprobe: lists to read.
        allowed: bits of the locations that may be found, see `Slab.of_bits`; all where None.
    """

    number: int
    vectors: Float32[np.ndarray, "n dim"]
    k: int
    nprobe: int
    allowed: Bits | None


Ask = Callable[[Sequence[Question]], Iterable[Found]]
"""Asks slabs, which may answer in any order or, where that is told elsewhere, not at all."""


class InSlabs:
    """The search of an index in slabs, wherever they are; see `serve.index.Search`."""

    def __init__(self, slabs: Sequence[Slab], ask: Ask) -> None:
        self._slabs, self._ask = slabs, ask

    def __call__(
        self, vectors: Float32[np.ndarray, "n dim"], k: int, nprobe: int, allowed: Bits | None
    ) -> Found:
        """The best of all slabs; those that hold nothing that is allowed are not asked."""
        questions = []
        for number, slab in enumerate(self._slabs):
            bits = None if allowed is None else allowed[slab.of_bits]
            if bits is None or bits.any():
                questions.append(Question(number, vectors, min(k, slab.count), nprobe, bits))
        return best(list(self._ask(questions)), len(vectors), k)


def best(parts: Sequence[Found], n: int, k: int) -> Found:
    """The k best of all parts, for each of n vectors."""
    missing = np.full((n, k), -np.inf, np.float32), np.full((n, k), -1, np.int64)
    similarities, ids = (np.concatenate(both, axis=1) for both in zip(*parts, missing, strict=True))
    order = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(similarities, order, 1), np.take_along_axis(ids, order, 1)


def cut_in_slabs(atlas: Atlas, slabs: int) -> tuple[tuple[Box, ...], ...]:
    """The shards of an atlas in runs of neighbours with about as many locations each.

    Args:
        atlas: complete.
        slabs: how many runs.

    Raises:
        ConfigError: there are not as many shards with data.
    """
    marks = atlas.ledger.marks()
    found = (marks.get(atlas.shard_index(box)) for box in atlas.shards)
    counts = [mark.locations - mark.voids if mark else 0 for mark in found]
    with_data = int(np.count_nonzero(counts))
    if not 1 <= slabs <= with_data:
        raise ConfigError(
            f"--slabs is 1 to the number of shards with data, {with_data} in atlas {atlas.name!r}; "
            f"got {slabs}"
        )
    # Where each run ends: near its share of the locations, and so that none is without any.
    ends = np.cumsum(counts)
    occupied = np.flatnonzero(counts)
    cuts = [0]
    for number in range(1, slabs):
        nearest = int(np.abs(ends - ends[-1] * number / slabs).argmin()) + 1
        done = int(np.count_nonzero(occupied < cuts[-1]))
        least, most = occupied[done] + 1, occupied[with_data - (slabs - number)]
        cuts.append(int(np.clip(nearest, least, most)))
    cuts.append(len(counts))
    return tuple(tuple(atlas.shards[a:b]) for a, b in itertools.pairwise(cuts))
