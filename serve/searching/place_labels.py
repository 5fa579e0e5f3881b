"""Which locations of an atlas people have labelled, for filters."""

import functools

import numpy as np
from jaxtyping import Int

from embed.atlas import Atlas
from serve.labelling.sets import require_class
from serve.labelling.store import LabelStore
from serve.locations import NONE
from serve.queries import LabelFilter

_KEPT = 16


class PlaceLabels:
    """The labelled locations of one atlas, as they are now. Safe to use from many threads."""

    def __init__(self, atlas: Atlas) -> None:
        self._store = LabelStore.open(atlas)
        self._kept = functools.lru_cache(_KEPT)(self._read)

    def revision(self) -> int:
        """A number that grows with every change of labels."""
        return self._store.revision()

    def of(self, wanted: tuple[LabelFilter, ...]) -> Int[np.ndarray, " n"]:
        """Ids of the locations that anybody labelled in one of these ways, ascending.

        Raises:
            NotFoundError: there is no such set.
            RequestError: a set has no such class, or the name is none of a set.
            VoxkinError: the labels cannot be read; see `LabelStore`.
        """
        if not wanted:
            return NONE
        revision = self.revision()
        return np.unique(np.concatenate([self._kept(one, revision) for one in wanted]))

    def _read(self, wanted: LabelFilter, revision: int) -> Int[np.ndarray, " n"]:
        labels = self._store.labels(wanted.label_set)
        if wanted.label:
            sets = {one.name: one for one in self._store.sets()}
            there = [c.name for c in sets[wanted.label_set].classes]
            require_class(wanted.label, there, wanted.label_set)
            labels = tuple(label for label in labels if label.label == wanted.label)
        return np.array([label.location for label in labels], np.int64)
