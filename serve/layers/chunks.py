"""Chunks that were sent lately, which are asked for again when somebody looks back."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable


class Chunks:
    """The bytes of chunks, as many as fit; those not asked for longest go first.

    Safe to use from many threads; two that miss the same chunk at once both make it.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._held = 0
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """A chunk, made where it is not kept."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        made = make()
        with self._lock:
            if key not in self._kept and len(made) <= self._most:
                self._kept[key] = made
                self._held += len(made)
            while self._held > self._most:
                self._held -= len(self._kept.popitem(last=False)[1])
        return made
