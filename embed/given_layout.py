"""Laying out an atlas of given places: points, skeleton nodes, some places in each segment."""

from pathlib import Path

import numpy as np

from embed.atlas import POINTS, Atlas
from embed.backends.backend import Backend
from embed.backends.choice import open_backend
from embed.checkpoint import TrainedEncoder
from embed.errors import DataError, MismatchError, OutOfBoundsError
from embed.geometry import Grid, Zyx
from embed.given_shard import given_parts, read_fields
from embed.layout import DEFAULTS, Wanted, create, origin, quantiser_for
from embed.normaliser import Normaliser, measure
from embed.points import Points
from embed.provenance import AtlasInfo
from embed.quantiser import Quantiser
from embed.regions import require_mask
from embed.storage import is_free
from embed.suitability import require_voxel_size
from embed.volume import Volume

# At 33 voxels an edge, 37 MB of fields of view; a shard takes a second on two cores.
SHARD: Zyx = (1, 1, 1024)
# Places that the scales of int8 codes are measured on.
_SAMPLED = 512


def create_given_atlas(
    encoder: TrainedEncoder,
    volume: Volume,
    path: Path,
    points: Points,
    wanted: Wanted = DEFAULTS,
    *,
    run: str,
    segmentation: Volume | None = None,
) -> Atlas:
    """Lays out an atlas of given places, or opens the unfinished one of an earlier run.

    Args:
        encoder: copied into the atlas.
        volume: what to embed.
        path: the directory of the atlas.
        points: the places; their fields of view lie in the volume.
        wanted: `backend`, `precision`, `store`, `shard` and `any_voxel_size` of it.
        run: where the encoder came from, for people.
        segmentation: of the volume, for an encoder of masked fields of view: each then shows the
            segment in its middle alone.

    Raises:
        MismatchError: the voxel sizes or fields of view differ, the encoder wants masked ones and
            there is no segmentation or the other way round, the segmentation lies on another grid,
            or another atlas is at `path`.
        OutOfBoundsError: a field of view leaves the volume.
        DataError: the volume is constant or holds NaN, or something else is at `path`.
        ConfigError: the backend does not exist here.
        StorageError: the disk refuses.
    """
    if not wanted.any_voxel_size:
        require_voxel_size(encoder, volume)
    _require_masks(encoder, volume, segmentation)
    _require_fields(points, encoder, volume)
    _require_inside(points, volume)
    backend = open_backend(encoder, wanted.backend, wanted.precision)
    normaliser = measure(volume)
    info = AtlasInfo(
        **origin(backend, volume, normaliser, run),
        grid=Grid((0, 0, 0), encoder.fov, (1, 1, 1), points.shape),
        shard=wanted.shard or SHARD,
        points=points.digest(),
        segmentation=segmentation.source if segmentation else None,
        quantiser=quantiser_for(
            wanted.store, path, lambda: _scales(backend, volume, normaliser, points, segmentation)
        ),
    )
    if is_free(path) or _is_begun(path):
        points.save(path / POINTS)  # before the description, which says that it is there
    atlas = create(path, info, backend, wanted)
    if not (path / POINTS).exists():
        points.save(path / POINTS)
    return atlas


def _is_begun(path: Path) -> bool:
    """Whether only the places were written before a run was killed."""
    if not path.is_dir():
        return False
    return {file.name for file in path.iterdir() if not file.name.startswith(".")} == {POINTS}


def _require_masks(encoder: TrainedEncoder, volume: Volume, segmentation: Volume | None) -> None:
    if encoder.masked and segmentation is None:
        raise MismatchError(
            "this encoder was trained on fields of view that show one segment: it needs a "
            f"segmentation of {volume.name}, given with --segmentation"
        )
    if segmentation is None:
        return
    if not encoder.masked:
        raise MismatchError(
            "this encoder was trained on whole fields of view, and masks would be strange to it; "
            "leave out the segmentation"
        )
    require_mask(volume, segmentation)
    if segmentation.box != volume.box or not segmentation.frame.agrees(volume.frame):
        grids = (f"{v.name} has {v.box} of {v.frame}" for v in (segmentation, volume))
        raise MismatchError(
            f"fields of view are masked voxel by voxel, and {' and '.join(grids)} (ZYX); choose "
            "the level of the segmentation that agrees"
        )


def _require_fields(points: Points, encoder: TrainedEncoder, volume: Volume) -> None:
    sizes = points.voxel_size_nm, volume.frame.voxel_size_nm
    if points.fov != encoder.fov or not np.allclose(*sizes, rtol=1e-3):
        raise MismatchError(
            f"the points are for fields of view of {points.fov} voxels of {points.voxel_size_nm} "
            f"nm, and this encoder sees {encoder.fov} voxels, which are "
            f"{volume.frame.voxel_size_nm} nm in {volume.name} (ZYX); make them for that"
        )


def _require_inside(points: Points, volume: Volume) -> None:
    inside = points.inside(volume.box)
    if not inside.all():
        row = int(np.argmin(inside))
        raise OutOfBoundsError(
            f"{int((~inside).sum())} of {points.size} points are too near to the edge of "
            f"{volume.name} or outside: the field of view of point {points.sources[row]} would be "
            f"{points.box(row)}, and the volume is {volume.box} (voxels, ZYX)"
        )


def _scales(
    backend: Backend,
    volume: Volume,
    normaliser: Normaliser,
    points: Points,
    segmentation: Volume | None,
) -> Quantiser:
    few = points.take(np.linspace(0, points.size - 1, min(points.size, _SAMPLED)).astype(int))
    fields = read_fields(volume, segmentation, few, few.cells)
    void, parts = given_parts(backend, normaliser, fields)
    vectors = np.concatenate([vectors for _, vectors in parts], axis=2)
    if void.all():
        raise DataError(f"none of the points that were tried in {volume.name} has data")
    return Quantiser.measure(vectors[~void])
