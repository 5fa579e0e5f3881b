"""Tests of embed/train.py: a run that was stopped, killed or starved goes on where it was."""

import dataclasses
import functools
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from embed.checkpoint import load_encoder
from embed.config import VolumeConfig, read_config, save_config
from embed.errors import DataError, MismatchError
from embed.normaliser import measure
from embed.reporting.config import ReportConfig
from embed.train import fit as fit_reporting
from embed.training.sampling import TrainingVolume
from embed.training.volumes import open_training_volumes
from tests.embed.runs import assert_same, latest, lines_of

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
LITTLE = ReportConfig(places=256, queries=1)
fit = functools.partial(fit_reporting, report=LITTLE)


@pytest.fixture(scope="module")
def config(tiny_run, tissue_volume):
    """Twelve steps on real tissue; the encoder reads filters."""
    path = tissue_volume.source.spec["kvstore"]["path"]
    train = dataclasses.replace(tiny_run.train, read_filters=1.0)
    return dataclasses.replace(tiny_run, volumes=(VolumeConfig(path),), train=train)


@pytest.fixture(scope="module")
def volumes(config):
    return open_training_volumes(config)


@pytest.fixture(scope="module")
def undisturbed(config, volumes, tmp_path_factory):
    """The directory of a run that nothing stopped; not to be changed."""
    run = tmp_path_factory.mktemp("runs") / "undisturbed"
    assert fit(config, volumes, run) is not None
    return run


def stopping(at):
    """A progress callback that asks for a stop after a step, as Ctrl-C does."""

    def progress(now):
        if now.step == at:
            signal.raise_signal(signal.SIGINT)

    return progress


def test_a_run_leaves_its_config_metrics_states_and_encoder(config, undisturbed):
    assert read_config(undisturbed) == config
    assert [line["step"] for line in lines_of(undisturbed)] == [1, 5, 10, 12]
    assert all(np.isfinite(list(line.values())).all() for line in lines_of(undisturbed))
    assert [line["step"] for line in lines_of(undisturbed, "scores.jsonl")] == [4, 8, 12]
    assert {child.name for child in (undisturbed / "states").iterdir()} == {"8", "12"}
    sheets = {f"step-{step:06}.png" for step in (4, 8, 12)}
    assert {child.name for child in (undisturbed / "sheets").iterdir()} == sheets
    assert len([*(undisturbed / "tensorboard").iterdir()]) == 1
    assert "Finished: 12 steps." in (undisturbed / "report.html").read_text()
    encoder = load_encoder(undisturbed)
    read = {"filters": config.train.filter_scales, "tones": config.train.tones}
    shape = dataclasses.replace(config.encoder, **read)
    assert (encoder.config, encoder.step) == (shape, 12)
    (origin,) = encoder.trained_on
    assert origin["name"] == "tissue"
    assert origin["source"] == config.volumes[0].source
    assert origin["box_zyx"] == [[0, 40], [0, 48], [0, 56]]


def test_running_a_finished_run_again_changes_nothing(config, volumes, undisturbed, tmp_path):
    run = shutil.copytree(undisturbed, tmp_path / "run")

    encoder = fit(config, volumes, run)

    assert encoder.fingerprint == load_encoder(undisturbed).fingerprint
    assert_same(config, run, undisturbed)


def test_a_run_asked_to_stop_saves_and_goes_on_exactly(config, volumes, undisturbed, tmp_path):
    run, seen, saved = tmp_path / "run", [], []
    before = signal.getsignal(signal.SIGINT)

    def watched(at):
        def progress(now):
            seen.append(now)
            if now.step == at:
                signal.raise_signal(signal.SIGINT)

        return progress

    for at in (2, 9):
        assert fit(config, volumes, run, progress=watched(at)) is None
        saved.append((latest(run), load_encoder(run).step))
    encoder = fit(config, volumes, run, progress=watched(None))

    assert encoder is not None
    assert saved == [(3, 3), (10, 10)]
    assert [now.step for now in seen] == list(range(1, 13))
    assert all(np.isfinite(now.loss) for now in seen)
    # The first step of each start compiles, and no rate is made of it.
    assert [now.step for now in seen if now.places_per_s == 0] == [1, 4, 11]
    assert {now.steps for now in seen} == {12}
    assert [now.saved for now in seen] == [0, 0, 3, 4, 4, 4, 4, 8, 8, 10, 10, 12]
    assert signal.getsignal(signal.SIGINT) is before
    assert_same(config, run, undisturbed)


