"""Atlases of given places in everything that serves atlases of a grid."""

import csv
import io

import httpx
import numpy as np
import pytest
from PIL import Image

import serve.clusters.project
from embed.errors import DataError, OutOfBoundsError, VolumeError
from serve.client import Client
from serve.clusters.project import project
from serve.clusters.projection import load_projection
from serve.clusters.umap_worker import Layout
from serve.contact_sheet import draw_sheet
from serve.index import build_index, open_index
from serve.labels import LabelTable, read_labels
from serve.locations import sample_locations, shard_locations
from serve.mapping.apply import apply_probe
from serve.probes import train_atlas_probe
from serve.search import Searcher
from serve.served import ServedAtlas
from serve.server import start_server
from tests.atlases import make_given_atlas

ANY = "127.0.0.1:0"


def plainly(vectors, config, tell):
    """A layout without UMAP, which compiles for half a minute."""
    return Layout(vectors[:, :2], np.zeros(len(vectors), np.int64))


@pytest.fixture(scope="module")
def searcher(given):
    return Searcher(given, open_index(given))


@pytest.fixture
def own(atlas, tmp_path):
    """Given places that a test may write beside."""
    return make_given_atlas(tmp_path / "own", atlas)


def with_data(atlas):
    """Ids and vectors of every location with data."""
    parts = [locations for _, locations in shard_locations(atlas)]
    return np.concatenate([p.ids for p in parts]), np.concatenate([p.vectors for p in parts])


def some_void(atlas):
    """Ids of the locations without data."""
    return np.setdiff1d(np.arange(atlas.grid.size), with_data(atlas)[0])


def labels_of(atlas, count=40):
    """Labels that the first number of an embedding decides."""
    ids, vectors = with_data(atlas)
    names = np.where(vectors[:count, 0] < 0, "axon", "mito")
    return LabelTable(atlas.positions_nm_xyz(ids[:count]), tuple(names.tolist()))


@pytest.mark.parametrize("separation", [0.0, 100.0, 150.0, 333.3])
def test_hits_are_those_of_brute_force_greedy_suppression(given, searcher, separation):
    ids, vectors = with_data(given)
    positions = given.positions_nm_xyz(ids)
    row = 77

    result = searcher.find_at(positions[row].tolist(), 12, separation)

    kept = []
    for best in np.argsort(-(vectors @ vectors[row]), kind="stable"):
        apart = np.linalg.norm(positions[[row, *kept]] - positions[best], axis=1).min()
        if best != row and apart >= separation and len(kept) < 12:
            kept.append(int(best))
    assert result.query_id == ids[row]
    assert [hit.id for hit in result.hits] == ids[kept].tolist()
    assert result.exact


def test_a_hit_tells_its_segment_and_what_names_it(given, searcher):
    result = searcher.find_at(given.positions_nm_xyz(np.array([100]))[0].tolist(), 30, 0)

    places = given.places
    for hit in result.hits:
        assert hit.source == places.sources[hit.id] >= 1000
        assert (hit.segment or 0) == places.segments[hit.id]
    assert {hit.segment for hit in result.hits} > {None, 2**62}


def test_a_hit_on_a_grid_has_neither(atlas, index):
    hit = Searcher(atlas, index).find_at(atlas.extent_nm_xyz[1], 1).hits[0]

    assert (hit.segment, hit.source) == (None, None)


def test_the_nearest_place_with_data_is_named_where_there_is_none(given, searcher):
    void = int(some_void(given)[0])
    place = given.positions_nm_xyz(np.array([void]))[0]

    with pytest.raises(DataError, match="the nearest place with data is ") as error:
        searcher.find_at(place.tolist())

    ids, _ = with_data(given)
    positions = given.positions_nm_xyz(ids)
    nearest = positions[np.argmin(np.linalg.norm(positions - place, axis=1))]
    assert f"data is ({', '.join(f'{v:g}' for v in nearest)}) nm" in str(error.value)


def test_a_position_near_no_place_is_refused_with_the_nearest(given, searcher):
    low, _ = given.extent_nm_xyz

    with pytest.raises(OutOfBoundsError, match=r"no location within 75 nm .* nm away, at \("):
        searcher.find_at((low[0] - 200, *low[1:]))


def test_a_sample_is_of_places_with_data_and_all_of_them_when_large(given):
    assert set(sample_locations(given, 10**6, 0).ids) == set(with_data(given)[0])
    assert 40 <= len(sample_locations(given, 50, 0).ids) <= 60


@pytest.mark.parametrize("factory", ["Flat", "IVF4,Flat", "IVF2,SQfp16"])
def test_given_places_are_indexed(own, factory):
    manifest = build_index(own, factory=factory)

    voids = len(some_void(own))
    assert (manifest.count, manifest.voids) == (200 - voids, voids)
    assert build_index(own) == manifest
    assert voids > 0


