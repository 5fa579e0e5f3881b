"""Embeddings like those of tissue, made from random numbers: as many as a benchmark wants.

Cells (Voronoi segments, each of a class) and smooth random fields at three scales give every
location 16 hidden numbers; a fixed network with tanh turns them into an embedding, to which noise
is added. So, as with embeddings of real volumes, places near each other are alike: nine of ten of
a location's ten nearest are within four steps of it, 16 principal components hold 91 % of the
variance and 32 hold 95 %, and the intrinsic dimension is about 13.
"""

from pathlib import Path

import numpy as np
import tensorstore as ts
from scipy.spatial import cKDTree

from embed.atlas import Atlas
from embed.geometry import Grid, Zyx, zyx
from embed.ledger import Mark
from embed.normaliser import Normaliser
from embed.provenance import AtlasInfo
from embed.storage import digest
from embed.volume import open_volume

HIDDEN, CLASSES = 16, 12
CELLS_PER_SEGMENT = 373
"""Locations of a segment: 3,000 of them in 112 x 100 x 100."""

SCALES = {3.0: 0.27, 8.0: 0.36, 20.0: 0.36}
"""Strength of the smooth fields by their scale in locations."""

OFFSET = 0.35
"""How much segments of a class differ, beside the 1 by which classes do."""

GAIN = 2.0
"""Of the outer tanh: more bends the hidden numbers into more dimensions."""

NOISE = 0.15
"""Of each number of an embedding, before its length is made 1."""

FOV: Zyx = (8, 8, 8)
"""With steps of one voxel, so that two hits that share no voxel are eight steps apart."""

SHARD: Zyx = (64, 64, 64)
_PLANES = 4


def vectors(shape: Zyx = (112, 100, 100), dim: int = 64, seed: int = 0) -> np.ndarray:
    """Embeddings at every location of a grid.

    Args:
        shape: locations per axis, ZYX.
        dim: length of an embedding.
        seed: of everything random.

    Returns:
        float32 [z, y, x, dim], unit length.
    """
    rng = np.random.default_rng(seed)
    segments = max(1, round(np.prod(shape) / CELLS_PER_SEGMENT))
    tree = cKDTree(rng.uniform(0, shape, (segments, 3)))
    classes = rng.normal(size=(CLASSES, HIDDEN))
    offsets = OFFSET * rng.normal(size=(segments, HIDDEN))
    of_segment = (classes[rng.integers(CLASSES, size=segments)] + offsets).astype(np.float32)
    fields = [_Field(shape, scale, weight, rng) for scale, weight in SCALES.items()]
    network = _Network(dim, rng)
    made = np.empty((*shape, dim), np.float32)
    for begin in range(0, shape[0], _PLANES):
        z = np.arange(begin, min(begin + _PLANES, shape[0]))
        cells = np.stack(np.meshgrid(z, *map(np.arange, shape[1:]), indexing="ij"), axis=-1)
        hidden = of_segment[tree.query(cells)[1]] + sum(field.at(z) for field in fields)
        found = network.outputs(hidden) + NOISE * rng.standard_normal(
            (*hidden.shape[:3], dim), np.float32
        )
        made[z] = found / np.linalg.norm(found, axis=-1, keepdims=True)
    return made


def atlas(path: Path, made: np.ndarray) -> Atlas:
    """A finished atlas at `path` that holds some embeddings, of a grey volume beside it.

    Args:
        path: the directory to make.
        made: [z, y, x, dim], unit length or zero where there is no data.
    """
    shape = zyx(made.shape[:3])
    volume = open_volume(_write_volume(path.with_name(f"{path.name}-volume.zarr"), shape))
    info = AtlasInfo(
        volume=volume.source,
        attribution={"license": "CC0-1.0", "source": "random numbers"},
        frame=volume.frame,
        grid=Grid.covering(volume.box, FOV, (1, 1, 1)),
        embedding_dim=made.shape[-1],
        shard=SHARD,
        encoder="a-synthetic-encoder",
        run="runs/synthetic",
        normaliser=Normaliser(128.0, 40.0),
        backend="none-cpu-float32",
        versions={},
        created="2026-01-01T00:00:00+00:00",
    )
    result = Atlas.create(path, info)
    for box in result.store.shards:
        part = made[box.slices].astype(np.float16)
        result.store.write(box, part)
        voids = int((~part.any(axis=-1)).sum())
        mark = Mark("done", digest(part.tobytes()), box.size, voids, plan=result.plan(box))
        result.ledger.record(result.shard_index(box), mark)
    return result


class _Field:
    """A smooth random field of hidden numbers, by Gaussian bumps on a coarse grid."""

    def __init__(self, shape: Zyx, scale: float, weight: float, rng: np.random.Generator) -> None:
        self._axes = [_bumps(n, scale) for n in shape]
        coarse = [axis.shape[1] for axis in self._axes]
        self._values = (weight * rng.normal(size=(*coarse, HIDDEN))).astype(np.float32)

    def at(self, z: np.ndarray) -> np.ndarray:
        """Its values [z, y, x, hidden] in some planes."""
        planes = np.tensordot(self._axes[0][z], self._values, 1)
        rows = np.einsum("yv,zvxc->zyxc", self._axes[1], planes, optimize=True)
        return np.einsum("xv,zyvc->zyxc", self._axes[2], rows, optimize=True)


def _bumps(count: int, scale: float) -> np.ndarray:
    """Weights [location, coarse location] whose squares sum to 1: the variance stays."""
    centres = np.arange(-2 * scale, count + 2 * scale, scale)
    weights = np.exp(-(((np.arange(count)[:, None] - centres) / scale) ** 2) / 2)
    return (weights / np.linalg.norm(weights, axis=1, keepdims=True)).astype(np.float32)


class _Network:
    """Two layers of tanh, which bend the hidden numbers into more dimensions."""

    def __init__(self, dim: int, rng: np.random.Generator) -> None:
        wide = 128
        self._first = (rng.normal(size=(HIDDEN, wide)) * 0.5 / HIDDEN**0.5).astype(np.float32)
        self._second = (rng.normal(size=(wide, dim)) * GAIN / wide**0.5).astype(np.float32)

    def outputs(self, hidden: np.ndarray) -> np.ndarray:
        """[…, dim] of [z, y, x, hidden]."""
        return np.tanh(np.tanh(hidden @ self._first) @ self._second)


def _write_volume(path: Path, locations: Zyx) -> Path:
    shape = [n + f - 1 for n, f in zip(locations, FOV, strict=True)]
    metadata = {
        "shape": shape,
        "data_type": "uint8",
        "fill_value": 128,
        "dimension_names": ["z", "y", "x"],
        "attributes": {"dimension_units": ["10 nm"] * 3},
    }
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}}
    ts.open({**spec, "metadata": metadata}, create=True).result()
    return path
