"""`voxkin find`: places like this one."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro
from rich.table import Table

from embed.atlas import Atlas
from embed.errors import ConfigError
from serve.arguments import Number, Word, call
from serve.client import Client
from serve.console import note, out, parse_xyz, print_json
from serve.index import open_index
from serve.search import Searcher, SearchResult


def main(words: list[str]) -> None:
    """Parses and runs."""
    call(find, "find", words)


def find(
    atlas: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[ATLAS]")] = None,
    /,
    *,
    at: Annotated[str, tyro.conf.arg(metavar="X,Y,Z")],
    k: Annotated[int, tyro.conf.arg(aliases=["-k"])] = 10,
    min_separation: Number = None,
    server: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT")] = None,
    name: Word = None,
    json: bool = False,
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
    place = parse_xyz(at, "--at", "nm")
    if (atlas is None) == (server is None):
        raise ConfigError("say where to search: either an ATLAS directory or --server HOST:PORT")
    if server is not None:
        with Client(server) as client:
            result = client.find_similar(
                position_nm_xyz=place, k=k, min_separation_nm=min_separation, atlas=name
            )
    else:
        assert atlas is not None
        opened = Atlas.open(atlas)
        result = Searcher(opened, open_index(opened)).find_at(place, k, min_separation)
    if json:
        print_json(dataclasses.asdict(result))
        return
    out.print(hits_table(result))
    if not result.complete:
        note(f"{len(result.hits)} of {k} hits: {result.reason}")


def hits_table(result: SearchResult, title: str | None = None) -> Table:
    """The hits of a search, best first."""
    table = Table("#", "similarity", "x nm", "y nm", "z nm", title=title, title_justify="left")
    for column in table.columns:
        column.justify = "right"
    if result.query_nm_xyz is not None:
        table.add_row("query", "", *(f"{v:,.0f}" for v in result.query_nm_xyz), style="dim")
    for rank, hit in enumerate(result.hits, 1):
        place = (f"{v:,.0f}" for v in hit.position_nm_xyz)
        table.add_row(str(rank), f"{hit.similarity:.3f}", *place)
    return table
