"""What the server counts, under the names that gRPC dashboards know, in Prometheus' format."""

import contextlib
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

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
        self._recall = Gauge(
            "voxkin_recall_estimate",
            "Share of the true ten nearest that the index finds, of searches that callers made.",
            ("atlas",),
            registry=registry,
        )
        self._rechecks = Counter(
            "voxkin_rechecks_total",
            "Searches that were compared with a part of the atlas to estimate recall.",
            ("atlas",),
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

    def rechecked(self, atlas: str, recall: float) -> None:
        """Notes that one more search was compared, and the estimate that followed."""
        self._recall.labels(atlas).set(recall)
        self._rechecks.labels(atlas).inc()

    def text(self) -> bytes:
        """Everything that was counted, in Prometheus' text format."""
        return generate_latest(self._registry)


class MethodCounters:
    """The counters of one gRPC method, found once: finding them takes longer than counting."""

    def __init__(self, metrics: Metrics, path: str) -> None:
        """Finds them.

        Args:
            path: of the method, as in "/voxkin.v1.SearchService/FindSimilar".
        """
        self._labels = path.split("/", 2)[1:]
        self._started = metrics.started.labels(*self._labels)
        self._handling = metrics.handling.labels(*self._labels)
        self._handled = metrics.handled
        self._by_code: dict[str, Counter] = {}

    def begin(self) -> None:
        """Counts a call that begins."""
        self._started.inc()

    def end(self, code: str, seconds: float) -> None:
        """Counts a call that ended with a status, so long after it began."""
        counter = self._by_code.get(code)
        if counter is None:
            counter = self._by_code[code] = self._handled.labels(*self._labels, code)
        counter.inc()
        self._handling.observe(seconds)
