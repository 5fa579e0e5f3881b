"""Embeddings as one byte a number: int8 codes of their directions, with a scale per dimension.

An embedding has length 1, so its length need not be stored. Each one is stretched until its largest
number, in units of the scale, is ±127: nothing is ever clipped, small vectors waste no steps, and
only the zero vector of a void has codes that are all zero.
"""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int8

from embed.errors import DataError

DECODE = "embedding[c] = code[c] * scale[c], then scaled to length 1"
"""How a reader that knows nothing of voxkin decodes; kept beside the codes."""

_TOP = 127  # -128 is never used, so that a vector and its opposite have opposite codes
_LEAST = 1e-6  # far below what is measured, and squares of it are still exact enough to sum
# A dimension that the sample happens not to use may be used elsewhere: with a scale of 0 its steps
# would take all of the range, with one of a tenth they take at most ten times their share.
_FLOOR = 0.1


@dataclasses.dataclass(frozen=True)
class Quantiser:
    """Turns embeddings into int8 codes and back, the same bit for bit each time.

    The angle between an embedding and what it is decoded to has a sine of at most
    `|scale| / 254` times the largest `|embedding[c]| / scale[c]`.

    Attributes:
        scale: relative size of a step along each dimension, from 1e-6 to 1.
    """

    scale: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.scale or not all(_LEAST <= step <= 1 for step in self.scale):
            raise ValueError(f"scales are numbers from {_LEAST:g} to 1; got {self.scale}")

    @classmethod
    def measure(cls, sample: Float[np.ndarray, "n dim"]) -> "Quantiser":
        """The scales that suit a sample of embeddings; some hundreds are enough, voids do no harm.

        A scale is the square root of what its dimension typically holds (the root mean square).
        Scales in proportion to that give every dimension the same relative error, equal ones the
        same absolute error; half way between, most neighbours are kept where dimensions are used
        unequally, and no fewer where they are not (`tests/benchmarks/bench_stores.py`).

        Raises:
            DataError: a number is not finite, or no vector holds anything.
        """
        values = sample.astype(np.float64)
        _require_finite(values)
        largest = np.abs(values).max(initial=0)
        if largest == 0:
            raise DataError("cannot measure scales: no location of the sample has data")
        typical = np.sqrt(np.mean((values / largest) ** 2, axis=0))
        scale = np.maximum(np.sqrt(typical / typical.max()), _FLOOR)
        # Four digits: a sum in another order of the same sample gives the same scales.
        return cls(tuple(float(step) for step in np.round(scale, 4)))

    @classmethod
    def from_attributes(cls, attributes: dict[str, Any]) -> "Quantiser":
        """Reads what `attributes` gave.

        Raises:
            ValueError: they are damaged, or state another way to decode.
        """
        scale = attributes.get("scale")
        if attributes.get("decode") != DECODE:
            raise ValueError(f'its attribute "decode" should be "{DECODE}"')
        if not isinstance(scale, list) or any(type(step) not in (int, float) for step in scale):
            raise ValueError('its attribute "scale" should be a list of numbers')
        return cls(tuple(float(step) for step in scale))

    @property
    def attributes(self) -> dict[str, Any]:
        """What is stored beside the codes as JSON, so that any reader can decode them."""
        return {"scale": list(self.scale), "decode": DECODE}

    def encode(self, vectors: Float[np.ndarray, "*cells dim"]) -> Int8[np.ndarray, "*cells dim"]:
        """The codes of vectors of any length; all zero for the zero vector and for no other.

        Raises:
            DataError: a number is not finite.
        """
        # A scale is at most 1, so the division can overflow, which is refused, but not underflow.
        with np.errstate(over="ignore"):
            values = vectors.astype(np.float64) / self.scale
        _require_finite(values)
        peaks = np.abs(values).max(axis=-1, keepdims=True)
        return np.rint(_TOP * (values / np.where(peaks > 0, peaks, 1))).astype(np.int8)

    def decode(self, codes: Int8[np.ndarray, "*cells dim"]) -> Float32[np.ndarray, "*cells dim"]:
        """The unit vectors that codes stand for; the zero vector where all are zero.

        Encoding them again gives the same codes.
        """
        # In one order of memory, or sums would depend on how the codes were read.
        values = codes.astype(np.float64, order="C") * self.scale
        lengths = np.sqrt(np.sum(values**2, axis=-1, keepdims=True))
        return (values / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def _require_finite(values: Float[np.ndarray, "..."]) -> None:
    count = int((~np.isfinite(values)).sum())
    if count:
        raise DataError(
            f"{count} of {values.size} numbers are NaN, infinite or too large to be embeddings; "
            "embed again from a sound run"
        )
