"""Tests of the parts of `voxkin demo`, with the smallest encoder on a corner of the sample."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embed.atlas import Atlas
from embed.config import load_preset
from embed.geometry import Box
from embed.samples import PATH
from embed.volume import open_volume
from serve.verbs.demo import PLACES, prepare, show
from serve.verbs.serve import start
from tests.commandline import files

CORNER = Box((0, 0, 0), (40, 48, 56))
INSIDE = {"one place": (235.0, 215.0, 175.0), "another": (115.0, 315.0, 255.0)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where the demonstration keeps its things."""
    return tmp_path_factory.mktemp("demo") / "deep" / "voxkin-demo"


@pytest.fixture(scope="module")
def prepared(preset, folder) -> Atlas:
    """The demonstration up to its index."""
    return prepare(load_preset(str(preset)), folder, CORNER)


def test_it_prepares_a_run_and_an_indexed_atlas(prepared, folder):
    assert (folder / "run" / "encoder.npz").is_file()
    assert (folder / "atlas" / "index").is_dir()
    marks = prepared.finished().values()
    assert sum(mark.locations - mark.unwanted for mark in marks) == 17 * 21 * 25


def test_what_is_done_is_not_done_again(prepared, preset, folder, capsys):
    before = files(folder)

    again = prepare(load_preset(str(preset)), folder, CORNER)

    assert again.info == prepared.info
    assert "all 12 steps were done before" in capsys.readouterr().err
    assert files(folder) == before


def test_it_asks_the_server_prints_a_table_for_each_place_and_draws_them(
    prepared, folder, tmp_path, capsys
):
    with start((folder / "atlas",), "127.0.0.1:0", "127.0.0.1:0") as server:
        sheet = show(prepared, server.grpc_address, INSIDE, tmp_path)

    said = capsys.readouterr().out
    assert [name for name in INSIDE if name not in said] == []
    assert said.count("query") == 2
    assert sheet == tmp_path / "neighbours.png"
    picture = np.asarray(Image.open(io.BytesIO(sheet.read_bytes())))
    assert picture.std() > 20


def test_its_places_are_in_the_sample_with_their_surroundings():
    volume = open_volume(PATH)
    centres = volume.frame.to_voxel(np.array(list(PLACES.values()), float))

    assert len(PLACES) >= 4
    assert (centres > 16).all()
    assert (centres < np.array(volume.box.shape) - 16).all()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--grpc", "0.0.0.0:50061"], "cannot serve on 0.0.0.0:50061"),
        (["--http", "here"], "write HOST:PORT"),
    ],
)
def test_an_address_that_will_not_do_is_refused_before_minutes_of_training(
    voxkin, tmp_path, words, said
):
    assert said in voxkin("demo", "--out", tmp_path / "demo", *words).complaint

    assert not (tmp_path / "demo").exists()


def test_a_folder_of_something_else_is_left_alone(voxkin, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")

    folder = voxkin("demo", "--once", "--out", tmp_path)
    file = voxkin("demo", "--once", "--out", tmp_path / "mine.txt")

    assert "is not of a demo" in folder.complaint
    assert "is not of a demo" in file.complaint
    assert files(tmp_path) == {"mine.txt": b"mine"}
