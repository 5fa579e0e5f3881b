"""What dense inference asks of a server: no chunk twice, as far as there is room to keep it."""

import collections
import functools
import http.server
import threading

import numpy as np
import pytest

from embed.dense import embed_grid
from embed.grid_layout import create_atlas
from embed.inference import embed_shards
from embed.layout import Wanted
from embed.volume import open_volume, open_volume_source

CHUNK = 16**3
LAYERS = 22 * CHUNK
"""Room for two layers of 3 x 3 chunks, between which a shard may lie, of the four in all."""


class Server(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and counts what is asked for."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *args, asked, **settings):
        self.asked = asked
        super().__init__(*args, **settings)

    def do_GET(self):
        self.asked[self.path] += 1
        super().do_GET()

    def log_message(self, *_words):
        pass


@pytest.fixture
def served(tmp_path, tissue_volume):
    """The tissue in 4 x 4 x 4 chunks, and how often each was asked for."""
    asked = collections.Counter()
    folder = tissue_volume.source.spec["kvstore"]["path"].rstrip("/")
    handler = functools.partial(Server, asked=asked, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", asked
        server.shutdown()
        thread.join()


def chunks(asked):
    """How often each chunk was asked for; the rest is metadata."""
    return {path: count for path, count in asked.items() if path.startswith("/c/")}


def embedded(encoder, served, path, cache_bytes):
    """An atlas made through a cache of that size of its own, and what was fetched for it."""
    url, asked = served
    volume = open_volume(url, axes="zyx", voxel_size_nm=(10.0, 10.0, 10.0))
    atlas = create_atlas(encoder, volume, path, Wanted(shard=(4, 4, 4)), run="r")
    # Another cache than the one through which the grey values were measured.
    atlas.__dict__["volume"] = open_volume_source(atlas.info.volume, cache_bytes)
    asked.clear()
    assert embed_shards(atlas) == []
    return atlas, chunks(asked)


def test_no_chunk_is_fetched_twice_where_the_cache_holds_those_of_a_layer(
    encoder, backend, served, tmp_path, tissue_volume
):
    atlas, fetched = embedded(encoder, served, tmp_path / "a", LAYERS)

    assert len(atlas.shards) == 210, "several for each chunk"
    touched = atlas.grid.voxels(atlas.grid.cells).snapped_out((16, 16, 16)).size / CHUNK
    assert len(fetched) == touched
    assert set(fetched.values()) == {1}
    _, expected = embed_grid(backend, tissue_volume)
    np.testing.assert_allclose(atlas.store.read(atlas.store.cells), expected, atol=6e-4)


@pytest.mark.long  # shows that the test above can fail
def test_with_room_for_few_chunks_some_are_fetched_again(encoder, served, tmp_path):
    _, fetched = embedded(encoder, served, tmp_path / "a", 4 * CHUNK)

    assert max(fetched.values()) > 1


def test_what_was_read_to_measure_grey_values_is_fetched_at_most_once_more(
    encoder, served, tmp_path
):
    url, asked = served
    volume = open_volume(url, axes="zyx", voxel_size_nm=(10.0, 10.0, 10.0))

    atlas = create_atlas(encoder, volume, tmp_path / "a", Wanted(shard=(8, 8, 8)), run="r")
    embed_shards(atlas)

    assert max(chunks(asked).values()) <= 2
