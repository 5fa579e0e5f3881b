"""How the arrays of a probe are kept: as plain lists of numbers, which must be finite."""

from typing import Any

import numpy as np
from jaxtyping import Float
from pydantic import PlainSerializer, PlainValidator


def _array(value: Any) -> Float[np.ndarray, "..."]:
    array = np.asarray(value, np.float64)
    if not np.isfinite(array).all():
        raise ValueError("a number is not finite")
    return array


Stored = PlainValidator(_array), PlainSerializer(lambda array: array.tolist())
"""Annotates an array of float64, as in `Annotated[Float[np.ndarray, " dim"], *Stored]`."""
