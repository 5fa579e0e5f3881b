"""Whole jobs on volumes of growing size: what they cost beside the network, and how much memory.

    python -m tests.benchmarks.jobs VOLUME ATLAS

does one of them with the pretrained encoder, and prints the peak of its resident memory in bytes.
"""

import functools
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from embed.atlas import Atlas
from embed.backends.backend import Backend
from embed.backends.choice import open_backend
from embed.checkpoint import TrainedEncoder, load_encoder
from embed.engines.ray import Ray
from embed.errors import MissingExtraError
from embed.geometry import Box
from embed.grid_layout import create_atlas
from embed.inference import embed_shards, run_shard
from embed.layout import Wanted
from embed.pretrained import FOLDER
from embed.volume import open_volume
from tests.benchmarks.processes import family_cpu_s, peak_memory_bytes
from tests.benchmarks.timing import cpu_s

_SHARD = (32, 32, 32)
_GROUP = 4


def pretrained() -> TrainedEncoder:
    """The encoder for isotropic voxels."""
    return load_encoder(FOLDER / "isotropic.npz")


def whole_job_us(encoder: TrainedEncoder, volume: Path, out: Path) -> float:
    """CPU µs of a location from a volume that is not open to an atlas that is finished."""
    began = time.process_time()
    atlas = create_atlas(encoder, open_volume(volume), out, run="benchmark")
    assert not embed_shards(atlas)
    return 1e6 * (time.process_time() - began) / atlas.grid.size


def overhead_inprocess(encoder: TrainedEncoder, volume: Path, out: Path) -> float:
    """CPU seconds of a job over those of the bare network on the same blocks, less 1.

    After each shard, when neither the next is read nor the last is written, the network is run on
    that shard's blocks by itself.
    """
    bare = _Bare(create_atlas(encoder, open_volume(volume), out, run="benchmark"), encoder)
    began = time.process_time()
    assert not embed_shards(bare.atlas, progress=lambda shard, _mark: bare.run(shard))
    job_s = time.process_time() - began - bare.aside_s - bare.cpu_s
    return job_s / bare.cpu_s - 1


def overhead_ray(
    encoder: TrainedEncoder, volume: Path, warm_up: Path, out: Path
) -> tuple[float, float] | None:
    """The same on Ray, by the CPU seconds of all its processes; None where it is not installed.

    Groups of shards and the bare network on them take turns.

    Returns:
        The overhead when Ray's workers have done a job before, and the CPU seconds that their
        start takes, which are the same before a job of any size.
    """
    try:
        engine = Ray()
    except MissingExtraError:
        return None
    small, atlas = (
        create_atlas(
            encoder, open_volume(source), out / name, Wanted(shard=_SHARD), run="benchmark"
        )
        for source, name in ((warm_up, "small"), (volume, "large"))
    )
    bare = _Bare(atlas, encoder)
    with engine.connected():
        start_s, job_s = _on_ray(engine, small, small.shards), 0.0
        for first in range(0, len(atlas.shards), _GROUP):
            group = atlas.shards[first : first + _GROUP]
            job_s += _on_ray(engine, atlas, group)
            for shard in group:
                bare.run(shard)
    return job_s / bare.cpu_s - 1, start_s - job_s / atlas.grid.size * small.grid.size


def peak_memory_gb(volume: Path, out: Path) -> float:
    """Of a process that does one job and nothing else."""
    words = [sys.executable, "-m", "tests.benchmarks.jobs", str(volume), str(out)]
    return int(subprocess.run(words, check=True, capture_output=True).stdout) / 1e9


class _Bare:
    """The network on the blocks of shards, with its CPU seconds, and those to get the blocks."""

    def __init__(self, atlas: Atlas, encoder: TrainedEncoder):
        self.atlas = atlas
        self.cpu_s = self.aside_s = 0.0
        self._backend: Backend = open_backend(encoder)

    def run(self, shard: Box) -> None:
        """Runs it on one shard."""
        for cells in shard.tiles(self.atlas.info.block):
            began = time.process_time()
            block = self.atlas.info.normaliser(
                self.atlas.volume.read(self.atlas.grid.voxels(cells))
            )
            if not self.cpu_s:
                self._backend(block[None])  # compiles
            self.aside_s += time.process_time() - began
            self.cpu_s += cpu_s(functools.partial(self._backend, block[None]))


def _on_ray(engine: Ray, atlas: Atlas, shards: Sequence[Box]) -> float:
    """CPU seconds of this process and all below it until the shards are done."""
    began = family_cpu_s()
    found = [mark for _, mark in engine.run(functools.partial(run_shard, atlas.path), shards)]
    assert len(found) == len(shards)
    assert all(getattr(mark, "state", "") == "done" for mark in found), found
    return family_cpu_s() - began


def main() -> None:
    """One job in a process of its own."""
    volume, out = map(Path, sys.argv[1:])
    whole_job_us(pretrained(), volume, out)
    print(peak_memory_bytes())


if __name__ == "__main__":
    main()
