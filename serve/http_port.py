"""The HTTP port of a server: uvicorn in a thread, on a socket that is taken before it starts."""

import socket
import threading

import uvicorn

from embed.errors import UnavailableError
from serve.address import Address
from serve.gate.credentials import Certificates


def in_use(address: Address, flag: str) -> UnavailableError:
    """The error of a port that cannot be taken.

    Args:
        flag: that chooses another.
    """
    return UnavailableError(
        f"cannot serve on {address}: the port is in use or not ours to take; choose another with "
        f"{flag} HOST:PORT, or port 0 for any that is free"
    )


class HttpPort:
    """The HTTP server of the page, in a thread of its own."""

    def __init__(
        self, app: object, address: Address, certificates: Certificates | None = None
    ) -> None:
        """Takes the port.

        Args:
            app: an ASGI application.
            certificates: to speak TLS with; None speaks plain HTTP.

        Raises:
            UnavailableError: the port is not to be had.
        """
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((address.host, address.port))
            # Two sockets may be bound to a port by REUSEADDR, but only one may listen.
            self._socket.listen(128)
        except OSError as error:
            self._socket.close()
            raise in_use(address, "--http") from error
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
        config.load()
        if certificates is not None:
            config.ssl = certificates.context()
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
