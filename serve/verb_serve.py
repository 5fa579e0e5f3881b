"""`voxkin serve`: answers gRPC clients and shows the page."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import tyro

from embed.errors import ConfigError
from serve.arguments import Address, Flag, call
from serve.console import note, print_json
from serve.served import ServedAtlas
from serve.server import RunningServer, start_server

GRPC = "127.0.0.1:50061"
HTTP = "127.0.0.1:8061"


def main(words: list[str]) -> None:
    """Parses and runs."""
    call(serve, "serve", words)


def serve(
    atlases: Annotated[
        tuple[Path, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="ATLAS ...", help_behavior_hint="(required)"),
    ],
    /,
    grpc: Address = GRPC,
    http: Address = HTTP,
    json: Flag = False,
) -> None:
    """Serves one or more atlases until Ctrl-C or SIGTERM.

    Only this machine can connect; from another one, tunnel the ports.

    Examples:
      voxkin serve em.atlas
      voxkin serve em.atlas other.atlas --grpc 127.0.0.1:50070 --http 127.0.0.1:8070
      ssh -L 8061:127.0.0.1:8061 -L 50061:127.0.0.1:50061 THIS-MACHINE

    Args:
        atlases: directories of indexed atlases; each is served under the name of its directory.
        grpc: HOST:PORT of gRPC; port 0 takes a free one.
        http: HOST:PORT of the page; port 0 takes a free one.
        json: print the two addresses as JSON once both answer.
    """
    with start(atlases, grpc, http) as server:
        if json:
            print_json({"grpc": server.grpc_address, "http": server.http_address})
        announce(server)
        server.wait()


def start(atlases: tuple[Path, ...], grpc: str, http: str) -> RunningServer:
    """Opens the atlases and starts to answer."""
    if not atlases:
        raise ConfigError("name at least one atlas to serve, as in: voxkin serve em.atlas")
    directories = {path.resolve() for path in atlases}  # one that is named twice is served once
    twice = [name for name, n in Counter(d.name for d in directories).items() if n > 1]
    if twice:
        raise ConfigError(f"two atlases are called {twice[0]!r}; rename one of the directories")
    opened = [ServedAtlas.open(path) for path in atlases]
    return start_server({atlas.name: atlas for atlas in opened}, grpc, http)


def announce(server: RunningServer) -> None:
    """Says where the server answers."""
    note(f"page  http://{server.http_address}/")
    note(f"gRPC  {server.grpc_address}    (Ctrl-C stops)")
