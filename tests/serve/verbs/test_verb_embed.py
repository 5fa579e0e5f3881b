"""Tests of `voxkin embed`: what it makes, what it refuses, and how it stops and goes on."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from embed.atlas import Atlas
from embed.checkpoint import FILE, load_encoder, random_like, save_encoder
from tests.commandline import BAD, bad_volume, files, signal_when, truncate, write_volume

ROOT = Path(__file__).parents[3]


def _marks(atlas: Path) -> dict[str, int]:
    """How many shards are in each state."""
    states = [mark.state for mark in Atlas.open(atlas).ledger.marks().values()]
    return {state: states.count(state) for state in states}


def _work(atlas: Path) -> dict[str, bytes]:
    """The embeddings and the ledger."""
    return {k: v for k, v in files(atlas).items() if k.startswith(("embeddings", "ledger"))}


def test_an_atlas_is_made_and_the_next_step_is_named(voxkin, run, volume, tmp_path):
    out = tmp_path / "atlas"

    ended = voxkin("embed", run, "--volume", volume, "--out", out, "--stride", "4,4,4")

    assert ended.code == 0
    assert ended.out == f"{out} holds 1,287 locations; next: voxkin index {out}\n"
    assert ended.err == ""
    assert _marks(out) == {"done": 1}


def test_the_same_command_again_does_nothing_anew(voxkin, run, volume, own_atlas):
    before = files(own_atlas)

    ended = voxkin("embed", run, "--volume", volume, "--out", own_atlas, "--json")

    assert ended.code == 0
    assert ended.json["locations"] == 8925
    assert ended.json["failed"] == []
    assert files(own_atlas) == before


def test_a_dry_run_says_what_it_would_be_and_writes_nothing(voxkin, run, volume, tmp_path):
    words = ("embed", run, "--volume", volume, "--out", tmp_path / "atlas", "--dry-run")

    told, in_json = voxkin(*words), voxkin(*words, "--json")

    assert "volume         tissue, 56 x 48 x 40 voxels (XYZ), 0.1 MB" in told.out
    assert "field of view  7 x 7 x 7 voxels, every 2 x 2 x 2" in told.out
    assert "locations      25 x 21 x 17 = 8,925, in 8 shards" in told.out
    assert "embeddings     8 numbers each, 0.1 MB; " in told.out
    assert in_json.json["grid"] == {"x": 25, "y": 21, "z": 17}
    assert in_json.json["shards"] == 8
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--stride", "2,2,3"], "--stride is a multiple of the encoder's, 2,2,2 voxels; got 2,2,3"),
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


@pytest.fixture
def cracked(tissue: np.ndarray, tmp_path: Path) -> tuple[Path, Path, bytes]:
    """A volume with a truncated chunk in a corner that measuring it does not read.

    Gives the volume, the chunk, and what belongs into the chunk.
    """
    large = np.tile(tissue, (2, 3, 3))
    path = write_volume(tmp_path / "cracked.zarr", large, chunk=8)
    last = (str(n // 8 - 1) for n in large.shape)
    chunk = path.joinpath("c", *last)
    return path, chunk, truncate(chunk)


def test_a_shard_that_cannot_be_read_fails_alone_and_is_done_once_it_is_mended(
    voxkin, run, cracked, tmp_path
):
    volume, chunk, whole = cracked
    out = tmp_path / "atlas"
    words = ("embed", run, "--volume", volume, "--out", out, "--stride", "4,4,4")

    failed, in_json, unfinished = voxkin(*words), voxkin(*words, "--json"), voxkin("index", out)
    chunk.write_bytes(whole)
    mended = voxkin(*words)

    assert "1 of 18 shards failed, the first because: cannot read Box" in failed.complaint
    assert "mend the volume and give the same command again" in failed.complaint
    assert len(in_json.json["failed"]) == 1
    assert "1 of 18 shards failed" in in_json.complaint
    assert "17 of 18 shards (1 failed)" in unfinished.complaint
    assert mended.code == 0
    assert _marks(out) == {"done": 18}


def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(voxkin, run, tissue, tmp_path):
    volume = write_volume(tmp_path / "large.zarr", np.tile(tissue, (2, 1, 1)))
    out = tmp_path / "atlas"
    words = ("embed", run, "--volume", volume, "--out", out)
    sender = signal_when(out / "ledger" / "0.0.0.json", signal.SIGINT)

    stopped = voxkin(*words)
    sender.join()
    done = _marks(out)["done"]
    resumed = voxkin(*words)

    assert stopped.code == 130
    assert stopped.err == "voxkin embed: stopped; give the same command again to go on\n"
    assert 1 <= done < 12
    assert resumed.code == 0
    assert _marks(out) == {"done": 12}
    assert voxkin(*words, "--verify").code == 0


def test_damage_is_found_by_verify_and_mended_by_the_same_command(
    voxkin, run, volume, atlas, own_atlas
):
    words = ("embed", run, "--volume", volume, "--out", own_atlas)
    shard = own_atlas / "embeddings.zarr" / "c" / "0" / "0" / "0" / "0"
    sound = voxkin(*words, "--verify")
    shard.write_bytes(shard.read_bytes()[::-1])

    found, mended = voxkin(*words, "--verify"), voxkin(*words)
    after = voxkin(*words, "--verify", "--json")

    assert sound.out == f"{own_atlas}: every finished shard agrees with its checksum\n"
    assert "1 shard of" in found.complaint
    assert "without --verify does them again" in found.complaint
    assert mended.code == 0
    assert after.json["disagree_cells_zyx"] == []
    assert _work(own_atlas) == _work(atlas)


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


def test_a_full_disk_is_said_and_the_atlas_is_done_once_there_is_room(
    voxkin, run, volume, atlas, tmp_path
):
    out = tmp_path / "atlas"
    words = ["embed", run, "--volume", volume, "--out", out]
    command = [sys.executable, "-m", "serve.cli", *map(str, words)]
    limited = ["bash", "-c", 'ulimit -f 40; exec "$@"', "bash", *command]

    full = subprocess.run(limited, cwd=ROOT, capture_output=True, text=True)
    unfinished = voxkin("index", out)
    again = voxkin(*words)

    assert full.returncode == 2
    assert full.stderr.startswith("voxkin embed: cannot write the embeddings at")
    assert full.stderr.count("\n") == 1
    assert "0 of 8 shards" in unfinished.complaint
    assert again.code == 0
    assert _work(out) == _work(atlas)
