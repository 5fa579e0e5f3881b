"""Which FAISS index suits an atlas, and why, in words and with the arithmetic."""

import dataclasses
import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64

from embed.errors import ConfigError
from serve.indexing.factory import ID_BYTES, Factory

FLAT_BELOW = 50_000
"""Locations below which comparing all of them takes about a millisecond: nothing else pays."""

VECTORS_BELOW = 250_000
"""Locations below which whole vectors are kept: past it codes, whose candidates are compared by the
stored vectors, are found three times as fast in a tenth of the memory."""

_MOST_PARTS = 64

GRAPH_FROM = 65_536
"""Lists from which the nearest ones are found by a graph rather than by comparing with all."""

CODES = (16, 24, 32)
"""Principal components that are kept for codes of four bits each."""

_MEASURED = 20_000

ENOUGH_VARIANCE = 0.9
"""Share of the variance that they have to hold: with less, hundreds of candidates are needed."""


@dataclasses.dataclass(frozen=True)
class Spectrum:
    """How the variance of the embeddings is spread over their principal components.

    Attributes:
        shares: of each component, the largest first; they sum to 1.
    """

    shares: Float64[np.ndarray, " dim"]

    @classmethod
    def of(cls, vectors: Float32[np.ndarray, "n dim"]) -> "Spectrum":
        """That of some embeddings in no order, of which so many are looked at as tell it."""
        if len(vectors) < 2:
            return cls.unknown(vectors.shape[1])
        some = vectors[:_MEASURED]
        found = np.linalg.eigvalsh(np.cov(some, rowvar=False, dtype=np.float64))[::-1]
        found = np.maximum(np.atleast_1d(found), 0)
        return cls(found / max(found.sum(), 1e-30))

    @classmethod
    def unknown(cls, dim: int) -> "Spectrum":
        """The same share for all components."""
        return cls(np.full(dim, 1 / dim))

    def held(self, dims: int) -> float:
        """Share of the variance in the first components, 0 to 1."""
        return float(min(self.shares[:dims].sum(), 1.0))


@dataclasses.dataclass(frozen=True)
class Option:
    """An index that could be built.

    Attributes:
        factory: FAISS factory string.
        bytes: of the index, on disk and in memory.
        bytes_per_vector: of the same.
        why: what speaks for it, for people.
    """

    factory: str
    bytes: int
    bytes_per_vector: float
    why: str


@dataclasses.dataclass(frozen=True)
class Advice:
    """The index to build, between the next larger and the next smaller one.

    Attributes:
        chosen: what is advised, or what was asked for.
        larger: what would take more memory; None where nothing would.
        smaller: what would take less; None where nothing would.
        memory: bytes that the index may take; None where it was asked for, whatever it takes.
        count: locations that are to be in it.
    """

    chosen: Option
    larger: Option | None
    smaller: Option | None
    memory: int | None
    count: int

    @property
    def fits(self) -> bool:
        """Whether what is advised fits in the memory."""
        return self.memory is None or self.chosen.bytes <= self.memory

    @property
    def factory(self) -> str:
        """Of what is advised."""
        return self.chosen.factory

    @property
    def reason(self) -> str:
        """Why, in a sentence for people."""
        return self.chosen.why


def advise(count: int, dim: int, spectrum: Spectrum, memory: int) -> Advice:
    """The index for `count` embeddings of length `dim`.

    Of those that fit in the memory it is the first of: everything compared (few locations), whole
    vectors in lists (some hundred thousand), codes of as many principal components as hold enough
    of the variance, codes of fewer.

    Args:
        count: locations with data.
        dim: length of an embedding.
        spectrum: of the embeddings.
        memory: bytes that the index may take.
    """
    options = list(_options(count, dim, spectrum))
    first = _preferred(count, options, dim, spectrum)
    fitting = [n for n in range(first, len(options)) if options[n].bytes <= memory]
    chosen = fitting[0] if fitting else len(options) - 1
    # Few vectors in many lists may take more than the same without.
    larger = [o for o in options[:chosen] if o.bytes > options[chosen].bytes]
    smaller = [o for o in options[chosen + 1 :] if o.bytes < options[chosen].bytes]
    return Advice(
        options[chosen],
        larger[-1] if larger else None,
        smaller[0] if smaller else None,
        memory,
        count,
    )


def usual_memory() -> int:
    """Half of the memory of this machine, or of what its control group may take, in bytes."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    said = limit.read_text().strip() if limit.is_file() else "max"
    return min(found, int(said) if said.isdigit() else found) // 2


def described(factory: str, count: int, dim: int, why: str) -> Option:
    """An option, with the bytes that it takes."""
    size = Factory(factory).size_bytes(count, dim)
    return Option(factory, size, size / max(count, 1), why)


def require_fit(advice: Advice) -> None:
    """Checks that what is advised fits in the memory.

    Raises:
        ConfigError: it does not; the message says what would.
    """
    if not advice.fits:
        least = advice.chosen
        raise ConfigError(
            f"{advice.count:,} locations take at least {in_bytes(least.bytes)} ({least.factory}, "
            f"{least.bytes_per_vector:.1f} bytes each), more than the "
            f"{in_bytes(advice.memory or 0)} they may: raise --memory, or index every second "
            "location with --every 2, which takes an eighth"
        )


def in_bytes(size: float) -> str:
    """A size for people, as in "16.2 MB"."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size / 1e3:,.1f} kB"


def _options(count: int, dim: int, spectrum: Spectrum) -> Iterator[Option]:
    """From the largest to the smallest."""
    number = f"{count:,} locations"
    whole = f"{4 * dim} bytes of numbers + {ID_BYTES} of id each"
    flat = f"{number} are compared one by one, which is exact and fast: {whole}"
    yield described("Flat", count, dim, flat)
    lists = _power_of_two(4 * math.sqrt(max(count, 1)))
    vectors = f"{number} are kept as whole vectors in {lists} lists: {whole}"
    yield described(f"IVF{lists},Flat", count, dim, vectors)
    lists = _power_of_two(math.sqrt(max(count, 1)))
    coarse = f"IVF{lists}_HNSW32" if lists >= GRAPH_FROM else f"IVF{lists}"
    for dims in sorted({n for n in (*CODES, dim) if n <= dim}, reverse=True):
        parts = max(m for m in range(1, min(dims, _MOST_PARTS) + 1) if dims % m == 0)
        held = f"of all {dim} numbers"
        if dims < dim:
            share = f"{spectrum.held(dims):.1%}"
            held = f"of the {dims} principal components that hold {share} of the variance"
        codes = (
            f"{number} are kept in {lists} lists as 4-bit codes {held}, and the stored vectors "
            f"re-rank what they find: {parts / 2:g} bytes of code + {ID_BYTES} of id each"
        )
        cut = f"PCAR{dims}," if dims < dim else ""
        yield described(f"{cut}{coarse},PQ{parts}x4fsr", count, dim, codes)


def _preferred(count: int, options: list[Option], dim: int, spectrum: Spectrum) -> int:
    """The option that is best where memory is no matter."""
    if count < FLAT_BELOW:
        return 0
    if count < VECTORS_BELOW:
        return 1
    enough = [
        n
        for n, option in enumerate(options)
        if n >= 2 and spectrum.held(Factory(option.factory).dims(dim)) >= ENOUGH_VARIANCE
    ]
    return max(enough, default=2)


def _power_of_two(value: float) -> int:
    return int(2 ** round(math.log2(max(value, 1))))
