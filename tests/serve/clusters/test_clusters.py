"""Tests of serve/clusters/clusters.py: names, suggestions, pictures and places."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from embed.atlas import Atlas
from embed.errors import DataError, NotFoundError, RequestError, VolumeError
from serve.clusters.clusters import Clusters
from serve.clusters.montage import core
from serve.clusters.names import carried_over
from serve.clusters.project import project
from serve.clusters.projection import load_projection, montage_path, projection_path
from serve.clusters.suggestions import by_labels, surest
from serve.labelling.label import Place
from serve.labelling.store import LabelStore
from serve.labels import LabelTable
from serve.probes import train_atlas_probe
from tests.laid_out import make_mapped


def _places(atlas, cluster, count):
    points = load_projection(atlas).points
    return points.positions_nm_xyz[points.clusters == cluster][:count]


def test_clusters_are_listed_with_their_sizes(mapped):
    points = load_projection(mapped).points

    listed = Clusters(mapped).listed()

    assert [one.number for one in listed] == [0, 1, 2]
    assert [one.name for one in listed] == ["cluster 0", "cluster 1", "cluster 2"]
    assert [one.size for one in listed] == np.bincount(points.clusters).tolist()
    assert {one.suggestion for one in listed} == {None}


def test_a_name_is_kept_and_can_be_taken_back(own):
    named = Clusters(own).name(1, "  mitochondria ")

    assert named.name == "mitochondria"
    assert [one.name for one in Clusters(own).listed()] == [
        "cluster 0",
        "mitochondria",
        "cluster 2",
    ]

    assert Clusters(own).name(1, "").name == "cluster 1"
    assert json.loads((projection_path(own) / "names.json").read_text()) == {}


@pytest.mark.parametrize("name", ["x" * 101, "two\nlines", "=1+1"])
def test_what_is_no_name_is_refused(own, name):
    with pytest.raises(RequestError, match="the name of a cluster"):
        Clusters(own).name(0, name)

    assert Clusters(own).listed()[0].name == "cluster 0"


@pytest.mark.parametrize("number", [3, -1, 10**9])
def test_a_cluster_that_is_none_is_refused_with_those_there_are(own, number):
    clusters = Clusters(own)

    for call in (lambda: clusters.name(number, "a"), lambda: clusters.montage(number)):
        with pytest.raises(NotFoundError, match=f"no cluster {number} .* they are 0 to 2"):
            call()


def test_damaged_names_are_said(own):
    (projection_path(own) / "names.json").write_text("[1]")

    with pytest.raises(DataError, match=r"names.json is damaged"):
        Clusters(own).listed()


def test_a_name_goes_over_to_the_same_cluster_of_a_new_map(own, again):
    clusters = Clusters(own)
    clusters.name(2, "synapses")
    before = load_projection(own).points

    again(own)

    after = load_projection(own).points
    assert before.ids.tolist() != after.ids.tolist()
    assert [one.name for one in clusters.listed()] == ["cluster 0", "cluster 1", "synapses"]
    assert sum(one.size for one in clusters.listed()) == len(after.ids)


def test_a_name_goes_over_only_to_what_is_the_same_in_the_main():
    before = np.repeat([0, 1, 2], 10)
    split = np.repeat([0, 3, 1, 4], [5, 5, 10, 10])
    joined = np.zeros(30, int)

    names = {0: "halved", 1: "kept", 7: "gone"}

    assert carried_over(names, before, split) == {1: "kept"}
    assert carried_over(names, before, joined) == {}


def test_labels_suggest_a_name(own):
    places = [*_places(own, 0, 6), *_places(own, 1, 3)]
    labels = ["mito"] * 5 + ["axon"] + ["axon"] * 3
    LabelStore.open(own).add(
        "structures",
        "ada",
        [Place(tuple(p.tolist()), label) for p, label in zip(places, labels, strict=True)],
        "test",
        new_classes=True,
    )

    listed = Clusters(own).listed()

    assert listed[0].suggestion.text == "mito (83 %)"
    assert listed[0].suggestion.source == "labels structures"
    assert listed[0].name == "cluster 0"
    assert listed[1].suggestion is None  # three labels say too little


def test_a_probe_suggests_names(own):
    clusters = Clusters(own)
    assert {one.suggestion for one in clusters.listed()} == {None}
    places = np.concatenate([_places(own, cluster, 12) for cluster in range(3)])
    labels = ("mito",) * 12 + ("axon",) * 24

    train_atlas_probe(own, LabelTable(places, labels), "parts")

    suggested = [one.suggestion for one in clusters.listed()]
    assert [one.label for one in suggested] == ["mito", "axon", "axon"]
    assert {one.source for one in suggested} == {"probe parts"}
    assert min(one.share for one in suggested) > 0.9


def test_the_surest_of_suggestions_is_taken():
    a = by_labels("a", ["x"] * 6, np.zeros(6, int))
    b = by_labels("b", ["y"] * 4 + ["z"] * 2, np.zeros(6, int))

    assert surest([b, a])[0].label == surest([a, b])[0].label == "x"
    assert by_labels("none", ["x", "y"] * 3, np.zeros(6, int)) == {}


def test_the_picture_of_a_cluster_shows_its_places_in_three_planes(mapped):
    picture = Image.open(io.BytesIO(Clusters(mapped).montage(0))).convert("RGB")

    frames = np.all(np.abs(np.asarray(picture, int) - (234, 88, 12)) < 40, axis=-1)
    assert picture.width > 600
    assert frames.sum() > 1000
    assert np.asarray(picture).std() > 20


def test_a_picture_that_was_not_drawn_is_drawn_when_it_is_asked_for(own):
    stored = montage_path(projection_path(own), 1).read_bytes()
    montage_path(projection_path(own), 1).unlink()

    assert Clusters(own).montage(1) == stored


def test_without_the_volume_a_map_is_made_without_pictures(tmp_path, monkeypatch):
    made = make_mapped(tmp_path / "a", monkeypatch)
    shutil.rmtree(tmp_path / "a-volume.zarr")
    atlas = Atlas.open(made.path)

    info = project(atlas, sample=250)

    assert (info.clusters, info.montages) == (3, 0)
    with pytest.raises(VolumeError):
        Clusters(atlas).montage(0)


def test_typical_places_come_first_and_lie_apart():
    vectors = np.array([[1, 0.0], [1, 0.1], [1, -0.1], [0, 1], [1, 0.05]], np.float32)
    positions = np.array([[0, 0, 0], [5, 0, 0], [50, 0, 0], [90, 0, 0], [70, 0, 0]], float)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    # The mean lies towards the fourth; the second is near the first, but more typical.
    assert core(positions, units, 10, 9).tolist() == [1, 4, 2, 3]
    assert core(positions, units, 0, 2).tolist() == [1, 4]


def test_a_place_is_found_on_the_map(mapped):
    points = load_projection(mapped).points

    placed = Clusters(mapped).place_at(tuple(points.positions_nm_xyz[5].tolist()))

    assert placed.cluster == points.clusters[5]
    np.testing.assert_allclose((placed.x, placed.y), points.xy[5], atol=0.05)


def test_a_place_without_data_is_on_no_map(mapped):
    last = mapped.extent_nm_xyz[1]

    with pytest.raises(DataError, match="has no data"):
        Clusters(mapped).place_at(last)


def test_a_map_that_was_made_again_is_noticed(own, again):
    clusters = Clusters(own)
    before, version = clusters.points(), clusters.version

    again(own, sample=120)

    assert len(clusters.points().ids) < len(before.ids)
    assert clusters.version != version
    assert len(clusters.vectors) == len(clusters.points().ids)
