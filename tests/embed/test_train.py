"""Tests of embed/train.py: a run that was stopped, killed or starved goes on where it was."""

import dataclasses
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from embed.checkpoint import load_encoder
from embed.config import VolumeConfig, read_config, save_config
from embed.errors import DataError, MismatchError, StorageError
from embed.learner import init_state
from embed.normaliser import measure
from embed.resume import TrainingStates
from embed.sampling import TrainingVolume
from embed.train import fit
from embed.training_volumes import open_training_volumes

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def config(tiny_run, tissue_volume):
    """Twelve steps on real tissue."""
    path = tissue_volume.source.spec["kvstore"]["path"]
    return dataclasses.replace(tiny_run, volumes=(VolumeConfig(path),))


@pytest.fixture(scope="module")
def volumes(config):
    return open_training_volumes(config)


@pytest.fixture(scope="module")
def undisturbed(config, volumes, tmp_path_factory):
    """The directory of a run that nothing stopped; not to be changed."""
    run = tmp_path_factory.mktemp("runs") / "undisturbed"
    assert fit(config, volumes, run) is not None
    return run


def lines_of(run):
    """The metrics, without how fast they came."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "steps_per_s"} for line in lines]


def state_of(config, run, step):
    with TrainingStates(run) as states:
        return [np.asarray(x) for x in jax.tree.leaves(states.restore(step, init_state(config)))]


def assert_same(config, run, other):
    """Both runs ended with the same encoder file, training state and metrics, bit for bit."""
    assert (run / "encoder.npz").read_bytes() == (other / "encoder.npz").read_bytes()
    pairs = zip(state_of(config, run, 12), state_of(config, other, 12), strict=True)
    assert all(a.tobytes() == b.tobytes() for a, b in pairs)
    assert lines_of(run) == lines_of(other)


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
    assert {child.name for child in (undisturbed / "states").iterdir()} == {"8", "12"}
    encoder = load_encoder(undisturbed)
    assert (encoder.config, encoder.step) == (config.encoder, 12)
    (origin,) = encoder.trained_on
    assert origin["name"] == "tissue"
    assert origin["source"] == config.volumes[0].source
    assert origin["box_zyx"] == [[0, 40], [0, 48], [0, 56]]


def test_running_a_finished_run_again_changes_nothing(config, volumes, undisturbed, tmp_path):
    run = shutil.copytree(undisturbed, tmp_path / "run")

    encoder = fit(config, volumes, run)

    assert encoder.fingerprint == load_encoder(undisturbed).fingerprint
    assert_same(config, run, undisturbed)


def test_progress_tells_of_every_step_and_of_a_loss_from_the_first_on(config, volumes, tmp_path):
    seen, more = [], []
    run = tmp_path / "run"

    def stop_after_two(now):
        seen.append(now)
        stopping(2)(now)

    fit(config, volumes, run, progress=stop_after_two)
    fit(config, volumes, run, progress=more.append)

    assert [now.step for now in seen] == [1, 2, 3]
    assert [now.step for now in more] == list(range(4, 13))
    assert all(np.isfinite(now.loss) and now.places_per_s > 0 for now in seen + more)
    assert {now.steps for now in seen + more} == {12}


@pytest.mark.parametrize("stops", [(2,), (6, 9), (10,)])
def test_a_run_asked_to_stop_saves_and_goes_on_exactly(
    config, volumes, undisturbed, tmp_path, stops
):
    run = tmp_path / "run"
    before = signal.getsignal(signal.SIGINT)

    results = [fit(config, volumes, run, progress=stopping(at)) for at in stops]
    with TrainingStates(run) as states:
        saved = states.latest
    partial = load_encoder(run)
    encoder = fit(config, volumes, run)

    assert results == [None] * len(stops)
    assert saved == partial.step == stops[-1] + 1
    assert encoder is not None
    assert signal.getsignal(signal.SIGINT) is before
    assert_same(config, run, undisturbed)


# After step 6 the child waits for the parent's signal: for SIGTERM until it has been noticed, and
# for SIGKILL until the end.
CHILD = """
import signal, sys, time
from pathlib import Path
from embed.config import read_config
from embed.train import fit
from embed.training_volumes import open_training_volumes

