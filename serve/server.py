"""One process, two ports: gRPC for programs, HTTP for the page, on the same served atlases."""

import contextlib
import dataclasses
import gc
import logging
import signal
import threading
from collections.abc import Mapping, Sequence
from concurrent import futures
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, cast

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from serve.address import Address, parse_served_address
from serve.catalogue import Catalogue
from serve.gate.admission import AdmittingInterceptor
from serve.gate.credentials import Certificates, TlsFiles
from serve.gate.door import Door
from serve.gate.tokens import TokenFile
from serve.gateway import Operations, create_gateway
from serve.http_port import HttpPort, in_use
from serve.metrics import Metrics
from serve.recheck import Rechecks
from serve.reload import Watcher
from serve.searching.turns import TurnPool
from serve.served import ServedAtlas
from serve.servicer import SERVICES, add_services
from serve.wire.codec import MAX_MESSAGE_BYTES

log = logging.getLogger(__name__)

# FAISS and the encoder use every core by themselves: more threads only hide waiting for the disk.
_TURNS, _THREADS = 2, 16
# Beyond this many a caller is told at once to come back, instead of waiting in line unseen.
_MAX_CALLS = 64
_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # Without this a second server shares the port in silence and each gets half of the calls.
    ("grpc.so_reuseport", 0),
    # Callers that vanished (a closed laptop, a dropped tunnel) are noticed within two minutes.
    ("grpc.keepalive_time_ms", 90_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)
