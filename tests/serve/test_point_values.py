"""Tests of serve/point_values.py: numbers to colour the points of a map by."""

import httpx
import numpy as np
import pytest

from serve.clusters.clusters import Clusters
from serve.point_values import intensity_of
from serve.server import start_server
from tests.projections import write_projection
from tests.served import INSIDE, make_served

HERE = dict(zip("xyz", INSIDE, strict=True))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    made = make_served(tmp_path_factory.mktemp("served") / "small")
    write_projection(made.atlas)
    return made


@pytest.fixture(scope="module")
def http(served):
    with start_server({"small": served}, "127.0.0.1:0", "127.0.0.1:0") as server:
        base = f"http://{server.http_address}/api/atlases/small/"
        with httpx.Client(base_url=base, timeout=30) as http:
            yield http


def test_similarity_is_the_cosine_to_the_place(http, served):
    answer = http.post("projection/values", json={"kind": "similarity", "like": [HERE]})

    points = served.clusters.points()
    vectors = served.atlas.embeddings(points.ids)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    here = served.atlas.embeddings(served.atlas.ids_at(np.array([INSIDE])))[0]
    np.testing.assert_allclose(answer.json()["values"], vectors @ here, atol=2e-3)


def test_intensity_is_the_mean_of_the_voxels_around_the_centre(served):
    atlas, points = served.atlas, served.clusters.points()
    found = intensity_of(atlas, Clusters(atlas))

    z, y, x = np.floor(atlas.frame.to_voxel(points.positions_nm_xyz[7])).astype(int)
    around = atlas.volume.store[z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2].read().result()
    assert found.shape == points.ids.shape
    assert found[7] == pytest.approx(np.mean(around))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "kind: field required"),
        ({"kind": "beauty"}, "kind: input should be 'similarity'"),
        ({"kind": "similarity"}, "say what to look for"),
    ],
)
def test_bad_wishes_are_refused_with_the_rule(http, body, words):
    answer = http.post("projection/values", json=body)

    assert answer.status_code == 400
    assert words in answer.json()["error"]
