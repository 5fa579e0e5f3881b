"""What the server counts, under the names that gRPC dashboards know, in Prometheus' format."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

# A flat search takes a millisecond, a probe over a large atlas minutes.
_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
_CALL = ("grpc_service", "grpc_method")


class Metrics:
    """The counters of one server. Safe to use from many threads."""

    def __init__(self) -> None:
        # A registry of its own: two servers in one process must not add up, nor their tests.
        registry = self._registry = CollectorRegistry()
        self.started = Counter(
            "grpc_server_started_total", "Calls that were begun.", _CALL, registry=registry
        )
        self.handled = Counter(
            "grpc_server_handled_total",
            "Calls that ended, by status.",
            (*_CALL, "grpc_code"),
            registry=registry,
        )
        self.handling = Histogram(
            "grpc_server_handling_seconds",
            "Time from the start of a call to its end.",
            _CALL,
            registry=registry,
            buckets=_SECONDS,
        )
        self.http_handled = Counter(
            "voxkin_http_handled_total",
            "Requests of the page that ended, by status.",
            ("route", "status"),
            registry=registry,
        )
        self.refused = Counter(
            "voxkin_refused_total",
            "Calls that were not let in: no token, wrong token, scope, quota.",
            ("reason",),
            registry=registry,
        )
        self.swaps = Counter(
            "voxkin_atlas_reloads_total",
            "New versions of an index: swapped in, or damaged, so that the old one stayed.",
            ("atlas", "outcome"),
            registry=registry,
        )
        self._search = Histogram(
            "voxkin_search_seconds",
            "Time of a search in an atlas, without reading and writing messages.",
            ("atlas",),
            registry=registry,
            buckets=_SECONDS,
        )

    @contextlib.contextmanager
    def searching(self, atlas: str) -> Iterator[None]:
        """Times the block as one search in an atlas."""
        with self._search.labels(atlas).time():
            yield

    def text(self) -> bytes:
        """Everything that was counted, in Prometheus' text format."""
        return generate_latest(self._registry)


class CountingInterceptor(grpc.ServerInterceptor):
    """Counts and times every call of the services it is given."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Any],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = continuation(details)
        if handler is None or handler.request_streaming:
            return handler
        # Health's Watch lasts as long as its caller likes: counted, it would hold a thread.
        if getattr(handler.unary_stream, "experimental_non_blocking", False):
            return handler
        _, service, method = details.method.split("/", 2)
        if handler.response_streaming:
            counted = self._counts_stream(handler.unary_stream, service, method)
            make = grpc.unary_stream_rpc_method_handler
        else:
            counted = self._counts(handler.unary_unary, service, method)
            make = grpc.unary_unary_rpc_method_handler
        return make(counted, handler.request_deserializer, handler.response_serializer)

    def _counts(self, call: Callable[..., Any], service: str, method: str) -> Callable[..., Any]:
        def counted(request: object, context: grpc.ServicerContext) -> object:
            with self._counting(service, method, context):
                return call(request, context)

        return counted

    def _counts_stream(
        self, call: Callable[..., Any], service: str, method: str
    ) -> Callable[..., Any]:
        def counted(request: object, context: grpc.ServicerContext) -> Iterator[object]:
            with self._counting(service, method, context):
                yield from call(request, context)

        return counted

    @contextlib.contextmanager
    def _counting(self, service: str, method: str, context: Any) -> Iterator[None]:
        self._metrics.started.labels(service, method).inc()
        start = time.perf_counter()
        code = grpc.StatusCode.UNKNOWN
        try:
            yield
            code = grpc.StatusCode.OK
        except GeneratorExit:
            code = grpc.StatusCode.CANCELLED
            raise
        finally:
            code = context.code() or code
            self._metrics.handled.labels(service, method, code.name).inc()
            self._metrics.handling.labels(service, method).observe(time.perf_counter() - start)
