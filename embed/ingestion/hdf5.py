"""HDF5: a data set of three dimensions inside a file."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Shaped

from embed.errors import DataError, MissingExtraError, VolumeError
from embed.geometry import Box, zyx
from embed.ingestion.stack import MaybeSize, Stack, native, spatial_order

SUFFIXES = (".h5", ".hdf5", ".hdf")


@contextlib.contextmanager
def open_hdf5(path: Path, dataset: str | None) -> Iterator[Stack]:
    """Opens a data set; its dimensions are z, y, x unless their labels say otherwise.

    Args:
        path: the file.
        dataset: path inside it; may be left out where only one has three dimensions.

    Raises:
        VolumeError: no such file or data set, or several to choose from; the message lists them.
        MissingExtraError: h5py is not installed.
    """
    h5py = _h5py()
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise VolumeError(f"{path} cannot be opened as HDF5: {error}") from error
    with file:
        data = _chosen(h5py, file, path, dataset)
        what = f"{path}:{data.name}"
        axes = _axes(data)
        dims = spatial_order(axes, data.shape, what)
        order = [dims[axis] for axis in "zyx" if axis in dims]
        shape = zyx([1] * (3 - len(order)) + [data.shape[dim] for dim in order])
        dtype = native(data.dtype, what)

        def read(box: Box) -> Shaped[np.ndarray, "z y x"]:
            index: list[Any] = [0] * data.ndim
            for axis, part in zip("zyx", box.slices, strict=True):
                if axis in dims:
                    index[dims[axis]] = part
            try:
                voxels = np.asarray(data[tuple(index)])
            except OSError as error:
                raise DataError(f"cannot read {box} (voxels, ZYX) of {what}: {error}") from error
            turned = voxels.transpose([sorted(order).index(dim) for dim in order])
            return turned.reshape(box.shape).astype(dtype, copy=False)

        size = _voxel_size_nm(data, dims)
        yield Stack(path.stem, shape, dtype, size, "element_size_um" if any(size) else "", read)


def _h5py() -> ModuleType:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError(
            "reading HDF5 needs h5py; install it with: pip install 'voxkin[ingest]'"
        ) from error
    return h5py


def _chosen(h5py: ModuleType, file: Any, path: Path, dataset: str | None) -> Any:
    found: list[Any] = []
    file.visititems(lambda _, node: found.append(node) if isinstance(node, h5py.Dataset) else None)
    volumes = [node for node in found if sum(n > 1 for n in node.shape or ()) == 3]
    if dataset is None and len(volumes) == 1:
        return volumes[0]
    named = [node for node in found if dataset and node.name == "/" + dataset.strip("/")]
    if named:
        return named[0]
    listed = "; ".join(f"{node.name} {node.shape} {node.dtype}" for node in volumes or found)
    wrong = "" if dataset is None else f"no data set {dataset!r}; "
    raise VolumeError(f"{path}: {wrong}choose one with --dataset: {listed or 'it holds none'}")


def _axes(data: Any) -> list[str]:
    """Labels of the dimensions; without them z, y, x, counted from those with several entries."""
    labels = [dim.label.lower() for dim in data.dims]
    if all(labels):
        return labels
    if data.ndim in (2, 3):
        return list("zyx"[-data.ndim :])
    long = [dim for dim, n in enumerate(data.shape) if n > 1]
    names = dict(zip(long, "zyx", strict=False))
    return [names.get(dim, f"axis {dim}") for dim in range(data.ndim)]


def _voxel_size_nm(data: Any, dims: dict[str, int]) -> MaybeSize:
    """From `element_size_um` (ilastik, PlantSeg): a length per dimension, or for z, y and x."""
    said = np.atleast_1d(np.asarray(data.attrs.get("element_size_um", []), np.float64)) * 1e3
    if said.size == 3 and (data.ndim != 3 or len(dims) < 3):
        z, y, x = said.tolist()
        return z, y, x
    if said.size == data.ndim:
        z, y, x = (float(said[dims[axis]]) if axis in dims else None for axis in "zyx")
        return z, y, x
    return None, None, None
