"""Finding the places most like examples, a vector or a probe's class, spread out in space."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial

import numpy as np
from jaxtyping import Float, Float32, Int

from embed.atlas import Atlas
from embed.geometry import XyzFloat
from embed.storage import digest_json
from embed.volume import Volume
from serve.gate.caller import require_caller
from serve.hits import Hit, Place, SearchResult
from serve.index import Index
from serve.queries import (
    MAX_HITS,
    BoxNm,
    Filters,
    Query,
    Wish,
    check_batch,
    check_threshold,
    checked_separation,
    takes_long,
)
from serve.searching.aims import Aim, Embed, aim_at_vector, aim_of, checked_positions, place_at
from serve.searching.candidates import Gathered, Supply, Want, gather
from serve.searching.gaps import flagged, looking_for_gaps
from serve.searching.pages import next_token, told_before
from serve.searching.place_rules import PlaceRules
from serve.searching.place_segments import PlaceSegments
from serve.searching.refined import refined
from serve.searching.scan import Scanned, scan
from serve.searching.selection import FEW, Selection, Selections
from serve.searching.similarity_map import SimilarityMap, map_similarity
from serve.searching.supplies import BestSupply, Found, IndexSupply, StoredSupply, first_fetch
from serve.searching.telling import reason, tell
from serve.searching.turns import stand_aside

__all__ = ["MAX_HITS", "Hit", "Place", "SearchResult", "Searcher"]

KEPT_BYTES = 2**30
"""What the vectors of an atlas may take in a server's memory: 4 million of 64 numbers do."""

# Vectors whose candidates are held at once: FAISS gains nothing from more.
_AT_ONCE = 32

_Positions = Sequence[XyzFloat] | Float[np.ndarray, "m 3"]


