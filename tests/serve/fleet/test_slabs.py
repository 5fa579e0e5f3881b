"""Tests of serve/fleet: slabs in one process find what one index finds; building and opening."""

import json
import shutil

import numpy as np
import pytest

from embed.engines.engine import Failure
from embed.errors import ConfigError, DataError, UnavailableError
from serve.fleet import job
from serve.fleet.build import build_slabs
from serve.fleet.slabs import Found, InSlabs, Slab, cut_in_slabs
from serve.hits import Hit, SearchResult
from serve.index import build_index, open_index
from serve.manifest import current_manifest, index_root
from serve.removal import remove, restore
from serve.search import Searcher
from serve.searching.gaps import flagged, looking_for_gaps, note_gap
from serve.versions import roll_back
from serve.wire.codec import read_search_result, search_result
from tests.atlases import make_atlas
from tests.served import INSIDE


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """An atlas without an index; not to be changed."""
    return make_atlas(tmp_path_factory.mktemp("atlases") / "small")


@pytest.fixture
def fresh(original, tmp_path):
    """The same atlas, of the test's own."""
    return type(original).open(shutil.copytree(original.path, tmp_path / "small"))


@pytest.fixture(scope="module")
def in_slabs(original, tmp_path_factory):
    """The same atlas with an index in three slabs; not to be changed."""
    path = shutil.copytree(original.path, tmp_path_factory.mktemp("slabs") / "small")
    made = type(original).open(path)
    build_slabs(made, 3, factory="Flat")
    return made


def queries(atlas):
    return atlas.embeddings(np.arange(100, 2600, 250))


@pytest.mark.parametrize("factory", ["Flat", "IVF16,Flat", "PCAR12,IVF8,PQ12x4fsr"])
def test_slabs_find_what_one_index_of_the_same_quantiser_finds(fresh, factory):
    one = build_index(fresh, factory=factory)
    expected = open_index(fresh)

    many = build_slabs(fresh, 4, factory=factory)

    found = open_index(fresh)
    for nprobe in (1, many.lists):
        similarities = found.search(queries(fresh), 30, nprobe)[0]
        np.testing.assert_array_equal(similarities, expected.search(queries(fresh), 30, nprobe)[0])
    assert (many.count, many.voids, many.locations) == (one.count, one.voids, one.locations)
    assert many.recall == pytest.approx(one.recall, abs=0.01)  # codes may be equal
    assert sum(slab.count for slab in many.slabs) == many.count
    assert all(step.search_us > 0 for step in many.sweep)


