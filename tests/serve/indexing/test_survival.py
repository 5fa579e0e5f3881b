"""Builds that are killed, stopped or fail: the old index serves, the same command goes on."""

import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

import serve.indexing.build
import serve.indexing.filling
import serve.indexing.job
from embed.atlas import Atlas
from embed.errors import IncompleteError, StorageError
from serve.index import build_index, open_index
from tests.atlases import make_atlas

FACTORY = "PCAR8,IVF8,PQ8x4fsr"


def _names(atlas):
    return sorted(path.name for path in (atlas.path / "index").iterdir())


def _killed(function, *arguments) -> None:
    """Runs a function in a process of its own that ends by SIGKILL."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def _die(*_) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _build_and_die_at(path: Path, shard: int) -> None:
    serve.indexing.filling.KEPT_EVERY = 500
    seen: list[int] = []

    def progress(done: int, total: int) -> None:
        seen.append(done)
        if len(seen) == shard:
            _die()

    build_index(Atlas.open(path), factory=FACTORY, rebuild=True, progress=progress)


def _build_and_die_before_the_swap(path: Path) -> None:
    serve.indexing.build.put_in_service = _die
    build_index(Atlas.open(path), rebuild=True)


def _build_and_die_writing(path: Path) -> None:
    serve.indexing.job.keep_shards = _die
    build_index(Atlas.open(path), rebuild=True)


def test_a_killed_build_leaves_the_old_index_serving_and_goes_on_where_it_stopped(
    tmp_path, monkeypatch
):
    atlas = make_atlas(tmp_path / "a")
    old = build_index(atlas)
    _killed(_build_and_die_at, atlas.path, 6)
    left, serving = _names(atlas), open_index(atlas).manifest
    kept = json.loads((atlas.path / "index" / ".building" / "filled.json").read_text())["said"]
    monkeypatch.setattr(serve.indexing.filling, "KEPT_EVERY", 500)
    seen = []

    new = build_index(
        atlas, factory=FACTORY, rebuild=True, progress=lambda done, _: seen.append(done)
    )

    other = make_atlas(tmp_path / "b")
    alone = build_index(other, factory=FACTORY)
    assert left == [".building", "0001", "current.json"]
    assert serving == old
    assert kept["shards"] >= 4
    assert seen[0] == kept["seen"] + 64  # as many cells, the voids among them
    assert len(seen) == 8 - kept["shards"] + 1
    assert seen[-1] == atlas.grid.size
    assert new.count == old.count
    assert (new.sha256, new.recall) == (alone.sha256, alone.recall)
    assert _names(atlas) == ["0001", "0002", "current.json"]


def test_what_is_damaged_of_it_is_made_again(tmp_path):
    atlas = make_atlas(tmp_path / "a")
    _killed(_build_and_die_at, atlas.path, 6)
    (kept,) = (atlas.path / "index" / ".building").glob("filled-*.faiss")
    kept.write_bytes(kept.read_bytes()[:-1])

    manifest = build_index(atlas, factory=FACTORY, rebuild=True)

    assert manifest.count == atlas.grid.size - 64
    assert open_index(atlas).size == manifest.count


def test_what_another_build_left_is_not_taken_up(tmp_path):
    atlas = make_atlas(tmp_path / "a")
    _killed(_build_and_die_at, atlas.path, 6)

    manifest = build_index(atlas, factory="IVF4,Flat")

    assert (manifest.factory, manifest.count) == ("IVF4,Flat", atlas.grid.size - 64)
    assert _names(atlas) == ["0001", "current.json"]


@pytest.mark.parametrize("build", [_build_and_die_before_the_swap, _build_and_die_writing])
def test_a_build_that_is_killed_at_its_end_leaves_the_old_index_serving(tmp_path, build):
    atlas = make_atlas(tmp_path / "a", (5, 5, 5))
    old = build_index(atlas)

    _killed(build, atlas.path)

    assert open_index(atlas).manifest == old
    new = build_index(atlas, rebuild=True)
    assert open_index(atlas).manifest == new
    assert new.version > old.version
    assert not list((atlas.path / "index").glob(".*"))


def test_a_full_disk_is_said_the_old_index_serves_on_and_nothing_is_left(tmp_path, monkeypatch):
    atlas = make_atlas(tmp_path / "a", (5, 5, 5))
    old = build_index(atlas)
    write = serve.indexing.job.write_index
    monkeypatch.setattr(
        serve.indexing.job, "write_index", lambda index, _: write(index, Path("/dev/full"))
    )

    with pytest.raises(StorageError, match="no space left"):
        build_index(atlas, rebuild=True)

    assert open_index(atlas).manifest == old
    assert _names(atlas) == ["0001", "current.json"]


def test_a_build_that_is_stopped_keeps_what_it_has_done(tmp_path):
    atlas = make_atlas(tmp_path / "a", (5, 5, 5))

    with pytest.raises(KeyboardInterrupt):
        build_index(atlas, progress=_interrupt)

    assert _names(atlas) == [".building"]
    assert build_index(atlas).version == "0001"
    assert _names(atlas) == ["0001", "current.json"]


def test_two_builds_at_once_are_refused(tmp_path):
    atlas = make_atlas(tmp_path / "a", (5, 5, 5))

    def again(*_) -> None:
        build_index(atlas)

    with pytest.raises(IncompleteError, match="another process is writing"):
        build_index(atlas, progress=again)


def _interrupt(*_) -> None:
    raise KeyboardInterrupt
