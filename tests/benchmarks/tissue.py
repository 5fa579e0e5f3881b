"""Volumes of any size of the sample's tissue, which take no room on disk."""

import itertools
import json
from pathlib import Path

import tensorstore as ts

from embed.encoder import EncoderConfig
from embed.geometry import Zyx, zyx
from embed.samples import PATH
from embed.volume import open_volume

# As `voxkin ingest` packs; the sample, which travels, is packed harder, and unpacks half as fast.
_ZSTD_LEVEL = 5


def tiled(path: Path, shape: Zyx) -> Path:
    """A zarr whose chunks are links to a few, each of which is read and decoded."""
    metadata = json.loads((PATH / "zarr.json").read_text())
    chunk = metadata["chunk_grid"]["configuration"]["chunk_shape"]
    kept = [n // c for n, c in zip(metadata["shape"], chunk, strict=True)]
    few = _packed(path / "few", metadata)
    metadata["shape"] = [*shape]
    for index in itertools.product(*(range(-(-n // c)) for n, c in zip(shape, chunk, strict=True))):
        link = path.joinpath("c", *map(str, index))
        link.parent.mkdir(parents=True, exist_ok=True)
        same = (str(i % n) for i, n in zip(index, kept, strict=True))
        link.symlink_to(few.resolve().joinpath("c", *same))
    (path / "zarr.json").write_text(json.dumps(metadata))
    return path


def volume_of(path: Path, config: EncoderConfig, cells: int) -> Path:
    """One that gives so many locations per edge."""
    return tiled(path, config.voxels(zyx((cells,) * 3)))


def _packed(path: Path, metadata: dict) -> Path:
    """The sample in the same chunks, packed as users' volumes are; changes `metadata`."""
    metadata["codecs"][-1]["configuration"]["level"] = _ZSTD_LEVEL
    kvstore = {"driver": "file", "path": f"{path}/"}
    spec = {"driver": "zarr3", "kvstore": kvstore, "metadata": metadata, "create": True}
    sample = open_volume(PATH)
    ts.open(spec).result().write(sample.read(sample.box)).result()
    return path
