"""The certificates of a server: read from files, and again when those change.

A connection keeps the certificates that it began with; the next one gets the new ones. So they can
be renewed under load, by whatever renews certificates, without a restart and without a lost call.
"""

import dataclasses
import logging
import ssl
import threading
from pathlib import Path
from typing import Any

import grpc

from embed.errors import ConfigError

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class TlsFiles:
    """Files in PEM.

    Attributes:
        certificate: of the server, followed by what leads from it to its authority.
        key: of the certificate, not encrypted.
        client_ca: authorities; callers must have a certificate by one of them. None asks for none.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file."""
        return (self.certificate, self.key, *([self.client_ca] if self.client_ca else []))


class Certificates:
    """The certificates that a server shows and asks for. Safe to use from many threads."""

    def __init__(self, files: TlsFiles) -> None:
        """Reads them.

        Raises:
            ConfigError: a file cannot be read or used, or the key is another certificate's.
        """
        self._files = files
        self._lock = threading.Lock()
        self._state = _state(files)
        self._current = _Loaded(files)
        self._shown = self._current

    def reload(self) -> "_Loaded":
        """The certificates as the files have them now; the last usable ones while they are not."""
        with self._lock:
            state = _state(self._files)
            if state == self._state:
                return self._current
            self._state = state
            try:
                self._current = _Loaded(self._files)
            except ConfigError as error:
                # Also seen between the writing of a certificate and that of its key.
                log.error("the certificates stay as they were: %s", error)
            else:
                log.info("read the certificates again")
            return self._current

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """For a gRPC port, whose connections always get the current ones."""
        self._shown = self._current
        return grpc.dynamic_ssl_server_credentials(
            self._current.configuration, self._changed, self._files.client_ca is not None
        )

    def context(self) -> ssl.SSLContext:
        """For an asyncio server, whose connections always get the current ones."""
        context = _LiveContext(ssl.PROTOCOL_TLS_SERVER)
        context.certificates = self
        return context

    def _changed(self) -> Any:
        """The configuration for the next connection; None where it is that of the one before."""
        current = self.reload()
        if current is self._shown:
            return None
        self._shown = current
        return current.configuration


class _Loaded:
    """Certificates that were read and found usable, as gRPC and as asyncio take them."""

    def __init__(self, files: TlsFiles) -> None:
        certificate, key, *others = (_read(path) for path in files.all)
        self.context = _make_context(files)
        if [certificate, key, *others] != [_read(path) for path in files.all]:
            raise ConfigError(f"{files.certificate} or what belongs to it is being written")
        self.configuration = grpc.ssl_server_certificate_configuration(
            [(key, certificate)], others[0] if others else None
        )


class _LiveContext(ssl.SSLContext):
    """A context whose connections are made by another one, the current one."""

    certificates: Certificates

    def wrap_bio(self, *arguments: Any, **named: Any) -> ssl.SSLObject:
        return self.certificates.reload().context.wrap_bio(*arguments, **named)


def _make_context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without a password it would ask for one at the terminal.
        context.load_cert_chain(files.certificate, files.key, password="")
    except (ssl.SSLError, OSError, ValueError):
        raise ConfigError(
            f"{files.certificate} and {files.key} are not a certificate and its key: both have to "
            "be PEM, belong together, and the key must not be encrypted"
        ) from None
    if files.client_ca:
        try:
            context.load_verify_locations(files.client_ca)
        except (ssl.SSLError, OSError):
            raise ConfigError(f"{files.client_ca} holds no certificates in PEM") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None


def _state(files: TlsFiles) -> tuple[tuple[int, ...], ...]:
    found: list[tuple[int, ...]] = []
    for path in files.all:
        try:
            status = path.stat()
        except OSError:
            found.append(())
        else:
            found.append((status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(found)
