"""What a person at the page waits for, and how far ten clicks go.

    make bench-page                              about a quarter of an hour
    make bench-page BENCH=--without-clicks       half of it

A server of 10^6 synthetic locations of 64 numbers (100 x 100 x 100, see `synthetic`) under the
index that is advised, asked over HTTP as the page asks; times are medians, in milliseconds, as a
clock on the wall tells them. The last line is one JSON object:

neighbours_ms         from a click to twelve neighbours
probe_ms              a probe of four classes from a thousand labelled places
map_ms                the layer of similarity to a place, from the click until all that three planes
                      through the middle of the volume show of it has arrived: six at a time, as a
                      browser asks
map_chunks            how many those are
probe_map_ms          the same of a probability of that probe
ten_click_ap          average precision of the map of all of lucchi_train from ten places, mean over
                      draws: see `embed.evaluation.ten_clicks`
ten_click_ap_control  that of a random forest on a filter bank from the same places
ten_click_sd          deviation between draws, of both
"""

import argparse
import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from embed.evaluation.evaluate import voxel_size_of
from embed.evaluation.ten_clicks import TenClicks, ten_clicks
from embed.pretrained import find_encoder
from serve.index import build_index
from serve.served import ServedAtlas
from serve.server import start_server
from tests.benchmarks import synthetic
from tests.benchmarks.timing import machine, rounded

EDGE, DIM = 100, 64
LABELS, CLASSES = 1000, 4
ROUNDS = 9
AT_ONCE = 6
DATA = Path(os.environ.get("VOXKIN_DATA", "../shared/data"))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="benchmark of what the page does")
    parser.add_argument("--atlas", type=Path, help="an indexed one, which is written to")
    parser.add_argument("--without-clicks", action="store_true", help="leave out the ten clicks")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = asked.atlas or _synthetic(Path(folder) / "a")
        figures = _waits(ServedAtlas.open(path))
    print(machine())
    if not asked.without_clicks:
        figures |= _clicks()
    for name, figure in figures.items():
        print(f"{name:22} {figure}")
    print(json.dumps(figures))


def _synthetic(path: Path) -> Path:
    atlas = synthetic.atlas(path, synthetic.vectors((EDGE, EDGE, EDGE), DIM))
    build_index(atlas)
    return path


def _waits(served: ServedAtlas) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    ids = rng.choice(served.atlas.grid.size, LABELS, replace=False)
    places = served.atlas.positions_nm_xyz(ids)
    labels = _labels(served.atlas.embeddings(ids))
    clicks = [dict(zip("xyz", place, strict=True)) for place in places[:ROUNDS].tolist()]
    with start_server({"a": served}, "127.0.0.1:0", "127.0.0.1:0") as server:
        page = _Page(f"http://{server.http_address}")
        near = [_ms(lambda click=click: page.neighbours(click)) for click in clicks]
        page.label(places.tolist(), labels)
        train = [_ms(page.train) for _ in range(ROUNDS)]
        maps = [_ms(lambda click=click: page.see(page.similarity(click))) for click in clicks]
        probed = [_ms(lambda layer=layer: page.see(layer)) for layer in page.probabilities()]
        return rounded(
            {
                "neighbours_ms": float(np.median(near)),
                "probe_ms": float(np.median(train)),
                "map_ms": float(np.median(maps)),
                "map_chunks": page.chunks,
                "probe_map_ms": float(np.median(probed)),
            }
        )


def _labels(vectors: np.ndarray) -> tuple[str, ...]:
    """Classes that embeddings decide, as those that people name do."""
    directions = np.random.default_rng(1).normal(size=(vectors.shape[1], CLASSES))
    return tuple(f"class {number}" for number in (vectors @ directions).argmax(axis=1))


def _ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - began)


class _Page:
    """Asks what the page asks."""

    def __init__(self, address: str) -> None:
        self._clients = [httpx.Client(base_url=address, timeout=60) for _ in range(AT_ONCE)]
        self.chunks = 0

    def neighbours(self, click: dict[str, float]) -> None:
        asked = {"like": [click], "k": 12}
        answer = self._clients[0].post("/api/atlases/a/find", json=asked).raise_for_status()
        assert len(answer.json()["hits"]) == 12

    def label(self, places: list[list[float]], labels: tuple[str, ...]) -> None:
        marked = [
            {"position_nm": dict(zip("xyz", place, strict=True)), "label": label}
            for place, label in zip(places, labels, strict=True)
        ]
        classes = [{"name": name, "colour": "#e69f00", "key": ""} for name in sorted(set(labels))]
        made = self._clients[0].put("/api/atlases/a/label-sets/bench", json={"classes": classes})
        made.raise_for_status()
        asked = {"set": "bench", "author": "bench", "labels": marked}
        self._clients[0].post("/api/atlases/a/labels", json=asked).raise_for_status()

    def train(self) -> None:
        self._clients[0].post("/api/atlases/a/probes", json={"set": "bench"}).raise_for_status()

    def similarity(self, click: dict[str, float]) -> dict[str, Any]:
        asked = {"like": [click]}
        answer = self._clients[0].post("/api/atlases/a/similarity", json=asked)
        layer: dict[str, Any] = answer.raise_for_status().json()["layer"]
        return layer

    def probabilities(self) -> list[dict[str, Any]]:
        layers = self._clients[0].get("/api/atlases/a/layers").raise_for_status().json()["layers"]
        return [layer for layer in layers if layer["label"]]

    def see(self, layer: dict[str, Any]) -> None:
        """Fetches what three planes through the middle show of a layer at its finest."""
        source = f"/{layer['source']}"
        scale = self._clients[0].get(f"{source}/info").raise_for_status().json()["scales"][0]
        names = [f"{source}/{scale['key']}/{name}" for name in _seen(scale)]
        self.chunks = len(names)

        def fetch(number: int) -> None:
            for name in names[number::AT_ONCE]:
                self._clients[number].get(name).raise_for_status()

        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(fetch, range(AT_ONCE)))


def _seen(scale: dict[str, Any]) -> list[str]:
    """Names of the chunks that three planes through the middle of a scale cut."""
    size, offset, (chunk,) = scale["size"], scale["voxel_offset"], scale["chunk_sizes"]
    middle = [n // 2 // c for n, c in zip(size, chunk, strict=True)]
    every = itertools.product(*(range(-(-n // c)) for n, c in zip(size, chunk, strict=True)))
    found = []
    for at in every:
        if any(a == m for a, m in zip(at, middle, strict=True)):
            axes = zip(at, chunk, size, offset, strict=True)
            found.append("_".join(f"{o + a * c}-{o + min((a + 1) * c, n)}" for a, c, n, o in axes))
    return found


def _clicks() -> dict[str, Any]:
    encoder = find_encoder(Path("pretrained"), lambda _near: voxel_size_of("P-LUC", DATA))
    found: TenClicks = ten_clicks(encoder, DATA)
    return rounded(
        {
            "ten_click_ap": float(np.mean(found.probe)),
            "ten_click_ap_control": float(np.mean(found.control)),
            "ten_click_sd": [float(np.std(found.probe)), float(np.std(found.control))],
        }
    )


if __name__ == "__main__":
    main()
