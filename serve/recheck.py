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
import os
import queue
import threading

import numpy as np
from jaxtyping import Float32

from embed.atlas import Atlas
from serve.index import Index
from serve.locations import absent, box_ids, unit
from serve.metrics import Metrics
from serve.queries import Query
from serve.searching.aims import aim_of
from serve.searching.supplies import IndexSupply
from serve.served import ServedAtlas

log = logging.getLogger(__name__)

AMONG = 10
"""The nearest of which recall is told, as in the manifest of an index."""

MOST_LOCATIONS = 2**18
"""Locations that one check compares, or a shard where that is larger: some tenths of a second."""

# Checks of one version of an index that the estimate is the mean of.
_KEPT = 1000
_NICE = 15
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
        self._thread = threading.Thread(target=self._run, name="recheck", daemon=True)

    def start(self) -> None:
        """Begins to check."""
        self._thread.start()

    def stop(self) -> None:
        """Checks no more; a check that runs ends by itself."""
        self._one_in = 0
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
        # Of Linux, a thread has a priority of its own; elsewhere checks are as urgent as calls.
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
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
        recall = recall_of(served.atlas, served.index, aim.towards[0], self._rng)
        key = served.name, served.index.manifest.version
        if key not in self._found:
            for old in [old for old in self._found if old[0] == served.name]:
                del self._found[old]
            self._found[key] = collections.deque(maxlen=_KEPT)
        self._found[key].append(recall)
        # What one check missed in its part counts as so much more everywhere: it may be below 0.
        mean = min(max(float(np.mean(self._found[key])), 0.0), 1.0)
        self._metrics.rechecked(served.name, mean)


def recall_of(
    atlas: Atlas, index: Index, vector: Float32[np.ndarray, " dim"], rng: np.random.Generator
) -> float:
    """An estimate of the share of the true ten nearest that a search finds.

    Its mean over many draws is about that share, a little less where the index misses much; one
    draw may be far off, and below 0.

    Args:
        atlas: that is searched.
        index: its index.
        vector: that is searched for, of length 1.
        rng: draws the part that is compared.

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
        vectors, has_data = unit(atlas.store.read(shard).reshape(shard.size, -1))
        scores = vectors @ vector
        better = np.flatnonzero(has_data & (scores > least))
        ids = box_ids(atlas.grid, shard)[better]
        new = absent(ids, index.removed) & ~np.isin(ids, nearest)
        missed.append(scores[better[new]])
        compared += shard.size
    truth = np.sort(np.concatenate([ours, *missed]))[-AMONG:]
    if not len(truth):
        return 1.0
    lost = max(len(truth) - int((ours >= truth[0]).sum()), 0)
    return 1 - lost / len(truth) * sum(shard.size for shard in atlas.shards) / compared
