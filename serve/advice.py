"""Which FAISS index suits an atlas."""

import dataclasses
import math

import numpy as np
from jaxtyping import Float32

FLAT_BELOW = 50_000
"""Places below which comparing all of them takes about a millisecond, so nothing else pays."""

UNCOMPRESSED_BELOW = 3_000_000
"""Places below which whole vectors fit in the memory of a laptop (800 MB at 64 dimensions)."""

ENOUGH_VARIANCE = 0.95
"""Share of the variance that 32 principal components must hold to stand for the vectors."""


@dataclasses.dataclass(frozen=True)
class Advice:
    """An index to build.

    Attributes:
        factory: FAISS factory string.
        nprobe: lists to look into at first; the build measures and corrects it.
        reason: why, in a sentence for people.
    """

    factory: str
    nprobe: int
    reason: str


def advise(count: int, dim: int, variance_in_32: float = 1.0) -> Advice:
    """The index for `count` embeddings of length `dim`.

    Args:
        count: places with data.
        dim: length of an embedding.
        variance_in_32: share of the variance in the first 32 principal components, 0 to 1.
    """
    if count < FLAT_BELOW:
        return Advice("Flat", 1, f"{count:,} places are compared one by one: exact and fast")
    if count < UNCOMPRESSED_BELOW:
        lists = _power_of_two(4 * math.sqrt(count))
        reason = f"{count:,} places fit in memory as whole vectors, in {lists} lists"
        return Advice(f"IVF{lists},Flat", max(1, lists // 64), reason)
    lists = _power_of_two(8 * math.sqrt(count))
    coarse = f"IVF{lists}_HNSW32" if lists >= 65_536 else f"IVF{lists}"
    code = _code(dim, variance_in_32)
    reason = (
        f"{count:,} places are kept as 4-bit codes in {lists} lists; the stored vectors "
        "re-rank what they find"
    )
    return Advice(code.format(coarse=coarse), max(1, lists // 256), reason)


def variance_in_32(vectors: Float32[np.ndarray, "n dim"]) -> float:
    """The share of the vectors' variance that their first 32 principal components hold."""
    spectrum = np.linalg.eigvalsh(np.cov(vectors, rowvar=False, dtype=np.float64))[::-1]
    return float(spectrum[:32].sum() / max(spectrum.sum(), 1e-30))


def _code(dim: int, share: float) -> str:
    if dim > 32 and share >= ENOUGH_VARIANCE:
        return "PCAR32,{coarse},PQ32x4fs"
    parts = max(m for m in range(1, min(dim, 64) + 1) if dim % m == 0)
    return f"{{coarse}},PQ{parts}x4fs"


def _power_of_two(value: float) -> int:
    return int(2 ** round(math.log2(value)))
