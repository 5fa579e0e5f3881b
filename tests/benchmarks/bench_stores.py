"""What stores of float16 and int8 keep of float32 embeddings: neighbours, angles, a probe; bytes.

    python -m tests.benchmarks.bench_stores [VOLUME] [--data FOLDER]

The pretrained encoder for isotropic voxels at every location of a volume, by default the sample.
The ten nearest of 2,000 locations by comparing all of them: any that are as near as the tenth, and
hits that keep 160 nm apart and do not see the voxels of the query. Queries are decoded, too. Once
more with dimensions that hold unequal shares, as those of other encoders may. The probe is that of
P-LUC, whose volume it needs (`--data`). The last line is one JSON object.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from embed.checkpoint import TrainedEncoder, load_encoder
from embed.embeddings import EmbeddingStore
from embed.errors import NotFoundError
from embed.evaluation.features import Features
from embed.evaluation.protocol_luc import prepare
from embed.evaluation.retrieval import far_enough, separated
from embed.geometry import Box, Grid
from embed.normaliser import measure
from embed.pretrained import FOLDER
from embed.quantiser import Quantiser
from embed.samples import PATH
from embed.volume import Volume, open_volume

DATA = Path(os.environ.get("VOXKIN_SHARED", Path(__file__).parents[3] / "shared")) / "data"
NEAREST = 10
SEPARATION_NM = 160.0
QUERIES, SEPARATED_QUERIES = 2000, 300
SAMPLE = 4096
"""Vectors that scales are measured on."""
SHARD = (16, 16, 16)
SCORES = ("ap@50", "f1@50", "ap@all", "f1@all", "precision@50")

Codec = Callable[[np.ndarray], np.ndarray]
"""Encodes unit vectors [n, dim] and decodes them again."""


def main() -> None:
    """Prints what every way to store embeddings keeps of them."""
    asked = _arguments()
    encoder = load_encoder(FOLDER / "isotropic.npz")
    volume = open_volume(asked.volume)
    grid = Grid.covering(volume.box, encoder.fov, encoder.stride)
    cells = embed(encoder, volume, grid)
    print(f"{volume.name}: {grid.size} locations, {encoder.embedding_dim} numbers each")
    places_nm = grid.centres(grid.cells_of(np.arange(grid.size))) * volume.frame.voxel_size_nm
    fov_nm = tuple(n * s for n, s in zip(encoder.fov, volume.frame.voxel_size_nm, strict=True))
    unequal = cells / np.arange(1, encoder.embedding_dim + 1, dtype=np.float32)
    report = {
        "as they are": compared(cells, places_nm, fov_nm),
        "dimension c divided by c": compared(_unit(unequal), places_nm, fov_nm),
    }
    for kind, rows in report.items():
        for name, row in rows.items():
            numbers = "  ".join(f"{key} {value:.6g}" for key, value in row.items())
            print(f"{kind}, {name:36}{numbers}")
    probe = probed(encoder, asked.data)
    print(json.dumps({"volume": volume.name, "stores": report, "probe": probe}))


def compared(
    cells: np.ndarray, places_nm: np.ndarray, fov_nm: tuple[float, ...]
) -> dict[str, dict[str, float]]:
    """What the two kinds of store keep of embeddings [z, y, x, dim], and what other codes would."""
    vectors = cells.reshape(-1, cells.shape[-1])
    sample = np.random.default_rng(1).permutation(vectors)[:SAMPLE]
    truth = Neighbours(vectors, places_nm, fov_nm)
    rows = {}
    for name, quantiser in (("float16", None), ("int8", Quantiser.measure(sample))):
        decoded, size = stored(cells, quantiser)
        rows[name] = {**truth.compare(decoded), "bytes_per_location": round(size, 1)}
    others = {name: truth.compare(codec(vectors)) for name, codec in alternatives(sample).items()}
    return rows | others


def embed(encoder: TrainedEncoder, volume: Volume, grid: Grid) -> np.ndarray:
    """float32 embeddings [z, y, x, dim] at every location."""
    normaliser = measure(volume)
    out = np.empty((*grid.shape, encoder.embedding_dim), np.float32)
    for cells in grid.cells.tiles(SHARD):
        grey = normaliser(volume.read(grid.voxels(cells)))
        out[cells.slices] = np.asarray(encoder.apply(jnp.asarray(grey[None])))[0]
    return out


def stored(cells: np.ndarray, quantiser: Quantiser | None) -> tuple[np.ndarray, float]:
    """Embeddings [n, dim] after they were written and read, and bytes on disk per location."""
    *shape, dim = cells.shape
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "embeddings.zarr"
        store = EmbeddingStore.create(path, tuple(shape), dim, SHARD, quantiser)
        for box in store.shards:
            store.write(box, cells[box.slices])
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        found = EmbeddingStore.open(path).read(Box.of_shape(shape))
    return found.reshape(-1, dim), size / np.prod(shape)


def alternatives(sample: np.ndarray) -> dict[str, Codec]:
    """Other int8 codes: each vector stretched to ±127, or all alike and cut off at a range."""
    typical = np.sqrt(np.mean(sample.astype(np.float64) ** 2, axis=0))
    largest = np.abs(sample).max(axis=0)
    each = {
        "int8, scales all equal": np.ones_like(typical),
        "int8, scales by root mean square": typical / typical.max(),
        "int8, scales by absolute maximum": largest / largest.max(),
    }
    alike = {
        "int8, cut off at absolute maximum": largest,
        "int8, cut off at percentile 99.9": np.percentile(np.abs(sample), 99.9, axis=0),
        "int8, cut off at percentile 99": np.percentile(np.abs(sample), 99, axis=0),
    }
    codecs = {name: _stretched(scale) for name, scale in each.items()}
    return codecs | {name: _clipped(limit) for name, limit in alike.items()}


def probed(encoder: TrainedEncoder, data: Path) -> dict[str, dict[str, float]] | None:
    """Scores of P-LUC by embeddings in float32 and by what is stored of them."""
    try:
        task = prepare(data, encoder.fov)
    except NotFoundError as error:
        print(f"skipped: the probe of P-LUC: {error}")
        return None
    cells = [embed(encoder, task.volume, grid) for grid in task.places.grids]
    vectors = np.concatenate([part.reshape(-1, encoder.embedding_dim) for part in cells])
    quantiser = Quantiser.measure(np.random.default_rng(1).permutation(vectors)[:SAMPLE])
    rows = {
        "float32": vectors,
        "float16": vectors.astype(np.float16).astype(np.float32),
        "int8": quantiser.decode(quantiser.encode(vectors)),
    }
    found = {}
    for name, values in rows.items():
        scores = task.score(Features(values, is_embedding=True), seeds=(0, 1, 2))
        found[name] = {key: round(float(np.mean(scores[key])), 5) for key in SCORES}
        print(f"P-LUC {name:28}" + "  ".join(f"{k} {v:.4f}" for k, v in found[name].items()))
    return found


class Neighbours:
    """The exact neighbours of some locations, and how many of them other vectors find."""

    def __init__(self, vectors: np.ndarray, places_nm: np.ndarray, fov_nm: tuple[float, ...]):
        self._vectors = vectors
        self._places_nm = places_nm
        self._fov_nm = fov_nm
        self._queries = np.random.default_rng(0).permutation(len(vectors))[:QUERIES]
        self._exact = _similarities(vectors, self._queries)
        self._least = -np.partition(-self._exact, NEAREST - 1, axis=1)[:, NEAREST - 1, None]
        self._apart = self._separated(self._exact)

    def compare(self, decoded: np.ndarray) -> dict[str, float]:
        """Shares of the exact neighbours that are found, and cosines of decoded to original."""
        found = _similarities(decoded, self._queries)
        nearest = np.argpartition(-found, NEAREST - 1, axis=1)[:, :NEAREST]
        hits = np.take_along_axis(self._exact, nearest, axis=1) >= self._least
        same = [
            len(np.intersect1d(a, b)) / len(a)
            for a, b in zip(self._apart, self._separated(found), strict=True)
        ]
        # In float64: float32 cannot tell the cosines of float16 from 1.
        first, second = (_unit(v.astype(np.float64)) for v in (self._vectors, decoded))
        loss = 1 - np.sum(first * second, axis=1)
        return {
            "recall@10": round(float(hits.mean()), 5),
            "separated_recall@10": round(float(np.mean(same)), 5),
            "mean_cosine": round(1 - float(loss.mean()), 9),
            "min_cosine": round(1 - float(loss.max()), 9),
        }

    def _separated(self, similarities: np.ndarray) -> list[np.ndarray]:
        """Hits of the first queries that keep apart from each other and from the query."""
        hits = []
        for query, row in zip(self._queries[:SEPARATED_QUERIES], similarities, strict=False):
            at = self._places_nm[query]
            far = far_enough(at, self._places_nm, self._fov_nm, SEPARATION_NM)  # type: ignore[arg-type]
            allowed = np.flatnonzero(far)
            best = separated(row[allowed], self._places_nm[allowed], NEAREST, SEPARATION_NM)
            hits.append(allowed[best])
        return hits


def _similarities(vectors: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Cosines of queries to all locations, each as far as possible from itself."""
    vectors = _unit(vectors)
    found = vectors[queries] @ vectors.T
    found[np.arange(len(queries)), queries] = -np.inf
    return found


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _stretched(scale: np.ndarray) -> Codec:
    quantiser = Quantiser(tuple(scale.tolist()))
    return lambda vectors: quantiser.decode(quantiser.encode(vectors))


def _clipped(limit: np.ndarray) -> Codec:
    return lambda vectors: np.clip(np.rint(127 * vectors / limit), -127, 127) * limit


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("volume", nargs="?", default=str(PATH))
    parser.add_argument("--data", type=Path, default=DATA)
    return parser.parse_args()


if __name__ == "__main__":
    main()
