"""Tests of `voxkin embed`: what it makes and what it refuses."""

import shutil
from pathlib import Path

import pytest

from embed.checkpoint import FILE, load_encoder, random_like, save_encoder
from tests.commandline import BAD, bad_volume, files, shard_states

pytestmark = pytest.mark.slow


def test_an_atlas_is_made_and_the_next_step_is_named(voxkin, run, volume, tmp_path):
    out = tmp_path / "atlas"

    ended = voxkin("embed", run, "--volume", volume, "--out", out, "--stride", "4,4,4")

    assert ended.code == 0
    assert ended.out == f"{out} holds 1,287 locations; next: voxkin index {out}\n"
    assert ended.err == ""
    assert shard_states(out) == {"done": 1}


def test_the_same_command_again_does_nothing_anew(voxkin, run, volume, own_atlas):
    before = files(own_atlas)

    ended = voxkin("embed", run, "--volume", volume, "--out", own_atlas, "--json")

    assert ended.code == 0
    assert ended.json["locations"] == 8925
    assert ended.json["failed"] == []
    assert files(own_atlas) == before


def test_a_dry_run_says_what_it_would_be_and_writes_nothing(voxkin, run, volume, tmp_path):
    words = (
        "embed",
        run,
        "--volume",
        volume,
        "--out",
        tmp_path / "atlas",
        "--dry-run",
        "--price",
        2.5,
    )

    told, in_json = voxkin(*words), voxkin(*words, "--json")

    assert "volume         tissue, 56 x 48 x 40 voxels (XYZ), 0.1 MB" in told.out
    assert "field of view  7 x 7 x 7 voxels, every 2 x 2 x 2" in told.out
    assert "locations      25 x 21 x 17 = 8,925, in 2 shards" in told.out
    assert "embeddings     8 numbers each in float16, 0.1 MB; " in told.out
    assert "reading        0.1 MB of voxels, halo included" in told.out
    assert "computing      openvino-cpu-float32: 0." in told.out
    assert "cost           0.00 at 2.5 an hour" in told.out
    assert in_json.json["grid"] == {"x": 25, "y": 21, "z": 17}
    assert in_json.json["shards"] == 2
    assert in_json.json["flop"] == 8925 * in_json.json["flop_per_location"] > 0
    assert in_json.json["seconds"] == 8925 * in_json.json["seconds_per_location"] > 0
    assert in_json.json["cost"] == 2.5 * in_json.json["seconds"] / 3600
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--stride", "2,2,3"], "the encoder's, 2,2,2 voxels, or divides it; got 2,2,3"),
        (["--stride", "2,2"], "as in --stride 8,8,8"),
        (
            ["--box", "0:56,0:48,0:41"],
            "--box 0:56,0:48,0:41 leaves tissue, whose voxels are 0:56,0:48,0:40",
        ),
        (["--box", "0:56"], "as in --box 0:250,0:250,0:120"),
        (["--box", "0:56,0:48,0:6"], "smaller than the field of view (7, 7, 7)"),
        (["--voxel-size", "5,5,5"], "5 x 5 x 5 nm"),
        (["--level", "1"], "has no level 1"),
    ],
)
def test_a_flag_that_does_not_fit_is_refused(voxkin, run, volume, tmp_path, words, said, dry):
    ended = voxkin("embed", run, "--volume", volume, "--out", tmp_path / "atlas", *words, *dry)

    assert said in ended.complaint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_volume_is_refused(voxkin, run, tissue, tmp_path, kind):
    path = bad_volume(kind, tissue, tmp_path)

    ended = voxkin("embed", run, "--volume", path, "--out", tmp_path / "atlas")

    assert BAD[kind] in ended.complaint
    assert not (tmp_path / "atlas").exists()


def test_another_voxel_size_is_taken_where_it_is_asked_for(voxkin, run, tissue, tmp_path):
    path = bad_volume("finer", tissue, tmp_path)
    words = ("--stride", "4,4,4", "--any-voxel-size")

    ended = voxkin("embed", run, "--volume", path, "--out", tmp_path / "atlas", *words)

    assert ended.code == 0


def test_axes_and_voxel_size_can_be_stated(voxkin, run, tissue, tmp_path):
    path = bad_volume("unnamed", tissue, tmp_path)
    words = ("--axes", "zyx", "--voxel-size", "10,10,10", "--stride", "4,4,4")

    ended = voxkin("embed", run, "--volume", path, "--out", tmp_path / "atlas", *words)

    assert "holds 1,287 locations" in ended.out


def test_voids_are_counted(voxkin, run, mine, tmp_path):
    shutil.rmtree(mine / "c" / "1")

    ended = voxkin(
        "embed", run, "--volume", mine, "--out", tmp_path / "atlas", "--stride", "4,4,4", "--json"
    )

    assert ended.code == 0
    assert 0 < ended.json["voids"] < ended.json["locations"] == 1287


def test_an_atlas_of_other_work_is_left_alone(voxkin, run, volume, own_atlas):
    before = files(own_atlas)

    ended = voxkin("embed", run, "--volume", volume, "--out", own_atlas, "--stride", "4,4,4")

    assert "holds another atlas: its grid is" in ended.complaint
    assert files(own_atlas) == before


def test_another_encoder_than_that_of_the_atlas_is_refused(
    voxkin, run, volume, own_atlas, tmp_path
):
    save_encoder(random_like(load_encoder(run), seed=7), tmp_path / "other.npz")
    before = files(own_atlas)

    ended = voxkin("embed", tmp_path / "other.npz", "--volume", volume, "--out", own_atlas)

    assert "its encoder is" in ended.complaint
    assert files(own_atlas) == before


def test_an_atlas_whose_encoder_was_exchanged_is_refused(voxkin, run, volume, own_atlas):
    save_encoder(random_like(load_encoder(run), seed=7), own_atlas / FILE)

    ended = voxkin("embed", run, "--volume", volume, "--out", own_atlas, "--verify")

    assert "fingerprint" in ended.complaint


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 half of one"])
def test_a_damaged_encoder_is_refused(voxkin, volume, tmp_path, content):
    (tmp_path / FILE).write_bytes(content)

    ended = voxkin("embed", tmp_path, "--volume", volume, "--out", tmp_path / "atlas")

    assert "is not an encoder" in ended.complaint


def test_a_run_that_is_not_there_is_refused(voxkin, volume, tmp_path):
    ended = voxkin("embed", tmp_path / "no", "--volume", volume, "--out", tmp_path / "atlas")

    assert f"no encoder at {tmp_path / 'no'}" in ended.complaint


def test_a_place_that_holds_something_else_is_left_alone(voxkin, run, volume, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")

    ended = voxkin("embed", run, "--volume", volume, "--out", tmp_path)

    assert "is not an atlas" in ended.complaint
    assert files(tmp_path) == {"mine.txt": b"mine"}


@pytest.mark.skipif(not Path("/sys").is_dir(), reason="needs a place that refuses even root")
def test_a_place_that_may_not_be_written_to_is_refused(voxkin, run, volume):
    ended = voxkin("embed", run, "--volume", volume, "--out", "/sys/atlas")

    assert "cannot write /sys/atlas/atlas.json" in ended.complaint
