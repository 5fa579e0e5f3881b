"""Tests of `voxkin labels`."""

import shutil
from pathlib import Path

import pytest

from embed.atlas import Atlas
from serve.labelling.store import LabelStore
from tests.atlases import make_atlas

HEADER = "x_nm,y_nm,z_nm,label\n"
ROWS = "205,205,205,mito\n255,205,205,axon\n"


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    """An atlas that nobody labels; it has no encoder, which labels do not ask for."""
    return make_atlas(tmp_path_factory.mktemp("atlases") / "small").path


@pytest.fixture
def own_atlas(atlas, tmp_path):
    """A copy of it."""
    return Path(shutil.copytree(atlas, tmp_path / "own"))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(HEADER + ROWS)
    return path


def test_labels_are_imported_listed_and_undone(voxkin, own_atlas, file):
    none = voxkin("labels", "list", own_atlas)
    done = voxkin("labels", "import", own_atlas, file, "--set", "structures", "--author", "ana")
    listed = voxkin("labels", "list", own_atlas)
    sets = voxkin("labels", "sets", own_atlas)
    undone = voxkin("labels", "undo", own_atlas, "--author", "ana")

    assert none.out.startswith("no labels yet; bring some in with: voxkin labels import")
    assert done.out.splitlines()[-1] == "2 labels imported, 0 rows left out"
    assert [line.split()[:3] for line in listed.out.splitlines()[2:4]] == [
        ["structures", "mito", "ana"],
        ["structures", "axon", "ana"],
    ]
    assert [line.split() for line in sets.out.splitlines()[2:4]] == [
        ["structures", "mito", "#e69f00", "1", "1"],
        ["structures", "axon", "#56b4e9", "2", "1"],
    ]
    assert undone.out == "took back an import of 2 labels\n"
    assert voxkin("labels", "list", own_atlas, "--json").json == []


def test_a_dry_run_tells_and_stores_nothing_and_what_is_left_out_is_told(voxkin, own_atlas, file):
    file.write_text(HEADER + ROWS + "1e9,0,0,mito\n")

    would = voxkin("labels", "import", own_atlas, file, "--set", "s", "--dry-run")
    strict = voxkin("labels", "import", own_atlas, file, "--set", "s", "--strict")
    told = voxkin("labels", "import", own_atlas, file, "--set", "s", "--dry-run", "--json")

    assert would.out.splitlines()[-1] == "2 labels would be imported, 1 rows left out"
    assert "left out line 4: it is outside atlas 'own'" in would.err
    assert "1 of the 3 places of mine.csv are outside atlas 'own'" in strict.complaint
    assert told.json["skipped"] == [{"line": 4, "why": "it is outside atlas 'own'"}]
    assert not LabelStore.open(Atlas.open(own_atlas)).path.exists()


@pytest.mark.parametrize("format", ["csv", "cave", "precomputed"])
def test_labels_are_exported_and_imported_again(voxkin, own_atlas, file, tmp_path, format):
    out = tmp_path / "out"
    voxkin("labels", "import", own_atlas, file, "--set", "structures", "--author", "ana")

    written = voxkin(
        *("labels", "export", own_atlas, "--set", "structures", "--out", out, "--format", format)
    )
    done = voxkin("labels", "import", own_atlas, out, "--set", "again", "--json")
    again = voxkin(
        *("labels", "export", own_atlas, "--set", "structures", "--out", out, "--format", format)
    )

    assert written.out == f"2 labels are in {out}\n"
    assert (done.json["imported"], done.json["classes"]) == (2, {"mito": 1, "axon": 1})
    assert "exists; choose a new --out" in again.complaint


def test_tables_are_converted_without_an_atlas(voxkin, file, tmp_path):
    cave, layer, back = (tmp_path / name for name in ("cave.csv", "layer", "back.csv"))

    first = voxkin(
        *("labels", "convert", file, "--to", "cave", "--out", cave, "--to-resolution", "5,5,5")
    )
    second = voxkin("labels", "convert", cave, "--to", "precomputed", "--out", layer)
    third = voxkin("labels", "convert", layer, "--to", "csv", "--out", back, "--json")

    assert '"[41, 41, 41]"' in cave.read_text()
    assert first.out.splitlines()[-1] == f"2 labels are in {cave}"
    assert second.code == 0
    assert third.json == {"labels": 2, "path": str(back)}
    assert [line.split(",")[:4] for line in back.read_text().splitlines()[1:]] == [
        row.split(",") for row in ROWS.splitlines()
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "say what to do with labels: list, sets, import"),
        (["export", "{atlas}", "--set", "nobody", "--out", "x"], "no class set 'nobody'"),
        (["export", "{atlas}", "--set", "A/B", "--out", "x"], "1 to 64 of a-z"),
        (["import", "{atlas}", "{atlas}/none.csv", "--set", "s"], "no label file at"),
        (["import", "{atlas}", "{file}", "--set", "s", "--resolution", "1,1,1"], "of csv such as"),
        (["import", "{atlas}", "{file}", "--set", "s", "--author", "=1"], "as a formula does"),
        (["undo", "{atlas}", "--author", "nobody"], "nothing to undo of what 'nobody' did"),
        (["convert", "{file}", "--to", "csv", "--out", "{file}"], "exists; choose a new --out"),
    ],
)
def test_mistakes_are_told_in_a_line(voxkin, atlas, file, words, told):
    filled = [word.format(atlas=atlas, file=file) for word in words]

    assert told in voxkin("labels", *filled).complaint
