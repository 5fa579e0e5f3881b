"""The gRPC face of the service: decode, call, encode. No logic of its own."""

from collections.abc import Iterator

import grpc

from serve.catalogue import Catalogue
from serve.labelling.servicer import LabelServicer
from serve.metrics import Metrics
from serve.pb.voxkin.v1 import (
    atlas_pb2,
    atlas_pb2_grpc,
    label_pb2,
    label_pb2_grpc,
    probe_pb2,
    probe_pb2_grpc,
    search_pb2,
    search_pb2_grpc,
)
from serve.probing.servicer import ProbeServicer
from serve.recheck import Rechecks
from serve.wire import atlas_codec, codec, query_codec
from serve.wire.status import reports_errors

SERVICES = tuple(
    module.DESCRIPTOR.services_by_name[name].full_name
    for module, name in (
        (search_pb2, "SearchService"),
        (probe_pb2, "ProbeService"),
        (atlas_pb2, "AtlasService"),
        (label_pb2, "LabelService"),
    )
)


class SearchServicer(search_pb2_grpc.SearchServiceServicer):
    """Finds places and embeds cut-outs."""

    def __init__(self, atlases: Catalogue, metrics: Metrics, rechecks: Rechecks) -> None:
        self._atlases = atlases
        self._metrics = metrics
        self._rechecks = rechecks

    @reports_errors
    def FindSimilar(
        self, request: search_pb2.FindSimilarRequest, context: grpc.ServicerContext
    ) -> search_pb2.FindSimilarResponse:
        """The places most like a place, a vector or examples."""
        served = self._atlases[request.atlas]
        query, wish = query_codec.find_query(request), query_codec.read_wish(request)
        with self._metrics.searching(served.name):
            found = served.find(query, wish)
        self._rechecks.offer(served, query)
        return codec.search_result(found)

    @reports_errors
    def FindEach(
        self, request: search_pb2.FindEachRequest, context: grpc.ServicerContext
    ) -> search_pb2.FindEachResponse:
        """The places most like each of many vectors."""
        served = self._atlases[request.atlas]
        vectors, wish = query_codec.read_vectors(request.vectors), query_codec.read_wish(request)
        with self._metrics.searching(served.name):
            found = served.find_each(vectors, wish)
        return codec.search_results(found)

    @reports_errors
    def FindAll(
        self, request: search_pb2.FindAllRequest, context: grpc.ServicerContext
    ) -> Iterator[search_pb2.FindAllResponse]:
        """Every place at least so similar."""
        served = self._atlases[request.atlas]
        query = query_codec.read_query(request.query)
        filters = query_codec.read_filters(request.filters)
        for part, hits in served.find_all(query, request.at_least, filters):
            answer = search_pb2.FindAllResponse(
                shards_done=part.shards_done, shards=part.shards, stopped=part.stopped
            )
            codec.add_hits(answer, hits)
            yield answer

    @reports_errors
    def MapSimilarity(
        self, request: search_pb2.MapSimilarityRequest, context: grpc.ServicerContext
    ) -> search_pb2.MapSimilarityResponse:
        """How similar the locations in a box are."""
        served = self._atlases[request.atlas]
        query, box = query_codec.read_query(request.query), query_codec.read_box(request.box_nm)
        dtype = query_codec.read_map_type(request.map_type)
        return query_codec.similarity_map(served.map_similarity(query, box, dtype))

    @reports_errors
    def Embed(
        self, request: search_pb2.EmbedRequest, context: grpc.ServicerContext
    ) -> search_pb2.EmbedResponse:
        """The embeddings of a cut-out."""
        served = self._atlases[request.atlas]
        return codec.embeddings(served.embed(codec.read_cut_out(request.cut_out)))


class AtlasServicer(atlas_pb2_grpc.AtlasServiceServicer):
    """Describes what is served."""

    def __init__(self, atlases: Catalogue) -> None:
        self._atlases = atlases

    @reports_errors
    def List(
        self, request: atlas_pb2.ListAtlasesRequest, context: grpc.ServicerContext
    ) -> atlas_pb2.ListAtlasesResponse:
        """Every atlas."""
        listed = (atlas_codec.atlas(self._atlases.summary(name)) for name in self._atlases)
        return atlas_pb2.ListAtlasesResponse(atlases=listed)

    @reports_errors
    def Describe(
        self, request: atlas_pb2.DescribeAtlasRequest, context: grpc.ServicerContext
    ) -> atlas_pb2.DescribeAtlasResponse:
        """One atlas."""
        summary = self._atlases.summary(request.atlas)
        return atlas_pb2.DescribeAtlasResponse(atlas=atlas_codec.atlas(summary))

    @reports_errors
    def Projection(
        self, request: atlas_pb2.ProjectionRequest, context: grpc.ServicerContext
    ) -> atlas_pb2.ProjectionResponse:
        """The map of an atlas."""
        return atlas_codec.projection(self._atlases[request.atlas].clusters.points())


def add_services(
    server: grpc.Server, atlases: Catalogue, metrics: Metrics, rechecks: Rechecks
) -> None:
    """Makes a gRPC server answer for these atlases."""
    search = SearchServicer(atlases, metrics, rechecks)
    search_pb2_grpc.add_SearchServiceServicer_to_server(search, server)
    probe_pb2_grpc.add_ProbeServiceServicer_to_server(ProbeServicer(atlases), server)
    atlas_pb2_grpc.add_AtlasServiceServicer_to_server(AtlasServicer(atlases), server)
    label_pb2_grpc.add_LabelServiceServicer_to_server(LabelServicer(atlases), server)
