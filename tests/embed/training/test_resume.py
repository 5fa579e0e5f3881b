"""Tests of embed/training/resume.py: whole states or none."""

import shutil

import jax.numpy as jnp
import numpy as np
import pytest

from embed.errors import DataError, StorageError
from embed.training.resume import TrainingStates


def state(seed, size=300):
    drawn = np.random.default_rng(seed).normal(size=size).astype(np.float32)
    return {"params": {"kernel": jnp.asarray(drawn)}, "step": jnp.asarray(seed, jnp.int32)}


def same(a, b):
    kernels = [np.asarray(x["params"]["kernel"]).tobytes() for x in (a, b)]
    return kernels[0] == kernels[1] and int(a["step"]) == int(b["step"])


@pytest.fixture
def saved(tmp_path):
    """The directory of a run with states of steps 3 and 5."""
    with TrainingStates(tmp_path) as states:
        for step in (3, 5):
            states.save(step, state(step))
    return tmp_path


def test_a_new_run_has_no_state(tmp_path):
    with TrainingStates(tmp_path) as states:
        assert states.latest is None


def test_a_state_comes_back_bit_for_bit(saved):
    with TrainingStates(saved) as states:
        newest, older = states.restore(5, state(0)), states.restore(3, state(0))

    assert same(newest, state(5))
    assert same(older, state(3))


def test_the_newest_two_are_kept(saved):
    with TrainingStates(saved) as states:
        states.save(9, state(9))
        latest = states.latest

    assert latest == 9
    assert {child.name for child in (saved / "states").iterdir()} == {"5", "9"}


def test_what_a_killed_save_left_is_not_taken_for_a_state_and_goes(saved):
    folder = saved / "states"
    shutil.copytree(folder / "5", folder / "8.orbax-checkpoint-tmp")

    with TrainingStates(saved) as states:
        latest = states.latest
        states.save(8, state(8))
        found = states.restore(8, state(0))

    assert latest == 5
    assert same(found, state(8))
    assert {child.name for child in folder.iterdir()} == {"5", "8"}


def cut_short(folder):
    largest = max((f for f in folder.rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:50])


def garble(folder):
    (folder / "default" / "_METADATA").write_text("{")


def empty(folder):
    shutil.rmtree(folder / "default")


@pytest.mark.parametrize("damage", [cut_short, garble, empty])
def test_a_damaged_state_is_refused_and_the_one_before_it_still_serves(saved, damage):
    folder = saved / "states" / "5"
    damage(folder)

    with pytest.raises(DataError) as error, TrainingStates(saved) as states:
        states.restore(5, state(0))
    shutil.rmtree(folder)
    with TrainingStates(saved) as states:
        before = states.restore(states.latest, state(0))

    assert f"the training state {folder} cannot be read" in str(error.value)
    assert "remove that directory to go on from the one before it" in str(error.value)
    assert "\n" not in str(error.value)
    assert same(before, state(3))


@pytest.mark.parametrize("other", [state(0, size=301), {"bias": jnp.zeros(3)}])
def test_a_state_of_another_network_is_refused(saved, other):
    with pytest.raises(DataError, match="cannot be read"), TrainingStates(saved) as states:
        states.restore(5, other)


def test_a_disk_without_room_is_said_before_anything_is_written(saved, monkeypatch):
    usage = shutil.disk_usage(saved)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=2000))

    with TrainingStates(saved) as states:
        with pytest.raises(StorageError) as error:
            states.save(8, state(8))
        latest = states.latest

    assert "cannot save the training state of step 8 at" in str(error.value)
    assert "it takes 1,204 bytes and 2,000 are left; free some" in str(error.value)
    assert latest == 5
    assert {child.name for child in (saved / "states").iterdir()} == {"3", "5"}


def test_a_place_that_cannot_be_written_to_is_said_to_be_so(tmp_path):
    (tmp_path / "run").write_text("a file")

    with pytest.raises(StorageError, match="a part of that path is a file"):
        TrainingStates(tmp_path / "run")
