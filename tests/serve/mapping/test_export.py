"""Tests of serve/mapping/export.py, grids.py and writers.py: read back by other readers."""

import json

import numpy as np
import pytest
import tensorstore as ts

from embed.errors import ConfigError
from embed.geometry import Box
from embed.volume import open_volume
from serve.labels import LabelTable
from serve.mapping import export
from serve.mapping.apply import apply_probe
from serve.mapping.export import export_map
from serve.mapping.grids import CellGrid, VoxelGrid
from serve.probes import train_atlas_probe
from tests.atlases import make_atlas
from tests.serve.mapping.maps import FixedMap


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    return make_atlas(tmp_path_factory.mktemp("exported") / "a")


@pytest.fixture(scope="module")
def probe(mapped):
    """Of two classes, and applied."""
    ids = np.random.default_rng(0).choice(np.arange(1000, mapped.grid.size), 60, replace=False)
    names = tuple(np.where(mapped.embeddings(ids)[:, 0] > 0, "mito", "axon").tolist())
    trained = train_atlas_probe(mapped, LabelTable(mapped.positions_nm_xyz(ids), names), "mito")
    apply_probe(mapped, trained)
    return trained


@pytest.fixture(scope="module")
def cells(mapped, probe):
    """The map as it was applied, [z, y, x, class]."""
    path = mapped.path / "maps" / "mito.zarr"
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}}
    return ts.open(spec).result().read().result()


def precomputed(path):
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "file", "path": f"{path}/"},
    }
    return ts.open(spec, read=True).result()


def test_precomputed_holds_the_probabilities_and_the_likeliest_class(mapped, probe, cells):
    path = export_map(mapped, probe, "precomputed", smooth=False)

    levels, classes = (precomputed(path / name) for name in ("probabilities", "likeliest"))
    np.testing.assert_array_equal(levels.read().result().transpose(2, 1, 0, 3), cells)
    likeliest = np.where(cells.any(axis=-1), 1 + cells.argmax(axis=-1), 0)
    np.testing.assert_array_equal(classes.read().result()[..., 0].T, likeliest)
    names = json.loads((path / "likeliest/segment_properties/info").read_text())["inline"]
    assert names["properties"][0]["values"] == ["axon", "mito"]
    assert json.loads((path / "likeliest/info").read_text())["segment_properties"]


def test_a_state_says_what_precomputed_cannot_where_the_map_lies(mapped, probe):
    path = export_map(mapped, probe, "precomputed", smooth=False)

    layers = json.loads((path / "neuroglancer.json").read_text())["layers"]
    matrix = np.array(layers[0]["source"]["transform"]["matrix"])
    offset = precomputed(path / "likeliest").domain.inclusive_min[:3]
    first = (np.array(offset) + 0.5 + matrix[:, 3]) * (32, 32, 60)
    np.testing.assert_allclose(first, mapped.positions_nm_xyz(np.array([0]))[0])
    assert "getDataValue(1)" in layers[2]["shader"]


def test_ome_zarr_lies_where_the_locations_do(mapped, probe, cells):
    path = export_map(mapped, probe, "ome-zarr", smooth=False)

    mito, labels = open_volume(path, channel=1), open_volume(path / "labels" / "likeliest")
    np.testing.assert_array_equal(mito.read(mito.box), cells[..., 1])
    assert mito.frame == labels.frame
    first = mito.frame.to_nm_xyz(np.array([0.5, 0.5, 0.5]))
    np.testing.assert_allclose(first, mapped.positions_nm_xyz(np.array([0]))[0])
    group = json.loads((path / "labels/likeliest/zarr.json").read_text())["attributes"]["ome"]
    assert [one["class"] for one in group["image-label"]["properties"]] == ["axon", "mito"]


def test_a_smooth_map_is_on_the_voxels_of_the_volume(mapped, probe):
    path = export_map(mapped, probe, "precomputed", smooth=True)

    levels = precomputed(path / "probabilities")
    assert [unit.multiplier for unit in levels.dimension_units[:3]] == [8, 8, 30]
    inside = Box(levels.domain.inclusive_min[2::-1], levels.domain.exclusive_max[2::-1])
    assert mapped.volume.box.contains(inside)
    state = json.loads((path / "neuroglancer.json").read_text())
    assert "transform" not in state["layers"][0]["source"]


def test_between_locations_probabilities_are_interpolated_linearly(mapped):
    ramp = np.linspace(0.2, 0.8, mapped.grid.shape[2])
    values = np.broadcast_to(ramp[:, None], (*mapped.grid.shape, 1))

    grid = VoxelGrid(mapped, FixedMap(values, ("mito",)))
    levels = grid.read(Box((0, 0, 0), grid.shape))

    nm = grid.frame.to_nm_xyz(np.array([[0.5, 0.5, x + 0.5] for x in range(grid.shape[2])]))
    centres = mapped.positions_nm_xyz(np.arange(mapped.grid.shape[2]))
    expected = 255 * np.interp(nm[:, 0], centres[:, 0], ramp)
    assert np.abs(levels[3, 5, :, 0] - expected).max() <= 0.51
    assert (levels == levels[0, 0]).all()


def test_a_block_of_a_smooth_map_is_that_of_the_whole_and_voids_stay(mapped):
    values = np.random.default_rng(0).random((*mapped.grid.shape, 2)) + 0.01
    values[2:5, 3:6, 3:6] = 0
    grid = VoxelGrid(mapped, FixedMap(values / 1.02, ("axon", "mito")))

    whole = grid.read(Box((0, 0, 0), grid.shape))

    box = Box((3, 5, 7), (9, 40, 41))
    np.testing.assert_array_equal(grid.read(box), whole[box.slices])
    # Voxels in a void cell, 2 x 4 x 4 of them, have no data, and all others do.
    void = np.zeros(grid.shape, bool)
    void[4:10, 12:24, 12:24] = True
    np.testing.assert_array_equal(~whole.any(axis=-1), void)


def test_cells_are_the_map_itself(mapped, cells):
    grid = CellGrid(mapped, FixedMap(cells / 255, ("axon", "mito")))

    np.testing.assert_array_equal(grid.read(mapped.grid.cells), cells)


@pytest.mark.parametrize("format", ["precomputed", "ome-zarr"])
def test_a_run_that_was_stopped_is_gone_on_with(mapped, probe, format, monkeypatch):
    expected = export_map(mapped, probe, format, smooth=True)
    before = {file: file.read_bytes() for file in expected.rglob("*") if file.is_file()}
    (expected / "voxkin.json").unlink()  # so that it is made anew
    monkeypatch.setattr(export, "_BLOCK", (64, 64, 64))
    seen = []

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_map(mapped, probe, format, smooth=True, progress=stop)
    made = []
    monkeypatch.setattr(
        export, "likeliest", lambda levels, known=export.likeliest: made.append(1) or known(levels)
    )
    export_map(mapped, probe, format, smooth=True, progress=lambda done, total: seen.append(done))

    assert len(made) == len(seen) - 1
    assert {file: file.read_bytes() for file in before} == before


def test_given_places_have_no_other_format(given, probe):
    with pytest.raises(ConfigError, match="a table"):
        export_map(given, probe, "ome-zarr", smooth=False)
