"""Multiscale metadata of OME-Zarr 0.1 to 0.6 (https://ngff.openmicroscopy.org)."""

import numpy as np
from jaxtyping import Float

from embed.errors import VolumeError
from embed.formats.arrays import Json, folder, url
from embed.formats.description import SPATIAL, LevelMetadata, Metadata, axis_name, unmeasured
from embed.formats.units import unit_nm

Affine = Float[np.ndarray, "n n"]


def lower_corner(centre: float, voxel_size: float) -> float:
    """Turns the centre of a voxel, OME-Zarr's origin, into its lower corner, everyone else's."""
    return centre - voxel_size / 2


def centre(lower_corner: float, voxel_size: float) -> float:
    """Turns the lower corner of a voxel into its centre, which is what OME-Zarr states."""
    return lower_corner + voxel_size / 2


def is_multiscale(attributes: Json) -> bool:
    """Whether a group's attributes describe an OME-Zarr image."""
    return bool(_ome(attributes).get("multiscales"))


def read(kvstore: Json, driver: str, attributes: Json) -> Metadata:
    """Reads the first image of a group, in the coordinates that its transformations end in.

    Args:
        kvstore: the group.
        driver: `zarr` or `zarr3`, the format of its arrays.
        attributes: the group's user attributes.

    Raises:
        VolumeError: a transformation turns, shears, mirrors or warps the axes.
    """
    multiscale = _ome(attributes)["multiscales"][0]
    version = str(_ome(attributes).get("version") or multiscale.get("version") or "0.1")
    axes = _axes(multiscale)
    levels, orders = [], []
    for dataset in multiscale["datasets"]:
        path = str(dataset["path"])
        try:
            order, size, origin = _measured(_steps(multiscale, dataset), axes)
        except VolumeError as error:
            raise VolumeError(
                f"{url(kvstore)}: {error}; to use the grid of the array as it is, open "
                f"{url(folder(kvstore, path))} with --axes and --voxel-size"
            ) from error
        spec = {"driver": driver, "kvstore": folder(kvstore, path)}
        levels.append(LevelMetadata(path, spec, size, origin))
        orders.append(order)
    if any(order != orders[0] for order in orders):
        raise VolumeError(f"{url(kvstore)}: its levels order their axes differently")
    names = [axis["name"] for axis in axes]
    return Metadata(
        format=f"ome-zarr {'.'.join(version.split('.')[:2])}",
        axes=tuple(names[i] for i in orders[0]),
        levels=tuple(levels),
        attributes={k: v for k, v in attributes.items() if k not in ("ome", "multiscales")},
        notes=unmeasured(names, [axis.get("unit") for axis in axes]),
    )


def _ome(attributes: Json) -> Json:
    """Where the multiscales stand: under `ome` since 0.5, among the attributes before."""
    ome = attributes.get("ome", attributes)
    return ome if isinstance(ome, dict) else {}


def _axes(multiscale: Json) -> list[Json]:
    """Axes of the coordinates in which the image ends."""
    systems = multiscale.get("coordinateSystems")  # since 0.6
    if systems:
        last = _steps(multiscale, multiscale["datasets"][0])[-1].get("output")
        named = [system for system in systems if system["name"] == last]
        return list((named or systems)[-1]["axes"])
    axes = multiscale.get("axes", "tczyx")  # the order that 0.1 and 0.2 prescribe
    return [axis if isinstance(axis, dict) else {"name": axis} for axis in axes]


def _steps(multiscale: Json, dataset: Json) -> list[Json]:
    """Transformations from the voxels of a level to the last coordinates; none before 0.4."""
    steps = list(dataset.get("coordinateTransformations") or [])
    for step in multiscale.get("coordinateTransformations") or []:
        # Since 0.6 a step says where it starts; before, every step follows the one before it.
        if steps and step.get("input") == steps[-1].get("output"):
            steps.append(step)
    return steps


def _sequence(steps: list[Json], rank: int) -> Affine:
    total = np.eye(rank + 1)
    for step in steps:
        total = _affine(step, rank) @ total
    return total


def _affine(step: Json, rank: int) -> Affine:
    """One transformation as a homogeneous matrix: output = matrix @ (input, 1)."""
    kind, matrix = step["type"], np.eye(rank + 1)
    if kind == "sequence":
        return _sequence(step["transformations"], rank)
    if kind == "scale":
        matrix[:rank, :rank] = np.diag(np.array(step["scale"], np.float64).reshape(rank))
    elif kind == "translation":
        matrix[:rank, rank] = step["translation"]
    elif kind == "mapAxis":  # entry i names the input axis that becomes output axis i
        matrix[:rank, :rank] = np.eye(rank)[[int(axis) for axis in step["mapAxis"]]]
    elif kind == "rotation":
        matrix[:rank, :rank] = step["rotation"]
    elif kind == "affine":
        matrix[:rank] = step["affine"]
    elif kind != "identity":
        raise VolumeError(f"its transformation {kind!r} is no scale, translation or reordering")
    return matrix


def _measured(
    steps: list[Json], axes: list[Json]
) -> tuple[tuple[int, ...], tuple[float | None, ...], tuple[float | None, ...]]:
    """Reads transformations that together keep the axes apart.

    Returns:
        For every dimension of the array: which axis it runs along, its voxel size in nm and the
        lower corner of its voxel 0 in nm; None where no length is stated.

    Raises:
        VolumeError: they turn, shear, mirror or warp the axes.
    """
    rank = len(axes)
    if not steps:
        return tuple(range(rank)), (None,) * rank, (None,) * rank
    affine = _sequence(steps, rank)
    linear, shift = affine[:rank, :rank], affine[:rank, rank]
    # Relative to its row: a scale in metres stands beside the 1 of a channel axis.
    used = np.abs(linear) > 1e-6 * np.abs(linear).max(axis=1, keepdims=True)
    if (used.sum(axis=0) != 1).any() or (used.sum(axis=1) != 1).any():
        raise VolumeError("its transformations turn or shear the axes")
    if (linear[used] < 0).any():
        raise VolumeError("its transformations mirror an axis")
    order = tuple(int(i) for i in used.argmax(axis=0))
    size: list[float | None] = []
    origin: list[float | None] = []
    for j, i in enumerate(order):
        spatial = axis_name(axes[i]["name"]) in SPATIAL
        unit = unit_nm(str(axes[i].get("unit") or "")) if spatial else None
        step = float(linear[i, j])
        size.append(None if unit is None else step * unit)
        origin.append(None if unit is None else lower_corner(float(shift[i]), step) * unit)
    return order, tuple(size), tuple(origin)
