"""Places that a protocol scores, and what the raw volume shows there."""

import dataclasses
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Shaped

from embed.geometry import Box, Grid, Zyx

# Fields of view of 33³ held at once: 70 MB as float32.
_BATCH = 512


@dataclasses.dataclass(frozen=True)
class Places:
    """Fields of view of one size in one volume.

    Attributes:
        starts: first voxel of each field of view, ZYX, counted from the start of the volume.
        fov: voxels of a field of view, ZYX.
        grids: the grids that the places are, one after another, where they are whole grids: an
            encoder then computes them densely.
    """

    starts: Int[np.ndarray, "n 3"]
    fov: Zyx
    grids: tuple[Grid, ...] = ()

    @classmethod
    def around(cls, voxels: Int[np.ndarray, "n 3"], fov: Zyx) -> "Places":
        """The fields of view that have `voxels` (ZYX) in the middle."""
        return cls(np.asarray(voxels, np.int64) - np.asarray(fov) // 2, fov)

    @classmethod
    def on(cls, *grids: Grid) -> "Places":
        """Every location of grids that have one field of view."""
        starts = [g.cells_of(np.arange(g.size)) * np.asarray(g.stride) + g.start for g in grids]
        return cls(np.concatenate(starts), grids[0].fov, grids)

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def voxels(self) -> Int[np.ndarray, "n 3"]:
        """The voxel in the middle of each field of view, ZYX."""
        return self.starts + np.asarray(self.fov) // 2

    @property
    def centres(self) -> Float[np.ndarray, "n 3"]:
        """Centres of the fields of view, continuous voxels, ZYX."""
        return self.starts + np.asarray(self.fov) / 2

    def inside(self, box: Box) -> Bool[np.ndarray, " n"]:
        """Whether each field of view lies wholly in a box."""
        stops = self.starts + self.fov
        return np.all((self.starts >= box.start) & (stops <= box.stop), axis=1)

    def take(self, which: Shaped[np.ndarray, " m"]) -> "Places":
        """Some of the places, by mask or by index."""
        return Places(self.starts[which], self.fov)

    def windows(self) -> list[tuple[slice, slice, slice]]:
        """The fields of view as indices into the volume's array."""
        boxes = (Box.of_shape(self.fov, (z, y, x)) for z, y, x in self.starts.tolist())
        return [box.slices for box in boxes]


def cut(
    grey: Shaped[np.ndarray, "z y x"], places: Places
) -> Iterator[Float32[np.ndarray, "batch voxels"]]:
    """The raw fields of view, flattened, a few hundred at a time."""
    windows = places.windows()
    for start in range(0, len(windows), _BATCH):
        batch = windows[start : start + _BATCH]
        yield np.stack([grey[w].ravel() for w in batch]).astype(np.float32)
