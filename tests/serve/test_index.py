"""Tests of serve/index.py and serve/manifest.py; how indices are made has tests in indexing/."""

import hashlib
import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from embed.errors import (
    ConfigError,
    DataError,
    IncompleteError,
    MismatchError,
    NotFoundError,
)
from serve.index import build_index, open_index
from serve.indexing.truth import ExactNeighbours
from serve.locations import Locations, sample_locations, shard_locations
from serve.manifest import current_manifest
from tests.atlases import make_atlas, smooth_vectors

FACTORIES = ["Flat", "IVF16,Flat", "IVF16,SQfp16", "PCAR12,IVF8,PQ12x4fsr"]


def _everything(atlas):
    parts = [locations for _, locations in shard_locations(atlas)]
    ids = np.concatenate([part.ids for part in parts])
    return ids, np.concatenate([part.vectors for part in parts])


def test_the_flat_index_equals_brute_force(atlas, index):
    ids, vectors = _everything(atlas)
    queries = vectors[::97]

    cosines, found = index.search(queries, 20)

    expected = np.sort(queries @ vectors.T, axis=1)[:, ::-1][:, :20]
    np.testing.assert_allclose(cosines, expected, atol=1e-6)
    np.testing.assert_array_equal(found[:, 0], ids[::97])
    assert index.manifest.recall == 1.0
    assert index.manifest.exact


def test_locations_without_data_are_never_returned(atlas, index):
    cosines, ids = index.search(np.ones((1, 16), np.float32) / 4, atlas.grid.size)

    known = ids[0][ids[0] >= 0]
    assert index.size == index.manifest.count == len(known) == atlas.grid.size - 64
    assert index.manifest.voids == 64
    assert atlas.embeddings(known).any(axis=1).all()
    assert np.isneginf(cosines[0, len(known) :]).all()


@pytest.mark.parametrize("factory", FACTORIES)
def test_every_kind_of_index_finds_what_its_manifest_promises(tmp_path, factory):
    atlas = make_atlas(tmp_path / "a")

    manifest = build_index(atlas, factory=factory, seed=1)

    index = open_index(atlas)
    ids, vectors = _everything(atlas)
    queries = sample_locations(atlas, 150, seed=99)
    truth = ExactNeighbours(atlas, queries)
    truth.update(Locations(ids, vectors))
    # As in the manifest, what a query sees itself does not count.
    rows = np.repeat(np.arange(len(queries.ids)), len(ids))
    near = truth.surrounds(rows, np.tile(ids, len(queries.ids))).reshape(len(queries.ids), -1)
    bits = np.packbits(~near, axis=1, bitorder="little")
    hits = 0
    for row, vector in enumerate(queries.vectors):
        allowed = np.zeros(atlas.grid.size, bool)
        allowed[ids] = np.unpackbits(bits[row], count=len(ids), bitorder="little")
        packed = np.packbits(allowed, bitorder="little")
        found = index.search(vector[None], manifest.candidates, allowed=packed)[1][0]
        cosines = vectors[np.isin(ids, found)] @ vector
        hits += min((cosines >= truth.thresholds[row] - 1e-5).sum(), truth.counts[row])
    assert index.manifest == manifest
    assert manifest.factory == factory
    assert manifest.recall >= 0.9
    assert hits / truth.counts.sum() == pytest.approx(manifest.recall, abs=0.05)


def test_estimated_similarities_of_codes_are_near_the_exact_ones(tmp_path):
    atlas = make_atlas(tmp_path / "a")
    build_index(atlas, factory="PCAR16,IVF4,PQ16x4fs")
    queries = sample_locations(atlas, 20, seed=5)

    cosines, ids = open_index(atlas).search(queries.vectors, 5)

    exact = np.einsum(
        "qd,qkd->qk", queries.vectors, atlas.embeddings(ids.ravel()).reshape(-1, 5, 16)
    )
    np.testing.assert_allclose(cosines, exact, atol=0.1)


def test_the_same_seed_builds_the_same_bytes(tmp_path):
    atlas = make_atlas(tmp_path / "a")

    first = build_index(atlas, factory="IVF8,Flat", seed=7)
    again = build_index(atlas, factory="IVF8,Flat", seed=7, rebuild=True)

    assert first.sha256 == again.sha256
    assert (first.version, again.version) == ("0001", "0002")


def test_building_again_does_nothing_unless_it_is_asked_for(tmp_path):
    atlas = make_atlas(tmp_path / "a")
    first = build_index(atlas)

    same = build_index(atlas)
    named = build_index(atlas, factory="Flat")
    other = build_index(atlas, factory="IVF4,Flat")
    kept = build_index(atlas)

    assert same == named == first
    assert other.version == "0002"
    assert kept == other


def test_progress_ends_at_all_locations(tmp_path):
    atlas = make_atlas(tmp_path / "a")
    seen = []

    build_index(atlas, progress=lambda done, total: seen.append((done, total)))

    assert seen == sorted(seen)
    assert len(seen) == 8
    assert seen[-1] == (atlas.grid.size, atlas.grid.size)


def test_an_unfinished_atlas_is_refused(tmp_path):
    atlas = make_atlas(tmp_path / "a")
    atlas.ledger.forget((0, 1, 1))

    with pytest.raises(IncompleteError, match="7 of 8 shards"):
        build_index(atlas)


def test_an_atlas_without_any_data_is_refused(tmp_path):
    atlas = make_atlas(tmp_path / "a", vectors=np.zeros((4, 5, 6, 8)))

    with pytest.raises(DataError, match="no location of atlas 'a' has data"):
        build_index(atlas, factory="Flat")


