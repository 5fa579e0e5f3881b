"""`voxkin find`: places like this one."""

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.table import Table

from embed.atlas import Atlas
from embed.errors import ConfigError, NotFoundError
from embed.geometry import XyzFloat
from serve.arguments import Flag, Number, Server, Word, call, parse_position
from serve.client import Client
from serve.console import note, plain_table, print_json, print_table
from serve.index import Index, open_index
from serve.locations import count_locations
from serve.search import Hit, Searcher, SearchResult
from serve.together import JointHit, find_together


def main(words: list[str]) -> None:
    """Parses and runs."""
    call(find, "find", words)


def find(
    atlases: Annotated[
        tuple[Path, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="[ATLAS ...]", help_behavior_hint=""),
    ] = (),
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
    and not one place ten times. Several atlases of the same encoder are searched together, whether
    of one volume or of several, by what the first that has a location there holds.

    Examples:
      voxkin find em.atlas --at 1200,860,600 -k 20
      voxkin find em.atlas synapses.atlas other.atlas --at 1200,860,600
      voxkin find --server 127.0.0.1:50061 --at 1200,860,600 --json

    Args:
        atlases: directories of indexed atlases; or give --server.
        at: X,Y,Z in nm; the nearest location of the atlas is taken.
        k: number of hits, 1 to 10000.
        min_separation: least distance between hits in nm; one field of view if not given.
        server: HOST:PORT of a server's gRPC, instead of an atlas.
        name: which atlas of the server, where it serves several.
        json: print the answer as JSON.
    """
    place = parse_position(at, "--at")
    if (not atlases) == (server is None):
        raise ConfigError("say where to search: either an ATLAS directory or --server HOST:PORT")
    if name is not None and server is None:
        raise ConfigError(f"--name {name} chooses among the atlases of a --server; leave it out")
    if server is not None:
        result = _ask(server, name, place, k, min_separation)
    else:
        result = _search(atlases, place, k, min_separation)
    if json:
        print_json(_report(result))
        return
    print_table(hits_table(result))
    if not result.complete:
        note(f"{result.reason}; asked for {k}")


def _search(
    paths: tuple[Path, ...], place: XyzFloat, k: int, separation: float | None
) -> SearchResult:
    opened = {path.resolve(): Atlas.open(path) for path in paths}  # named twice is searched once
    searchers = {path: Searcher(atlas, _index(atlas)) for path, atlas in opened.items()}
    if len(searchers) == 1:
        return next(iter(searchers.values())).find_at(place, k, separation)
    alike = Counter(path.name for path in searchers)
    named = {path.name if alike[path.name] == 1 else str(path): s for path, s in searchers.items()}
    return find_together(named, place, k, separation)


def _report(result: SearchResult) -> dict[str, Any]:
    """Everything for people; whoever wants the vector has it in the atlas."""
    report = dataclasses.asdict(result)
    del report["query_vector"]
    return report


def _index(atlas: Atlas) -> Index:
    try:
        index = open_index(atlas)
    except NotFoundError:
        atlas.require_complete()  # or else that is what to mend first
        raise
    if atlas.regions and index.size != (count := count_locations(atlas)):
        note(
            f"atlas {atlas.name!r} was extended: its index holds {index.size:,} of {count:,} "
            f"locations until it is built again with: voxkin index {atlas.path}"
        )
    return index


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
    """The hits of a search, best first; what names them only where that is known."""
    columns: list[tuple[str, list[str]]] = [
        (name, ["" if value is None else str(value) for value in values])
        for name, values in _names(result.hits).items()
        if any(value is not None for value in values)
    ]
    numbers = "|".join(["hit", "similarity", "x nm", "y nm", "z nm", *(n for n, _ in columns)])
    table = plain_table(title, numbers=numbers)
    if result.query_nm_xyz is not None:
        table.add_row("query", "", *(f"{v:,.0f}" for v in result.query_nm_xyz), style="dim")
    for rank, hit in enumerate(result.hits, 1):
        place = (f"{v:,.0f}" for v in hit.position_nm_xyz)
        named = (cells[rank - 1] for _, cells in columns)
        table.add_row(str(rank), f"{hit.similarity:.3f}", *place, *named)
    return table


def _names(hits: tuple[Hit, ...]) -> dict[str, list[int | str | None]]:
    return {
        "segment": [hit.segment for hit in hits],
        "source": [hit.source for hit in hits],
        "atlas": [hit.atlas if isinstance(hit, JointHit) else None for hit in hits],
    }
