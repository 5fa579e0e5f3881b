"""`voxkin find`: places like this one."""

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Iterator
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.table import Table

from embed.atlas import Atlas
from embed.errors import ConfigError, NotFoundError
from serve.access import Access
from serve.client import Client
from serve.hits import Hit, SearchResult
from serve.index import Index, open_index
from serve.locations import count_locations
from serve.queries import Query, Wish
from serve.search import Searcher
from serve.searching.together import JointHit, find_together
from serve.verbs.arguments import Flag, Number, Server, Size, Word, call, left_out
from serve.verbs.console import note, plain_table, print_json, print_table, say
from serve.verbs.find_arguments import LikeFlags, WhichFlags


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
    at: Size = None,
    k: Annotated[
        int | None, left_out(int, "N"), tyro.conf.arg(aliases=["-k"], help_behavior_hint="")
    ] = None,
    min_separation: Number = None,
    likes: tyro.conf.OmitArgPrefixes[LikeFlags] = LikeFlags(),
    which: tyro.conf.OmitArgPrefixes[WhichFlags] = WhichFlags(),
    server: Server = None,
    name: Word = None,
    json: Flag = False,
) -> None:
    """Finds the places most like a place, or like several and unlike others.

    Hits keep a distance from each other and from the place itself, so that ten hits are ten places
    and not one place ten times. Several atlases of the same encoder are searched together, whether
    of one volume or of several, by what the first that has a location there holds.

    Examples:
      voxkin find em.atlas --at 1200,860,600 -k 20
      voxkin find em.atlas synapses.atlas other.atlas --at 1200,860,600
      voxkin find --server 127.0.0.1:50061 --at 1200,860,600 --json
      voxkin find em.atlas --like 1200,860,600 --like 900,310,450 --unlike 400,400,600 --mode best
      voxkin find em.atlas --probe mito:mitochondrion --box-nm 0:2000,0:2000,0:600 --per-segment 1
        --segmentation segments.zarr
      voxkin find em.atlas --at 1200,860,600 --mask neuropil.zarr --where mito:mitochondrion:0.8
      voxkin find em.atlas --at 1200,860,600 --not-labelled structures
      voxkin find em.atlas --at 1200,860,600 --at-least 0.8 > places.txt

    Args:
        atlases: directories of indexed atlases; or give --server.
        at: X,Y,Z in nm; the nearest location of the atlas is taken.
        k: number of hits, 1 to 10000; 10 if not given.
        likes: what to look for.
        which: which places may be found.
        min_separation: least distance between hits in nm; one field of view if not given.
        server: HOST:PORT of a server's gRPC, instead of an atlas. What it asks for is taken from
            the environment: VOXKIN_TOKEN, VOXKIN_TLS_CA (or VOXKIN_TLS=1), and VOXKIN_TLS_CERT with
            VOXKIN_TLS_KEY.
        name: which atlas of the server, where it serves several.
        json: print the answer as JSON.
    """
    query, filters = likes.query(at), which.filters()
    if (not atlases) == (server is None):
        raise ConfigError("say where to search: either an ATLAS directory or --server HOST:PORT")
    if name is not None and server is None:
        raise ConfigError(f"--name {name} chooses among the atlases of a --server; leave it out")
    if which.segmentation is not None and server is not None:
        raise ConfigError("--segmentation is for an ATLAS here; a server is started with its own")
    wish = Wish(
        k=10 if k is None else k,
        min_separation_nm=min_separation,
        filters=filters,
        per_segment=which.per_segment,
        at_least=which.at_least,
    )
    if which.at_least is not None and k is None:
        _tell_all(atlases, server, name, query, which, json)
        return
    if server is not None:
        with _client(server, name) as (client, atlas):
            result = client.find(query, wish, atlas)
    else:
        result = _search(atlases, query, wish, which)
    if json:
        print_json(_report(result))
        return
    print_table(hits_table(result))
    if not result.complete:
        note(f"{result.reason}; asked for {wish.k}")


def _search(paths: tuple[Path, ...], query: Query, wish: Wish, which: WhichFlags) -> SearchResult:
    searchers = _searchers(paths, which)
    if len(searchers) == 1:
        return next(iter(searchers.values())).find(query, wish)
    plain = Wish(wish.k, wish.min_separation_nm, wish.filters)
    alone = len(query.like_nm_xyz) == 1 and not query.unlike_nm_xyz and not query.typical_weight
    if wish != plain or not alone:
        raise ConfigError(
            "several atlases are searched together by one place (--at), with -k, --min-separation "
            "and filters; name one ATLAS for examples, probes, --typical-weight, --per-segment and "
            "--at-least"
        )
    alike = Counter(path.name for path in searchers)
    named = {path.name if alike[path.name] == 1 else str(path): s for path, s in searchers.items()}
    place = query.like_nm_xyz[0]
    return find_together(named, place, wish.k, wish.min_separation_nm, wish.filters)


def _searchers(paths: tuple[Path, ...], which: WhichFlags) -> dict[Path, Searcher]:
    opened = {path.resolve(): Atlas.open(path) for path in paths}  # named twice is searched once
    searchers = {}
    for path, atlas in opened.items():
        segmentation, masks = which.volumes(atlas)
        searchers[path] = Searcher(atlas, _index(atlas), segmentation, masks=masks)
    spaces = {searcher.space for searcher in searchers.values()}
    if len(spaces) > 1 and (which.segmentation or which.mask):
        raise ConfigError(
            "--segmentation and --mask are of one volume, and these atlases are of several; search "
            "those of each volume by themselves"
        )
    return searchers


def _tell_all(
    paths: tuple[Path, ...],
    server: str | None,
    name: str | None,
    query: Query,
    which: WhichFlags,
    json: bool,
) -> None:
    """Prints every place at least so similar, a line each, as they are found."""
    if which.per_segment is not None:
        raise ConfigError("--per-segment keeps the best of a segment; it needs -k N")
    assert which.at_least is not None
    at_least, filters = which.at_least, which.filters()
    if server is not None:
        with _client(server, name) as (client, atlas):
            for hit in client.find_all(query, at_least, filters, atlas):
                say(_line(hit, json))
        return
    searchers = _searchers(paths, which)
    if len(searchers) > 1:
        raise ConfigError("every place above a similarity is told of one ATLAS at a time")
    for _, hits in next(iter(searchers.values())).find_all(query, at_least, filters):
        for hit in hits:
            say(_line(hit, json))


def _line(hit: Hit, json: bool) -> str:
    if json:
        return dumps(dataclasses.asdict(hit))
    named = [f"{n}={v}" for n, v in (("segment", hit.segment), ("source", hit.source)) if v]
    return "\t".join([f"{hit.similarity:.3f}", *(f"{v:g}" for v in hit.position_nm_xyz), *named])


def _report(result: SearchResult) -> dict[str, Any]:
    """Everything for people; whoever wants the vector has it in the atlas."""
    report = dataclasses.asdict(result)
    del report["query_vector"], report["next_page"]
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


@contextlib.contextmanager
def _client(server: str, name: str | None) -> Iterator[tuple[Client, str | None]]:
    """A connection, and which atlas to ask there."""
    with Client(server, access=Access.from_environment()) as client:
        served = [] if name else [atlas.name for atlas in client.atlases()]
        if len(served) > 1:
            raise ConfigError(f"say which atlas with --name: {server} serves {', '.join(served)}")
        yield client, name


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
