"""Where the candidates of an atlas come from: its index, or the store where few may be found."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int

from embed.atlas import Atlas
from serve.index import Index
from serve.indexing.spacing import expanded
from serve.locations import Locations, absent, similarities, unit
from serve.searching.aims import Aim
from serve.searching.candidates import FIRST_FETCH, MAX_FETCH, REFILL, Batch
from serve.searching.selection import Selection, lists_to_read

Found = tuple[Float32[np.ndarray, " n"], Int[np.ndarray, " n"]]
"""Similarities and ids that an index gave for one vector; -1 where there were no more."""


# Locations in the lists that are read, for each that is fetched.
_PER_CANDIDATE = 2


class IndexSupply:
    """The candidates that the index of an atlas has for a vector of length 1; see `Supply`."""

    def __init__(
        self,
        atlas: Atlas,
        index: Index,
        vector: Float32[np.ndarray, " dim"],
        k: int,
        space: str,
        selection: Selection | None = None,
        found: Found | None = None,
        *,
        spread: bool = True,
    ) -> None:
        """Fetches for the first time.

        Args:
            atlas: whose locations are found.
            index: its index.
            vector: of length 1.
            k: how many hits are wanted, about.
            space: see `Supply`.
            selection: the locations that may be found; all where it is None.
            found: what the first search of the index gave, where it was made for several vectors
                at once.
            spread: hits that are near each other are not wanted.
        """
        self.space = space
        self._atlas, self._index, self._vector = atlas, index, vector
        self._fetch = first_fetch(index, k, selection, spread=spread)
        self._allowed = None if selection is None else selection.bits
        self._size = index.size if selection is None else min(index.size, selection.count)
        self.anchor_nm = atlas.anchor_nm
        self.batch = self._fetched(found)

    @property
    def spent(self) -> bool:
        """See `Supply`."""
        return self.batch.everything or self._fetch.told >= MAX_FETCH

    @property
    def exact(self) -> bool:
        """See `Supply`."""
        manifest = self._index.manifest
        whole = manifest.holds_vectors and manifest.every == 1
        return whole and self._fetch.nprobe == manifest.lists

    def more(self) -> None:
        """See `Supply`."""
        told, compared, nprobe = self._fetch
        if not self.batch.open_end:
            nprobe = min(REFILL * nprobe, self._index.manifest.lists)
        told, compared = (min(REFILL * n, MAX_FETCH) for n in (told, compared))
        self._fetch = Fetch(told, compared, nprobe)
        self.batch = self._fetched()

    def offsets_nm(self, ids: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
        """See `Supply`."""
        return self._atlas.offsets_nm(ids)

    def _fetched(self, known: Found | None = None) -> Batch:
        fetch = self._fetch.of(self._size)
        found, found_ids = known or self._searched(fetch)
        lacks_some = not len(found_ids) or found_ids[-1] < 0
        ids = found_ids[found_ids >= 0] if lacks_some else found_ids
        dry = fetch.nprobe == self._index.manifest.lists and len(ids) < fetch.told
        everything = dry or len(ids) == self._size
        # Where fewer were told, the lists that were read ran dry.
        open_end = not everything and len(ids) == fetch.told
        if self._index.manifest.every > 1:
            ids, cosines = self._with_neighbours(ids, open_end)
        elif self._index.tells_exactly:
            cosines = found[: len(ids)]
            if open_end:  # which of the equally similar were cut off is chance
                last = np.searchsorted(cosines[::-1], cosines[-1], side="right")
                ids, cosines = ids[:-last], cosines[:-last]
        else:
            cosines = similarities(self._atlas, self._vector[None], ids[None])[0]
        return _sorted(ids, cosines, everything, open_end)

    def _with_neighbours(
        self, ids: Int[np.ndarray, " n"], open_end: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Locations that stand for those around them, and those, as far as they may be found.

        At an open end what is less like the vector than all that stand for others is left out:
        neighbours of what was not fetched may be more like it.
        """
        near = expanded(self._atlas.grid, ids)
        vectors, may = unit(self._atlas.embeddings(near))
        cosines = vectors @ self._vector
        if open_end:
            may &= cosines >= cosines[np.searchsorted(near, ids)].min()
        if self._allowed is not None:
            may &= self._allowed[near >> 3] >> (near & 7) & 1 > 0
        may &= absent(near, self._index.removed)
        return near[may], cosines[may]

    def _searched(self, fetch: "Fetch") -> Found:
        towards, allowed = self._vector[None], self._allowed
        found, ids = self._index.search(towards, fetch.told, fetch.nprobe, allowed, fetch.compared)
        return found[0], ids[0]


class Fetch(NamedTuple):
    """What is asked of an index.

    Attributes:
        told: how many candidates it is to tell.
        compared: how many it is to compare for that, where it compares exactly.
        nprobe: how many lists it is to read.
    """

    told: int
    compared: int
    nprobe: int

    def of(self, size: int) -> "Fetch":
        """The same of an index that has so many."""
        return Fetch(min(self.told, size), min(self.compared, size), self.nprobe)