def test_a_filter_is_asked_of_the_slabs_that_it_touches(in_slabs):
    slabs, asked = current_manifest(in_slabs)[0].slabs, []

    def ask(questions) -> list[Found]:
        asked.extend(question.number for question in questions)
        return []

    last = np.zeros(-(-in_slabs.grid.size // 8), np.uint8)
    last[-1] = 255
    similarities, ids = InSlabs(slabs, ask)(queries(in_slabs), 5, 1, last)

    assert asked == [2]
    assert (ids == -1).all()
    assert np.isneginf(similarities).all()


@pytest.mark.parametrize("slabs", [1, 2, 3, 5, 8])
def test_slabs_are_runs_of_shards_with_about_as_many_locations(original, slabs):
    runs = cut_in_slabs(original, slabs)

    assert [box for run in runs for box in run] == list(original.shards)
    assert len(runs) == slabs
    assert all(runs)
    if_equal = original.grid.size / slabs
    largest = max(sum(box.size for box in run) for run in runs)
    assert largest <= if_equal + max(box.size for box in original.shards)


@pytest.mark.parametrize("slabs", [0, 9])
def test_more_slabs_than_shards_are_refused_and_the_most_is_named(original, slabs):
    with pytest.raises(ConfigError, match=rf"1 to .* 8 in atlas 'small'; got {slabs}"):
        cut_in_slabs(original, slabs)


def test_building_again_does_nothing_unless_another_number_is_asked_for(fresh):
    first = build_slabs(fresh, 2)
    same = build_slabs(fresh, 2)
    other = build_slabs(fresh, 3)

    assert same == first
    assert (other.version, len(other.slabs)) == ("0002", 3)


def test_a_killed_build_goes_on_with_the_slabs_that_are_missing(fresh, monkeypatch):
    build, built = job.build_slab, []

    def build_two(task):
        if len(built) == 2:
            raise KeyboardInterrupt
        built.append(task.number)
        return build(task)

    monkeypatch.setattr(job, "build_slab", build_two)
    with pytest.raises(KeyboardInterrupt):
        build_slabs(fresh, 4, factory="IVF8,Flat")
    work = index_root(fresh) / ".building"
    before = {f.name: f.stat().st_mtime_ns for f in work.glob("slab-*.faiss")}
    monkeypatch.setattr(job, "build_slab", build)

    manifest = build_slabs(fresh, 4, factory="IVF8,Flat")

    after = {slab.file: index_root(fresh) / manifest.version / slab.file for slab in manifest.slabs}
    assert sorted(before) == ["slab-0.faiss", "slab-1.faiss"]
    assert all(after[name].stat().st_mtime_ns == time for name, time in before.items())
    assert not work.exists()
    assert manifest.count == 2624


class Lossy:
    """An engine that loses the worker of the second slab."""

    def run(self, function, items):
        for item in items:
            lost = Failure("its worker died 4 times") if item.number == 1 else function(item)
            yield item, lost


def test_a_build_whose_worker_was_lost_keeps_what_is_done(fresh):
    with pytest.raises(UnavailableError, match="slab 1 could not be built: its worker died"):
        build_slabs(fresh, 4, Lossy(), factory="IVF8,Flat")
    work = index_root(fresh) / ".building"
    done = {file.name for file in work.glob("slab-*.faiss")}

    manifest = build_slabs(fresh, 4, factory="IVF8,Flat")

    assert done == {"slab-0.faiss"}
    assert manifest.count == 2624


def test_what_was_removed_is_found_in_no_slab_and_can_be_put_back(fresh):
    build_slabs(fresh, 3)
    best = open_index(fresh).search(queries(fresh)[:1], 1)[1][0]

    remove(fresh, best)
    without = open_index(fresh).search(queries(fresh)[:1], 5)[1][0]
    restore(fresh)
    again = open_index(fresh).search(queries(fresh)[:1], 1)[1][0]

    assert best[0] not in without
    assert again == best


def test_one_of_every_second_location_is_cut_in_slabs_too(fresh):
    build_index(fresh)
    expected = Searcher(fresh, open_index(fresh)).find_at(INSIDE, 5)

    manifest = build_slabs(fresh, 3, every=2)

    found = Searcher(fresh, open_index(fresh)).find_at(INSIDE, 5)
    assert manifest.count < 400
    assert {hit.id for hit in found.hits} == {hit.id for hit in expected.hits}


def test_slabs_can_be_left_for_one_file_and_returned_to(fresh):
    slabs = build_slabs(fresh, 3)
    one = build_index(fresh)
    back = roll_back(fresh)

    assert not one.slabs
    assert one.factory == slabs.factory
    assert back == slabs


def test_a_slab_that_is_damaged_or_missing_is_refused(in_slabs, tmp_path):
    path = shutil.copytree(in_slabs.path, tmp_path / "small")
    atlas = type(in_slabs).open(path)
    file = path / "index" / "0001" / "slab-1.faiss"
    content = bytearray(file.read_bytes())

    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"slab-1\.faiss is damaged.*voxkin index"):
        open_index(atlas)
    file.write_bytes(content[:-7])
    with pytest.raises(DataError, match=r"slab-1\.faiss has [\d,]+ bytes instead of.*voxkin index"):
        open_index(atlas)
    file.unlink()
    with pytest.raises(DataError, match=r"slab-1\.faiss has 0 bytes"):
        open_index(atlas)


def test_the_description_of_slabs_is_plain_json(in_slabs):
    written = json.loads((index_root(in_slabs) / "0001" / "manifest.json").read_text())

    manifest, _ = current_manifest(in_slabs)
    assert [Slab(**slab) for slab in written["slabs"]] == list(manifest.slabs)
    assert written["bytes"] == sum(slab.bytes for slab in manifest.slabs)


RESULT = SearchResult((Hit(1, (0, 0, 0), 0.9, exact=True),), None, None, True, "", 5, True)


def test_gaps_are_flagged_in_the_answer_before_why_it_is_short():
    with looking_for_gaps() as gaps:
        note_gap("1 of 4 slabs did not answer")
        note_gap("1 of 4 slabs did not answer")

    found = flagged(RESULT, gaps)

    assert not found.complete
    assert not found.exact
    assert not found.hits[0].exact
    assert found.reason == found.missing == "1 of 4 slabs did not answer"
    assert read_search_result(search_result(found)).missing == found.missing
    assert flagged(found, ["more"]).reason == "more; 1 of 4 slabs did not answer"
    assert flagged(RESULT, []) is RESULT


def test_a_gap_that_nobody_looks_for_is_an_error():
    with looking_for_gaps():
        pass

    with pytest.raises(UnavailableError, match="1 of 4"):
        note_gap("1 of 4 slabs did not answer")


def test_a_gap_in_any_search_of_the_index_flags_the_answer(in_slabs):
    index = open_index(in_slabs)
    search = index._search

    def with_gap(*asked):
        note_gap("a slab did not answer")
        return search(*asked)

    index._search = with_gap
    searcher = Searcher(in_slabs, index)
    one = searcher.find_at(INSIDE, 3)
    each = searcher.find_each(queries(in_slabs)[:2])
    like = searcher.find_like(queries(in_slabs)[0], 3)

    for found in (one, *each, like):
        assert (found.complete, found.reason) == (False, "a slab did not answer")
        assert found.hits
