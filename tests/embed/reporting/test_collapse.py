"""Tests of the alarm of embed/reporting/reporter.py: bad states end a run and are never saved."""

import dataclasses
import signal

import numpy as np
import pytest

from embed.checkpoint import load_encoder
from embed.errors import DataError
from embed.reporting import watch
from embed.reporting.config import ReportConfig
from embed.reporting.journal import Journal
from embed.train import fit
from embed.training.resume import TrainingStates


def latest(run):
    with TrainingStates(run) as states:
        return states.latest


def stopping(at):
    def progress(now):
        if now.step == at:
            signal.raise_signal(signal.SIGINT)

    return progress


def collapsing(monkeypatch, looks, value=1.0):
    """Lets the places watched look alike at some looks, as those of a constant encoder do."""
    real, seen = watch.Embedder.features, []

    def features(self, params, blocks):
        seen.append(len(seen))
        found = real(self, params, blocks)
        return np.full_like(found, value) if len(seen) in looks else found

    monkeypatch.setattr(watch.Embedder, "features", features)


def test_collapse_at_two_saved_states_ends_the_run_and_the_last_good_one_stays(
    config, volumes, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        collapsing(patch, {2, 3})
        with pytest.raises(DataError) as error:
            fit(config, volumes, run)
    kept = latest(run)
    fit(config, volumes, run)

    assert "training has collapsed by step 8 and still at step 12" in str(error.value)
    assert "all places have nearly the same features" in str(error.value)
    assert "the last saved is of step 4. A smaller learning rate than 0.001" in str(error.value)
    assert kept == 4
    assert [line["step"] for line in Journal(run / "scores.jsonl").lines()] == [4, 8, 12]
    assert latest(run) == 12


def test_a_single_collapsed_state_is_not_saved_and_training_goes_on(
    config, volumes, undisturbed, tmp_path, monkeypatch
):
    saved = []
    collapsing(monkeypatch, {2})

    fit(config, volumes, tmp_path / "run", progress=lambda now: saved.append(now.saved))

    assert saved == [0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 4, 12]
    assert (tmp_path / "run" / "encoder.npz").read_bytes() == (
        undisturbed / "encoder.npz"
    ).read_bytes()


def test_collapse_at_the_last_step_is_an_error(config, volumes, tmp_path, monkeypatch):
    collapsing(monkeypatch, {3})

    with pytest.raises(DataError, match="training has collapsed at step 12: .* of step 8"):
        fit(config, volumes, tmp_path / "run")

    assert latest(tmp_path / "run") == 8
    assert not (tmp_path / "run" / "encoder.npz").exists()


@pytest.mark.long
def test_a_stop_at_a_collapsed_state_keeps_the_last_good_one(
    config, volumes, undisturbed, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        collapsing(patch, {2})
        assert fit(config, volumes, run, progress=stopping(5)) is None
    kept = latest(run), load_encoder(run).step
    fit(config, volumes, run)

    assert kept == (4, 4)
    assert (run / "encoder.npz").read_bytes() == (undisturbed / "encoder.npz").read_bytes()


def test_embeddings_that_are_no_numbers_end_the_run_at_once_and_the_last_good_state_stays(
    config, volumes, undisturbed, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        collapsing(patch, {2}, np.nan)
        with pytest.raises(
            DataError, match="NaN or infinite by step 8; the last saved is of step 4"
        ):
            fit(config, volumes, run)
    kept = latest(run)
    told = (run / "report.html").read_text()
    fit(config, volumes, run)

    assert kept == 4
    assert "Stopped: the embeddings became NaN or infinite by step 8" in told
    assert (run / "encoder.npz").read_bytes() == (undisturbed / "encoder.npz").read_bytes()


def wild(config):
    """Settings that make parameters overflow in the first step."""
    steps = {"learning_rate": 1e36, "warmup": 0.0, "log_every": 100, "save_every": 1}
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **steps))


@pytest.mark.long
def test_a_state_that_overflows_is_never_saved(config, volumes, tmp_path):
    run = tmp_path / "run"

    for _ in range(2):  # the second time it begins anew, for no state was worth saving
        with pytest.raises(DataError) as error:
            fit(wild(config), volumes, run)

        assert "became NaN or infinite by step 1; no state was saved yet" in str(error.value)
        assert "smaller learning rate than 1e+36" in str(error.value)
    assert latest(run) is None
    assert [line["step"] for line in Journal(run / "metrics.jsonl").lines()] == [1]
    assert not (run / "encoder.npz").exists()


@pytest.mark.long
def test_a_loss_that_is_no_number_ends_the_run_where_no_places_are_watched(
    config, volumes, tmp_path
):
    words = "became nan between steps 1 and 2; the last saved is of step 1"

    for _ in range(2):  # the second time from the state that was saved
        with pytest.raises(DataError, match=words):
            fit(wild(config), volumes, tmp_path / "run", report=ReportConfig(places=0))

    assert latest(tmp_path / "run") == 1
