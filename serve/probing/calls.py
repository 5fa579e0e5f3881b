"""The client's calls that teach probes and ask them."""

import contextlib
from collections.abc import Generator, Sequence

from serve.jobs import Finished, Step
from serve.labels import LabelTable
from serve.mapping.apply import MapSummary
from serve.pb.voxkin.v1 import probe_pb2, probe_pb2_grpc
from serve.probes import Teaching
from serve.probing import codec
from serve.probing.suggestions import Suggestion, Wish
from serve.wire import atlas_codec
from serve.wire.answers import ProbeSummary


class ProbeCalls:
    """Probes at a server; a part of `serve.client.Client`."""

    _probes: probe_pb2_grpc.ProbeServiceStub
    _timeout_s: float

    def _reporting(self) -> contextlib.AbstractContextManager[None]:
        raise NotImplementedError

    def train_probe(
        self,
        name: str,
        labels: LabelTable | Sequence[str],
        atlas: str | None = None,
        *,
        teaching: Teaching = Teaching(),
    ) -> ProbeSummary:
        """Trains a probe; earlier ones of the same name stay.

        Args:
            name: up to 64 of a-z, 0-9, - and _.
            labels: labelled places, or names of class sets of the atlas.
            atlas: name of the atlas.
            teaching: how; the server says itself where the labels are from, and divides into folds
                as it always does.
        """
        request = codec.train_request(atlas or "", name, teaching)
        if isinstance(labels, LabelTable):
            request.places.extend(atlas_codec.labels(labels))
        else:
            request.sets.extend(labels)
        with self._reporting():
            answer = self._probes.Train(request)
        return codec.read_probe(answer.probe)

    def apply_probe(
        self, name: str, atlas: str | None = None
    ) -> Generator[Step | Finished[MapSummary], None, None]:
        """Applies a probe to every location: yields steps, then what was written.

        Has no time limit; closing the generator ends the work on the server.
        """
        request = probe_pb2.ApplyProbeRequest(atlas=atlas or "", name=name)
        call = self._probes.Apply(request)
        try:
            with self._reporting():
                yield from map(atlas_codec.read_probe_news, call)
        finally:
            call.cancel()

    def probes(self, atlas: str | None = None) -> tuple[ProbeSummary, ...]:
        """The probes of an atlas, in the order of their names."""
        request = probe_pb2.ListProbesRequest(atlas=atlas or "")
        with self._reporting():
            answer = self._probes.List(request, timeout=self._timeout_s)
        return tuple(map(codec.read_probe, answer.probes))

    def suggest(
        self, name: str, wish: Wish = Wish(), atlas: str | None = None
    ) -> tuple[Suggestion, ...]:
        """The next places to label for a probe."""
        request = codec.suggest_request(atlas or "", name, wish)
        with self._reporting():
            answer = self._probes.Suggest(request, timeout=self._timeout_s)
        return tuple(map(codec.read_suggestion, answer.places))

    def roll_back_probe(
        self, name: str, version: int | None = None, atlas: str | None = None
    ) -> ProbeSummary:
        """Puts an earlier version of a probe in use: a copy of it becomes the newest."""
        request = probe_pb2.RollbackProbeRequest(atlas=atlas or "", name=name, version=version or 0)
        with self._reporting():
            answer = self._probes.Rollback(request, timeout=self._timeout_s)
        return codec.read_probe(answer.probe)
