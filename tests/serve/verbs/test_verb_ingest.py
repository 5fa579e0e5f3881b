"""Tests of `voxkin ingest`; what it converts, and how well, is tested with the library."""

from pathlib import Path

import numpy as np
import pytest

from tests.commandline import files

SIZE = ("--voxel-size", "8,8,30")


@pytest.fixture
def stack(tissue: np.ndarray, tmp_path: Path) -> Path:
    """A folder of TIFF sections."""
    tifffile = pytest.importorskip("tifffile")
    folder = tmp_path / "stack"
    folder.mkdir()
    for z, section in enumerate(tissue):
        tifffile.imwrite(folder / f"{z}.tif", section)
    return folder


def test_a_folder_of_sections_becomes_a_volume(voxkin, stack, tmp_path):
    out = tmp_path / "em.ome.zarr"

    ended = voxkin("ingest", stack, *SIZE, "--out", out)

    assert ended.code == 0
    assert ended.out == (
        f"{out} holds uint8 voxels, 56 x 48 x 40 of 8 x 8 x 30 nm (XYZ), in 4 levels; next: "
        f"voxkin info {out}\n"
    )
    assert ended.err == ""
    assert voxkin("info", out).code == 0


def test_a_data_set_of_an_hdf5_file_becomes_a_volume(voxkin, tissue, tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "em.h5", "w") as file:
        file["main/raw"], file["labels"] = tissue, tissue

    unsaid = voxkin("ingest", tmp_path / "em.h5", *SIZE, "--out", tmp_path / "em")
    said = voxkin(
        "ingest",
        tmp_path / "em.h5",
        *SIZE,
        "--dataset",
        "main/raw",
        "--out",
        tmp_path / "em",
        "--json",
    )

    assert "/main/raw" in unsaid.complaint
    assert said.json["levels"][0]["shape"] == {"x": 56, "y": 48, "z": 40}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--voxel-size X,Y,Z"),
        ([*SIZE, "--levels", 0], "1 to 16 levels"),
        (["--voxel-size", "8,8,-30"], "lengths X,Y,Z in nm above 0"),
    ],
)
def test_what_cannot_be_converted_leaves_nothing_behind(voxkin, stack, tmp_path, words, said):
    ended = voxkin("ingest", stack, *words, "--out", tmp_path / "em")

    assert said in ended.complaint
    assert [path.name for path in tmp_path.iterdir()] == ["stack"]


def test_a_damaged_section_leaves_nothing_behind(voxkin, stack, tmp_path):
    (stack / "7.tif").write_bytes((stack / "7.tif").read_bytes()[:1000])

    ended = voxkin("ingest", stack, *SIZE, "--out", tmp_path / "em")

    assert "7.tif" in ended.complaint
    assert [path.name for path in tmp_path.iterdir()] == ["stack"]


def test_what_is_there_stays_unless_it_may_go(voxkin, stack, tmp_path):
    out = tmp_path / "em"
    voxkin("ingest", stack, *SIZE, "--out", out, "--levels", 1)
    before = files(out)

    refused = voxkin("ingest", stack, *SIZE, "--out", out)
    kept = files(out)
    replaced = voxkin("ingest", stack, *SIZE, "--out", out, "--overwrite", "--levels", 2)

    assert "--overwrite" in refused.complaint
    assert kept == before
    assert replaced.code == 0
    assert "in 2 levels" in replaced.out


def test_a_folder_that_is_no_zarr_is_never_overwritten(voxkin, stack):
    before = files(stack)

    ended = voxkin("ingest", stack, *SIZE, "--out", stack, "--overwrite")

    assert "is not a zarr" in ended.complaint
    assert files(stack) == before


def test_a_source_that_is_not_there_is_refused(voxkin, tmp_path):
    assert (
        "no such path" in voxkin("ingest", tmp_path / "no.tif", "--out", tmp_path / "em").complaint
    )


def test_a_stack_that_was_cut_short_is_never_taken_for_whole(voxkin, tissue, tmp_path):
    tifffile = pytest.importorskip("tifffile")
    file = tmp_path / "em.tif"
    tifffile.imwrite(file, tissue, compression="zlib")
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 3])

    ended = voxkin("ingest", file, *SIZE, "--out", tmp_path / "em.ome.zarr")

    assert ended.code == 2
    assert ended.out == ""
    assert "em.tif" in ended.err
    assert len(ended.err.splitlines()) == 1
    assert not (tmp_path / "em.ome.zarr").exists()
