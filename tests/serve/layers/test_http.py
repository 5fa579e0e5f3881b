"""Tests of the layers over a real HTTP port, read as other programs read them."""

import httpx
import numpy as np
import pytest
import tensorstore as ts

from serve.labels import LabelTable
from serve.mapping.apply import apply_probe
from serve.probes import load_probe, train_atlas_probe
from serve.server import start_server
from tests.served import INSIDE, make_served

HERE = dict(zip("xyz", INSIDE, strict=True))
API = "/api/atlases/small"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """With a probe of two classes, one of which is named to be awkward in an address."""
    made = make_served(tmp_path_factory.mktemp("served") / "small")
    ids = np.random.default_rng(0).choice(np.arange(1000, 2600), 60, replace=False)
    bright = made.atlas.embeddings(ids)[:, 0] > 0
    names = tuple(np.where(bright, "a/b c.%2", "other").tolist())
    train_atlas_probe(made.atlas, LabelTable(made.atlas.positions_nm_xyz(ids), names), "mito")
    return made


@pytest.fixture(scope="module")
def http(served):
    with start_server({"small": served}, "127.0.0.1:0", "127.0.0.1:0") as server:
        with httpx.Client(base_url=f"http://{server.http_address}", timeout=30) as http:
            yield http


@pytest.fixture(scope="module")
def layers(http):
    return {layer["id"]: layer for layer in http.get(f"{API}/layers").json()["layers"]}


def opened(http, layer, scale=0):
    """A layer as TensorStore reads it, [x, y, z]."""
    kvstore = f"{http.base_url}/{layer['source']}/"
    spec = {"driver": "neuroglancer_precomputed", "kvstore": kvstore, "scale_index": scale}
    return ts.open(spec, read=True).result()[ts.d["channel"][0]]


def voxels(http, layer, scale=0):
    """All of them, [z, y, x]."""
    return np.asarray(opened(http, layer, scale).read().result()).T


def of_probe(layers, label):
    return next(one for one in layers.values() if (one["probe"], one["label"]) == ("mito", label))


def unit_vectors(atlas):
    vectors = atlas.store.read(atlas.grid.cells)
    has_data = vectors.any(axis=-1)
    return vectors / (
        np.linalg.norm(vectors, axis=-1, keepdims=True) + ~has_data[..., None]
    ), has_data


def test_layers_are_listed_with_what_the_page_needs(layers):
    kinds = [(one["group"], one["type"], one["visible"]) for one in layers.values()]

    assert kinds == [
        ("volume", "image", True),
        ("probe", "segmentation", False),
        *[("probe", "image", False)] * 2,
    ]
    assert layers["volume"]["source"] == "pc/small/volume"
    assert [entry["name"] for entry in of_probe(layers, "")["legend"]] == ["a/b c.%2", "other"]
    assert "void main" in of_probe(layers, "other")["shader"]


def test_the_tissue_is_the_voxels_of_the_volume_at_their_place(http, layers, served):
    volume = served.atlas.volume

    read = opened(http, layers["volume"])

    np.testing.assert_array_equal(read.read().result().T, volume.read(volume.box))
    assert read.domain.inclusive_min == volume.box.start[::-1]
    assert [unit.multiplier for unit in read.dimension_units] == [8, 8, 30]