def test_a_probe_learns_from_the_nearest_places_and_its_map_is_a_table(own):
    probe = train_atlas_probe(own, labels_of(own), "mito")
    seen = []

    summary = apply_probe(own, probe, lambda done, total: seen.append((done, total)))

    rows = list(csv.DictReader(io.StringIO(summary.path.read_text())))
    places, ids = own.places, np.arange(200)
    assert summary.path == own.path / "maps" / "mito.csv"
    assert list(rows[0]) == [
        *("id", "source", "segment", "x_nm", "y_nm", "z_nm"),
        *("probability_axon", "probability_mito"),
    ]
    assert [int(row["id"]) for row in rows] == ids.tolist()
    assert [int(row["source"]) for row in rows] == places.sources.tolist()
    assert [int(row["segment"] or 0) for row in rows] == places.segments.tolist()
    found = [[float(row[f"{axis}_nm"]) for axis in "xyz"] for row in rows]
    np.testing.assert_allclose(found, own.positions_nm_xyz(ids), atol=6e-4)
    known, vectors = with_data(own)
    shares = [[float(rows[i][f"probability_{c}"]) for c in probe.classes] for i in known]
    np.testing.assert_allclose(shares, probe.probabilities(vectors), atol=6e-5)
    assert all(rows[i]["probability_mito"] == "" for i in some_void(own))
    assert summary.voids == len(some_void(own))
    assert sum(summary.locations.values()) == len(known)
    assert seen[-1] == (200, 200)
    assert [p.name for p in (own.path / "maps").iterdir()] == ["mito.csv"]


def test_ending_half_way_leaves_the_old_table_as_it_was(own):
    probe = train_atlas_probe(own, labels_of(own), "mito")
    before = apply_probe(own, probe).path.read_bytes()

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply_probe(own, probe, stop)

    assert {p.name: p.read_bytes() for p in (own.path / "maps").iterdir()} == {"mito.csv": before}


def test_labels_in_voids_or_near_no_place_are_refused_with_their_line(given, tmp_path):
    void = given.positions_nm_xyz(some_void(given)[:1])
    with_one = LabelTable(np.concatenate([labels_of(given).positions_nm_xyz, void]), ("a",) * 41)
    (low, *_), (*_, high) = given.extent_nm_xyz
    file = tmp_path / "labels.csv"
    file.write_text(f"x_nm,y_nm,z_nm,label\n{low},68,{high},mito\n")

    with pytest.raises(DataError, match="1 of 41 labels lie where there are no data"):
        train_atlas_probe(given, with_one, "mito")
    with pytest.raises(DataError, match=r"line 2.*(within 75 nm|outside atlas)"):
        read_labels(file, given)


def test_given_places_are_laid_out_as_a_map(own, monkeypatch):
    monkeypatch.setattr(serve.clusters.project, "lay_out", plainly)
    info = project(own, sample=60, neighbours=5)

    points = load_projection(own).points
    assert info.points == len(points.ids)
    assert 40 <= info.points <= 80
    np.testing.assert_allclose(points.positions_nm_xyz, own.positions_nm_xyz(points.ids))


def test_a_contact_sheet_shows_them(given, searcher):
    middle = searcher.find_at(given.positions_nm_xyz(np.array([100]))[0].tolist(), 3)

    sheet = Image.open(io.BytesIO(draw_sheet(given, {"one": middle}, "a title")))

    assert sheet.width > 500


@pytest.fixture(scope="module")
def server(given):
    served = ServedAtlas.open(given.path)
    with start_server({"places": served}, ANY, ANY) as running:
        yield running


def test_they_are_described_by_one_row_without_a_stride(given, server):
    low, high = given.extent_nm_xyz
    with Client(server.grpc_address) as client:
        summary = client.describe()

    assert summary == ServedAtlas.open(given.path).summary()
    assert (summary.locations, summary.stride_voxels) == ((200, 1, 1), (0, 0, 0))
    assert summary.locations_nm == (low, high)
    positions = given.positions_nm_xyz(np.arange(200))
    np.testing.assert_array_equal([low, high], [positions.min(axis=0), positions.max(axis=0)])


def test_segments_and_sources_travel_to_clients_as_they_are(given, searcher, server):
    place = given.positions_nm_xyz(np.array([100]))[0].tolist()
    with Client(server.grpc_address) as client:
        found = client.find_similar(position_nm_xyz=place, k=9)

    assert found == searcher.find_at(place, 9)
    assert max(hit.segment or 0 for hit in found.hits) >= 2**60
    np.testing.assert_allclose(found.query_vector, searcher.place_at(place).vector)


def test_the_page_has_everything_that_it_asks_for(given, server):
    place = dict(zip("xyz", given.positions_nm_xyz(np.array([100]))[0].tolist(), strict=True))
    with httpx.Client(base_url=f"http://{server.http_address}", timeout=30) as http:
        (described,) = http.get("/api/atlases").json()["atlases"]
        similar = http.get("/api/atlases/places/similar", params={**place, "k": 3}).json()
        thumb = http.get("/api/atlases/places/thumb.png", params=place)

    assert http.is_closed
    used = {"name", "first_location_nm", "last_location_nm", "volume_nm", "voxel_size_nm"}
    assert used | {"fov_voxels", "index", "attribution"} <= described.keys()
    assert described["stride_voxels"] == {"x": 0, "y": 0, "z": 0}
    assert len(similar["hits"]) == 3
    assert all(int(hit["source_id"]) >= 1000 for hit in similar["hits"])
    assert thumb.headers["content-type"] == "image/png"


def test_an_atlas_whose_volume_has_gone_still_knows_what_it_saw(given):
    class Gone(type(given)):
        @property
        def volume(self):
            raise VolumeError("gone")

    served = ServedAtlas(Gone.open(given.path), open_index(given))

    low, high = map(np.array, served.summary().volume_nm)
    first, last = map(np.array, given.extent_nm_xyz)
    np.testing.assert_allclose(first - low, (68, 68, 75), atol=16)
    np.testing.assert_allclose(high - last, (68, 68, 75), atol=16)
