"""One process, two ports: gRPC for programs, HTTP for the page, on the same served atlases."""

import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Mapping
from concurrent import futures
from types import FrameType

import grpc
import uvicorn
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from embed.errors import UnavailableError
from serve.address import Address, parse_served_address
from serve.catalogue import Catalogue
from serve.codec import MAX_MESSAGE_BYTES
from serve.gateway import create_gateway
from serve.metrics import CountingInterceptor, Metrics
from serve.served import ServedAtlas
from serve.servicer import SERVICES, add_services

log = logging.getLogger(__name__)

# FAISS and the encoder use every core by themselves: more threads only hide waiting for the disk.
_THREADS = 16
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
_SERVING = health_pb2.HealthCheckResponse.SERVING


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
        page: "_Page",
        health_servicer: health.HealthServicer,
    ) -> None:
        self.grpc_address = str(grpc_address)
        self.http_address = str(page.address)
        self._grpc = grpc_server
        self._page = page
        self._health = health_servicer
        self._asked = threading.Event()
        self._stopping = threading.Lock()

    def wait(self, grace: float = 10.0) -> None:
        """Serves until SIGTERM or SIGINT (Ctrl-C), then stops; a second one stops at once.

        Only the main thread may call this: Python delivers signals there.
        """
        signals = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self._on_signal) for number in signals}
        try:
            # A wait without end keeps Python from running the handler on some systems.
            while not self._asked.wait(timeout=1.0):
                pass
            log.info("stopping: waiting up to %g s for the calls in flight", grace)
            self.stop(grace)
        except KeyboardInterrupt:
            self.stop(0)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def stop(self, grace: float = 10.0) -> None:
        """Refuses new calls, lets those in flight end for `grace` seconds, and closes the ports.

        May be called more than once and from any thread.
        """
        with self._stopping:
            self._health.enter_graceful_shutdown()
            ended = self._grpc.stop(grace)
            self._page.stop(grace)
            ended.wait()
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
    served: Mapping[str, ServedAtlas], grpc_address: str, http_address: str
) -> RunningServer:
    """Starts to answer on both ports; returns once both do.

    Args:
        served: the atlases, by the names that requests use.
        grpc_address: HOST:PORT on this machine; port 0 takes a free one.
        http_address: the same, of the page.

    Raises:
        ConfigError: an address is malformed.
        UnavailableError: an address is in use, or could be reached from other machines.
    """
    grpc_at, http_at = parse_served_address(grpc_address), parse_served_address(http_address)
    atlases, metrics = Catalogue(served), Metrics()
    health_servicer = health.HealthServicer()
    grpc_server = _make_grpc_server(atlases, metrics, health_servicer)
    with contextlib.ExitStack() as undo:
        page = _Page(create_gateway(atlases, metrics), http_at)
        undo.callback(page.stop, 0)
        grpc_at = _bind(grpc_server, grpc_at)
        grpc_server.start()
        undo.callback(lambda: grpc_server.stop(0).wait())
        page.start()
        for name in ("", *SERVICES):
            health_servicer.set(name, _SERVING)
        undo.pop_all()
    return RunningServer(grpc_server, grpc_at, page, health_servicer)


def _make_grpc_server(
    atlases: Catalogue, metrics: Metrics, health_servicer: health.HealthServicer
) -> grpc.Server:
    server = grpc.server(
        futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="grpc"),
        interceptors=[CountingInterceptor(metrics)],
        options=_OPTIONS,
        maximum_concurrent_rpcs=_MAX_CALLS,
    )
    add_services(server, atlases, metrics)
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    reflection.enable_server_reflection(
        (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server
    )
    return server


def _bind(server: grpc.Server, address: Address) -> Address:
    try:
        port = server.add_insecure_port(str(address))
    except RuntimeError:
        port = 0
    if port == 0:
        raise _in_use(address, "--grpc")
    return Address(address.host, port)


def _in_use(address: Address, flag: str) -> UnavailableError:
    return UnavailableError(
        f"cannot serve on {address}: the port is in use or not ours to take; choose another with "
        f"{flag} HOST:PORT, or port 0 for any that is free"
    )


class _Page:
    """The HTTP server of the page, in a thread of its own."""

    def __init__(self, app: object, address: Address) -> None:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((address.host, address.port))
            # Two sockets may be bound to a port by REUSEADDR, but only one may listen.
            self._socket.listen(128)
        except OSError as error:
            self._socket.close()
            raise _in_use(address, "--http") from error
        self.address = Address(address.host, self._socket.getsockname()[1])
        config = uvicorn.Config(
            app,  # type: ignore[arg-type]  # an ASGI application by any other name
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=10,
        )
        self._server = uvicorn.Server(config)
        # uvicorn installs signal handlers only in the main thread, so here it has none.
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="page", daemon=True
        )

    def start(self) -> None:
        """Starts to answer; the port already accepts connections, which wait until then."""
        self._thread.start()

    def stop(self, grace: float) -> None:
        """Lets the requests in flight end for `grace` seconds and closes the port."""
        self._server.config.timeout_graceful_shutdown = int(grace)
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(grace + 5)
        self._socket.close()
