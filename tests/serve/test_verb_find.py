"""Tests of serve/verbs: find.py and find_arguments.py: searches from the command line."""

import json

import numpy as np
import pytest

from embed.atlas import Atlas
from embed.volume import open_volume
from serve.cli import main
from serve.index import open_index
from serve.labels import LabelTable
from serve.mapping.apply import apply_probe
from serve.probes import train_atlas_probe
from serve.queries import ClassFilter, Filters, LabelFilter, Query, Wish
from serve.search import Searcher
from serve.served import ServedAtlas
from serve.server import start_server
from tests.labelled import write_volume
from tests.serve.brute import write_segmentation
from tests.served import INSIDE, label_places, make_served

MASK = "m.zarr"
AT, OTHER = "260,260,435", "420,420,555"
BOX = ((100.0, 100.0, 30.0), (500.0, 450.0, 600.0))
ANY = "127.0.0.1:0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("found")
    served = make_served(folder / "small")
    places = np.array([(x, 260.0, z) for x in (132, 196, 452, 548) for z in (375, 675)])
    table = LabelTable(places, ("low",) * 4 + ("high",) * 4)
    apply_probe(served.atlas, train_atlas_probe(served.atlas, table, "low"))
    label_places(served.atlas, "mito", (420.0, 420.0, 555.0), (132.0, 260.0, 675.0))
    write_volume(
        folder / "m.zarr", (np.indices((12, 7, 7)).sum(0) % 3 == 0).astype("u1"), (50.0, 70.0, 70.0)
    )
    write_segmentation(folder / "s.zarr")
    return folder


@pytest.fixture(scope="module")
def searcher(folder):
    atlas = Atlas.open(folder / "small")
    masks = {MASK: open_volume(folder / MASK)}
    return Searcher(atlas, open_index(atlas), open_volume(folder / "s.zarr"), masks=masks)


