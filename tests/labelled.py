"""Small labelled volumes, laid out as the folder of evaluation data is."""

from pathlib import Path

import numpy as np
import tensorstore as ts
from scipy.spatial import cKDTree

VNC_VOXEL_NM = (45.0, 4.6, 4.6)


def write_volume(path: Path, voxels: np.ndarray, voxel_size_nm=(10.0, 10.0, 10.0)) -> None:
    """A zarr v3 array with named axes and a voxel size, ZYX."""
    spec = {
        "driver": "zarr3",
        "kvstore": f"file://{path}/",
        "metadata": {
            "shape": list(voxels.shape),
            "data_type": voxels.dtype.name,
            "dimension_names": ["z", "y", "x"],
            "attributes": {"dimension_units": [f"{v:g} nm" for v in voxel_size_nm]},
        },
    }
    ts.open(spec, create=True).result().write(voxels).result()


def write_luc(folder: Path) -> None:
    """Mitochondria are bright balls on a dim, noisy ground."""
    rng = np.random.default_rng(0)
    shape = (25, 264, 80)
    labels = np.zeros(shape, np.uint8)
    places = np.indices(shape).reshape(3, -1).T
    seeds = rng.random((45, 3)) * shape
    nearest, _ = cKDTree(seeds).query(places, workers=2)
    labels.reshape(-1)[nearest < 9] = 1
    grey = 100 + 60 * labels + rng.normal(0, 15, shape)
    write_volume(folder / "lucchi_train.zarr", grey.clip(1, 255).astype(np.uint8))
    write_volume(folder / "lucchi_train_mitochondria.zarr", labels)


def write_vnc(folder: Path) -> None:
    """Five classes in tiles of 10 x 10 pixels, each with a grey value of its own."""
    rng = np.random.default_rng(0)
    tiles = rng.integers(1, 6, (20, 10, 11))
    labels = tiles.repeat(10, axis=1).repeat(10, axis=2).astype(np.uint8)
    grey = 30 + 35 * labels + rng.normal(0, 8, labels.shape)
    volume = grey.clip(1, 255).astype(np.uint8)
    write_volume(folder / "vnc_left.zarr", volume, VNC_VOXEL_NM)
    write_volume(folder / "vnc_left_classes.zarr", labels, VNC_VOXEL_NM)


def write_fib(folder: Path, depth: int = 120) -> None:
    """Columns along z of uneven thickness; neighbours differ in grey value."""
    grey, labels = columns(depth)
    write_volume(folder / "fib25_b.zarr", grey)
    write_volume(folder / "fib25_b_bodies.zarr", labels)


def columns(depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Grey values and labels of nine bodies, each the cells of a stack of uneven seeds.

    Background is around them: at the edge of the volume no field of view would fit.
    """
    rng = np.random.default_rng(0)
    shape = (depth, 84, 84)
    grid = np.stack(np.meshgrid(*(np.arange(14, n, 28) for n in shape), indexing="ij"), axis=-1)
    seeds = (grid + rng.uniform(-6, 6, grid.shape)).reshape(-1, 3)
    body = np.broadcast_to(np.arange(1, 10).reshape(3, 3), grid.shape[:3]).ravel()
    _, cell = cKDTree(seeds).query(np.indices(shape).reshape(3, -1).T, workers=2)
    labels = np.zeros((shape[0], shape[1] + 16, shape[2] + 16), np.uint64)
    labels[:, 8:-8, 8:-8] = body[cell].reshape(shape)
    grey = 60 + 15 * labels.astype(float) + rng.normal(0, 10, labels.shape)
    return grey.clip(1, 255).astype(np.uint8), labels