class Searcher:
    """Searches one atlas. Safe to use from many threads."""

    def __init__(
        self,
        atlas: Atlas,
        index: Index,
        segmentation: Volume | None = None,
        embed: Embed | None = None,
        keep_bytes: int = 0,
        masks: Mapping[str, Volume] | None = None,
    ):
        """Prepares to search.

        Args:
            atlas: to search.
            index: its index.
            segmentation: tells in which segments places lie, where they were not given with them.
            embed: makes embeddings of cut-outs; where there is none they cannot be asked for.
            keep_bytes: the stored vectors are held in memory where they take at most so many.
            masks: not 0 where they cover, by the names that filters use.

        Raises:
            DataError: the segmentation holds no whole numbers.
        """
        self.atlas = atlas
        self._index = refined(index, atlas, keep_bytes)
        self._embed = embed
        self._segments = PlaceSegments(atlas, segmentation)
        self._rules = PlaceRules(atlas, self._segments, masks)
        self._selections = Selections(atlas, self._rules, index.removed)

    @property
    def encoder(self) -> str:
        """Fingerprint of the encoder of the atlas."""
        return self.atlas.info.encoder

    @property
    def default_separation_nm(self) -> float:
        """The longest edge of a field of view in nm: no two hits then show the same voxels."""
        edges = zip(self.atlas.grid.fov, self.atlas.frame.voxel_size_nm, strict=True)
        return max(voxels * size for voxels, size in edges)

    @cached_property
    def space(self) -> str:
        """Atlases with the same have positions in the same volume, in the same nm."""
        info = self.atlas.info
        return digest_json([info.volume.to_json(), dataclasses.asdict(info.frame)])

    def find(self, query: Query, wish: Wish = Wish()) -> SearchResult:
        """The places most like what is asked for.

        Raises:
            RequestError: an argument is out of its range, or a vector of another length.
            OutOfBoundsError: an example is outside the atlas.
            DataError: there is no data at an example, or segments are not known.
            NotFoundError: no such probe, map, mask or class set, or no encoder for a cut-out.
            MismatchError: the page is of an index that was replaced since.
        """
        if self._reads(wish) or takes_long(query, wish):
            stand_aside()
        return self._found_alone(aim_of(self.atlas, query, self._embed), wish)

    def find_at(
        self, nm_xyz: Sequence[float], k: int = 10, min_separation_nm: float | None = None
    ) -> SearchResult:
        """The `k` places most like the location nearest to a position; see `find` and `Wish`.

        Args:
            nm_xyz: the position in nm, XYZ; at most half a stride outside the locations.
        """
        x, y, z = checked_positions([nm_xyz])[0].tolist()
        return self.find(Query(like_nm_xyz=((x, y, z),)), Wish(k, min_separation_nm))

    def find_like(
        self,
        vector: Float[np.ndarray, " dim"] | Sequence[float],
        k: int = 10,
        min_separation_nm: float | None = None,
        exclude_nm_xyz: Sequence[float] | Float[np.ndarray, "m 3"] | None = None,
    ) -> SearchResult:
        """The `k` places most like a vector of any length but zero; see `find`.

        Args:
            vector: as many numbers as an embedding has.
            k: number of hits, 1 to 10,000.
            min_separation_nm: see `Wish`.
            exclude_nm_xyz: one position in nm, XYZ, or several, that no hit may be nearer to.
        """
        excluded = () if exclude_nm_xyz is None else checked_positions(exclude_nm_xyz)
        aim = aim_at_vector(self.atlas, vector)
        return self._found_alone(aim, Wish(k, min_separation_nm), excluded)

    def find_each(
        self, vectors: Float[np.ndarray, "n dim"], wish: Wish = Wish()
    ) -> tuple[SearchResult, ...]:
        """What `find` answers for each of many vectors.

        Args:
            vectors: 1 to 1,024, with `wish.k` hits for each, 100,000 in all.
            wish: the same for each.

        Raises:
            RequestError: there are more, or one is of another length or has no direction.
            DataError: segments are not known.
        """
        check_batch(len(vectors), wish)
        aims = [aim_at_vector(self.atlas, vector) for vector in vectors]
        results: list[SearchResult] = []
        for begin in range(0, len(aims), _AT_ONCE):
            require_caller()
            some = aims[begin : begin + _AT_ONCE]
            with looking_for_gaps() as gaps:
                known = self._search_at_once(some, wish)
                found = [self._found(*one, wish) for one in zip(some, known, strict=True)]
            results += [flagged(result, gaps) for result in found]
        return tuple(results)

    def find_all(
        self,
        query: Query,
        at_least: float,
        filters: Filters = Filters(),
        most: int | None = None,
    ) -> Iterator[tuple[Scanned, tuple[Hit, ...]]]:
        """Every place at least so similar, a shard at a time; see `serve.searching.scan`."""
        check_threshold(at_least)
        aim = aim_of(self.atlas, query, self._embed)
        self._rules.require(filters)
        asked = aim, at_least, filters, most, self._index.removed
        for part in scan(self.atlas, self._rules, *asked):
            found = part.ids, part.similarities
            yield part, tell(self.atlas, self._segments, aim, *found, exact=True)

    def map_similarity(self, query: Query, box_nm: BoxNm, dtype: str = "uint8") -> SimilarityMap:
        """How similar every location in a box is; see `serve.searching.similarity_map`."""
        aim, removed = aim_of(self.atlas, query, self._embed), self._index.removed
        return map_similarity(self.atlas, aim, box_nm, dtype, removed)

    def place_at(self, nm_xyz: Sequence[float]) -> Place:
        """See `serve.searching.aims.place_at`."""
        return place_at(self.atlas, nm_xyz)

    def supply(
        self, vector: Float32[np.ndarray, " dim"], k: int, filters: Filters, *, spread: bool
    ) -> Supply:
        """Candidates for `k` hits like a vector of length 1; errors of filters as in `find`."""
        towards = vector[None]
        return self._supply(Aim(towards, towards[:0], towards), k, filters, None, spread=spread)

    def hits(self, found: Gathered) -> tuple[Hit, ...]:
        """What is to be told of locations of this atlas that are like one place or vector."""
        return tell(self.atlas, self._segments, None, found.ids, found.similarities, False)

    def _reads(self, wish: Wish) -> bool:
        """Whether a search waits for a disk."""
        return bool(wish.filters) or not self.atlas.store.is_kept or self._segments.by_volume

    def _found_alone(self, aim: Aim, wish: Wish, excluded: _Positions = ()) -> SearchResult:
        with looking_for_gaps() as gaps:
            found = self._found(aim, None, wish, excluded)
        return flagged(found, gaps)

    def _found(
        self, aim: Aim, known: Found | None, wish: Wish, excluded: _Positions = ()
    ) -> SearchResult:
        if wish.per_segment is not None:
            self._segments.require()
        told = told_before(aim, wish, self._index, self.atlas.grid.size)
        k, spread = len(told) + wish.k, self._spreads(wish)
        supply = self._supply(aim, k, wish.filters, known, spread=spread)
        want = self._want(aim, wish, told, excluded)
        found = gather([supply], want)
        complete = len(found) == wish.k
        hits = tell(self.atlas, self._segments, aim, found.ids, found.similarities, supply.exact)
        asked = aim.asked
        return SearchResult(
            hits=hits,
            query_id=None if asked is None else asked.id,
            query_nm_xyz=None if asked is None else asked.position_nm_xyz,
            complete=complete,
            reason=reason(want, found, wish.k),
            candidates=found.candidates,
            exact=supply.exact,
            query_vector=None if asked is None else asked.vector,
            next_page=next_token(aim, wish, self._index, np.concatenate([told, found.ids]))
            if complete
            else b"",
        )

    def _want(
        self, aim: Aim, wish: Wish, told: Int[np.ndarray, " n"], excluded: _Positions
    ) -> Want:
        excluded = [place.position_nm_xyz for place in aim.places] + list(excluded)
        avoided = self._rules.labels.of(wish.filters.not_labels).tolist()
        if avoided:
            excluded += self.atlas.positions_nm_xyz(np.array(avoided)).tolist()
        return Want(
            k=min(wish.k, MAX_HITS - len(told)),
            separation_nm=checked_separation(wish.min_separation_nm, self.default_separation_nm),
            excluded_nm=np.array(excluded, float).reshape(-1, 3)[:, ::-1],
            space=self.space,
            itself=(0, aim.places[0].id) if aim.places else None,
            at_least=-np.inf if wish.at_least is None else wish.at_least,
            never=np.array([*(place.id for place in aim.places[1:]), *avoided], np.int64),
            told=told,
            per_segment=wish.per_segment,
            segments_of=self._segments.of,
            rules=wish.filters.rules,
        )

    def _spreads(self, wish: Wish) -> bool:
        """Whether more is to be fetched than is wanted, as much of it will not be told."""
        apart = checked_separation(wish.min_separation_nm, self.default_separation_nm) > 0
        return apart or wish.per_segment is not None

    def _supply(
        self, aim: Aim, k: int, filters: Filters, known: Found | None, *, spread: bool = True
    ) -> Supply:
        selection = self._selection(filters, aim)
        if selection is not None and selection.ids is not None:
            among = self._selections.located(filters)
            return StoredSupply(self.atlas, aim, among, k, self.space)
        make = partial(IndexSupply, self.atlas, self._index, spread=spread)
        if len(aim.towards) == 1 and not len(aim.against):
            return make(aim.towards[0], k, self.space, selection, known)
        return BestSupply(self.atlas, aim, lambda v: make(v, k, self.space, selection))

    def _selection(self, filters: Filters, aim: Aim) -> Selection | None:
        """The locations that may be found; None where all may and the index is to say which."""
        if filters.selects:
            return self._selections.of(filters)
        several = len(aim.towards) > 1 or len(aim.against) > 0
        few = self.atlas.grid.size <= FEW
        return self._selections.of(filters) if several and few else None

    def _search_at_once(self, aims: Sequence[Aim], wish: Wish) -> list[Found | None]:
        """The first search of the index for each of some aims; None where it is not searched."""
        selection = self._selection(wish.filters, aims[0])
        if selection is not None and selection.ids is not None:
            return [None] * len(aims)
        spread = self._spreads(wish)
        size = self._index.size if selection is None else min(self._index.size, selection.count)
        fetch = first_fetch(self._index, wish.k, selection, spread=spread).of(size)
        vectors = np.concatenate([aim.towards for aim in aims])
        bits = None if selection is None else selection.bits
        found, ids = self._index.search(vectors, fetch.told, fetch.nprobe, bits, fetch.compared)
        return list(zip(found, ids, strict=True))
