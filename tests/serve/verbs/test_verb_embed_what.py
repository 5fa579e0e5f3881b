"""Tests of `voxkin embed`: which locations, how they are stored, where they run, what is told."""

import json
import socket
import urllib.error
import urllib.request

import numpy as np
import pytest

from embed.atlas import Atlas
from tests.commandline import files, shard_states, write_volume

pytestmark = pytest.mark.slow

CSV = "x_nm,y_nm,z_nm,segment\n300,200,150,7\n100,120,205,18446744073709551615\n"


def lengths(path):
    store = Atlas.open(path).store
    return np.linalg.norm(store.read(store.cells), axis=-1)


@pytest.fixture
def half(tmp_path):
    """A mask of voxels of 20 nm that covers the half of the tissue with the smaller x."""
    mask = np.zeros((20, 24, 28), np.uint8)
    mask[:, :, :14] = 1
    return write_volume(tmp_path / "half.zarr", mask, voxel_nm=20)


@pytest.fixture
def ids(tmp_path):
    """Segments 5 and 9 in the tissue, one before and one behind z = 20, and nothing at its edge."""
    labels = np.zeros((40, 48, 56), np.uint32)
    labels[4:20, 4:-4, 4:-4], labels[20:-4, 4:-4, 4:-4] = 5, 9
    return write_volume(tmp_path / "ids.zarr", labels)


def test_a_mask_says_where_to_embed(voxkin, run, volume, half, tmp_path):
    out = tmp_path / "atlas"

    ended = voxkin("embed", run, "--volume", volume, "--out", out, "--mask", half, "--json")

    # The centre of column x lies at voxel 3.5 + 2 x.
    assert (lengths(out) > 0).any(axis=(0, 1)).tolist() == [3.5 + 2 * x < 28 for x in range(25)]
    assert ended.json["locations"] == 17 * 21 * 13
    assert ended.json["voids"] == 0


def test_segments_say_where_to_embed(voxkin, run, volume, ids, tmp_path):
    (tmp_path / "chosen.txt").write_text("9\n77\n")
    words = ("embed", run, "--volume", volume, "--segmentation", ids)

    all_of_them = voxkin(*words, "--out", tmp_path / "all")
    one = voxkin(*words, "--out", tmp_path / "one", "--segments", tmp_path / "chosen.txt")

    assert (all_of_them.code, one.code) == (0, 0)
    assert (lengths(tmp_path / "all") > 0).any(axis=(1, 2)).sum() == 16
    rows = (lengths(tmp_path / "one") > 0).any(axis=(1, 2))
    assert np.flatnonzero(rows).tolist() == [z for z in range(17) if 20 <= 3.5 + 2 * z < 36]


def test_an_atlas_is_extended_and_otherwise_keeps_to_its_region(voxkin, run, volume, tmp_path):
    out = tmp_path / "atlas"
    words = ("embed", run, "--volume", volume, "--out", out)
    first = voxkin(*words, "--box", "0:56,0:48,0:20")
    before = lengths(out) > 0

    refused = voxkin(*words)
    extended = voxkin(*words, "--box", "0:56,0:48,10:40", "--extend")
    again = voxkin(*words, "--box", "0:56,0:48,0:20")

    assert first.out == f"{out} holds 3,675 locations; next: voxkin index {out}\n"
    assert "embeds another part of the volume than is asked for; add that" in refused.complaint
    assert before.any(axis=(1, 2)).sum() == 7
    assert (lengths(out) > 0).all(axis=(1, 2)).sum() == 17  # both boxes together hold all
    assert (extended.code, again.code) == (0, 0)
    assert voxkin("index", out).code == 0


def test_a_finer_stride_than_the_encoders_is_made(voxkin, run, volume, own_atlas, tmp_path):
    out = tmp_path / "atlas"
    words = ("--stride", "1,2,2", "--box", "0:20,0:20,0:20")

    ended = voxkin("embed", run, "--volume", volume, "--out", out, *words)

    assert ended.code == 0
    fine, own = (Atlas.open(path).store for path in (out, own_atlas))
    box = (slice(0, 7), slice(0, 7))
    np.testing.assert_allclose(
        fine.read(fine.cells)[*box, 0:14:2], own.read(own.cells)[*box, 0:7], atol=1e-3
    )


def test_codes_of_one_byte_are_stored_where_they_are_asked_for(
    voxkin, run, volume, own_atlas, tmp_path
):
    out = tmp_path / "atlas"
    words = ("embed", run, "--volume", volume, "--out", out)

    made = voxkin(*words, "--store", "int8")
    before = files(out)
    again, other = voxkin(*words), voxkin(*words, "--store", "float16")

    assert (made.code, again.code) == (0, 0)
    assert "stores int8; leave out --store to go on with it" in other.complaint
    assert files(out) == before
    stored, exact = (Atlas.open(path).store for path in (out, own_atlas))
    assert stored.dtype == np.int8
    cosines = (stored.read(stored.cells) * exact.read(exact.cells)).sum(axis=-1)
    assert cosines.min() > 0.999
    assert voxkin("index", out).code == 0
    assert voxkin(*words, "--verify").code == 0


