"""The flags of `voxkin serve`, by what they are about."""

import dataclasses
from typing import Annotated, Literal

import tyro

from embed.errors import ConfigError
from serve.arguments import Folder, Word, left_out
from serve.credentials import TlsFiles
from serve.server import Settings

Seconds = Annotated[float, tyro.conf.arg(metavar="SECONDS")]
Amount = Annotated[float | None, left_out(float, "X"), tyro.conf.arg(help_behavior_hint="")]


@dataclasses.dataclass(frozen=True)
class OthersFlags:
    """Serving other machines; they need --tls-cert, --tls-key and --tokens.

    Attributes:
        tls_cert: PEM file of the server's certificate, followed by what leads to its authority.
        tls_key: PEM file of its key, not encrypted.
        tls_client_ca: PEM file of authorities; callers need a certificate by one of them as well.
        tokens: file of tokens, a line each, as `voxkin serve token` makes them.
        hosts: names and addresses, separated by commas, that the page is asked for under.
    """

    tls_cert: Folder = None
    tls_key: Folder = None
    tls_client_ca: Folder = None
    tokens: Folder = None
    hosts: Word = None

    def settings(self) -> Settings:
        """What a server is started with.

        Raises:
            ConfigError: of a certificate and its key one is missing.
        """
        hosts = tuple(host.strip(" []") for host in (self.hosts or "").split(",") if host.strip())
        return Settings(self._tls(), self.tokens, hosts)

    def _tls(self) -> TlsFiles | None:
        cert, key, client_ca = self.tls_cert, self.tls_key, self.tls_client_ca
        if cert is None and key is None and client_ca is None:
            return None
        if cert is None or key is None:
            raise ConfigError(
                "TLS needs both --tls-cert and --tls-key (and, where callers have to have "
                "certificates too, --tls-client-ca)"
            )
        return TlsFiles(cert, key, client_ca)


@dataclasses.dataclass(frozen=True)
class RunFlags:
    """How it runs and ends.

    Attributes:
        log: to stderr: text tells what goes wrong; json also tells each call, without what was
            asked, in lines of JSON.
        drain: seconds from SIGTERM on in which health says NOT_SERVING and calls are still
            answered, so that load balancers turn away.
        grace: seconds after that in which running calls may end.
    """

    log: Literal["text", "json"] = "text"
    drain: Seconds = 0.0
    grace: Seconds = 10.0

    def require_sense(self) -> None:
        """Checks the seconds.

        Raises:
            ConfigError: they are negative, or more than an hour.
        """
        for flag, value in (("--drain", self.drain), ("--grace", self.grace)):
            if not 0 <= value <= 3600:
                raise ConfigError(f"{flag} takes 0 to 3600 seconds; got {value:g}")


@dataclasses.dataclass(frozen=True)
class LimitFlags:
    """How much a token may ask for; as much as there is, where it is not said.

    Attributes:
        calls: per second.
        work: seconds that the server handles its calls, per second.
        at_once: calls at the same time.
    """

    calls: Amount = None
    work: Amount = None
    at_once: Annotated[int | None, left_out(int, "N"), tyro.conf.arg(help_behavior_hint="")] = None