def test_a_coarser_tissue_is_the_mean_of_the_finer(http, layers):
    fine, coarse = (voxels(http, layers["volume"], scale) for scale in (0, 1))

    z, y, x = (2 * n for n in np.minimum(coarse.shape, np.array(fine.shape) // 2))
    factor = np.rint(np.divide(fine.shape, coarse.shape)).astype(int)
    assert factor.tolist() == [1, 2, 2]
    blocks = fine[: z // 2, :y, :x].reshape(z // 2, y // 2, 2, x // 2, 2).mean(axis=(2, 4))
    assert np.abs(blocks - coarse[: z // 2, : y // 2, : x // 2]).max() <= 0.5


def test_the_probability_of_a_class_is_that_of_its_probe_everywhere(http, layers, served):
    vectors, has_data = unit_vectors(served.atlas)
    probe = load_probe(served.atlas, "mito")

    shown = voxels(http, of_probe(layers, "other"))

    expected = probe.probabilities(vectors.reshape(-1, 16))[:, 1]
    expected = np.where(has_data, 255 * expected.reshape(has_data.shape), 0)
    assert np.abs(shown - expected).max() <= 0.51


def test_the_centre_of_every_cell_is_shown_where_its_location_is(http, layers, served):
    layer = of_probe(layers, "other")
    read = opened(http, layer)
    size = np.array([unit.multiplier for unit in read.dimension_units])
    matrix = np.array(layer["transform"]["matrix"])
    ids = np.array([0, 1, 500, served.atlas.grid.size - 1])

    corner = served.atlas.grid.cells_of(ids)[:, ::-1] + read.domain.inclusive_min
    shown_nm = (corner + 0.5 + matrix[:, 3]) * size

    np.testing.assert_allclose(shown_nm, served.atlas.positions_nm_xyz(ids))
    scales = [layer["transform"]["outputDimensions"][axis][0] for axis in "xyz"]
    np.testing.assert_allclose(scales, size * 1e-9)


def test_the_likeliest_class_is_a_segment_with_a_name(http, layers, served):
    layer = of_probe(layers, "")
    shown = voxels(http, layer)
    names = http.get(f"/{layer['source']}/segment_properties/info").json()["inline"]

    other = voxels(http, of_probe(layers, "other"))
    assert names["ids"] == ["1", "2"]
    assert names["properties"][0]["values"] == ["a/b c.%2", "other"]
    assert set(np.unique(shown)) == {0, 1, 2}
    assert ((shown == 2) == (other > 127))[other != 127].all()
    assert not shown[:4, :4, :4].any()  # a void


def test_similarity_is_told_from_1_to_255_and_a_place_is_most_like_itself(http, served):
    answer = http.post(f"{API}/similarity", json={"like": [HERE], "mode": None, "probe": None})

    shown = voxels(http, answer.json()["layer"])
    z, y, x = served.atlas.grid.cells_of(served.atlas.ids_at(np.array([INSIDE])))[0]
    vectors, has_data = unit_vectors(served.atlas)
    similar = np.where(has_data, vectors @ vectors[z, y, x], np.nan)
    found = np.where(shown > 0, -1 + (shown - 1.0) / 127, np.nan)
    assert (answer.json()["lowest"], answer.json()["highest"]) == (-1, 1)
    assert shown[z, y, x] == 255
    np.testing.assert_allclose(found, similar, atol=0.51 / 127)
    again = http.post(f"{API}/similarity", json={"like": [HERE]}).json()
    assert again["token"] == answer.json()["token"]


def test_a_class_of_a_probe_can_be_looked_for(http):
    asked = {"probe": "mito", "label": "other"}

    answer = http.post(f"{API}/similarity", json=asked).json()

    assert voxels(http, answer["layer"]).std() > 10


def test_a_chunk_that_has_not_changed_is_not_sent_again(http, layers):
    address = f"/{of_probe(layers, '')['source']}/0/"
    name = http.get(f"{address}none").json()["error"]
    info = http.get(f"/{of_probe(layers, '')['source']}/info").json()["scales"][0]
    ends = [(o, o + min(32, n)) for o, n in zip(info["voxel_offset"], info["size"], strict=True)]
    chunk = address + "_".join(f"{a}-{b}" for a, b in ends)

    first = http.get(chunk)
    again = http.get(chunk, headers={"if-none-match": first.headers["etag"]})

    assert "no chunk 'none'" in name
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert "private" in first.headers["cache-control"]


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/pc/nobody/volume/info", 404, "served: small"),
        ("/pc/small/nothing/info", 404, "no layer 'nothing'"),
        ("/pc/small/probe.mito/info", 404, "ask for its layers again"),
        ("/pc/small/probe.mito.0.0/info", 404, "ask for its layers again"),
        ("/pc/small/probe.axon.0.0/info", 404, "no probe 'axon'"),
        ("/pc/small/probe.Axon.0/info", 400, "1 to 64 of a-z"),
        ("/pc/small/similarity.ffff/info", 404, "ask for it again"),
        ("/pc/small/volume/segment_properties/info", 404, "no names"),
        ("/pc/small/volume/9/0-16_0-16_0-16", 404, "no scale '9'"),
        ("/pc/small/volume/0/0-16_0-16_0-16", 404, "chunks of 64 x 64 x 64"),
        ("/pc/small/segmentation/info", 404, "no layer"),
    ],
)
def test_what_is_not_there_is_said(http, path, status, words):
    answer = http.get(path)

    assert (answer.status_code, words in answer.json()["error"]) == (status, True)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "say what to look for"),
        ({"like": [{"x": 1, "y": 2}]}, "z: field required"),
        ({"like": [HERE], "volume": "file:///etc"}, "volume: extra inputs"),
        ({"like": [HERE], "mode": "linear"}, "give at least one to be unlike"),
        ({"like": [{**HERE, "x": 1e9}]}, "outside atlas"),
        ({"probe": "../x"}, "1 to 64 of a-z"),
        ({"like": [HERE] * 1001}, "at most 1000"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_rule(http, body, words):
    answer = http.post(f"{API}/similarity", json=body)

    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_a_map_that_was_applied_is_summarised_by_class(http, served):
    none = http.get(f"{API}/maps/summary", params={"probe": "mito"})
    made = apply_probe(served.atlas, load_probe(served.atlas, "mito"))
    answer = http.get(f"{API}/maps/summary", params={"probe": "mito"}).json()

    assert (none.status_code, "voxkin probe apply" in none.json()["error"]) == (404, True)
    assert {one["name"]: one["locations"] for one in answer["classes"]} == made.locations
    assert answer["classes"][0]["share"]["low"] is None  # too small for an interval
    segments = http.get(f"{API}/maps/summary", params={"probe": "mito", "per": "segment"})
    assert (segments.status_code, "segmentation" in segments.json()["error"]) == (409, True)
