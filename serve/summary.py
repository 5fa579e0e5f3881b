"""The facts of an atlas that a caller needs before asking anything."""

from typing import TypeVar

import numpy as np

from embed.atlas import Atlas
from embed.errors import VolumeError
from embed.formats.source import Source
from embed.geometry import XyzFloat
from serve.manifest import Manifest
from serve.wire.answers import AtlasSummary, IndexSummary

T = TypeVar("T")


def summary_of(atlas: Atlas, manifest: Manifest, masks: tuple[str, ...]) -> AtlasSummary:
    """The summary of an atlas, without what may be made while it is served.

    Args:
        atlas: that is served.
        manifest: of its index.
        masks: names of the masks that searches may be limited to.
    """
    info, grid = atlas.info, atlas.grid
    return AtlasSummary(
        name=atlas.name,
        voxel_size_nm=_turned(info.frame.voxel_size_nm),
        volume_nm=_volume_nm(atlas),
        locations_nm=atlas.extent_nm_xyz,
        locations=_turned(grid.shape),
        stride_voxels=(0, 0, 0) if info.points else _turned(grid.stride),
        fov_voxels=_turned(grid.fov),
        embedding_dim=info.embedding_dim,
        encoder=info.encoder,
        fingerprint=info.fingerprint,
        source=Source(info.volume.spec).url,
        attribution=dict(info.attribution),
        index=IndexSummary(manifest.factory, manifest.count, manifest.exact, manifest.recall),
        probes=(),
        has_projection=False,
        has_encoder=False,
        masks=masks,
    )


def _volume_nm(atlas: Atlas) -> tuple[XyzFloat, XyzFloat]:
    try:
        box = atlas.volume.box
    except VolumeError:
        # An atlas outlives its volume: what was embedded of it is still known.
        box = atlas.places.voxels(atlas.places.cells)
    low, high = atlas.frame.to_nm_xyz(np.array([box.start, box.stop], float)).tolist()
    return tuple(low), tuple(high)


def _turned(zyx: tuple[T, T, T]) -> tuple[T, T, T]:
    z, y, x = zyx
    return x, y, z
