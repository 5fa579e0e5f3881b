"""`voxkin demo`: the whole main path on the sample that comes with voxkin."""

from pathlib import Path

from embed.checkpoint import load_encoder
from embed.config import load_preset
from embed.geometry import XyzFloat
from embed.inference import create_atlas
from embed.samples import PATH as SAMPLE
from embed.storage import write_bytes
from embed.volume import open_volume
from serve.arguments import Address, Out, call
from serve.client import Client
from serve.console import note, out
from serve.contact_sheet import draw_sheet
from serve.search import SearchResult
from serve.verb_embed import embed_atlas
from serve.verb_find import hits_table
from serve.verb_index import index_atlas
from serve.verb_serve import GRPC, HTTP, announce, start
from serve.verb_train import Arguments, train

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


def main(words: list[str]) -> int:
    """Parses and runs."""
    return call(demo, "demo", words)


def demo(
    once: bool = False,
    out_path: Out = Path("voxkin-demo"),
    grpc: Address = GRPC,
    http: Address = HTTP,
) -> int:
    """Runs the main path on real data: train, embed, index, serve, search, and a picture.

    The sample is 120 x 250 x 250 voxels of fly brain at 10 nm (FIB-25, CC BY 3.0). Everything is
    kept in --out; what is done already is not done again.

    Examples:
      voxkin demo
      voxkin demo --once --out /tmp/demo

    Args:
        once: stop after the contact sheet instead of serving on.
        out_path: where the run, the atlas and the sheet go.
        grpc: HOST:PORT of gRPC; port 0 takes a free one.
        http: HOST:PORT of the page; port 0 takes a free one.
    """
    run, path = out_path / "run", out_path / "atlas"
    note("1. training an encoder on the sample, without labels (about two minutes on two cores)")
    if code := train(Arguments("demo", run, load_preset("demo"))):
        return code
    note("2. embedding the sample densely")
    atlas = create_atlas(load_encoder(run), open_volume(SAMPLE), path, run=str(run.resolve()))
    embed_atlas(atlas)
    note("3. building the index")
    index_atlas(atlas)
    note("4. serving, and asking over gRPC for places like these")
    # With --once the ports may be any: a demo must not fail because another one is serving.
    with start((path,), *(("127.0.0.1:0",) * 2 if once else (grpc, http))) as server:
        results = _ask(server.grpc_address)
        sheet = out_path / "neighbours.png"
        title = "voxkin demo: places of the sample and what the encoder calls alike"
        write_bytes(sheet, draw_sheet(atlas, results, title))
        out.print(f"\nlook at {sheet}")
        if once:
            return 0
        announce(server)
        server.wait()
    return 0


def _ask(address: str) -> list[SearchResult]:
    results = []
    with Client(address) as client:
        for name, place in PLACES.items():
            result = client.find_similar(position_nm_xyz=place, k=_NEIGHBOURS)
            out.print(hits_table(result, title=name))
            results.append(result)
    return results