def _json(capsys, *words):
    assert main(["find", *map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def _ids(report):
    return [hit["id"] for hit in report["hits"]]


PLACE = Query(like_nm_xyz=(INSIDE,))
ASKED = {
    "a box": (
        ["--at", AT, "--box-nm", "100:500,100:450,30:600"],
        PLACE,
        Wish(filters=Filters((BOX,))),
    ),
    "segments": (
        ["--at", AT, "--segments", "1,112,111", "--not-segments", "112", "-k", "3"],
        PLACE,
        Wish(3, filters=Filters((), frozenset({1, 112, 111}), frozenset({112}))),
    ),
    "one of a segment": (
        ["--at", AT, "--per-segment", "1", "--k", "6"],
        PLACE,
        Wish(6, per_segment=1),
    ),
    "the most like": (
        ["--at", AT, "--at-least", "0.3", "-k", "4"],
        PLACE,
        Wish(4, at_least=0.3),
    ),
    "examples": (
        ["--like", AT, "--like", OTHER, "--unlike", "132,420,675", "--mode", "best"],
        Query(like_nm_xyz=(INSIDE, (420, 420, 555)), unlike_nm_xyz=((132, 420, 675),), mode="best"),
        Wish(),
    ),
    "a line": (
        ["--at", AT, "--unlike", OTHER, "--mode", "linear"],
        Query(like_nm_xyz=(INSIDE,), unlike_nm_xyz=((420, 420, 555),), mode="linear"),
        Wish(),
    ),
    "a mask": (
        ["--at", AT, "--mask", MASK, "-k", "5"],
        PLACE,
        Wish(5, filters=Filters(masks=frozenset({MASK}))),
    ),
    "a class of a map": (
        ["--at", AT, "--where", "low:high:0.75", "-k", "5"],
        PLACE,
        Wish(5, filters=Filters(classes=(ClassFilter("low", "high", 0.75),))),
    ),
    "the likeliest of two": (
        ["--at", AT, "--where", "low", "--where", "low:high", "-k", "5"],
        PLACE,
        Wish(5, filters=Filters(classes=(ClassFilter("low"), ClassFilter("low", "high")))),
    ),
    "what is labelled": (
        ["--at", AT, "--labelled", "s:mito", "--labelled", "s"],
        PLACE,
        Wish(filters=Filters(labels=(LabelFilter("s", "mito"), LabelFilter("s")))),
    ),
    "what is not labelled": (
        ["--at", AT, "--not-labelled", "s:mito", "-k", "5"],
        PLACE,
        Wish(5, filters=Filters(not_labels=(LabelFilter("s", "mito"),))),
    ),
    "a probe": (["--probe", "low"], Query(probe="low"), Wish()),
    "a class": (["--probe", "low:high"], Query(probe="low", probe_class="high"), Wish()),
}


@pytest.mark.parametrize(("words", "query", "wish"), ASKED.values(), ids=ASKED.keys())
def test_flags_say_what_to_find(folder, searcher, capsys, monkeypatch, words, query, wish):
    monkeypatch.chdir(folder)
    report = _json(capsys, folder / "small", "--segmentation", folder / "s.zarr", *words)

    found = searcher.find(query, wish)
    assert _ids(report) == [hit.id for hit in found.hits]
    assert [hit["why"] for hit in report["hits"]] == [hit.why for hit in found.hits]
    assert [hit["segment"] for hit in report["hits"]] == [hit.segment for hit in found.hits]


def test_everything_above_a_similarity_is_told_line_by_line(folder, searcher, capsys):
    words = ["find", str(folder / "small"), "--at", AT, "--at-least", "0.5"]

    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert main([*words, "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    wanted = [hit for _, hits in searcher.find_all(PLACE, 0.5) for hit in hits]
    assert [hit["id"] for hit in told] == [hit.id for hit in wanted]
    first = wanted[0]
    place = "\t".join(f"{v:g}" for v in first.position_nm_xyz)
    assert lines[0] == f"{first.similarity:.3f}\t{place}"
    assert len(lines) == len(wanted)


def test_a_server_is_asked_the_same(folder, capsys):
    words = ["--like", AT, "--unlike", OTHER, "--box-nm", "100:500,100:450,30:600"]
    served = ServedAtlas.open(folder / "small")
    with start_server({"small": served}, ANY, ANY) as server:
        there = _json(capsys, "--server", server.grpc_address, *words)
        every = ["find", "--server", server.grpc_address, "--at", AT, "--at-least", "0.5"]
        assert main(every) == 0
    lines = capsys.readouterr().out
    here = _json(capsys, folder / "small", *words)

    assert there == here
    assert main(["find", str(folder / "small"), "--at", AT, "--at-least", "0.5"]) == 0
    assert capsys.readouterr().out == lines


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "--at X,Y,Z"),
        (["--unlike", AT], "--at X,Y,Z"),
        (["--at", AT, "--box-nm", "1:2,3:4"], "--box-nm takes X, Y and Z ranges in nm"),
        (["--at", AT, "--box-nm", "2:1,3:4,5:6"], "lower corner"),
        (["--at", AT, "--segments", "a"], "--segments takes ids"),
        (["--at", AT, "--not-segments", "1,"], "--not-segments takes ids"),
        (["--at", AT, "--segments", "1"], "--segmentation"),
        (["--at", AT, "--probe", "low"], "not both"),
        (["--probe", "low:x"], "high, low"),
        (["--at", AT, "--mode", "linear"], "to be unlike"),
        (["--at", AT, "--at-least", "0.5", "--per-segment", "1"], "needs -k N"),
        (["--at", AT, "-k", "0"], "1 to 10000"),
        (["--at", AT, "--server", "127.0.0.1:1"], "either an ATLAS directory or --server"),
    ],
)
def test_what_cannot_be_asked_ends_with_two_and_a_line(folder, capsys, words, told):
    assert main(["find", str(folder / "small"), *words]) == 2

    assert told in " ".join(capsys.readouterr().err.split())


def test_several_atlases_take_one_place_alone(folder, given, capsys):
    words = ["find", str(folder / "small"), str(given.path), "--at", AT]

    assert main([*words, "--unlike", OTHER]) == 2
    assert "name one ATLAS" in capsys.readouterr().err
    assert main([*words, "--at-least", "0.9"]) == 2
    assert "one ATLAS at a time" in capsys.readouterr().err
