"""Tests of making a map and reading it: its table and picture, and what lays it out."""

import dataclasses
import io
import json
import shutil
import sys
from multiprocessing import active_children

import numpy as np
import pytest
from PIL import Image

from embed.atlas import Atlas
from embed.errors import (
    ConfigError,
    DataError,
    IncompleteError,
    MismatchError,
    MissingExtraError,
    NotFoundError,
)
from serve.clusters.picture import COLOURS, Caption, draw_points
from serve.clusters.project import project
from serve.clusters.projection import load_projection
from serve.clusters.table import COLUMNS, Points, read_points, write_points
from serve.clusters.umap_worker import MapConfig, lay_out
from tests.atlases import make_atlas
from tests.laid_out import three_kinds


@pytest.fixture(scope="module")
def projected(tmp_path_factory):
    """An atlas and its projection: UMAP compiles for half a minute, so only once."""
    atlas = make_atlas(tmp_path_factory.mktemp("p") / "three", vectors=three_kinds()[0])
    told = []
    info = project(atlas, sample=250, epochs=60, tell=lambda *news: told.append(news))
    return atlas, info, told


@pytest.fixture
def points():
    """A few points of every kind: clustered, of a small cluster and of none."""
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(-1, 15), 7)
    xy = rng.normal(size=(len(clusters), 2)).astype(np.float32)
    positions = rng.uniform(-1e6, 1e6, (len(clusters), 3))
    return Points(np.arange(len(clusters)) * 10**9, positions, xy, clusters)


@pytest.mark.slow
def test_places_that_look_alike_lie_together_and_are_one_cluster(projected):
    atlas, info, _ = projected

    points = load_projection(atlas).points

    kinds = three_kinds()[1][atlas.grid.cells_of(points.ids)[:, 2]]
    centres = np.array([points.xy[kinds == kind].mean(axis=0) for kind in range(3)])
    nearest = np.linalg.norm(points.xy[:, None] - centres, axis=2).argmin(axis=1)
    named = points.clusters >= 0
    pairs = set(zip(kinds[named].tolist(), points.clusters[named].tolist(), strict=True))
    assert (nearest == kinds).mean() > 0.98
    assert len(pairs) == info.clusters == 3
    assert info.unclustered == (~named).sum() < 30


@pytest.mark.slow
def test_the_points_are_places_with_data_and_their_positions(projected):
    atlas, info, _ = projected

    points = load_projection(atlas).points

    assert 230 <= info.points == len(points.ids) <= 270
    assert atlas.embeddings(points.ids).any(axis=1).all()
    np.testing.assert_allclose(points.positions_nm_xyz, atlas.positions_nm_xyz(points.ids))


@pytest.mark.slow
def test_a_table_a_picture_and_where_they_come_from_lie_beside_the_atlas(projected):
    atlas, info, _ = projected

    directory = atlas.path / "projection"
    names = sorted(path.name for path in directory.iterdir())
    value = json.loads((directory / "projection.json").read_text())
    header, *rows = (directory / "umap.csv").read_text().splitlines()
    with Image.open(directory / "umap.png") as picture:
        size = picture.size

    montages = sorted(path.name for path in (directory / "clusters").iterdir())
    assert names == ["clusters", "names.json", "projection.json", "umap.csv", "umap.png"]
    assert montages == ["0.png", "1.png", "2.png"]
    assert size == (1500, 1125)
    assert header == ",".join(COLUMNS)
    assert len(rows) == info.points
    assert value["atlas"] == atlas.info.fingerprint
    assert value["config"] == {"neighbours": 15, "min_dist": 0.1, "epochs": 60, "seed": 0}


@pytest.mark.slow
def test_what_goes_on_is_told_and_its_epochs_are_counted(projected):
    _, _, told = projected

    stages = list(dict.fromkeys(what for what, _, _ in told))
    epochs = [(done, total) for what, done, total in told if what == "laying out"]
    assert stages == [
        "taking a sample",
        "starting UMAP",
        "compiling, and finding neighbours",
        "compiling the layout",
        "laying out",
        "finding clusters",
        "drawing clusters",
        "drawing the map",
    ]
    assert epochs[-1] == (60, 60)
    assert epochs == sorted(epochs)


