"""The client's calls that search with more than one place or vector."""

import contextlib
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from embed.errors import RequestError
from serve.hits import Hit, SearchResult
from serve.pb.voxkin.v1 import search_pb2, search_pb2_grpc
from serve.queries import BoxNm, Filters, Query, Wish
from serve.searching.similarity_map import SimilarityMap
from serve.wire import codec, query_codec


class SearchCalls:
    """Searches at a server; a part of `serve.client.Client`."""

    _search: search_pb2_grpc.SearchServiceStub
    _timeout_s: float

    def _reporting(self) -> contextlib.AbstractContextManager[None]:
        raise NotImplementedError

    def find(self, query: Query, wish: Wish = Wish(), atlas: str | None = None) -> SearchResult:
        """The places most like examples or a probe's class; see `serve.queries`.

        For the hits after these ask again with `dataclasses.replace(wish, page=result.next_page)`.

        Args:
            query: what they should be like.
            wish: how many, how far apart and which.
            atlas: name of the atlas.
        """
        request = query_codec.find_request(atlas or "", query, wish)
        with self._reporting():
            answer = self._search.FindSimilar(request, timeout=self._timeout_s)
        return codec.read_search_result(answer)

    def find_each(
        self, vectors: Float[np.ndarray, "n dim"], wish: Wish = Wish(), atlas: str | None = None
    ) -> tuple[SearchResult, ...]:
        """What `find` answers for each of many vectors, in one call.

        Args:
            vectors: 1 to 1,024, one a row; at most 100,000 hits are answered in all.
            wish: the same for each.
            atlas: name of the atlas.
        """
        request = query_codec.each_request(atlas or "", vectors, wish)
        with self._reporting():
            answer = self._search.FindEach(request, timeout=self._timeout_s)
        return tuple(map(codec.read_search_result, answer.results))

    def find_all(
        self,
        query: Query,
        at_least: float,
        filters: Filters = Filters(),
        atlas: str | None = None,
    ) -> Iterator[Hit]:
        """Every place at least so similar, in the order of the store, as they are found.

        Every location is compared, so that a large atlas takes minutes: there is no time limit,
        and closing the iterator ends the work. A server tells a million places; where there are
        more, RequestError follows the last.

        Args:
            query: what they should be like.
            at_least: the least similarity.
            filters: which places may be found.
            atlas: name of the atlas.
        """
        request = search_pb2.FindAllRequest(
            atlas=atlas or "",
            query=query_codec.query(query),
            at_least=at_least,
            filters=query_codec.filters(filters),
        )
        call = self._search.FindAll(request)
        try:
            with self._reporting():
                for part in call:
                    yield from map(codec.read_hit, part.hits)
                    if part.stopped:
                        raise RequestError(part.stopped)
        finally:
            call.cancel()

    def map_similarity(
        self, query: Query, box_nm: BoxNm, dtype: str = "uint8", atlas: str | None = None
    ) -> SimilarityMap:
        """How similar every location in a box is.

        Args:
            query: what they should be like.
            box_nm: the box, XYZ; at most 16 million locations.
            dtype: uint8 or float16.
            atlas: name of the atlas.
        """
        request = search_pb2.MapSimilarityRequest(
            atlas=atlas or "",
            query=query_codec.query(query),
            box_nm=query_codec.box(box_nm),
            map_type=query_codec.map_type(dtype),
        )
        with self._reporting():
            answer = self._search.MapSimilarity(request, timeout=self._timeout_s)
        return query_codec.read_similarity_map(answer)
