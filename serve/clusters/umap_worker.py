"""The map of a sample, computed in a process of its own.

UMAP compiles for up to a minute and brings a thread pool that FAISS's does not live well with, so
neither the command line nor a server imports it. The process is spawned, never forked: numba, FAISS
and TensorStore all hang in a forked child.
"""

import contextlib
import dataclasses
import multiprocessing
import re
import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from jaxtyping import Float32, Int

from embed.errors import ConfigError, IncompleteError

Tell = Callable[[str, int, int], None]
"""Is called with what is going on, how much of it is done, and in all; 0 of 0 if nobody knows."""

LAYING_OUT = "laying out"
"""What is going on while UMAP's epochs are counted."""

# Of how many points around it the densest parts' are; with more, half of a map is in no cluster.
_DENSE = 5
# As the bar of UMAP's epochs is written, for `_Epochs` to read.
_BAR = "{n_fmt} of {total_fmt};"
_COUNT = re.compile(r"(\d+) of (\d+);")
# What the worker may take to end by itself once it has told the layout.
_FAREWELL_S = 10


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


def lay_out(vectors: Float32[np.ndarray, "n dim"], config: MapConfig, tell: Tell) -> Layout:
    """Lays unit vectors out in the plane; takes a minute and upwards, much of it compiling.

    What `tell` raises ends the process and is raised again.

    Raises:
        IncompleteError: the process was killed, as the system does when memory runs out.
    """
    spawn = multiprocessing.get_context("spawn")
    news, ours = spawn.Pipe(duplex=False)
    worker = spawn.Process(target=_work, args=(ours, vectors, config), name="umap", daemon=True)
    worker.start()
    ours.close()
    try:
        while not isinstance(item := news.recv(), Layout):
            if isinstance(item, Exception):
                raise item
            tell(*item)
        # Killed at once it could not give its semaphores back, of which Python would complain.
        worker.join(_FAREWELL_S)
        return item
    except EOFError:
        raise IncompleteError(
            f"the process that makes the map of {len(vectors):,} points was killed, probably "
            "for want of memory; try again with a smaller --sample"
        ) from None
    finally:
        worker.kill()
        worker.join()
        news.close()


def _work(news: Connection, vectors: Float32[np.ndarray, "n dim"], config: MapConfig) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    with contextlib.suppress(BrokenPipeError):  # nobody waits for the map any more
        try:
            news.send(_lay_out(vectors, config, lambda *item: news.send(item)))
        except BrokenPipeError:
            raise
        except Exception as error:
            error.add_note(traceback.format_exc())
            news.send(error)


def _lay_out(vectors: Float32[np.ndarray, "n dim"], config: MapConfig, tell: Tell) -> Layout:
    tell("starting UMAP", 0, 0)
    from umap import UMAP

    # One thread: with a seed UMAP runs on one anyway, and warns unless it was told so.
    reducer = UMAP(
        n_neighbors=config.neighbours,
        min_dist=config.min_dist,
        n_epochs=config.epochs,
        metric="cosine",
        random_state=config.seed,
        n_jobs=1,
        tqdm_kwds={"disable": False, "file": _Epochs(tell), "bar_format": _BAR, "ncols": 80},
    )
    tell("compiling, and finding neighbours", 0, 0)
    xy = np.asarray(reducer.fit_transform(vectors), np.float32)
    tell("finding clusters", 0, 0)
    return Layout(xy, _clusters(xy, config.neighbours))


class _Epochs:
    """The file that UMAP writes the bar of its epochs to."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def write(self, text: str) -> None:
        for done, total in _COUNT.findall(text):
            # The first epoch waits for the compiler, and would spoil the rate.
            stage = LAYING_OUT if int(done) else "compiling the layout"
            self._tell(stage, int(done), int(total) if int(done) else 0)

    def flush(self) -> None:
        pass


def _clusters(xy: Float32[np.ndarray, "n 2"], neighbours: int) -> Int[np.ndarray, " n"]:
    """Groups points; where the stablest group holds most of them, the densest parts instead.

    Appearance changes gradually, so that what HDBSCAN calls stablest may be the whole map.
    """
    from sklearn.cluster import HDBSCAN

    # A hundredth of the points: as many clusters as a person can go through.
    smallest = max(neighbours, len(xy) // 100)
    alike: Any = {"min_cluster_size": smallest, "copy": True}
    found = HDBSCAN(min_samples=neighbours, **alike).fit_predict(xy.astype(np.float64))
    if 2 * np.bincount(found + 1)[1:].max(initial=0) > len(xy):
        leaves = HDBSCAN(min_samples=_DENSE, cluster_selection_method="leaf", **alike)
        found = leaves.fit_predict(xy.astype(np.float64))
    numbers, sizes = np.unique(found[found >= 0], return_counts=True)
    rank = {old: new for new, old in enumerate(numbers[np.argsort(-sizes, kind="stable")].tolist())}
    return np.array([rank.get(number, -1) for number in found.tolist()], np.int64)
