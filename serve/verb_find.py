"""`voxkin find`: places like this one."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro
from rich.table import Table

from embed.atlas import Atlas
from embed.errors import ConfigError, NotFoundError
from embed.geometry import XyzFloat
from serve.arguments import Flag, Number, Server, Word, call, parse_position
from serve.client import Client
from serve.console import note, plain_table, print_json, print_table
from serve.index import Index, open_index
from serve.search import Searcher, SearchResult


def main(words: list[str]) -> None:
    """Parses and runs."""
    call(find, "find", words)


def find(
    atlas: Annotated[
        Path | None,
        tyro.conf.Positional,
        tyro.conf.arg(metavar="[ATLAS]", help_behavior_hint=""),
    ] = None,
    /,
    *,
    at: Annotated[str, tyro.conf.arg(metavar="X,Y,Z")],
    k: Annotated[int, tyro.conf.arg(aliases=["-k"], metavar="N")] = 10,
    min_separation: Number = None,
    server: Server = None,
    name: Word = None,
    json: Flag = False,
) -> None:
    """Finds the places most like a place.

    Hits keep a distance from each other and from the place itself, so that ten hits are ten places
    and not one place ten times.

    Examples:
      voxkin find em.atlas --at 1200,860,600 -k 20
      voxkin find --server 127.0.0.1:50061 --at 1200,860,600 --json

    Args:
        atlas: the directory of an indexed atlas; or give --server.
        at: X,Y,Z in nm; the nearest location of the atlas is taken.
        k: number of hits, 1 to 10000.
        min_separation: least distance between hits in nm; one field of view if not given.
        server: HOST:PORT of a server's gRPC, instead of an atlas.
        name: which atlas of the server, where it serves several.
        json: print the answer as JSON.
    """
    place = parse_position(at, "--at")
    if (atlas is None) == (server is None):
        raise ConfigError("say where to search: either an ATLAS directory or --server HOST:PORT")
    if name is not None and server is None:
        raise ConfigError(f"--name {name} chooses among the atlases of a --server; leave it out")
    if server is not None:
        result = _ask(server, name, place, k, min_separation)
    else:
        assert atlas is not None
        opened = Atlas.open(atlas)
        result = Searcher(opened, _index(opened)).find_at(place, k, min_separation)
    if json:
        print_json(dataclasses.asdict(result))
        return
    print_table(hits_table(result))
    if not result.complete:
        note(f"{result.reason}; asked for {k}")


def _index(atlas: Atlas) -> Index:
    try:
        return open_index(atlas)
    except NotFoundError:
        atlas.require_complete()  # or else that is what to mend first
        raise


def _ask(
    server: str, name: str | None, place: XyzFloat, k: int, separation: float | None
) -> SearchResult:
    with Client(server) as client:
        served = [] if name else [atlas.name for atlas in client.atlases()]
        if len(served) > 1:
            raise ConfigError(f"say which atlas with --name: {server} serves {', '.join(served)}")
        return client.find_similar(
            position_nm_xyz=place, k=k, min_separation_nm=separation, atlas=name
        )


def hits_table(result: SearchResult, title: str | None = None) -> Table:
    """The hits of a search, best first."""
    table = plain_table(title, numbers="hit|similarity|x nm|y nm|z nm")
    if result.query_nm_xyz is not None:
        table.add_row("query", "", *(f"{v:,.0f}" for v in result.query_nm_xyz), style="dim")
    for rank, hit in enumerate(result.hits, 1):
        place = (f"{v:,.0f}" for v in hit.position_nm_xyz)
        table.add_row(str(rank), f"{hit.similarity:.3f}", *place)
    return table