def first_fetch(index: Index, k: int, selection: Selection | None, *, spread: bool = True) -> Fetch:
    """What to ask at first for `k` hits."""
    manifest = index.manifest
    many = spread or manifest.holds_vectors  # which cost little more
    fetch = max(FIRST_FETCH if many else manifest.candidates, REFILL * k)
    fetch = -(-fetch // manifest.every**3)  # as each stands for so many
    # Of what is right in order, and all wanted, no more than may be hit.
    told = min(fetch, REFILL * k) if index.tells_exactly and not spread else fetch
    if selection is None:
        # That the lists do not run dry: fetching again costs more than reading some more.
        enough = math.ceil(_PER_CANDIDATE * fetch * manifest.lists / max(manifest.count, 1))
        return Fetch(told, fetch, min(max(manifest.nprobe, enough), manifest.lists))
    share = selection.count / max(manifest.locations, 1)
    return Fetch(told, fetch, lists_to_read(manifest.nprobe, manifest.lists, share))


class StoredSupply:
    """Locations that are few, each compared with its stored vector; see `Supply`."""

    exact = True

    def __init__(self, atlas: Atlas, aim: Aim, among: Locations, k: int, space: str) -> None:
        self.space = space
        self._atlas, self._ids, self._scores = atlas, among.ids, aim.scores(among.vectors)
        self._fetch = max(FIRST_FETCH, REFILL * k)
        self.anchor_nm = atlas.anchor_nm
        self.batch = self._fetched()

    @property
    def spent(self) -> bool:
        """See `Supply`."""
        return self.batch.everything

    def more(self) -> None:
        """See `Supply`."""
        self._fetch *= REFILL
        self.batch = self._fetched()

    def offsets_nm(self, ids: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
        """See `Supply`."""
        return self._atlas.offsets_nm(ids)

    def _fetched(self) -> Batch:
        """The best of them: spreading out all costs more than comparing them."""
        ids, scores = self._ids, self._scores
        if self._fetch >= len(ids):
            return _sorted(ids, scores, True, False)
        best = np.argpartition(-scores, self._fetch - 1)[: self._fetch]
        best = best[scores[best] > scores[best].min()]  # of equal ones all or none
        return _sorted(ids[best], scores[best], False, True)


class BestSupply:
    """What the index has in several directions, by the score of an aim; see `Supply`.

    Of what was not fetched in any direction of a group, no score is above the highest of length
    times floor in that group; the group that says least is believed.
    """

    def __init__(
        self, atlas: Atlas, aim: Aim, make: Callable[[Float32[np.ndarray, " dim"]], IndexSupply]
    ) -> None:
        """Fetches in every direction.

        Args:
            atlas: whose locations are found.
            aim: says the directions.
            make: the candidates for one of them.
        """
        self._atlas, self._aim = atlas, aim
        self._groups = [
            [(length, make(vector)) for vector, length in zip(*lead, strict=True) if length > 0]
            for lead in aim.leads
        ]
        # Where the same is to be like and unlike, it counts nothing either way.
        self._least = [-np.inf if lengths.all() else 0.0 for _, lengths in aim.leads]
        self._parts = [part for group in self._groups for _, part in group]
        self.space = self._parts[0].space
        self.anchor_nm = self._parts[0].anchor_nm
        self.batch = self._scored()

    @property
    def spent(self) -> bool:
        """See `Supply`."""
        return self.batch.everything or all(part.spent for part in self._parts)

    @property
    def exact(self) -> bool:
        """See `Supply`."""
        return all(part.exact for part in self._parts)

    def more(self) -> None:
        """See `Supply`."""
        for part in self._parts:
            if not part.spent:
                part.more()
        self.batch = self._scored()

    def offsets_nm(self, ids: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
        """See `Supply`."""
        return self._atlas.offsets_nm(ids)

    def _scored(self) -> Batch:
        ids = np.unique(np.concatenate([part.batch.ids for part in self._parts]))
        vectors, _ = unit(self._atlas.embeddings(ids))
        scores = self._aim.scores(vectors)
        if any(part.batch.everything for part in self._parts):
            return _sorted(ids, scores, True, False)
        floor = min(
            max([least, *(length * part.batch.floor for length, part in group)])
            for group, least in zip(self._groups, self._least, strict=True)
        )
        known = scores >= floor
        return _sorted(ids[known], scores[known], False, floor > -np.inf)


def _sorted(
    ids: Int[np.ndarray, " n"],
    scores: Float32[np.ndarray, " n"],
    everything: bool,
    open_end: bool,
) -> Batch:
    from serve.searching.compiled import ordered

    ids = ids.copy()  # which is put in order, and may be somebody else's
    if not ordered(scores, ids):  # as an index would have told them
        order = np.argsort(-scores)
        ids, scores = ids[order], scores[order]
        ordered(scores, ids)
    return Batch(ids, scores, everything, open_end)
