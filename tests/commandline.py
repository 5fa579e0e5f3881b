"""The command line as a test sees it, and volumes to run it on."""

import dataclasses
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from embed.atlas import Atlas

PRESET = '''
"""Sees 7 voxels of 10 nm and steps 2; twelve steps, saved after 4, 8 and 12."""

from embed.config import RunConfig, TrainConfig, VolumeConfig
from embed.encoder import EncoderConfig, Stage
from embed.training.sampling import SamplingConfig

config = RunConfig(
    volumes=(VolumeConfig("sample"),),
    encoder=EncoderConfig(
        stages=(Stage(8, (3, 3, 3), (2, 2, 2)), Stage(8, (3, 3, 3), blocks=1)),
        read=(0, 1),
        embedding_dim=8,
    ),
    sampling=SamplingConfig(crops=3, places=(3, 3, 3), shift_nm=20.0),
    train=TrainConfig(steps=12, save_every=4, log_every=5, projection=(8,), ignore_cells=2),
)
'''

SHAPE = (40, 48, 56)
"""Of the tissue, ZYX: 17 x 21 x 25 locations in 8 shards."""


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a verb ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON value on stdout."""
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """The one line on stderr of a verb that something kept from its work."""
        assert self.code == 2, (self.code, self.err)
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("voxkin "), self.err
        return self.err.strip()


Voxkin = Callable[..., Ended]


def write_volume(
    path: Path,
    voxels: np.ndarray,
    names: tuple[str, ...] | None = ("z", "y", "x"),
    voxel_nm: float = 10,
    chunk: int = 24,
) -> Path:
    """Stores voxels as zarr v3 with a checksum on every chunk."""
    metadata = {
        "shape": list(voxels.shape),
        "data_type": voxels.dtype.name,
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": [chunk] * voxels.ndim},
        },
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
        "attributes": {"dimension_units": [f"{voxel_nm} nm"] * voxels.ndim},
    }
    if names:
        metadata["dimension_names"] = list(names)
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}}
    ts.open({**spec, "metadata": metadata}, create=True).result().write(voxels).result()
    return path


def truncate(chunk: Path) -> bytes:
    """Cuts a stored chunk short; gives back what it held."""
    content = chunk.read_bytes()
    chunk.write_bytes(content[: len(content) // 2])
    return content


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder and its content."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def bad_volume(kind: str, tissue: np.ndarray, folder: Path) -> Path:
    """A volume that nothing can be learned from."""
    path = folder / f"{kind}.zarr"
    grey = tissue.astype(np.float32)
    grey[20, 20, 20] = np.nan
    kinds = {
        "unnamed": lambda: write_volume(path, tissue, names=None),
        "misnamed": lambda: write_volume(path, tissue, names=("a", "b", "c")),
        "complex": lambda: write_volume(path, tissue.astype(np.complex64)),
        "constant": lambda: write_volume(path, np.full_like(tissue, 7)),
        "void": lambda: write_volume(path, np.zeros_like(tissue)),
        "nan": lambda: write_volume(path, grey),
        "small": lambda: write_volume(path, tissue[:5, :6, :6]),
        "finer": lambda: write_volume(path, tissue, voxel_nm=5),
        "missing": lambda: path,
        "truncated": lambda: write_volume(path, tissue),
    }
    kinds[kind]()
    if kind == "truncated":
        truncate(path / "c" / "0" / "1" / "1")
    return path


BAD = {
    "unnamed": "state them with --axes",
    "misnamed": "state them with --axes",
    "complex": "holds complex64",
    "constant": "is constant (value 7",
    "void": "is constant (value 0 or missing",
    "nan": "holds NaN or infinite values, as at voxel (ZYX) (20, 20, 20)",
    "small": "(7, 7, 7)",
    "finer": "5 x 5 x 5 nm",
    "missing": "no such path",
    "truncated": "c/0/1/1",
}
"""What is said of each kind of bad volume."""


def signal_when(file: Path, number: int) -> threading.Thread:
    """Sends this process a signal once there is a file, or after a minute without."""

    def wait() -> None:
        until = time.monotonic() + 60
        while not file.exists() and time.monotonic() < until:
            time.sleep(0.002)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def shard_states(atlas: Path) -> dict[str, int]:
    """How many shards of an atlas are in each state."""
    states = [mark.state for mark in Atlas.open(atlas).ledger.marks().values()]
    return {state: states.count(state) for state in states}
