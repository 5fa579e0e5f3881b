"""A typed client: the calls of the service as methods, its statuses as the library's errors."""

import contextlib
import functools
import json
from collections.abc import Iterator, Sequence

import grpc
import numpy as np
from jaxtyping import Float, Shaped

from embed.errors import RequestError
from serve.access import Access
from serve.address import parse_address
from serve.clusters.table import Points
from serve.hits import SearchResult
from serve.labelling.calls import LabelCalls
from serve.pb.voxkin.v1 import (
    atlas_pb2,
    atlas_pb2_grpc,
    label_pb2_grpc,
    probe_pb2_grpc,
    search_pb2,
    search_pb2_grpc,
)
from serve.probing.calls import ProbeCalls
from serve.queries import Filters
from serve.search_calls import SearchCalls
from serve.searching.remote import RemoteAtlas
from serve.searching.together import JointResult, find_together
from serve.wire import atlas_codec, codec, query_codec
from serve.wire.answers import AtlasSummary, CutOutEmbeddings
from serve.wire.status import error_of

# Calls that change nothing are asked again when the connection breaks, for about three seconds.
_RETRIES = {
    "maxAttempts": 5,
    "initialBackoff": "0.2s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
_UNCHANGING = (
    {"service": "voxkin.v1.SearchService"},
    {"service": "voxkin.v1.AtlasService"},
    {"service": "voxkin.v1.ProbeService", "method": "List"},
    {"service": "voxkin.v1.ProbeService", "method": "Suggest"},
    {"service": "voxkin.v1.LabelService", "method": "ListSets"},
    {"service": "voxkin.v1.LabelService", "method": "List"},
)
_OPTIONS = (
    ("grpc.max_receive_message_length", codec.MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", codec.MAX_MESSAGE_BYTES),
    (
        "grpc.service_config",
        json.dumps({"methodConfig": [{"name": list(_UNCHANGING), "retryPolicy": _RETRIES}]}),
    ),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A server is on this machine or behind a tunnel that ends here: never behind a web proxy.
    ("grpc.enable_http_proxy", 0),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)


class Client(SearchCalls, LabelCalls, ProbeCalls):
    """A connection to a server. Safe to use from many threads; a context manager that closes it.

    Every call raises the error that the server raised (see `embed.errors`), or UnavailableError
    where no server answers in time. `atlas` may be left out where only one atlas is served.
    """

    def __init__(self, address: str, timeout_s: float = 30.0, *, access: Access = Access()) -> None:
        """Connects when first asked something.

        Args:
            address: HOST:PORT of the server's gRPC.
            timeout_s: how long a call may take; long jobs have none.
            access: token and certificates, for a server that asks for them.

        Raises:
            ConfigError: the address is malformed, a file of `access` cannot be read, or a token
                would leave this machine unencrypted.
        """
        at = parse_address(address)
        self.address = str(at)
        self._timeout_s = timeout_s
        self._channel = access.open_channel(at, _OPTIONS)
        self._search = search_pb2_grpc.SearchServiceStub(self._channel)
        self._probes = probe_pb2_grpc.ProbeServiceStub(self._channel)
        self._atlases = atlas_pb2_grpc.AtlasServiceStub(self._channel)
        self._labels = label_pb2_grpc.LabelServiceStub(self._channel)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; calls in flight fail."""
        self._channel.close()

    def find_similar(
        self,
        *,
        position_nm_xyz: Sequence[float] | None = None,
        vector: Float[np.ndarray, " dim"] | Sequence[float] | None = None,
        k: int = 10,
        min_separation_nm: float | None = None,
        filters: Filters = Filters(),
        atlas: str | None = None,
    ) -> SearchResult:
        """The `k` places most like a place, or most like a vector.

        Args:
            position_nm_xyz: the place in nm, XYZ.
            vector: as many numbers as an embedding has; exactly one of the two is given.
            k: number of hits, 1 to 10,000.
            min_separation_nm: least distance between two hits and to the query; the longest edge
                of a field of view where it is not said.
            filters: which places may be found.
            atlas: name of the atlas.
        """
        request = codec.find_request(atlas or "", position_nm_xyz, vector, k, min_separation_nm)
        if filters:
            request.filters.CopyFrom(query_codec.filters(filters))
        with self._reporting():
            answer = self._search.FindSimilar(request, timeout=self._timeout_s)
        return codec.read_search_result(answer)

    def find_together(
        self,
        atlases: Sequence[str],
        *,
        position_nm_xyz: Sequence[float],
        k: int = 10,
        min_separation_nm: float | None = None,
        filters: Filters = Filters(),
    ) -> JointResult:
        """The `k` places of several atlases most like a place; see `serve.searching.together`.

        Each gives up to 10,000 candidates, which are merged here.

        Args:
            atlases: names; the first that has a location at the place is asked what is there.
            position_nm_xyz: the place in nm, XYZ.
            k: number of hits, 1 to 10,000.
            min_separation_nm: as in `find_similar`, between places of the same volume.
            filters: which places of each atlas may be found.
        """
        if not atlases:
            raise RequestError("name the atlases to search together: at least one")
        searched = {
            name: RemoteAtlas(self.describe(name), functools.partial(self.find_similar, atlas=name))
            for name in atlases
        }
        return find_together(searched, position_nm_xyz, k, min_separation_nm, filters)

    def embed(
        self, cutout: Shaped[np.ndarray, "z y x"], atlas: str | None = None
    ) -> CutOutEmbeddings:
        """The embeddings of voxels that are sent along, made by the encoder of the atlas.

        Args:
            cutout: uint8, uint16, int16 or float32, at the voxel size of the atlas.
            atlas: name of the atlas.
        """
        request = search_pb2.EmbedRequest(atlas=atlas or "", cut_out=codec.cut_out(cutout))
        with self._reporting():
            answer = self._search.Embed(request, timeout=self._timeout_s)
        return codec.read_embeddings(answer)

    def atlases(self) -> tuple[AtlasSummary, ...]:
        """Every atlas that is served, in the order of their names."""
        with self._reporting():
            answer = self._atlases.List(atlas_pb2.ListAtlasesRequest(), timeout=self._timeout_s)
        return tuple(map(atlas_codec.read_atlas, answer.atlases))

    def describe(self, atlas: str | None = None) -> AtlasSummary:
        """One atlas."""
        request = atlas_pb2.DescribeAtlasRequest(atlas=atlas or "")
        with self._reporting():
            answer = self._atlases.Describe(request, timeout=self._timeout_s)
        return atlas_codec.read_atlas(answer.atlas)

    def projection(self, atlas: str | None = None) -> Points:
        """The two-dimensional map of a sample of the locations."""
        request = atlas_pb2.ProjectionRequest(atlas=atlas or "")
        with self._reporting():
            answer = self._atlases.Projection(request, timeout=self._timeout_s)
        return atlas_codec.read_projection(answer)

    @contextlib.contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as failure:
            raise error_of(failure, self.address) from failure
        except ValueError as error:
            if "closed channel" not in str(error):
                raise
            raise RequestError(f"the connection to {self.address} has been closed") from None
