"""What a layer is: voxels that can be asked for chunk by chunk, at several scales."""

import dataclasses
from typing import Protocol

import numpy as np
from jaxtyping import Shaped

from embed.geometry import Box
from serve.layers.precomputed import Kind, Scale


@dataclasses.dataclass(frozen=True)
class Segment:
    """One of the few segments of a layer that have a name.

    Attributes:
        id: its number in the voxels.
        name: for people.
        colour: `#rrggbb`.
    """

    id: int
    name: str
    colour: str


class Layer(Protocol):
    """A layer. Safe to use from many threads."""

    @property
    def kind(self) -> Kind:
        """An image, or segments."""
        ...

    @property
    def dtype(self) -> np.dtype:
        """Of its voxels."""
        ...

    @property
    def scales(self) -> tuple[Scale, ...]:
        """Its levels, finest first."""
        ...

    @property
    def version(self) -> str:
        """Changes when its voxels do."""
        ...

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Those with names, none of an image."""
        ...

    def read(self, level: int, box: Box) -> Shaped[np.ndarray, "z y x"]:
        """Some of its voxels.

        Args:
            level: index into `scales`.
            box: voxels, counted from the first of the scale.

        Raises:
            DataError: what they are read or computed from is corrupt.
        """
        ...
