"""How a client reaches a server and shows who it is: TLS, a client certificate, a token."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc

from embed.errors import ConfigError
from serve.address import Address

_PREFIX = "VOXKIN_"


@dataclasses.dataclass(frozen=True)
class Access:
    """What a server asks of its callers; nothing, for one on this machine without TLS and tokens.

    Attributes:
        token: as it was given to its owner.
        tls: speak TLS and trust the authorities that come with gRPC.
        ca: speak TLS and trust the authorities in this PEM file instead.
        certificate: PEM file of a client certificate, for servers that ask for one.
        key: PEM file of its key.
    """

    token: str | None = dataclasses.field(default=None, repr=False)
    tls: bool = False
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ConfigError("a client certificate and its key go together: give both or neither")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable()):
            raise ConfigError("a token is one line of letters, digits, '_' and '-'")

    @property
    def is_encrypted(self) -> bool:
        """Whether it speaks TLS."""
        return self.tls or self.ca is not None or self.certificate is not None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Access":
        """What VOXKIN_TOKEN, _TLS (1), _TLS_CA, _TLS_CERT and _TLS_KEY say.

        Raises:
            ConfigError: of a certificate and its key one is missing.
        """
        said = {
            name: environment.get(_PREFIX + name) or None
            for name in ("TOKEN", "TLS", "TLS_CA", "TLS_CERT", "TLS_KEY")
        }
        files = (said[name] for name in ("TLS_CA", "TLS_CERT", "TLS_KEY"))
        paths = (Path(file) if file else None for file in files)
        return cls(said["TOKEN"], said["TLS"] not in (None, "0"), *paths)

    def open_channel(self, address: Address, options: Any) -> grpc.Channel:
        """A channel to a server, which connects when it is first used.

        Raises:
            ConfigError: a file cannot be read, or a token would leave this machine unencrypted.
        """
        if self.is_encrypted:
            files = (self.ca, self.key, self.certificate)
            credentials = grpc.ssl_channel_credentials(*map(_read, files))
            channel = grpc.secure_channel(str(address), credentials, options=options)
        elif self.token is not None and not address.is_loopback:
            raise ConfigError(
                f"a token is not sent to {address} unencrypted, where others can read it: give the "
                "server's authority (ca, VOXKIN_TLS_CA) or tls=True (VOXKIN_TLS=1)"
            )
        else:
            channel = grpc.insecure_channel(str(address), options=options)
        if self.token is None:
            return channel
        return grpc.intercept_channel(channel, _ShowToken(self.token))


class _ShowToken(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
):
    """Sends a token along with every call."""

    def __init__(self, token: str) -> None:
        self._entry = ("authorization", f"Bearer {token}")

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], details: Any, request: Any
    ) -> Any:
        return continuation(self._with_token(details), request)

    def intercept_unary_stream(
        self, continuation: Callable[..., Any], details: Any, request: Any
    ) -> Any:
        return continuation(self._with_token(details), request)

    def _with_token(self, details: Any) -> Any:
        return _Details(
            details.method,
            details.timeout,
            (*(details.metadata or ()), self._entry),
            details.credentials,
            details.wait_for_ready,
            details.compression,
        )


@dataclasses.dataclass(frozen=True)
class _Details(grpc.ClientCallDetails):
    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


def _read(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
