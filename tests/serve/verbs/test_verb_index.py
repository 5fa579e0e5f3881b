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
    assert ended.out.startswith("Flat over 8,925 locations, recall@10 1.000, 357")
    assert " kB (8,925 locations are compared one by one" in ended.out
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


def test_a_dry_run_tells_what_would_be_built_and_why_and_writes_nothing(voxkin, unindexed):
    before = files(unindexed)

    told = voxkin("index", unindexed, "--dry-run")
    found = voxkin("index", unindexed, "--dry-run", "--json").json

    assert told.code == 0
    assert "8,925 locations are compared one by one" in told.out
    assert "32 bytes of numbers + 8 of id" in told.out
    assert "smaller:" in told.out
    assert "s of CPU" in told.out
    assert found["chosen"]["factory"] == "Flat"
    assert found["estimate"]["bytes"] == found["chosen"]["bytes"]
    assert files(unindexed) == before


def test_what_does_not_fit_in_the_memory_is_refused_with_what_would(voxkin, unindexed):
    before = files(unindexed)

    ended = voxkin("index", unindexed, "--memory", "0.00001")

    assert "--every 2" in ended.complaint
    assert files(unindexed) == before


def test_versions_are_listed_rolled_back_and_put_in_service(voxkin, own_atlas):
    voxkin("index", own_atlas, "--factory", "IVF8,Flat")

    listed = voxkin("index", own_atlas, "--list")
    back = voxkin("index", own_atlas, "--rollback", "--json").json
    again = voxkin("index", own_atlas, "--use", "0002", "--json").json
    found = voxkin("index", own_atlas, "--list", "--json").json

    assert "IVF8,Flat" in listed.out
    assert "serving" in listed.out
    assert (back["version"], again["version"]) == ("0001", "0002")
    assert [version["serving"] for version in found] == [False, True]


def test_locations_are_removed_by_box_and_by_id_and_put_back(voxkin, own_atlas, tmp_path):
    place = ("--at", "200,200,150", "--min-separation", "0", "-k", "9", "--json")

    def found() -> list[int]:
        return [hit["id"] for hit in voxkin("find", own_atlas, *place).json["hits"]]

    before = found()
    (tmp_path / "ids.txt").write_text("\n".join(map(str, before[:4])))
    by_id = voxkin("index", own_atlas, "--remove-ids", tmp_path / "ids.txt", "--json").json
    after = found()
    boxed = voxkin("index", own_atlas, "--remove-box", "0:9999,0:9999,0:200", "--json").json
    beyond = found()
    restored = voxkin("index", own_atlas, "--restore", "--json").json

    assert by_id["removed"] == 4
    assert set(before) - set(after) == set(before[:4])
    assert boxed["removed"] > 1000
    assert set(beyond).isdisjoint(range(9 * 21 * 25))  # the lowest planes
    assert restored["removed"] == 0
    assert found() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--list", "--rollback"], "--list and --rollback do not go together"),
        (["--rollback", "--rebuild"], "--rollback and --rebuild do not go together"),
        (["--remove-box", "1:2"], "--remove-box takes X, Y and Z ranges in nm"),
        (["--remove-box", "0:1,0:1,0:1"], "there is no location to remove"),
        (["--remove-ids", "/nowhere"], "/nowhere is none"),
        (["--use", "0009"], "there are: 0001"),
        (["--rollback"], "no version before 0001"),
        (["--memory", "-1"], "--memory is a number of GB above 0"),
        (["--every", "3"], "got 3"),
        (["--keep", "1"], "2 or more"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(voxkin, own_atlas, words, said):
    before = files(own_atlas)

    ended = voxkin("index", own_atlas, *words)

    assert said in ended.complaint
    assert files(own_atlas) == before


def test_an_index_of_every_second_location_is_searched(voxkin, unindexed):
    told = voxkin("index", unindexed, "--every", "2")
    found = voxkin("find", unindexed, "--at", "200,200,150", "-k", "5", "--json").json

    assert "one of each 2 x 2 x 2" in told.out
    assert len(found["hits"]) == 5
