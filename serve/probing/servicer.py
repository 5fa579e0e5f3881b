"""The gRPC face of probes: decode, call, encode. No logic of its own."""

import contextlib
from collections.abc import Iterator

import grpc

from serve.catalogue import Catalogue
from serve.pb.voxkin.v1 import probe_pb2, probe_pb2_grpc
from serve.probing import codec
from serve.wire import atlas_codec
from serve.wire.status import reports_errors


class ProbeServicer(probe_pb2_grpc.ProbeServiceServicer):
    """Trains probes, applies them, and says what to label next."""

    def __init__(self, atlases: Catalogue) -> None:
        self._atlases = atlases

    @reports_errors
    def Train(
        self, request: probe_pb2.TrainProbeRequest, context: grpc.ServicerContext
    ) -> probe_pb2.TrainProbeResponse:
        """Trains a probe and keeps it."""
        probing, teaching = self._atlases[request.atlas].probing, codec.teaching(request)
        if request.sets:
            probe, _ = probing.train_on_sets(request.sets, request.name, teaching)
        else:
            probe = probing.train(atlas_codec.read_labels(request.places), request.name, teaching)
        return probe_pb2.TrainProbeResponse(probe=codec.probe(probe))

    @reports_errors
    def Apply(
        self, request: probe_pb2.ApplyProbeRequest, context: grpc.ServicerContext
    ) -> Iterator[probe_pb2.ApplyProbeResponse]:
        """Applies a probe to every location: steps, then the map."""
        served = self._atlases[request.atlas]
        with contextlib.closing(served.apply_probe(request.name)) as news:
            yield from map(atlas_codec.probe_news, news)

    @reports_errors
    def List(
        self, request: probe_pb2.ListProbesRequest, context: grpc.ServicerContext
    ) -> probe_pb2.ListProbesResponse:
        """The probes of an atlas."""
        probes = self._atlases[request.atlas].probing.summaries()
        return probe_pb2.ListProbesResponse(probes=map(codec.probe, probes))

    @reports_errors
    def Suggest(
        self, request: probe_pb2.SuggestRequest, context: grpc.ServicerContext
    ) -> probe_pb2.SuggestResponse:
        """The next places to label."""
        places = self._atlases[request.atlas].probing.suggest(request.name, codec.wish(request))
        return probe_pb2.SuggestResponse(places=map(codec.suggestion, places))

    @reports_errors
    def Rollback(
        self, request: probe_pb2.RollbackProbeRequest, context: grpc.ServicerContext
    ) -> probe_pb2.RollbackProbeResponse:
        """Puts an earlier version in use."""
        probing = self._atlases[request.atlas].probing
        probe = probing.roll_back(request.name, request.version or None)
        return probe_pb2.RollbackProbeResponse(probe=codec.probe(probe))
