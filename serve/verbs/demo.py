"""`voxkin demo`: the whole main path on the sample that comes with voxkin."""

import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path

from embed.atlas import Atlas
from embed.config import RunConfig, load_preset
from embed.errors import ConfigError, UnavailableError
from embed.geometry import Box, XyzFloat
from embed.grid_layout import create_atlas
from embed.layout import Wanted
from embed.samples import PATH as SAMPLE
from embed.storage import is_free, write_bytes
from embed.volume import open_volume
from serve.address import parse_served_address
from serve.client import Client
from serve.contact_sheet import draw_sheet
from serve.search import SearchResult
from serve.server import RunningServer
from serve.verbs.arguments import Address, Flag, Out, call
from serve.verbs.console import note, print_table, say
from serve.verbs.embed import embed_atlas
from serve.verbs.find import hits_table
from serve.verbs.index import index_atlas
from serve.verbs.serve import GRPC, HTTP, announce, start
from serve.verbs.train import train

# Places of the sample, XYZ in nm, that a person who knows neurons tells apart at a glance.
PLACES: dict[str, XyzFloat] = {
    "a large mitochondrion": (515, 1945, 405),
    "a small mitochondrion in a pale neurite": (2050, 780, 405),
    "a synapse: dark density and vesicles": (1280, 940, 405),
    "membranes side by side": (400, 850, 605),
    "pale cytoplasm": (1780, 1910, 205),
    "grey cytoplasm full of vesicles": (420, 550, 405),
}
_NEIGHBOURS = 8


def main(words: list[str]) -> None:
    """Parses and runs."""
    call(demo, "demo", words)


def demo(
    once: Flag = False,
    out_path: Out = Path("voxkin-demo"),
    grpc: Address = GRPC,
    http: Address = HTTP,
) -> None:
    """Runs the main path on real data: train, embed, index, serve, search, and a picture.

    The sample is 120 x 250 x 250 voxels of fly brain at 10 nm (FIB-25, CC BY 3.0). Everything is
    kept in --out; what is done already is not done again.

    Examples:
      voxkin demo
      voxkin demo --once --out /tmp/demo

    Args:
        once: stop after the contact sheet instead of serving on.
        out_path: where the run, the atlas and the sheet go.
        grpc: HOST:PORT of gRPC; where it is in use, or with --once, any free port is taken.
        http: HOST:PORT of the page; likewise.
    """
    for address in (grpc, http):
        parse_served_address(address)  # better now than after minutes of training
    if not (is_free(out_path) or (out_path / "run").is_dir()):
        raise ConfigError(f"{out_path} exists and is not of a demo; choose a new --out")
    atlas = prepare(load_preset("demo"), out_path)
    note("4. serving, and asking over gRPC for places like these")
    with _serve(atlas.path, grpc, http, once) as server:
        sheet = show(atlas, server.grpc_address, PLACES, out_path)
        say(f"look at {sheet}")
        if not once:
            announce(server)
            server.wait()


def prepare(config: RunConfig, folder: Path, box: Box | None = None) -> Atlas:
    """Trains an encoder, embeds the sample and builds the index, as far as that is not done.

    Args:
        config: of the run, which is kept in `folder/run`.
        folder: of the demo; the atlas is `folder/atlas`.
        box: voxels of the sample to embed, ZYX; all of them if not given.

    Raises:
        Stopped: Ctrl-C or SIGTERM asked to stop; calling this again goes on.
    """
    run = folder / "run"
    note("1. training an encoder on the sample, without labels (two to three minutes on two cores)")
    trained = train(config, run)
    assert trained is not None, "there is no other host"
    encoder, _ = trained
    note("2. embedding the sample densely")
    volume = open_volume(SAMPLE)
    atlas = create_atlas(encoder, volume, folder / "atlas", Wanted(box=box), run=str(run.resolve()))
    embed_atlas(atlas)
    note("3. building the index")
    index_atlas(atlas)
    return atlas


def show(atlas: Atlas, address: str, places: Mapping[str, XyzFloat], folder: Path) -> Path:
    """Asks a server what is like each place, prints the answers and draws them.

    Args:
        atlas: that is served.
        address: HOST:PORT of the server's gRPC.
        places: XYZ in nm by name.
        folder: where the picture goes.

    Returns:
        The path of the picture.
    """
    results: dict[str, SearchResult] = {}
    with Client(address) as client:
        for name, place in places.items():
            results[name] = client.find_similar(position_nm_xyz=place, k=_NEIGHBOURS)
            print_table(hits_table(results[name], title=name))
            say("")
    sheet = folder / "neighbours.png"
    title = "voxkin demo: places of the sample and what the encoder calls alike"
    write_bytes(sheet, draw_sheet(atlas, results, title))
    return sheet


def _serve(atlas: Path, grpc: str, http: str, any_port: bool) -> RunningServer:
    """Serves on the addresses, or on free ports: a demo must not fail because another one runs."""
    if not any_port:
        with contextlib.suppress(UnavailableError):
            return start((atlas,), grpc, http)
    free = [dataclasses.replace(parse_served_address(a), port=0) for a in (grpc, http)]
    return start((atlas,), str(free[0]), str(free[1]))
