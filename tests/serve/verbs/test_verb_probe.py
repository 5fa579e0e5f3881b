"""Tests of `voxkin probe train`, `suggest`, `apply`, `list` and `rollback`."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from embed.atlas import Atlas
from embed.volume import open_volume
from serve.labels import read_labels
from tests.commandline import files

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
HEADER = "x_nm,y_nm,z_nm,label\n"


@pytest.fixture
def labels(volume: Path, tmp_path: Path) -> Path:
    """Forty places, dark or bright as the voxels in their middle are."""
    voxels = open_volume(volume).read(open_volume(volume).box)
    rng = np.random.default_rng(0)
    places = rng.integers((4, 4, 4), (36, 44, 52), (40, 3))
    greys = [voxels[z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2].mean() for z, y, x in places]
    middle = np.median(greys)
    rows = [
        f"{10 * x + 5},{10 * y + 5},{10 * z + 5},{'dark' if grey < middle else 'bright'}\n"
        for (z, y, x), grey in zip(places, greys, strict=True)
    ]
    path = tmp_path / "labels.csv"
    path.write_text(HEADER + "".join(rows))
    return path


def test_a_probe_is_trained_listed_and_applied(voxkin, own_atlas, labels):
    none = voxkin("probe", "list", own_atlas)
    trained = voxkin("probe", "train", own_atlas, "--labels", labels, "--name", "dark")
    listed = voxkin("probe", "list", own_atlas)
    applied = voxkin("probe", "apply", own_atlas, "--name", "dark")

    assert none.out.startswith("no probes yet; make one with: voxkin probe train")
    assert trained.code == listed.code == applied.code == 0
    *table, shares, calibration, curve, following = trained.out.splitlines()
    assert table == listed.out.splitlines()
    assert table[0].split() == "probe labels version balanced accuracy F1 mean AP folds".split()
    assert shares.startswith("share of the volume (estimated): bright ")
    assert calibration.startswith("calibration error 0.")
    assert curve.startswith("balanced accuracy by labels: 5: 0.")
    assert following == f"next: voxkin probe apply {own_atlas} --name dark"
    assert [line.split()[0] for line in applied.out.splitlines()[2:4]] == ["bright", "dark"]
    assert f"the map is {own_atlas / 'maps' / 'dark.zarr'}" in applied.out
    assert voxkin("info", own_atlas / "maps" / "dark.zarr", "--channel", 0).code == 0


def test_versions_are_listed_and_rolled_back(voxkin, own_atlas, labels):
    words = ("--labels", labels, "--name", "dark")
    for prior in ("none", "bright=0.9,dark=0.1"):
        voxkin("probe", "train", own_atlas, *words, "--prior", prior)

    back = voxkin("probe", "rollback", own_atlas, "--name", "dark")

    listed = voxkin("probe", "list", own_atlas, "--name", "dark", "--json").json
    assert back.out.endswith("version 3 is in use, a copy of version 1\n")
    assert [(one["version"], one["restored"]) for one in listed] == [(1, 0), (2, 0), (3, 1)]
    assert [one["prior"]["dark"] for one in listed] == [0.5, 0.1, 0.5]
    assert [one["prior_source"] for one in listed] == ["none", "given", "none"]
    assert listed[0]["labels_from"] == f"file {labels}"


def test_suggestions_are_a_table_or_a_label_file_to_fill_in(voxkin, own_atlas, labels, tmp_path):
    voxkin("probe", "train", own_atlas, "--labels", labels, "--name", "dark")
    words = ("probe", "suggest", own_atlas, "--name", "dark", "--k", 5)

    table = voxkin(*words)
    file = voxkin(*words, "--csv").out
    told = voxkin(*words, "--kind", "likely", "--label", "dark", "--json").json

    assert table.out.splitlines()[0].split() == "why x nm y nm z nm uncertainty unknown".split()
    heading, *rows = file.splitlines()
    assert heading == "x_nm,y_nm,z_nm,label"
    assert len(rows) == len(told) == 5
    assert {place["why"] for place in told} == {"likely dark"}
    (tmp_path / "next.csv").write_text(heading + "".join(f"\n{row}dark" for row in rows))
    assert len(read_labels(tmp_path / "next.csv", Atlas.open(own_atlas)).labels) == 5


def test_a_probe_is_trained_from_class_sets(voxkin, own_atlas, labels):
    brought = ("labels", "import", own_atlas, labels, "--author", "ana", "--set")
    assert voxkin(*brought, "greys").code == voxkin(*brought, "shades").code == 0

    trained = voxkin("probe", "train", own_atlas, "--set", "greys", "--json").json
    twice = voxkin("probe", "train", own_atlas, "--set", "greys,shades")

    assert (trained["name"], trained["labels"]) == ("greys", {"bright": 20, "dark": 20})
    assert trained["labels_from"].startswith("set greys, revision ")
    assert "class 'bright' is in two of the sets greys, shades" in twice.complaint


def test_the_map_of_given_places_is_a_table(voxkin, given_atlas, tmp_path):
    own = Path(shutil.copytree(given_atlas, tmp_path / "own"))
    places = Atlas.open(own).positions_nm_xyz(np.arange(40))
    rows = [f"{x},{y},{z},{'near' if x < 250 else 'far'}\n" for x, y, z in places.tolist()]
    (tmp_path / "labels.csv").write_text(HEADER + "".join(rows))

    trained = voxkin("probe", "train", own, "--labels", tmp_path / "labels.csv", "--name", "side")
    applied = voxkin("probe", "apply", own, "--name", "side")

    table = own / "maps" / "side.csv"
    assert trained.code == applied.code == 0
    assert f"the map is {table} (0 locations are void)" in applied.out
    heading, *lines = table.read_text().splitlines()
    assert heading == "id,source,segment,x_nm,y_nm,z_nm,probability_far,probability_near"
    assert len(lines) == 60


def test_json_is_one_value_of_each(voxkin, own_atlas, labels):
    words = ("--labels", labels, "--name", "dark", "--json")

    trained = voxkin("probe", "train", own_atlas, *words)
    listed = voxkin("probe", "list", own_atlas, "--json")
    applied = voxkin("probe", "apply", own_atlas, "--name", "dark", "--json")

    assert listed.json == [trained.json]
    assert trained.json["labels"] == {"bright": 20, "dark": 20}
    assert trained.json["scores"]["balanced_accuracy"] > 0.5
    assert sum(applied.json["locations"].values()) + applied.json["voids"] == 8925
    assert (trained.err, listed.err, applied.err) == ("", "", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: no header"),
        (HEADER, "has no labels"),
        ("x_nm,y_nm,z_nm,lable\n1,2,3,a\n", "unknown column 'lable'"),
        ("x_nm,y_nm,label\n1,2,a\n", "no column 'z_nm'"),
        (HEADER + "100,100,100,a\n99999,100,100,b\n", "line 3, column x_nm: 99999 nm is outside"),
        (HEADER + "100,100,nan,a\n", "line 2, column z_nm: 'nan' is not a finite number"),
        (HEADER + "100,100,100,a\n200,200,200,a\n", "needs two classes or more"),
        (HEADER + "100,100,100\n", "3 cells where the header names 4"),
    ],
)
def test_bad_labels_are_refused_and_the_old_probe_stays(voxkin, own_atlas, labels, text, said):
    voxkin("probe", "train", own_atlas, "--labels", labels, "--name", "dark")
    before = files(own_atlas)
    labels.write_text(text)

    ended = voxkin("probe", "train", own_atlas, "--labels", labels, "--name", "dark")

    assert said in ended.complaint
    assert files(own_atlas) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "--labels", "no.csv", "--name", "dark"], "no label file at no.csv"),
        (["train", "--labels", "LABELS", "--name", "Dark ones"], "a-z, 0-9, - and _"),
        (["apply", "--name", "no"], "no probe 'no' in atlas 'own'; there are: none"),
        (["suggest", "--name", "no"], "no probe 'no' in atlas 'own'; there are: none"),
        (["rollback", "--name", "no"], "no probe 'no' in atlas 'own'; there are: none"),
        (["list", "--name", "no"], "no probe 'no' in atlas 'own'; there are: none"),
        (["train", "--name", "no"], "give one"),
        (["train", "--labels", "LABELS"], "give the probe a name with --name"),
        (["train", "--set", "no"], "no class set 'no'"),
        (["train", "--labels", "LABELS", "--name", "a", "--prior", "much"], "got 'much'"),
        (["train", "--labels", "LABELS", "--name", "a", "--prior", "a=0.5"], "the classes are"),
    ],
)
def test_what_is_not_there_or_no_name_is_refused(voxkin, own_atlas, labels, words, said):
    verb, *rest = (str(labels) if word == "LABELS" else word for word in words)

    assert said in voxkin("probe", verb, own_atlas, *rest).complaint


@pytest.mark.parametrize("words", [[], ["tarin"]])
def test_the_second_word_is_needed(voxkin, words):
    assert "say what to do with probes: train, suggest, apply" in voxkin("probe", *words).complaint


def test_a_half_written_atlas_is_refused(voxkin, own_atlas, labels):
    (own_atlas / "ledger" / "0.0.0.json").unlink()

    ended = voxkin("probe", "train", own_atlas, "--labels", labels, "--name", "dark")

    assert "1 of 2 shards" in ended.complaint


def test_a_full_disk_is_said_and_no_half_map_stays(voxkin, own_atlas, labels):
    voxkin("probe", "train", own_atlas, "--labels", labels, "--name", "dark")
    before = files(own_atlas)
    words = ["probe", "apply", str(own_atlas), "--name", "dark"]
    command = [sys.executable, "-m", "serve.cli", *words]
    limited = ["bash", "-c", 'ulimit -f 1; exec "$@"', "bash", *command]

    full = subprocess.run(limited, cwd=ROOT, capture_output=True, text=True)

    assert full.returncode == 2
    assert full.stderr.startswith("voxkin probe: cannot write")
    assert full.stderr.count("\n") == 1
    assert files(own_atlas) == before
