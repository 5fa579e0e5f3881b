"""Volumes of any size of the sample's tissue, which take no room on disk."""

import itertools
import json
from pathlib import Path

from embed.encoder import EncoderConfig
from embed.geometry import Zyx, zyx
from embed.samples import PATH


def tiled(path: Path, shape: Zyx) -> Path:
    """A zarr whose chunks are links to those of the sample, each of which is read and decoded."""
    metadata = json.loads((PATH / "zarr.json").read_text())
    chunk = metadata["chunk_grid"]["configuration"]["chunk_shape"]
    kept = [n // c for n, c in zip(metadata["shape"], chunk, strict=True)]
    metadata["shape"] = [*shape]
    for index in itertools.product(*(range(-(-n // c)) for n, c in zip(shape, chunk, strict=True))):
        link = path.joinpath("c", *map(str, index))
        link.parent.mkdir(parents=True, exist_ok=True)
        same = (str(i % n) for i, n in zip(index, kept, strict=True))
        link.symlink_to(PATH.resolve().joinpath("c", *same))
    (path / "zarr.json").write_text(json.dumps(metadata))
    return path


def volume_of(path: Path, config: EncoderConfig, cells: int) -> Path:
    """One that gives so many locations per edge."""
    return tiled(path, config.voxels(zyx((cells,) * 3)))