@pytest.mark.parametrize("locations", [1, 2, 5])
def test_an_atlas_of_few_locations_is_indexed(tmp_path, locations):
    vectors = smooth_vectors((8, 8, 8), 8, 0)[5:6, 5:6, :locations] + 0.1
    atlas = make_atlas(tmp_path / "a", vectors=vectors)

    manifest = build_index(atlas)

    assert manifest.count == locations
    assert open_index(atlas).search(vectors[0, 0, :1].astype(np.float32), 1)[1].tolist() == [[0]]


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("HNSW32", "IVF1024,Flat"),
        ("IVF64,Nonsense", "IVF1024,Flat"),
        ("IVF64,PQ7", "FAISS refuses 'IVF64,PQ7'"),
        ("IVF4096,Flat", "has 2624 locations with data, so at most IVF67 makes sense"),
    ],
)
def test_a_factory_that_cannot_work_is_refused_and_one_that_can_is_named(tmp_path, factory, words):
    atlas = make_atlas(tmp_path / "a")

    with pytest.raises(ConfigError) as error:
        build_index(atlas, factory=factory)

    assert words in str(error.value)
    assert not list((atlas.path / "index").glob("*"))


def test_no_index_is_said_with_the_command_that_makes_one(tmp_path):
    atlas = make_atlas(tmp_path / "a", (5, 5, 5))

    with pytest.raises(NotFoundError, match=f"voxkin index {atlas.path}"):
        open_index(atlas)


def test_the_index_of_other_embeddings_is_refused(tmp_path):
    atlas = make_atlas(tmp_path / "a", (5, 5, 5))
    other = make_atlas(tmp_path / "b", (5, 5, 5), encoder="another-encoder")
    build_index(other)
    (other.path / "index").rename(atlas.path / "index")

    with pytest.raises(MismatchError, match="other embeddings"):
        open_index(atlas)

    assert build_index(atlas).atlas == atlas.info.fingerprint


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _forget_a_field(path):
    value = json.loads(path.read_text())
    del value["nprobe"]
    path.write_text(json.dumps(value))


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("index.faiss", _truncate),
        ("index.faiss", _flip),
        ("index.faiss", Path.unlink),
        ("manifest.json", _truncate),
        ("manifest.json", _forget_a_field),
        ("manifest.json", Path.unlink),
    ],
)
def test_a_damaged_index_is_refused_and_built_again(tmp_path, name, harm):
    atlas = make_atlas(tmp_path / "a", (5, 5, 5))
    build_index(atlas)
    harm(atlas.path / "index" / "0001" / name)

    with pytest.raises(DataError, match=r"again with: voxkin index .* --rebuild"):
        open_index(atlas)

    assert build_index(atlas).version == "0002"
    assert open_index(atlas).size == current_manifest(atlas)[0].count


def test_a_query_of_another_length_is_refused_with_both_lengths(index):
    with pytest.raises(MismatchError, match=r"16-dimensional.*12 numbers"):
        index.search(np.ones((1, 12), np.float32), 1)


def test_many_threads_search_at_once(atlas, index):
    _, vectors = _everything(atlas)
    alone = index.search(vectors[:64], 10)[1]
    found = {}

    def search(part):
        found[part] = index.search(vectors[part * 8 : part * 8 + 8], 10)[1]

    threads = [threading.Thread(target=search, args=(part,)) for part in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    np.testing.assert_array_equal(np.concatenate([found[part] for part in range(8)]), alone)


def test_the_manifest_is_readable_json_with_the_measurements(atlas, index):
    path = atlas.path / "index" / index.manifest.version / "manifest.json"

    value = json.loads(path.read_text())

    assert value["recall"] == 1.0
    (step,) = value["sweep"]
    assert (step["nprobe"], step["candidates"], step["recall"]) == (1, 10, 1.0)
    assert step["search_us"] > 0
    assert value["atlas"] == atlas.info.fingerprint


def test_an_index_of_something_else_is_refused_though_its_checksum_fits(tmp_path):
    atlas, other = (make_atlas(tmp_path / name, (5, 5, n)) for name, n in (("a", 5), ("b", 6)))
    build_index(atlas)
    build_index(other)
    mine, foreign = (a.path / "index" / "0001" for a in (atlas, other))
    shutil.copyfile(foreign / "index.faiss", mine / "index.faiss")
    manifest = json.loads((mine / "manifest.json").read_text())
    theirs = json.loads((foreign / "manifest.json").read_text())
    manifest |= {name: theirs[name] for name in ("bytes", "sha256")}
    (mine / "manifest.json").write_text(json.dumps(manifest))

    with pytest.raises(DataError, match="its manifest says"):
        open_index(atlas)


def test_a_file_that_is_no_index_is_refused_though_its_checksum_fits(tmp_path):
    atlas = make_atlas(tmp_path / "a", (5, 5, 5))
    build_index(atlas)
    mine = atlas.path / "index" / "0001"
    (mine / "index.faiss").write_bytes(b"IwFl and no more")
    manifest = json.loads((mine / "manifest.json").read_text())
    sha256 = hashlib.sha256(b"IwFl and no more").hexdigest()
    (mine / "manifest.json").write_text(json.dumps(manifest | {"bytes": 16, "sha256": sha256}))

    with pytest.raises(DataError, match=r"no index that FAISS can read.* --rebuild"):
        open_index(atlas)
