"""HOST:PORT addresses, and which of them stay on this machine."""

import dataclasses
import ipaddress
import re

from embed.errors import ConfigError, UnavailableError

_PATTERN = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:/\s]+)):(?P<port>\d{1,5})")


@dataclasses.dataclass(frozen=True)
class Address:
    """A host and a port.

    >>> str(Address("::1", 50051)), Address("127.0.0.1", 0).is_loopback
    ('[::1]:50051', True)

    Attributes:
        host: a name or an IP address, without brackets.
        port: 0 to 65535; 0 asks the system for a free one.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a host name or IP address (without brackets) means this machine and no other."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def parse_address(text: str) -> Address:
    """Reads `HOST:PORT`, with an IPv6 address in brackets.

    Raises:
        ConfigError: it is not of this form, or the port is above 65535.
    """
    match = _PATTERN.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise ConfigError(
            f"{text!r} is not an address: write HOST:PORT, as in 127.0.0.1:50051 or [::1]:50051, "
            "with a port from 0 (any free one) to 65535"
        )
    return Address(match["v6"] or match["host"], int(match["port"]))


def parse_served_address(text: str, *, secured: bool = False) -> Address:
    """Reads an address to serve on; `localhost` is 127.0.0.1.

    Args:
        secured: whether callers are asked for a token over TLS. Otherwise it must stay on this
            machine.

    Raises:
        ConfigError: it is not an address.
        UnavailableError: other machines could reach it, and it is not secured.
    """
    address = parse_address(text)
    if not (address.is_loopback or secured):
        raise UnavailableError(
            f"cannot serve on {address}: serving beyond this machine needs --tls-cert, --tls-key "
            f"and --tokens, all three; or serve on 127.0.0.1:{address.port} and reach it from "
            f"elsewhere with: ssh -L {address.port}:127.0.0.1:{address.port} THIS-MACHINE"
        )
    return Address("127.0.0.1", address.port) if address.host == "localhost" else address
