"""Tests of `voxkin index`; how well an index finds is tested with the library."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commandline import files

ROOT = Path(__file__).parents[3]


@pytest.fixture
def unindexed(own_atlas: Path) -> Path:
    """A finished atlas without an index."""
    shutil.rmtree(own_atlas / "index")
    return own_atlas


def test_the_index_is_built_and_its_recall_told(voxkin, unindexed):
    ended = voxkin("index", unindexed)

    assert ended.code == 0
    assert ended.out.startswith("Flat over 8,925 locations, recall@10 1.000, 0.4 MB")
    assert ended.out.endswith(f"next: voxkin serve {unindexed}\n")
    assert ended.err == ""


def test_a_sound_index_is_not_built_again_unless_asked(voxkin, own_atlas):
    before = files(own_atlas)

    same = voxkin("index", own_atlas, "--json")
    kept = files(own_atlas)
    rebuilt = voxkin("index", own_atlas, "--rebuild", "--json")

    assert kept == before
    assert same.json["version"] != rebuilt.json["version"]


def test_a_factory_can_be_named(voxkin, unindexed):
    assert voxkin("index", unindexed, "--factory", "IVF8,Flat", "--json").json["lists"] == 8


@pytest.mark.parametrize(
    ("factory", "said"), [("HNSW32", "it takes Flat, or"), ("IVF9000,Flat", "at most IVF228")]
)
def test_a_factory_that_does_not_fit_is_refused_and_the_old_index_stays(
    voxkin, own_atlas, factory, said
):
    before = files(own_atlas)

    ended = voxkin("index", own_atlas, "--factory", factory)

    assert said in ended.complaint
    assert files(own_atlas) == before


def test_a_half_written_atlas_is_refused_with_how_to_finish_it(voxkin, unindexed, run):
    (unindexed / "ledger" / "0.0.0.json").unlink()

    ended = voxkin("index", unindexed)

    assert "1 of 2 shards" in ended.complaint
    assert f"voxkin embed {run} --out {unindexed}" in ended.complaint


@pytest.mark.parametrize("verb", ["index", "find", "serve", "project", "probe list"])
def test_what_is_no_atlas_is_refused_by_every_verb_that_takes_one(voxkin, run, verb):
    place = ["--at", "1,2,3"] if verb == "find" else []

    ended = voxkin(*verb.split(), run, *place)

    assert str(run / "atlas.json") in ended.complaint


def test_a_damaged_description_is_refused(voxkin, own_atlas):
    (own_atlas / "atlas.json").write_text('{"format": ')

    assert "is damaged" in voxkin("index", own_atlas).complaint


def test_a_full_disk_is_said_and_nothing_half_written_stays(voxkin, unindexed):
    before = files(unindexed)
    command = [sys.executable, "-m", "serve.cli", "index", str(unindexed)]
    limited = ["bash", "-c", 'ulimit -f 10; exec "$@"', "bash", *command]

    full = subprocess.run(limited, cwd=ROOT, capture_output=True, text=True)

    assert full.returncode == 2
    assert full.stderr.startswith("voxkin index: cannot write")
    assert full.stderr.count("\n") == 1
    assert files(unindexed) == before
    assert voxkin("index", unindexed).code == 0