def _once_started(action):
    def tell(what, done, total):
        action()

    lay_out(three_kinds()[0].reshape(-1, 8).astype(np.float32), MapConfig(5, 0.1, 5, 0), tell)


def test_what_ends_the_job_ends_the_process_that_lays_out():
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _once_started(stop)

    assert not [child for child in active_children() if child.name == "umap"]


def test_a_process_that_was_killed_is_said_with_what_to_try():
    def kill():
        for child in active_children():
            if child.name == "umap":
                child.kill()

    with pytest.raises(IncompleteError, match="of 512 points was killed.*smaller --sample"):
        _once_started(kill)


@pytest.mark.slow
def test_the_projection_of_other_embeddings_and_a_damaged_one_are_refused(projected, tmp_path):
    atlas, _, _ = projected
    other = make_atlas(tmp_path / "b", (5, 5, 5))
    shutil.copytree(atlas.path / "projection", other.path / "projection")
    broken = tmp_path / "c"
    shutil.copytree(atlas.path, broken)
    table = broken / "projection" / "umap.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-10]))

    with pytest.raises(MismatchError, match="other embeddings"):
        load_projection(other)
    with pytest.raises(DataError, match=r"umap.csv has \d+ of \d+ points; make one with"):
        load_projection(Atlas.open(broken))


def test_no_projection_is_said_with_the_command_that_makes_one(atlas):
    with pytest.raises(NotFoundError, match=f"voxkin project {atlas.path}"):
        load_projection(atlas)


def test_a_damaged_description_is_refused(tmp_path):
    atlas = make_atlas(tmp_path / "a", (5, 5, 5))
    (atlas.path / "projection").mkdir()
    (atlas.path / "projection" / "projection.json").write_text('{"atlas": 3}')

    with pytest.raises(DataError, match="is damaged"):
        load_projection(atlas)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"sample": 0}, "at least 1; got 0"),
        ({"neighbours": 1}, "2 to 200; got 1"),
        ({"min_dist": 1.5}, "0 to 1; got 1.5"),
        ({"epochs": 0}, "at least 1; got 0"),
    ],
)
def test_a_setting_out_of_its_range_is_refused(atlas, setting, words):
    with pytest.raises(ConfigError, match=words):
        project(atlas, **setting)


def test_too_few_places_are_refused_with_what_would_work(tmp_path):
    vectors = np.zeros((4, 4, 4, 4))
    vectors[0, 0, :, 0] = vectors[1, 1, :, 0] = 1
    atlas = make_atlas(tmp_path / "a", vectors=vectors)

    with pytest.raises(DataError, match=r"needs 17 places .* has 8: lower --neighbours to 6"):
        project(atlas)

    assert not (atlas.path / "projection").exists()


def test_an_unfinished_atlas_is_refused(tmp_path):
    atlas = make_atlas(tmp_path / "a")
    atlas.ledger.forget((0, 0, 0))

    with pytest.raises(IncompleteError, match="7 of 8 shards"):
        project(atlas)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_reads_back_to_the_last_bit(tmp_path, points, kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"umap.{kind}"

    write_points(path, points, kind)

    found = read_points(path)
    for field in dataclasses.fields(Points):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(points, field.name))
        assert getattr(found, field.name).dtype == getattr(points, field.name).dtype


@pytest.mark.parametrize("content", ["", "id,x_nm\n1,2\n", ",".join(COLUMNS) + "\n1,2,3,four\n"])
def test_a_table_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "umap.csv").write_text(content)

    with pytest.raises(DataError, match="run `voxkin project` again"):
        read_points(tmp_path / "umap.csv")


def test_parquet_without_pyarrow_is_refused_before_anything_is_computed(atlas, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(MissingExtraError, match=r"voxkin\[parquet\]"):
        project(atlas, format="parquet")


def test_the_picture_shows_every_cluster_in_a_colour_of_its_own(points):
    picture = Image.open(io.BytesIO(draw_points(points, Caption("title", "note")))).convert("RGB")

    colours = {colour for _, colour in picture.getcolors(maxcolors=10**6)}
    wanted = [tuple(bytes.fromhex(colour[1:])) for colour in COLOURS]
    near = [min(max(abs(np.subtract(c, w))) for c in colours) for w in wanted]
    assert max(near) < 48  # dots are a little transparent