def test_points_of_a_file_are_embedded(voxkin, run, volume, tmp_path):
    (tmp_path / "cells.csv").write_text(CSV)
    out = tmp_path / "atlas"

    ended = voxkin(
        "embed", run, "--volume", volume, "--out", out, "--points", tmp_path / "cells.csv"
    )

    assert ended.out == f"{out} holds 2 locations; next: voxkin index {out}\n"
    atlas = Atlas.open(out)
    assert sorted(atlas.places.segments.tolist()) == [7, 2**64 - 1]
    row = atlas.places.sources.tolist().index(0)
    np.testing.assert_allclose(atlas.positions_nm_xyz(np.array([row])), [[300, 200, 150]])


def test_places_are_drawn_in_segments(voxkin, run, volume, ids, tmp_path):
    out = tmp_path / "atlas"
    words = ("--segmentation", ids, "--per-segment", 3, "--segments", "5,9,12")

    ended = voxkin("embed", run, "--volume", volume, "--out", out, *words)

    assert ended.err == "1 segments are not there and have no place: 12\n"
    assert sorted(Atlas.open(out).places.segments.tolist()) == [5, 5, 5, 9, 9, 9]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--points", "a.csv", "--stride", "2,2,2"], "--stride is for a grid of locations"),
        (["--per-segment", "2", "--extend"], "--extend is for a grid of locations"),
        (["--per-segment", "2"], "--per-segment needs a --segmentation"),
        (["--segments", "5"], "say which with --segmentation"),
        (["--unit", "nm"], "are about --points, which is missing"),
        (["--points", "no.csv"], "no.csv"),
        (["--segmentation", "sample", "--segments", "5,x"], "takes ids from 1 to 2^64 - 1"),
        (["--segmentation", "sample", "--segments", "0"], "takes ids from 1"),
        (["--mask", "sample", "--segmentation", "sample"], "not with both"),
        (["--engine", "slurm"], "--engine is one of process, workers, ray; got 'slurm'"),
        (["--workers", "2"], "--workers goes with --engine workers"),
        (["--address", "a:1"], "--address goes with --engine ray"),
        (["--part", "4/4"], "--part takes I/N with I from 0 to N - 1"),
        (["--backend", "torch"], "--backend is one of xla, openvino; got 'torch'"),
        (["--precision", "int4"], "--precision is one of float32, bfloat16; got 'int4'"),
        (["--store", "int4"], "--store is one of float16, int8; got 'int4'"),
    ],
)
def test_flags_that_make_no_sense_are_refused(voxkin, run, volume, tmp_path, words, said):
    ended = voxkin("embed", run, "--volume", volume, "--out", tmp_path / "atlas", *words)

    assert said in ended.complaint
    assert not (tmp_path / "atlas").exists()


def test_parts_of_a_job_array_fill_one_atlas(voxkin, run, volume, atlas, tmp_path):
    out = tmp_path / "atlas"
    words = ("embed", run, "--volume", volume, "--out", out)

    first = voxkin(*words, "--part", "1/2")
    between = shard_states(out)
    second = voxkin(*words, "--part", "0/2", "--json")

    assert "this part of" in first.out
    assert first.out.endswith("other parts miss 1 shard\n")
    assert between == {"done": 1}
    assert second.json["shards"] == 1
    assert embeddings(out) == embeddings(atlas)


def test_workers_make_the_same_atlas_and_events_tell_of_every_shard(
    voxkin, run, volume, atlas, tmp_path
):
    out, events = tmp_path / "atlas", tmp_path / "events.jsonl"
    words = ("--engine", "workers", "--workers", 2, "--events", events)

    ended = voxkin("embed", run, "--volume", volume, "--out", out, *words)

    assert ended.code == 0
    assert embeddings(out) == embeddings(atlas)
    told = [json.loads(line) for line in events.read_text().splitlines()]
    assert [event["event"] for event in told] == ["start", "shard", "shard", "end"]
    assert sum(event.get("locations", 0) for event in told) == 8925 == told[-1]["done"]


def embeddings(path):
    return {k: v for k, v in files(path).items() if k.startswith("embeddings")}


def test_metrics_are_served_while_it_runs_and_not_after(voxkin, run, volume, tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    address, seen = f"http://127.0.0.1:{port}/metrics", []

    def look(self, shard, mark):
        add(self, shard, mark)
        with urllib.request.urlopen(address) as answer:
            seen.append(answer.read().decode())

    from serve.verbs import embed_telling

    add = embed_telling._State.add
    monkeypatch.setattr(embed_telling._State, "add", look)
    words = ("--metrics", port)

    ended = voxkin("embed", run, "--volume", volume, "--out", tmp_path / "atlas", *words)

    assert ended.err == f"metrics are at {address}\n"
    assert 'voxkin_embed_shards_total{state="done"} 1.0' in seen[-1]
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address)
