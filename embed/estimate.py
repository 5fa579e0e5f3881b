"""What a job will take, from counting and from trying one block here."""

import dataclasses
import time

import numpy as np

from embed.atlas import Atlas
from embed.backends.backend import Backend
from embed.encoder import EncoderConfig
from embed.geometry import Grid, zyx
from embed.inference import Job, remaining
from embed.operations import of_one, per_location
from embed.peak import peak_flops

# Shards of which it is looked up how much is wanted: enough to know a share to some percent.
_LOOKED_AT = 64
_ROUNDS = 3
_FIELDS = 64


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What remains to be done of an atlas.

    Attributes:
        locations: to embed; estimated from some shards where a mask decides.
        shards: that they lie in.
        read_bytes: voxels as they are in memory, halo included.
        written_bytes: embeddings.
        operations: multiplications and additions of one location.
        location_s: seconds that a location took here just now, with all cores or on one device.
        peak_share: how much of the speed of a matrix product here that is.
    """

    locations: int
    shards: int
    read_bytes: int
    written_bytes: int
    operations: float
    location_s: float
    peak_share: float

    @property
    def seconds(self) -> float:
        """Of computing, on this machine as busy as it was just now."""
        return self.locations * self.location_s


def estimate(atlas: Atlas) -> Estimate:
    """Counts what remains and times one block, which takes about a second.

    Raises:
        DataError: a mask cannot be read.
        MissingExtraError: the backend is not installed here.
    """
    job, shards = Job.open(atlas), remaining(atlas)
    if not shards:
        return Estimate(0, 0, 0, 0, operations(atlas, job.backend.encoder.config), 0.0, 0.0)
    few = shards[:: max(1, len(shards) // _LOOKED_AT)]
    share = sum(int(atlas.wanted(s).sum()) for s in few) / sum(s.size for s in few)
    planned = sum(shard.size for shard in shards)
    locations = round(share * planned)
    each = operations(atlas, job.backend.encoder.config)
    seconds = _timed(atlas, job.backend)
    return Estimate(
        locations=locations,
        shards=len(shards),
        read_bytes=round(_voxels(atlas) * planned * atlas.volume.dtype.itemsize),
        written_bytes=planned * atlas.info.embedding_dim * atlas.store.dtype.itemsize,
        operations=each,
        location_s=seconds,
        peak_share=each / seconds / peak_flops(job.backend.precision),
    )


def operations(atlas: Atlas, config: EncoderConfig) -> float:
    """Multiplications and additions of one location of an atlas by an encoder of that shape."""
    if atlas.info.points is not None:
        return float(of_one(config))
    return per_location(config, atlas.grid.stride, atlas.info.block)


def _voxels(atlas: Atlas) -> float:
    """Voxels that are read for one location."""
    grid, shard = atlas.grid, atlas.shards[0]
    if atlas.info.points is not None:
        return float(np.prod(grid.fov))
    return grid.voxels(shard).size / shard.size


def _timed(atlas: Atlas, backend: Backend) -> float:
    """Seconds of computing that one location takes."""
    config, info = backend.encoder.config, atlas.info
    cells = (1, 1, 1) if info.points is not None else info.block
    local = Grid((0, 0, 0), info.grid.fov, config.stride, zyx(cells))
    blocks = np.zeros((1, *local.voxels(local.cells).shape), np.float32)
    if info.points is not None:
        blocks = np.repeat(blocks, _FIELDS, axis=0)
    backend(blocks)  # compiles
    best = float("inf")
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        backend(blocks)
        best = min(best, time.perf_counter() - began)
    per_own = best / (len(blocks) * np.prod(cells))
    # Coarser or finer grids take as many operations more or less.
    own = per_location(config, config.stride, zyx(cells))
    return per_own * operations(atlas, config) / own
