"""Tests of embed/ingestion/hdf5.py, on real files."""

import h5py
import numpy as np
import pytest

from embed.errors import VolumeError
from embed.geometry import Frame
from embed.ingestion.ingest import ingest
from embed.volume import open_volume
from tests.embed.ingestion.conftest import SIZE, VOXELS


def test_the_only_volume_in_an_hdf5_file_is_found_with_its_voxel_size(tmp_path, out):
    with h5py.File(tmp_path / "s.h5", "w") as file:
        data = file.create_dataset("volumes/raw", data=VOXELS, chunks=True, compression="gzip")
        data.attrs["element_size_um"] = [0.04, 0.005, 0.004]
        file.create_dataset("table", data=np.zeros(7))

    report = ingest(str(tmp_path / "s.h5"), out)

    volume = open_volume(out)
    assert volume.frame == Frame((40.0, 5.0, 4.0))
    np.testing.assert_array_equal(volume.read(volume.box), VOXELS)
    assert report["voxel_size_stated_by"] == "element_size_um"


def test_of_several_hdf5_data_sets_one_must_be_named(tmp_path, out):
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["raw"] = VOXELS
        file["labels"] = VOXELS.astype(np.uint64)

    for dataset in (None, "nothing"):
        with pytest.raises(VolumeError, match=r"--dataset: /labels \(5, 70, 90\) uint64; /raw"):
            ingest(str(tmp_path / "s.h5"), out, voxel_size_nm=SIZE, dataset=dataset)

    ingest(str(tmp_path / "s.h5"), out, voxel_size_nm=SIZE, dataset="labels")
    assert open_volume(out).dtype == np.uint64


@pytest.mark.parametrize("labels", [None, "xyz"])
def test_hdf5_dimensions_are_turned_by_their_labels(tmp_path, out, labels):
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["raw"] = VOXELS if labels is None else VOXELS.transpose()
        for dim, label in zip(file["raw"].dims, labels or "", strict=False):
            dim.label = label

    ingest(str(tmp_path / "s.h5"), out, voxel_size_nm=SIZE)

    volume = open_volume(out)
    np.testing.assert_array_equal(volume.read(volume.box), VOXELS)


def test_single_entries_of_other_dimensions_are_dropped_in_hdf5(tmp_path, out):
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["raw"] = VOXELS[None, ..., None]

    ingest(str(tmp_path / "s.h5"), out, voxel_size_nm=SIZE)

    volume = open_volume(out)
    np.testing.assert_array_equal(volume.read(volume.box), VOXELS)