# After step 6 the child waits for the parent's signal: for SIGTERM until it has been noticed, and
# for SIGKILL until the end. With "full" its disk takes no file over 1000 bytes from then on.
CHILD = """
import resource, signal, sys, time
from pathlib import Path
from embed.config import read_config
from embed.errors import StorageError
from embed.reporting.config import ReportConfig
from embed.train import fit
from embed.training.volumes import open_training_volumes

source, run, full = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "full"
config = read_config(source)

def progress(now):
    print(now.step, flush=True)
    if full and now.step == 6:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    while not full and now.step == 6 and signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        time.sleep(0.01)

if __name__ == "__main__":
    try:
        volumes = open_training_volumes(config)
        fit(config, volumes, run, report=ReportConfig(places=256, queries=1), progress=progress)
    except StorageError as error:
        sys.exit(str(error))
"""


@pytest.fixture
def spawn(config, tmp_path):
    """Starts a process that trains in `tmp_path / "run"`; ended with the test."""
    save_config(config, tmp_path)
    (tmp_path / "child.py").write_text(CHILD)
    started = []

    def start(mode):
        command = [sys.executable, tmp_path / "child.py", tmp_path, tmp_path / "run", mode]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        pipe = subprocess.PIPE
        started.append(
            subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)
        )
        return started[-1]

    yield start
    for child in started:
        child.kill()
        child.communicate()


@pytest.mark.parametrize(
    ("number", "code", "last"),
    [
        pytest.param(signal.SIGTERM, 0, 7, marks=pytest.mark.long),  # as when asked to stop
        (signal.SIGKILL, -signal.SIGKILL, 4),
    ],
)
def test_a_process_that_is_stopped_or_killed_goes_on_exactly(
    config, volumes, undisturbed, tmp_path, spawn, number, code, last
):
    run = tmp_path / "run"
    child = spawn("signalled")
    said = []
    for line in child.stdout:
        said.append(int(line))
        if said[-1] == 6:
            child.send_signal(number)
    child.wait()
    saved = latest(run)

    encoder = fit(config, volumes, run)

    assert child.returncode == code
    assert said[:6] == [1, 2, 3, 4, 5, 6]
    assert saved == last
    assert encoder is not None
    assert_same(config, run, undisturbed)


def test_a_full_disk_is_said_in_one_line_and_once_there_is_room_the_run_goes_on_exactly(
    config, volumes, undisturbed, tmp_path, spawn
):
    run = tmp_path / "run"
    child = spawn("full")
    _, complaint = child.communicate()
    saved = latest(run)

    fit(config, volumes, run)

    assert child.returncode == 1
    assert "a file would be larger than the system allows here" in complaint
    assert "Traceback" not in complaint
    assert saved == 4
    assert_same(config, run, undisturbed)


def test_a_line_of_metrics_that_a_kill_cut_short_is_written_anew(
    config, volumes, undisturbed, tmp_path
):
    run = tmp_path / "run"
    fit(config, volumes, run, progress=stopping(6))
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 10, "loss": 3.1')

    fit(config, volumes, run)

    assert_same(config, run, undisturbed)


@pytest.mark.parametrize(
    ("part", "change", "words"),
    [
        ("train", {"learning_rate": 2e-3}, "train.learning_rate was 0.001, now 0.002"),
        ("sampling", {"places": (3, 3, 4)}, r"sampling.places.2 was 3, now 4"),
        ("augment", {"noise": 0.0}, "augment.noise was 0.35, now 0.0"),
    ],
)
def test_other_settings_are_refused_and_named(config, volumes, undisturbed, part, change, words):
    other = dataclasses.replace(
        config, **{part: dataclasses.replace(getattr(config, part), **change)}
    )
    before = (undisturbed / "config.json").read_bytes()

    with pytest.raises(MismatchError, match=words) as error:
        fit(other, volumes, undisturbed)

    assert "choose a new --out" in str(error.value)
    assert (undisturbed / "config.json").read_bytes() == before


def test_a_folder_with_something_else_is_refused_and_left_alone(config, volumes, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")

    with pytest.raises(DataError, match="exists and is not a training run; choose a new --out"):
        fit(config, volumes, tmp_path)

    assert [child.name for child in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_damaged_config_is_refused(config, volumes, tmp_path):
    (tmp_path / "config.json").write_text('{"volumes": [')

    with pytest.raises(DataError, match=r"config\.json is damaged: it is not JSON"):
        fit(config, volumes, tmp_path)


def test_a_volume_with_nan_ends_the_run_and_once_mended_it_goes_on(
    config, undisturbed, tissue, write_volume, tmp_path
):
    good = tissue.astype(np.float32)
    normaliser = measure(write_volume(good))
    run = tmp_path / "run"

    def trained(run, voxels, **more):
        volume = write_volume(voxels)
        return fit(config, [TrainingVolume(volume, volume.box, normaliser)], run, **more)

    trained(run, good, progress=stopping(5))
    with pytest.raises(DataError, match=r"volume, voxels Box.* values are NaN or infinite"):
        trained(run, np.full_like(good, np.nan))
    saved = latest(run)
    trained(run, good)

    assert saved == 6
    assert lines_of(run) == lines_of(undisturbed)
