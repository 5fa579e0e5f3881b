"""The map of a sample, computed in a process of its own.

UMAP compiles for up to a minute and brings a thread pool that FAISS's does not live well with, so
neither the command line nor a server imports it. The process is spawned, never forked: numba, FAISS
and TensorStore all hang in a forked child.
"""

import dataclasses
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
from jaxtyping import Float32, Int

from embed.errors import ConfigError, IncompleteError


@dataclasses.dataclass(frozen=True)
class MapConfig:
    """How embeddings are laid out in the plane and grouped.

    Attributes:
        neighbours: of each point that UMAP keeps near it; more show the coarse structure.
        min_dist: how near points may lie on the map, 0 to 1.
        epochs: of UMAP's layout; None lets it choose by the number of points.
        seed: of the layout; the same seed gives the same map.
    """

    neighbours: int
    min_dist: float
    epochs: int | None
    seed: int

    def __post_init__(self) -> None:
        if not 2 <= self.neighbours <= 200:
            raise ConfigError(f"neighbours is a number of points, 2 to 200; got {self.neighbours}")
        if not 0 <= self.min_dist <= 1:
            raise ConfigError(f"min_dist is a distance on the map, 0 to 1; got {self.min_dist}")
        if self.epochs is not None and self.epochs < 1:
            raise ConfigError(f"epochs is a number of rounds, at least 1; got {self.epochs}")


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where points lie and which belong together.

    Attributes:
        xy: float32 [n, 2]; no unit.
        clusters: int64 [n]; 0 is the largest cluster, -1 is none.
    """

    xy: Float32[np.ndarray, "n 2"]
    clusters: Int[np.ndarray, " n"]


def lay_out(vectors: Float32[np.ndarray, "n dim"], config: MapConfig) -> Layout:
    """Lays unit vectors out in the plane; takes a minute and upwards, most of it compiling.

    Raises:
        IncompleteError: the process was killed, as the system does when memory runs out.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=spawn) as pool:
        try:
            return pool.submit(_lay_out, vectors, config).result()
        except BrokenProcessPool:
            raise IncompleteError(
                f"the process that makes the map of {len(vectors):,} points was killed, probably "
                "for want of memory; try again with a smaller --sample"
            ) from None


def _lay_out(vectors: Float32[np.ndarray, "n dim"], config: MapConfig) -> Layout:
    from umap import UMAP

    # One thread: with a seed UMAP runs on one anyway, and warns unless it was told so.
    reducer = UMAP(
        n_neighbors=config.neighbours,
        min_dist=config.min_dist,
        n_epochs=config.epochs,
        metric="cosine",
        random_state=config.seed,
        n_jobs=1,
    )
    xy = np.asarray(reducer.fit_transform(vectors), np.float32)
    return Layout(xy, _clusters(xy, config.neighbours))


def _clusters(xy: Float32[np.ndarray, "n 2"], neighbours: int) -> Int[np.ndarray, " n"]:
    from sklearn.cluster import HDBSCAN

    # A hundredth of the points: as many clusters as a person can tell apart by colour.
    smallest = max(neighbours, len(xy) // 100)
    groups = HDBSCAN(min_cluster_size=smallest, min_samples=neighbours, copy=True)
    found = groups.fit_predict(xy.astype(np.float64))
    numbers, sizes = np.unique(found[found >= 0], return_counts=True)
    rank = {old: new for new, old in enumerate(numbers[np.argsort(-sizes, kind="stable")].tolist())}
    return np.array([rank.get(number, -1) for number in found.tolist()], np.int64)
