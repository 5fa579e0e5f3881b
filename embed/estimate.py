"""What a job will take, from counting and from trying one block here."""

import dataclasses
import time

import numpy as np

from embed.atlas import Atlas
from embed.backends.backend import Backend
from embed.checkpoint import TrainedEncoder
from embed.dense import is_coarse
from embed.geometry import zyx
from embed.inference import remaining
from embed.job import Job
from embed.operations import of_block, of_one, per_location
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
        return Estimate(0, 0, 0, 0, operations(atlas, job.backend.encoder), 0.0, 0.0)
    few = shards[:: max(1, len(shards) // _LOOKED_AT)]
    share = sum(int(atlas.wanted(s).sum()) for s in few) / sum(s.size for s in few)
    planned = sum(shard.size for shard in shards)
    locations = round(share * planned)
    each = operations(atlas, job.backend.encoder)
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


def operations(atlas: Atlas, encoder: TrainedEncoder) -> float:
    """Multiplications and additions of one location of an atlas."""
    if _one_by_one(atlas, encoder):
        return float(of_one(encoder.config))
    return per_location(encoder.config, atlas.grid.stride, atlas.info.block)


def _one_by_one(atlas: Atlas, encoder: TrainedEncoder) -> bool:
    return atlas.info.points is not None or is_coarse(encoder, atlas.grid.stride)


def _voxels(atlas: Atlas) -> float:
    """Voxels that are read for one location."""
    grid, shard = atlas.grid, atlas.shards[0]
    if atlas.info.points is not None:
        return float(np.prod(grid.fov))
    return grid.voxels(shard).size / shard.size


def _timed(atlas: Atlas, backend: Backend) -> float:
    """Seconds of computing that one location takes."""
    config, block = backend.encoder.config, atlas.info.block
    alone = _one_by_one(atlas, backend.encoder)
    # At the encoder's own stride; coarser and finer grids take so many operations more or less.
    cells = zyx((1, 1, 1) if alone else block)
    blocks = np.zeros((_FIELDS if alone else 1, *config.voxels(cells)), np.float32)
    backend(blocks)  # compiles
    best = float("inf")
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        backend(blocks)
        best = min(best, time.perf_counter() - began)
    done = len(blocks) * of_block(config, cells)
    return best * operations(atlas, backend.encoder) / done
