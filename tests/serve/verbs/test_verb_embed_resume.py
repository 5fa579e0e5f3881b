"""Tests of how `voxkin embed` fails, stops and goes on, and of what it makes good again."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.commandline import files, shard_states, signal_when, truncate, write_volume

ROOT = Path(__file__).parents[3]


def _work(atlas: Path) -> dict[str, bytes]:
    """The embeddings and the ledger."""
    return {k: v for k, v in files(atlas).items() if k.startswith(("embeddings", "ledger"))}


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

    assert "1 of 4 shards failed, the first because: cannot read Box" in failed.complaint
    assert "mend the volume and give the same command again" in failed.complaint
    assert len(in_json.json["failed"]) == 1
    assert "1 of 4 shards failed" in in_json.complaint
    assert "3 of 4 shards (1 failed)" in unfinished.complaint
    assert mended.code == 0
    assert shard_states(out) == {"done": 4}


def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(voxkin, run, tissue, tmp_path):
    volume = write_volume(tmp_path / "large.zarr", np.tile(tissue, (4, 2, 2)))
    out = tmp_path / "atlas"
    words = ("embed", run, "--volume", volume, "--out", out)
    sender = signal_when(out / "ledger" / "0.0.0.json", signal.SIGINT)

    stopped = voxkin(*words)
    sender.join()
    done = shard_states(out)["done"]
    resumed = voxkin(*words)

    assert stopped.code == 130
    assert stopped.err == "voxkin embed: stopped; give the same command again to go on\n"
    assert 1 <= done < 24
    assert resumed.code == 0
    assert shard_states(out) == {"done": 24}
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


@pytest.mark.long  # as tests/embed/test_survival.py shows of the library
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
    assert "0 of 2 shards" in unfinished.complaint
    assert again.code == 0
    assert _work(out) == _work(atlas)
