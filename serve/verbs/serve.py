"""`voxkin serve`: answers gRPC clients and shows the page."""

import contextlib
import dataclasses
import os
from collections import Counter
from pathlib import Path
from typing import Annotated

import tyro
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has none

from embed.errors import ConfigError
from embed.volume import open_volume
from serve.gate.logs import log_as_json
from serve.gate.quota import Limits
from serve.gate.tokens import Grant, digest_of, line_of, make_token, parse_name, parse_scopes
from serve.index import open_index
from serve.served import OpenIndex, ServedAtlas
from serve.server import RunningServer, Settings, settle, start_server
from serve.verbs.arguments import Address, Flag, Name, Word, call
from serve.verbs.console import note, print_json, say
from serve.verbs.serve_arguments import (
    FleetFlags,
    LimitFlags,
    Masks,
    OthersFlags,
    RunFlags,
    parse_masks,
)

GRPC = "127.0.0.1:50061"
HTTP = "127.0.0.1:8061"


def main(words: list[str]) -> None:
    """Parses and runs."""
    if words[:1] == ["token"]:
        call(token, "serve token", words[1:])
    else:
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
    others: tyro.conf.OmitArgPrefixes[OthersFlags] = OthersFlags(),
    run: tyro.conf.OmitArgPrefixes[RunFlags] = RunFlags(),
    fleet: tyro.conf.OmitArgPrefixes[FleetFlags] = FleetFlags(),
    segmentation: Word = None,
    mask: Masks = (),
    json: Flag = False,
) -> None:
    """Serves one or more atlases until Ctrl-C or SIGTERM.

    Only this machine can connect, and others through a tunnel, unless callers show a token over
    TLS. What `voxkin index` makes anew, renewed certificates and changed tokens are taken up while
    calls are answered. An atlas in a directory called token is served as ./token.

    Examples:
      voxkin serve em.atlas
      voxkin serve em.atlas other.atlas --grpc 127.0.0.1:50070 --http 127.0.0.1:8070
      ssh -L 8061:127.0.0.1:8061 -L 50061:127.0.0.1:50061 THIS-MACHINE
      voxkin serve em.atlas --segmentation segments.zarr --mask neuropil=neuropil.zarr
      voxkin serve token --scope read --name lab
      voxkin serve em.atlas --grpc 0.0.0.0:50061 --http 0.0.0.0:8061 --hosts em.lab.org
        --tls-cert cert.pem --tls-key key.pem --tokens tokens.txt
      voxkin serve em.atlas --fleet head:6379 --replicas 2

    Args:
        atlases: directories of indexed atlases; each is served under the name of its directory.
        grpc: HOST:PORT of gRPC; port 0 takes a free one.
        http: HOST:PORT of the page; port 0 takes a free one.
        others: serving other machines.
        run: how it runs and ends.
        fleet: indices that a Ray cluster holds.
        segmentation: volume of segment ids, so that places can be searched by segment; of the
            volume that all ATLASes are of.
        mask: a volume, of any voxel size, that is not 0 where searches with this NAME may find
            places; of the volume that all ATLASes are of. May be given several times.
        json: print the two addresses as JSON once both answer.
    """
    run.require_sense()
    # FAISS' threads otherwise spin while they wait for each other: where others use the cores too,
    # a batch of searches then costs three times as much. Read when FAISS is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if run.log == "json":
        log_as_json()
    settings = dataclasses.replace(others.settings(), recheck=run.recheck)
    with contextlib.ExitStack() as until_the_end:
        opener = until_the_end.enter_context(fleet.opener())
        opened = open_atlases(atlases, segmentation, mask, opener)
        # So do those of BLAS, whatever that says, for products too small to share.
        until_the_end.enter_context(threadpool_limits(1, "blas"))
        server = until_the_end.enter_context(start_server(opened, grpc, http, settings))
        settle()
        if json:
            print_json({"grpc": server.grpc_address, "http": server.http_address})
        announce(server, "https" if others.tls_cert else "http")
        server.wait(run.grace, run.drain)


def token(
    scope: Annotated[str, tyro.conf.arg(metavar="SCOPES")],
    name: Name,
    limits: tyro.conf.OmitArgPrefixes[LimitFlags] = LimitFlags(),
    json: Flag = False,
) -> None:
    """Makes a token, which is shown this once, and the line of the token file that lets it in.

    The line holds the token's hash, not the token. A token is withdrawn by removing its line.

    Examples:
      voxkin serve token --scope read --name lab
      voxkin serve token --scope read,write --name ana --calls 20 --work 0.5 --at-once 4

    Args:
        scope: read (search, list, embed a cut-out), write (label, train and apply probes), admin
            (reload), or several separated by commas; none contains another.
        name: of its owner, for the log and the file.
        limits: how much it may ask for.
        json: print both as JSON.
    """
    secret = make_token()
    quota = Limits(limits.calls, limits.work, limits.at_once)
    grant = Grant(parse_name(name), parse_scopes(scope), digest_of(secret), quota)
    if json:
        print_json({"token": secret, "line": line_of(grant)})
        return
    note("The token, for its owner, and the line to add to the file of --tokens:")
    say(f"{secret}\n{line_of(grant)}")


def start(
    atlases: tuple[Path, ...],
    grpc: str,
    http: str,
    settings: Settings = Settings(),
    segmentation: str | None = None,
    masks: tuple[str, ...] = (),
) -> RunningServer:
    """Opens the atlases and starts to answer."""
    return start_server(open_atlases(atlases, segmentation, masks), grpc, http, settings)


def open_atlases(
    atlases: tuple[Path, ...],
    segmentation: str | None = None,
    masks: tuple[str, ...] = (),
    opener: OpenIndex = open_index,
) -> dict[str, ServedAtlas]:
    """Opens atlases, each under the name of its directory.

    Raises:
        ConfigError: there are none, two have one name, or they are of several volumes where a
            segmentation or masks are of one.
        VoxkinError: as `ServedAtlas.open`.
    """
    if not atlases:
        raise ConfigError("name at least one atlas to serve, as in: voxkin serve em.atlas")
    directories = {path.resolve() for path in atlases}  # one that is named twice is served once
    twice = [name for name, n in Counter(d.name for d in directories).items() if n > 1]
    if twice:
        raise ConfigError(f"two atlases are called {twice[0]!r}; rename one of the directories")
    volume = None if segmentation is None else open_volume(segmentation)
    named = {name: open_volume(source) for name, source in parse_masks(masks).items()}
    opened = [ServedAtlas.open(path, volume, named, opener) for path in atlases]
    if (volume is not None or named) and len({atlas.space for atlas in opened}) > 1:
        raise ConfigError(
            "--segmentation and --mask are of one volume, and these atlases are of several; serve "
            "those of each volume by themselves"
        )
    return {atlas.name: atlas for atlas in opened}


def announce(server: RunningServer, scheme: str = "http") -> None:
    """Says where the server answers."""
    note(f"page  {scheme}://{server.http_address}/")
    note(f"gRPC  {server.grpc_address}    (Ctrl-C stops)")