source, run = map(Path, sys.argv[1:])
config = read_config(source)

def progress(now):
    print(now.step, flush=True)
    while now.step == 6 and signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        time.sleep(0.01)

if __name__ == "__main__":
    print(fit(config, open_training_volumes(config), run, progress=progress))
"""


@pytest.mark.parametrize(
    ("number", "code", "last"), [(signal.SIGTERM, 0, 7), (signal.SIGKILL, -signal.SIGKILL, 4)]
)
def test_a_process_that_is_stopped_or_killed_goes_on_exactly(
    config, volumes, undisturbed, tmp_path, number, code, last
):
    run = tmp_path / "run"
    save_config(config, tmp_path)
    (tmp_path / "child.py").write_text(CHILD)
    command = [sys.executable, tmp_path / "child.py", tmp_path, run]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        said = []
        for line in child.stdout:
            said.append(line.strip())
            if line.strip() == "6":
                child.send_signal(number)
    with TrainingStates(run) as states:
        saved = states.latest

    encoder = fit(config, volumes, run)

    assert child.returncode == code
    assert said[:6] == ["1", "2", "3", "4", "5", "6"]
    assert saved == last
    assert encoder is not None
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


def test_a_full_disk_is_said_and_the_run_goes_on_exactly_once_there_is_room(
    config, volumes, undisturbed, tmp_path
):
    run = tmp_path / "run"
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_the_disk(now):
        if now.step == 5:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))

    try:
        with pytest.raises(StorageError, match="a file would be larger than the system allows"):
            fit(config, volumes, run, progress=fill_the_disk)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))
    with TrainingStates(run) as states:
        saved = states.latest
    fit(config, volumes, run)

    assert saved == 4
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


def test_a_loss_that_is_no_number_ends_the_run_and_leaves_the_last_state(config, volumes, tmp_path):
    wild = dataclasses.replace(
        config,
        train=dataclasses.replace(
            config.train, learning_rate=1e36, warmup=0.0, log_every=100, save_every=1
        ),
    )

    for _ in range(2):  # the second time from the state that was saved
        with pytest.raises(DataError) as error:
            fit(wild, volumes, tmp_path / "run")

        assert "became nan between steps 1 and 2; the last saved is of step 1" in str(error.value)
        assert "smaller learning rate than 1e+36" in str(error.value)
    assert all(np.isfinite(x).all() for x in state_of(wild, tmp_path / "run", 1))
    assert [line["step"] for line in lines_of(tmp_path / "run")] == [1]
    assert not (tmp_path / "run" / "encoder.npz").exists()


def test_a_volume_with_nan_ends_the_run_and_once_mended_it_goes_on(
    config, tissue, write_volume, tmp_path
):
    good = tissue.astype(np.float32)
    config = dataclasses.replace(config, volumes=(VolumeConfig(str(tmp_path / "volume.zarr")),))
    normaliser = measure(write_volume(good))
    run, never_poisoned = tmp_path / "run", tmp_path / "never_poisoned"

    def trained(run, voxels, **more):
        volume = write_volume(voxels)
        return fit(config, [TrainingVolume(volume, volume.box, normaliser)], run, **more)

    trained(never_poisoned, good)
    trained(run, good, progress=stopping(5))
    with pytest.raises(DataError, match=r"volume, voxels Box.* values are NaN or infinite"):
        trained(run, np.full_like(good, np.nan))
    with TrainingStates(run) as states:
        saved = states.latest
    trained(run, good)

    assert saved == 6
    assert_same(config, run, never_poisoned)
