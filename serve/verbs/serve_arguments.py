"""The flags of `voxkin serve`, by what they are about."""

import contextlib
import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

import tyro

from embed.errors import ConfigError
from serve.fleet.fleet import Fleet, FleetSettings
from serve.gate.credentials import TlsFiles
from serve.index import open_index
from serve.served import OpenIndex
from serve.server import Settings
from serve.verbs.arguments import Folder, Word, left_out

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
Seconds = Annotated[float, tyro.conf.arg(metavar="SECONDS")]
Masks = tyro.conf.UseAppendAction[
    Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VOLUME", help_behavior_hint="")]
]
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
        recheck: of so many searches one is compared with the truth in the background, so that
            /metrics can tell recall; 0 compares none.
    """

    log: Literal["text", "json"] = "text"
    drain: Seconds = 0.0
    grace: Seconds = 10.0
    recheck: Annotated[int, tyro.conf.arg(metavar="N")] = 1000

    def require_sense(self) -> None:
        """Checks the numbers.

        Raises:
            ConfigError: one is negative, or seconds are more than an hour.
        """
        if self.recheck < 0:
            raise ConfigError(f"--recheck takes 0 or more searches; got {self.recheck}")
        for flag, value in (("--drain", self.drain), ("--grace", self.grace)):
            if not 0 <= value <= 3600:
                raise ConfigError(f"{flag} takes 0 to 3600 seconds; got {value:g}")


@dataclasses.dataclass(frozen=True)
class FleetFlags:
    """Indices that a Ray cluster holds: see docs/fleet.md.

    Attributes:
        fleet: HOST:PORT of a cluster that this machine is part of, auto for the one that runs
            here, or local for a Ray of its own. The indices have to be in slabs.
        replicas: processes that hold each slab.
        replica_cores: cores of each of them; a fraction is allowed.
        slab_deadline: seconds that slabs have to answer; what the others find is told then.
    """

    fleet: Word = None
    replicas: Annotated[int, tyro.conf.arg(metavar="N")] = 2
    replica_cores: Annotated[float, tyro.conf.arg(metavar="X")] = 1.0
    slab_deadline: Seconds = 2.0

    @contextlib.contextmanager
    def opener(self) -> Iterator[OpenIndex]:
        """What opens indices: the cluster, to which this process is connected in the block, or
        this process itself.

        Raises:
            MissingExtraError: Ray Serve is not installed.
            ConfigError: a number is out of its range, or the address is none.
            UnavailableError: the cluster cannot be joined.
        """
        if self.fleet is None:
            yield open_index
            return
        address = None if self.fleet == "local" else self.fleet
        settings = FleetSettings(address, self.replicas, self.replica_cores, self.slab_deadline)
        with Fleet(settings) as fleet:
            yield fleet.open_index


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


def parse_masks(words: Sequence[str]) -> dict[str, str]:
    """Where the volumes of masks are, by what callers name them.

    Raises:
        ConfigError: a word is not NAME=VOLUME, or two have one name.
    """
    masks: dict[str, str] = {}
    for word in words:
        name, _, source = word.partition("=")
        if not (_NAME.fullmatch(name) and source) or name in masks:
            raise ConfigError(
                "--mask takes NAME=VOLUME, each name once and of letters, digits, '.', '_' and "
                f"'-', as in --mask neuropil=masks/neuropil.zarr; got {word!r}"
            )
        masks[name] = source
    return masks