_Health = health_pb2.HealthCheckResponse


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a server meets its callers.

    Attributes:
        tls: certificates of both ports; None speaks in the clear, which only this machine may hear.
        tokens: token file; None asks nobody for a token, which only this machine may use.
        hosts: names and addresses that the page is asked for under, besides this machine's.
        look_every_s: seconds between two looks for new versions of the indices.
        recheck: of so many searches one is compared with the truth; 0 compares none.
    """

    tls: TlsFiles | None = None
    tokens: Path | None = None
    hosts: tuple[str, ...] = ()
    look_every_s: float = 2.0
    recheck: int = 1000


class Background(Protocol):
    """Work that goes on in a thread of its own while a server answers."""

    def start(self) -> None:
        """Begins it."""
        ...

    def stop(self) -> None:
        """Ends it; may be called more than once."""
        ...


class RunningServer:
    """A server that answers on both of its ports until it is stopped.

    Attributes:
        grpc_address: HOST:PORT of gRPC, with the port that was really taken.
        http_address: HOST:PORT of the page.
    """

    def __init__(
        self,
        grpc_server: grpc.Server,
        grpc_address: Address,
        page: HttpPort,
        health_servicer: health.HealthServicer,
        background: Sequence[Background],
        draining: threading.Event,
        answering: futures.Executor,
    ) -> None:
        self.grpc_address = str(grpc_address)
        self.http_address = str(page.address)
        self._grpc = grpc_server
        self._page = page
        self._health = health_servicer
        self._background = tuple(background)
        self._draining = draining
        self._answering = answering
        self._asked = threading.Event()
        self._hurry = threading.Event()
        self._stopping = threading.Lock()

    def wait(self, grace: float = 10.0, drain: float = 0.0) -> None:
        """Serves until SIGTERM or SIGINT (Ctrl-C), then stops; a second one stops at once.

        Only the main thread may call this: Python delivers signals there.
        """
        signals = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self._on_signal) for number in signals}
        try:
            # A wait without end keeps Python from running the handler on some systems.
            while not self._asked.wait(timeout=1.0):
                pass
            log.info("stopping: up to %g s for the calls in flight", drain + grace)
            self.stop(grace, drain)
            # What was told that its caller has gone ends soon, and must not run while Python ends.
            self._answering.shutdown(wait=True)
        except KeyboardInterrupt:
            self.stop(0)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def stop(self, grace: float = 10.0, drain: float = 0.0) -> None:
        """Becomes unhealthy, refuses new calls, lets those in flight end, and closes the ports.

        May be called more than once and from any thread; a second call ends a drain.

        Args:
            grace: seconds that calls in flight have to end.
            drain: seconds before that in which new calls are still answered while health says
                NOT_SERVING, so that load balancers send them elsewhere.
        """
        if self._draining.is_set():
            self._hurry.set()
        with self._stopping:
            first = not self._draining.is_set()
            self._draining.set()
            self._health.enter_graceful_shutdown()
            if first and drain > 0:
                self._hurry.wait(drain)
            ended = self._grpc.stop(grace)
            self._page.stop(grace)
            ended.wait()
            self._answering.shutdown(wait=False)
            for work in self._background:
                work.stop()
            self._asked.set()

    def __enter__(self) -> "RunningServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(grace=1.0)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._asked.is_set():
            raise KeyboardInterrupt
        self._asked.set()


def start_server(
    served: Mapping[str, ServedAtlas],
    grpc_address: str,
    http_address: str,
    settings: Settings = Settings(),
) -> RunningServer:
    """Starts to answer on both ports; returns once both do.

    Args:
        served: the atlases, by the names that requests use.
        grpc_address: HOST:PORT on this machine; port 0 takes a free one.
        http_address: the same, of the page.
        settings: an address that other machines can reach needs both `tls` and `tokens`.

    Raises:
        ConfigError: an address is malformed, or certificates or tokens cannot be used.
        UnavailableError: an address is in use, or could be reached from other machines unsecured.
    """
    secured = settings.tls is not None and settings.tokens is not None
    grpc_at = parse_served_address(grpc_address, secured=secured)
    http_at = parse_served_address(http_address, secured=secured)
    certificates = Certificates(settings.tls) if settings.tls else None
    tokens = TokenFile(settings.tokens) if settings.tokens else None
    atlases, metrics, draining = Catalogue(served), Metrics(), threading.Event()
    door, health_servicer = Door(tokens, metrics), _make_health()
    watcher = Watcher(atlases, metrics, _teller(health_servicer), settings.look_every_s)
    rechecks = Rechecks(metrics, settings.recheck)
    answering = TurnPool(_TURNS, _THREADS, "grpc")
    grpc_server = _make_grpc_server(answering, door, metrics, health_servicer)
    add_services(grpc_server, atlases, metrics, rechecks)

    def reload() -> dict[str, Any]:
        door.reload()
        if certificates is not None:
            certificates.reload()
        looks = watcher.look(again=True).items()
        return {name: dataclasses.asdict(looked) for name, looked in looks}

    with contextlib.ExitStack() as undo:
        undo.callback(answering.shutdown, wait=False)
        operations = Operations(door, reload, draining.is_set, (*settings.hosts, http_at.host))
        page = HttpPort(create_gateway(atlases, metrics, operations), http_at, certificates)
        undo.callback(page.stop, 0)
        grpc_at = _bind(grpc_server, grpc_at, certificates)
        grpc_server.start()
        undo.callback(lambda: grpc_server.stop(0).wait())
        page.start()
        for name in ("", *SERVICES, *map(health_name, atlases)):
            health_servicer.set(name, _Health.SERVING)
        background: tuple[Background, ...] = (watcher, rechecks)
        for work in background:
            work.start()
        undo.pop_all()
    return RunningServer(
        grpc_server, grpc_at, page, health_servicer, background, draining, answering
    )


def settle() -> None:
    """Keeps what there is now from being looked at by each collection of garbage.

    For a process that does nothing but serve, once it does: its modules and atlases stay to the
    end, and looking through them is a tenth of the cost of an empty call.
    """
    gc.collect()
    gc.freeze()


def health_name(atlas: str) -> str:
    """What the health service calls an atlas."""
    return f"atlas/{atlas}"


def _make_health() -> health.HealthServicer:
    """Health whose watchers wait in threads of their own.

    Its usual way needs none, but there `set` waits, with a lock held, for each watcher to be told,
    while the only thread that could tell them may wait for the lock, to forget one that has left.
    """
    watching = futures.ThreadPoolExecutor(_MAX_CALLS, "grpc-health")
    return health.HealthServicer(experimental_non_blocking=False, experimental_thread_pool=watching)


def _teller(servicer: health.HealthServicer) -> Any:
    def tell(atlas: str, there: bool) -> None:
        servicer.set(health_name(atlas), _Health.SERVING if there else _Health.NOT_SERVING)

    return tell


def _make_grpc_server(
    answering: futures.Executor,
    door: Door,
    metrics: Metrics,
    health_servicer: health.HealthServicer,
) -> grpc.Server:
    server = grpc.server(
        cast(futures.ThreadPoolExecutor, answering),  # of which it wants `submit` alone
        interceptors=[AdmittingInterceptor(door, metrics)],
        options=_OPTIONS,
        maximum_concurrent_rpcs=_MAX_CALLS,
    )
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    reflection.enable_server_reflection(
        (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server
    )
    return server


def _bind(server: grpc.Server, address: Address, certificates: Certificates | None) -> Address:
    try:
        if certificates is None:
            port = server.add_insecure_port(str(address))
        else:
            port = server.add_secure_port(str(address), certificates.grpc_credentials())
    except RuntimeError:
        port = 0
    if port == 0:
        raise in_use(address, "--grpc")
    return Address(address.host, port)
