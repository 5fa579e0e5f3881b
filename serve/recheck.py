"""A running estimate of recall: some of the searches that callers make, compared with the truth.

Recall was measured when an index was built, for places of the atlas; callers may ask for what lies
elsewhere, such as averages or vectors of other volumes. So one search in so many is made again in
the background, and compared with every location of a random part of the atlas. What the index
missed there stands for what it missed everywhere, as the part stands for the whole.
"""

import collections
import contextlib
import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float32, Int

from embed.atlas import Atlas
from embed.geometry import Box
from serve.index import Index
from serve.locations import absent, unit
from serve.metrics import Metrics
from serve.queries import Query
from serve.searching.aims import aim_of
from serve.searching.supplies import IndexSupply
from serve.served import ServedAtlas

log = logging.getLogger(__name__)

AMONG = 10
"""The nearest of which recall is told, as in the manifest of an index."""

MOST_LOCATIONS = 2**18
"""Locations that one check compares, or a shard where that is larger: it takes milliseconds."""

# Checks of one version of an index that the estimate is the mean of.
_KEPT = 1000
# Some milliseconds' work, and how many times longer than that a check rests then. A low priority
# would not do: a thread that waits for its turn with Python's lock in hand holds all others up.
_AT_ONCE, _RESTS = 2**15, 4.0
# Vectors that are stored have a length of 1 to so much.
_ABOUT = 0.01
# Vectors of length 1, rounded: what differs by less is equally near.
_ROUNDING = 1e-5


class Rechecks:
    """Checks some searches in a thread of its own. Safe to use from many threads."""

    def __init__(self, metrics: Metrics, one_in: int, seed: int = 0) -> None:
        """Prepares to check.

        Args:
            metrics: where the estimate is told.
            one_in: of so many searches one is checked; 0 checks none.
            seed: of the parts that are compared.
        """
        self._metrics, self._one_in = metrics, one_in
        self._rng = np.random.default_rng(seed)
        self._count = itertools.count(1)
        # One waits at most: a search that comes while another is checked is let go.
        self._waiting: queue.Queue[tuple[ServedAtlas, Query] | None] = queue.Queue(1)
        self._found: dict[tuple[str, str], collections.deque[float]] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recheck", daemon=True)

    def start(self) -> None:
        """Begins to check."""
        self._thread.start()

    def stop(self) -> None:
        """Checks no more; a check that runs ends by itself."""
        self._one_in = 0
        self._stopped.set()  # without a rest
        with contextlib.suppress(queue.Empty):
            self._waiting.get_nowait()
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)

    def offer(self, served: ServedAtlas, query: Query) -> None:
        """Takes a search that was made, if it is its turn; costs next to nothing."""
        if self._one_in and next(self._count) % self._one_in == 0:
            with contextlib.suppress(queue.Full):
                self._waiting.put_nowait((served, query))

    def _run(self) -> None:
        while (taken := self._waiting.get()) is not None:
            try:
                self._check(*taken)
            except Exception:
                log.exception("a search of atlas %r could not be checked", taken[0].name)

    def _check(self, served: ServedAtlas, query: Query) -> None:
        if served.index.manifest.exact or query.cut_out is not None:
            return
        aim = aim_of(served.atlas, query)
        if len(aim.towards) != 1 or len(aim.against):
            return  # which is several searches of the index, and its answer no list of the nearest
        recall = recall_of(served.atlas, served.index, aim.towards[0], self._rng, self._rest)
        key = served.name, served.index.manifest.version
        if key not in self._found:
            for old in [old for old in self._found if old[0] == served.name]:
                del self._found[old]
            self._found[key] = collections.deque(maxlen=_KEPT)
        self._found[key].append(recall)
        # What one check missed in its part counts as so much more everywhere: it may be below 0.
        mean = min(max(float(np.mean(self._found[key])), 0.0), 1.0)
        self._metrics.rechecked(served.name, mean)

    def _rest(self, worked_s: float) -> None:
        self._stopped.wait(_RESTS * worked_s)


def recall_of(
    atlas: Atlas,
    index: Index,
    vector: Float32[np.ndarray, " dim"],
    rng: np.random.Generator,
    rest: Callable[[float], object] = lambda _: None,
) -> float:
    """An estimate of the share of the true ten nearest that a search finds.

    Its mean over many draws is about that share, a little less where the index misses much; one
    draw may be far off, and below 0.

    Args:
        atlas: that is searched.
        index: its index.
        vector: that is searched for, of length 1.
        rng: draws the part that is compared.
        rest: is called now and then with the seconds that were worked since.

    Raises:
        DataError: a shard cannot be read.
    """
    batch = IndexSupply(atlas, index, vector, AMONG, "").batch
    nearest = batch.ids[:AMONG]
    ours = batch.similarities[: len(nearest)]
    least = ours.min() + _ROUNDING if len(nearest) == AMONG else -np.inf
    missed, compared = [np.empty(0, np.float32)], 0
    for number in rng.permutation(len(atlas.shards)).tolist():
        shard = atlas.shards[number]
        if compared and compared + shard.size > MOST_LOCATIONS:
            break
        for box, vectors in _planes(shard, atlas.store.look_at(shard)):
            began = time.perf_counter()
            ids, scores = _better(atlas, box, vectors, vector, least)
            new = absent(ids, index.removed) & ~np.isin(ids, nearest)
            missed.append(scores[new])
            rest(time.perf_counter() - began)
        compared += shard.size
    truth = np.sort(np.concatenate([ours, *missed]))[-AMONG:]
    if not len(truth):
        return 1.0
    lost = max(len(truth) - int((ours >= truth[0]).sum()), 0)
    return 1 - lost / len(truth) * sum(shard.size for shard in atlas.shards) / compared


def _planes(
    box: Box, vectors: Float32[np.ndarray, "z y x dim"]
) -> Iterator[tuple[Box, Float32[np.ndarray, "some y x dim"]]]:
    """A box and its vectors, some planes at a time."""
    some = max(1, _AT_ONCE // (box.shape[1] * box.shape[2]))
    for first in range(0, box.shape[0], some):
        part = vectors[first : first + some]
        z, y, x = box.start
        yield Box.of_shape(part.shape[:3], (z + first, y, x)), part


def _better(
    atlas: Atlas,
    box: Box,
    vectors: Float32[np.ndarray, "z y x dim"],
    vector: Float32[np.ndarray, " dim"],
    least: float,
) -> tuple[Int[np.ndarray, " n"], Float32[np.ndarray, " n"]]:
    """Locations of a box that are more like a vector than `least`, and how much they are."""
    # One product of all, in which other threads run, then a close look at few of them.
    cells = np.argwhere(~(vectors @ vector <= least - _ABOUT))
    close, has_data = unit(vectors[tuple(cells.T)])
    scores = close @ vector
    wanted = has_data & (scores > least)
    return atlas.grid.ids(cells[wanted] + box.start), scores[wanted]
