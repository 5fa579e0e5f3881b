"""Tests of embed/grid_layout.py: where locations lie, what is kept of a volume, and refusals."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorstore as ts

from embed.dense import embed_cutout
from embed.errors import ConfigError, DataError, MismatchError, OutOfBoundsError
from embed.geometry import Box
from embed.inference import embed_shards
from embed.normaliser import measure
from embed.volume import open_volume
from tests.embed.eight_shards import lay_out

ROOT = Path(__file__).parents[2]


def test_the_licence_and_source_of_a_volume_are_kept(encoder, tmp_path):
    volume = open_volume(ROOT / "embed" / "sample" / "fib25.zarr")

    atlas = lay_out(encoder, volume, tmp_path / "a", box=Box.of_shape((9, 9, 9)), run="r")

    assert atlas.info.attribution["license"] == "CC BY 3.0"
    assert "Takemura" in atlas.info.attribution["source"]


def test_a_volume_that_starts_at_negative_voxels_has_the_right_places(
    encoder, tissue, tmp_path, backend
):
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": f"file://{tmp_path}/volume/",
        "multiscale_metadata": {"type": "image", "data_type": "uint8", "num_channels": 1},
        "scale_metadata": {
            "resolution": [10, 10, 10],
            "size": [24, 20, 18],
            "voxel_offset": [-100, 40, -7],
            "encoding": "raw",
            "chunk_size": [16, 16, 16],
        },
    }
    part = tissue[:18, :20, :24]
    ts.open(spec, create=True).result()[..., 0].write(part.T).result()
    volume = open_volume(f"precomputed://file://{tmp_path}/volume")

    atlas = lay_out(encoder, volume, tmp_path / "a", run="r")
    embed_shards(atlas)

    assert atlas.grid.start == (-7, 40, -100)
    first, second = atlas.positions_nm_xyz(np.array([0, 1]))
    np.testing.assert_allclose(first, [-965, 435, -35])
    np.testing.assert_allclose(second, [-945, 435, -35])
    assert atlas.ids_at(np.array([[-964.0, 436.0, -36.0]])).tolist() == [0]
    whole = embed_cutout(backend, part, measure(volume))
    np.testing.assert_allclose(atlas.store.read(atlas.store.cells), whole, atol=6e-4)


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"stride": (2, 3, 2)}, ConfigError, r"a multiple of the encoder's, \(2, 2, 2\) voxels"),
        ({"stride": (2, 2, 0)}, ConfigError, "a multiple of the encoder's"),
        ({"box": Box((0, 0, 0), (41, 48, 56))}, OutOfBoundsError, "leaves the volume, which is"),
        ({"box": Box((0, 0, 0), (6, 48, 56))}, OutOfBoundsError, r"at least \(7, 7, 7\) voxels"),
    ],
)
def test_what_cannot_be_laid_out_is_refused_and_nothing_is_written(
    encoder, tissue_volume, tmp_path, settings, kind, words
):
    with pytest.raises(kind, match=words):
        lay_out(encoder, tissue_volume, tmp_path / "a", run="r", **settings)

    assert not (tmp_path / "a").exists()


def test_a_volume_smaller_than_the_field_of_view_is_refused_by_name(
    encoder, tissue, write_volume, tmp_path
):
    volume = write_volume(tissue[:, :6])

    with pytest.raises(OutOfBoundsError, match=r"volume: a box of \(40, 6, 56\) voxels .ZYX. is"):
        lay_out(encoder, volume, tmp_path / "a", run="r")


def test_an_encoder_of_masked_fields_of_view_makes_no_dense_atlas(encoder, tissue_volume, tmp_path):
    masked = dataclasses.replace(encoder, masked=True)

    with pytest.raises(MismatchError, match="masked to one segment, and a dense run shows all"):
        lay_out(masked, tissue_volume, tmp_path / "a", run="r")

    assert not (tmp_path / "a").exists()


def test_another_voxel_size_is_refused_unless_it_is_wanted(encoder, tissue, write_volume, tmp_path):
    volume = write_volume(tissue, (20.0, 10.0, 10.0))

    with pytest.raises(MismatchError, match="voxels of 10 x 10 x 20 nm .*--any-voxel-size"):
        lay_out(encoder, volume, tmp_path / "a", run="r")
    atlas = lay_out(encoder, volume, tmp_path / "a", run="r", any_voxel_size=True)

    assert atlas.frame.voxel_size_nm == (20.0, 10.0, 10.0)


def test_a_volume_of_no_use_is_refused(encoder, write_volume, tmp_path):
    volume = write_volume(np.full((20, 20, 20), 5, np.uint8))

    with pytest.raises(DataError, match="volume is constant"):
        lay_out(encoder, volume, tmp_path / "a", run="r")
