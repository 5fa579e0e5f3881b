"""Sections in files that TensorStore cannot read: one interface to TIFF and HDF5."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Shaped

from embed.errors import VolumeError
from embed.geometry import Box, Zyx

MaybeSize = tuple[float | None, float | None, float | None]


@dataclasses.dataclass(frozen=True)
class Stack:
    """A volume in foreign files, read box by box.

    Attributes:
        name: of the file or folder, without suffix.
        shape: voxels, ZYX.
        dtype: of what `read` returns, in the byte order of this machine.
        voxel_size_nm: what the files state, ZYX; None where they do not.
        stated_by: which metadata state it; empty where none do.
        read: the voxels `[z, y, x]` of a box; raises DataError where they are damaged.
    """

    name: str
    shape: Zyx
    dtype: np.dtype
    voxel_size_nm: MaybeSize
    stated_by: str
    read: Callable[[Box], Shaped[np.ndarray, "z y x"]]


def native(dtype: np.dtype, what: str) -> np.dtype:
    """The same numbers in this machine's byte order; bool becomes uint8.

    Raises:
        VolumeError: they are no real numbers of at most 64 bits.
    """
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise VolumeError(
            f"{what} holds {dtype}; a volume holds integers or floats of 8 to 64 bits"
        )
    return dtype.newbyteorder("=")


def spatial_order(axes: Sequence[str], shape: Sequence[int], what: str) -> dict[str, int]:
    """Which dimension runs along z, y and x, after those of size one are left out.

    Args:
        axes: a letter for every dimension; a section counter is called `z` by the caller.
        shape: sizes of the same dimensions.
        what: the file, for the message.

    Raises:
        VolumeError: another axis has several entries, or y or x is missing.
    """
    found = {axis: dim for dim, axis in enumerate(axes) if axis in "zyx"}
    several = [(a, n) for a, n in zip(axes, shape, strict=True) if a not in "zyx" and n > 1]
    if several or not {"y", "x"} <= found.keys():
        said = ", ".join(f"{axis}: {n}" for axis, n in zip(axes, shape, strict=True))
        raise VolumeError(
            f"{what} has the axes {said}; only sections of one channel at one time can be read, so "
            "save each channel as a stack along z (in ImageJ: Image > Properties for a stack whose "
            "sections count as channels or frames)"
        )
    return found
