"""Tests of `voxkin train`: what it makes, what it refuses, and how it stops and goes on."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.commandline import BAD, SHAPE, Voxkin, bad_volume, files, signal_when, write_volume

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
LONG = ("--train.steps", 400, "--train.save-every", 1000)


def _metrics(run: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_run_holds_encoder_settings_figures_sheets_and_report(run):
    assert {path.name for path in run.iterdir()} == {
        "config.json",
        "encoder.npz",
        "metrics.jsonl",
        "report.html",
        "scores.jsonl",
        "sheets",
        "states",
        "tensorboard",
    }
    assert _metrics(run) == [1, 5, 10, 12]


def test_the_same_command_again_does_nothing_anew(voxkin, preset, volume, run):
    before = files(run)

    told = voxkin("train", preset, "--volume", volume, "--out", run)

    assert told.code == 0
    assert told.err == "all 12 steps were done before\n"
    assert f"is in {run}, its report is {run / 'report.html'}" in told.out
    assert re.search(r"^loss \d+\.\d{3} \(from .*RankMe \d\.\d of 8 · .* places/s", told.out)
    assert f"next: voxkin embed {run} --volume VOLUME --out ATLAS" in told.out
    after = files(run)
    assert [name for name in before if before[name] != after[name]] == []


def test_json_is_one_value(voxkin, preset, volume, run):
    told = voxkin("train", preset, "--volume", volume, "--out", run, "--json")

    assert told.json["steps"] == 12
    assert told.json["embedding_dim"] == 8
    assert told.json["report"] == str(run / "report.html")
    assert 1 < told.json["figures"]["rank_me"] < 8
    assert told.json["fov_voxels"] == {"x": 7, "y": 7, "z": 7}


def test_other_settings_than_those_of_the_run_are_refused_by_name(voxkin, preset, volume, run):
    before = files(run)

    ended = voxkin("train", preset, "--volume", volume, "--out", run, "--train.steps", 13)

    assert "train.steps was 12, now 13" in ended.complaint
    assert files(run) == before


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_volume_is_refused(voxkin, preset, tissue, tmp_path, kind):
    path = bad_volume(kind, tissue, tmp_path)

    ended = voxkin("train", preset, "--volume", path, "--out", tmp_path / "run")

    assert BAD[kind] in ended.complaint
    assert not (tmp_path / "run" / "encoder.npz").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--box", "0:9,0:9,0:9"], "describe --volume, which is missing"),
        (["--axes", "zyx"], "describe --volume, which is missing"),
        (["--volume", "sample", "--box", "0:9,0:9"], "as in --box"),
        (["--volume", "sample", "--box", "0:99,0:99,0:999"], "leaves fib25"),
        (["--volume", "sample", "--voxel-size", "10"], "as in --voxel-size"),
    ],
)
def test_flags_that_do_not_fit_together_are_refused(voxkin, preset, tmp_path, words, said):
    assert said in voxkin("train", preset, "--out", tmp_path / "run", *words).complaint

    assert not (tmp_path / "run").exists()


def test_an_unknown_preset_is_refused_with_those_there_are(voxkin, tmp_path):
    ended = voxkin("train", "fibsme", "--out", tmp_path / "run")

    assert "there are adapt, demo, fibsem, " in ended.complaint


@pytest.mark.parametrize(
    ("text", "said"),
    [("config = 3", "has no `config = RunConfig(...)`"), ("1 / 0", "fails: ZeroDivisionError")],
)
def test_a_preset_that_does_not_work_is_refused(voxkin, tmp_path, text, said):
    (tmp_path / "mine.py").write_text(text)

    ended = voxkin("train", tmp_path / "mine.py", "--out", tmp_path / "run")

    assert said in ended.complaint


def test_flags_before_the_preset_are_refused(voxkin, tmp_path):
    assert "CONFIG comes first" in voxkin("train", "--out", tmp_path / "run", "smoke").complaint


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "CONFIG"),
        (["smoke"], "--out RUN"),
        (["smoke", "--out", "run", "--train.steps", "0"], "at least 1"),
        (["smoke", "--out", "run", "--train.steps", "many"], "--train.steps"),
        (["smoke", "--out", "run", "--report.places", "-1"], "at least 0"),
        (["smoke", "--out", "run", "--report.unlabelled", "0"], "of a label volume"),
    ],
)
def test_what_is_missing_or_out_of_range_is_named(voxkin, words, said):
    ended = voxkin("train", *words)

    assert ended.code == 2
    assert said in ended.err
    assert "Traceback" not in ended.err


def test_a_place_that_holds_something_else_is_left_alone(voxkin, preset, volume, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")

    folder = voxkin("train", preset, "--volume", volume, "--out", tmp_path / "notes")
    file = voxkin("train", preset, "--volume", volume, "--out", tmp_path / "notes" / "mine.txt")

    assert "is not a training run" in folder.complaint
    assert "is not a training run" in file.complaint
    assert files(tmp_path) == {"notes/mine.txt": b"mine"}


@pytest.mark.skipif(not Path("/sys").is_dir(), reason="needs a place that refuses even root")
def test_a_place_that_may_not_be_written_to_is_refused(voxkin, preset, volume):
    ended = voxkin("train", preset, "--volume", volume, "--out", "/sys/run")

    assert "cannot write /sys/run/config.json" in ended.complaint


@pytest.mark.long  # as tests/embed/test_train.py shows of the library
def test_sigterm_saves_and_the_same_command_goes_on(voxkin, preset, volume, tmp_path):
    words = ("train", preset, "--volume", volume, "--out", tmp_path, *LONG)
    sender = signal_when(tmp_path / "metrics.jsonl", signal.SIGTERM)

    stopped = voxkin(*words)
    sender.join()
    resumed = voxkin(*words, "--json")

    assert stopped.code == 143
    assert stopped.out == ""
    assert stopped.err.startswith("voxkin train: stopped and saved at step ")
    assert "of 400" in stopped.err
    assert resumed.json["steps"] == 400
    assert _metrics(tmp_path) == [1, *range(5, 401, 5)]


@pytest.mark.long
def test_ctrl_c_in_a_terminal_ends_with_130(preset, volume, tmp_path):
    words = ["train", preset, "--volume", volume, "--out", tmp_path, *LONG]
    command = [sys.executable, "-m", "serve.cli", *map(str, words)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 100
        while not (tmp_path / "metrics.jsonl").exists() and time.monotonic() < until:
            time.sleep(0.05)

        process.send_signal(signal.SIGINT)
        _, err = process.communicate()

    assert process.returncode == 130
    assert err.startswith("voxkin train: stopped and saved at step ")
    assert err.count("\n") == 1
    assert (tmp_path / "encoder.npz").exists()


@pytest.mark.long  # of the command line; the library's own is tests/embed/test_train.py
def test_a_full_disk_is_said_and_the_run_goes_on_once_there_is_room(
    voxkin: Voxkin, preset, volume, tmp_path
):
    words = ["train", preset, "--volume", volume, "--out", tmp_path / "run"]
    command = [sys.executable, "-m", "serve.cli", *map(str, words)]
    limited = ["bash", "-c", 'ulimit -f 20; exec "$@"', "bash", *command]

    full = subprocess.run(limited, cwd=ROOT, capture_output=True, text=True)
    again = voxkin(*words)

    assert full.returncode == 2
    assert full.stderr.startswith("voxkin train: cannot ")
    assert "a file would be larger than the system allows here" in full.stderr
    assert full.stderr.count("\n") == 1
    assert again.code == 0
    assert _metrics(tmp_path / "run") == [1, 5, 10, 12]


@pytest.mark.long
def test_labels_are_scored_and_a_report_can_be_had_without_figures(
    voxkin, preset, volume, tissue, tmp_path
):
    values = (np.arange(SHAPE[1])[None, :, None] // 8 % 2) * np.ones(SHAPE)
    labels = write_volume(tmp_path / "labels.zarr", values.astype(np.uint8))
    words = ("train", preset, "--volume", volume, "--json", "--out")

    scored = voxkin(*words, tmp_path / "scored", "--report.labels", labels)
    bare = voxkin(*words, tmp_path / "bare", "--report.places", 0)

    assert 0 < scored.json["figures"]["ap_25"] <= 1
    assert "rank_me" not in bare.json["figures"]
    assert scored.json["encoder"] == bare.json["encoder"]
    assert not (tmp_path / "bare" / "scores.jsonl").exists()
