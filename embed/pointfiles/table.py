"""Places as a file has them, and which of them a volume can show."""

import dataclasses
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float64, UInt64

from embed.errors import DataError, OutOfBoundsError
from embed.geometry import Box, Frame, Zyx
from embed.points import Points

Unit = Literal["nm", "um", "voxel"]
Outside = Literal["refuse", "skip"]
_UNITS: dict[Unit, str] = {"nm": "nanometres", "um": "micrometres", "voxel": "voxels"}


@dataclasses.dataclass(frozen=True, eq=False)
class PointTable:
    """Places in the order of the file that they were read from.

    Attributes:
        name: of the file, for messages.
        frame: of the volume that the places are to be seen in.
        positions: continuous voxels of that volume, ZYX.
        segments: the segment of each; 0 where there is none.
        sources: what names each in the file: its row counted from 0, its id, or its node.
        unit: in which the file has the positions.
        ignored: columns of the file that say nothing of a place, in its order.
    """

    name: str
    frame: Frame
    positions: Float64[np.ndarray, "n 3"]
    segments: UInt64[np.ndarray, " n"]
    sources: UInt64[np.ndarray, " n"]
    unit: Unit = "nm"
    ignored: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.positions)

    def within(self, box: Box, fov: Zyx, outside: Outside = "refuse") -> tuple[Points, int]:
        """The places whose field of view lies in the volume, and how many were left out.

        Args:
            box: the voxels of the volume.
            fov: voxels of a field of view, ZYX.
            outside: what happens if a field of view leaves the box.

        Raises:
            OutOfBoundsError: one does, and `outside` is "refuse"; or all do.
        """
        points = Points(self.positions, self.segments, self.sources, fov, self.frame.voxel_size_nm)
        fits = points.inside(box)
        if not fits.any() or (outside == "refuse" and not fits.all()):
            raise OutOfBoundsError(self._refusal(box, fov, fits))
        kept = Points.at(
            self.positions[fits],
            fov=fov,
            voxel_size_nm=self.frame.voxel_size_nm,
            segments=self.segments[fits],
            sources=self.sources[fits],
        )
        return kept, int((~fits).sum())

    def _refusal(self, box: Box, fov: Zyx, fits: Bool[np.ndarray, " n"]) -> str:
        half = np.asarray(fov) / 2
        low, high = np.asarray(box.start) + half, np.asarray(box.stop) - half
        seen = " x ".join(map(str, fov[::-1]))
        if (low > high).any():
            has = " x ".join(map(str, box.shape[::-1]))
            return (
                f"no point of {self.name} fits: the volume has {has} voxels (XYZ) and the field of "
                f"view {seen}"
            )
        first = int(np.argmin(fits))
        nm = self.frame.to_nm_xyz(np.stack([self.positions[first], low, high]))
        count = int((~fits).sum())
        return (
            f"{count} of the {len(self)} points of {self.name} {'is' if count == 1 else 'are'} "
            f"outside the volume or too near its edge for a field of view of {seen} voxels (XYZ): "
            f"the first is number {self.sources[first]}, at {_told(nm[0])} nm (XYZ), voxel "
            f"{_told(self.positions[first, ::-1])}; what fits is from {_told(nm[1])} to "
            f"{_told(nm[2])} nm"
            + self._guess(low, high, int(fits.sum()))
            + ("; leave out what does not with --skip-outside" if fits.any() else "")
        )

    def _guess(self, low: Float[np.ndarray, "3"], high: Float[np.ndarray, "3"], fit: int) -> str:
        """What would make more places fit than do: another unit, or another order."""
        numbers = self._numbers()
        units = {unit: f"its numbers are {name}" for unit, name in _UNITS.items()}
        readings = {
            said: placed(numbers, unit, self.frame)
            for unit, said in units.items()
            if unit != self.unit
        }
        readings["its x is z and its z is x"] = placed(numbers[:, ::-1], self.unit, self.frame)
        fitting = {
            said: int(((low <= places) & (places <= high)).all(axis=1).sum())
            for said, places in readings.items()
        }
        best = max(fitting, key=lambda said: fitting[said])
        return f"; if {best}, {fitting[best]} of them fit" if fitting[best] > fit else ""

    def _numbers(self) -> Float64[np.ndarray, "n 3"]:
        """The positions as they are in the file, XYZ."""
        if self.unit == "voxel":
            return self.positions[:, ::-1]
        return self.frame.to_nm_xyz(self.positions) / (1000.0 if self.unit == "um" else 1.0)


def placed(xyz: Float[np.ndarray, "n 3"], unit: Unit, frame: Frame) -> Float64[np.ndarray, "n 3"]:
    """Continuous voxels, ZYX, of positions XYZ; in "voxel", voxel i covers [i, i + 1)."""
    xyz = np.asarray(xyz, np.float64)
    if unit == "voxel":
        return xyz[:, ::-1].copy()
    return frame.to_voxel(xyz * (1000.0 if unit == "um" else 1.0))


def require_some(name: str, count: int) -> None:
    """Checks that a file has places.

    Raises:
        DataError: it has none.
    """
    if not count:
        raise DataError(f"{name} has no points")


def _told(values: Float[np.ndarray, "3"]) -> str:
    return "({})".format(", ".join(f"{v:.10g}" for v in np.round(values, 1)))
