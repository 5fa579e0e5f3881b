"""The training loop: it logs, saves, resumes exactly and stops cleanly."""

import contextlib
import dataclasses
import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from embed.checkpoint import FILE, TrainedEncoder, save_encoder
from embed.config import RunConfig, read_config, save_config, to_json
from embed.errors import DataError, MismatchError
from embed.learner import Metrics, TrainState, calibrated, init_state, make_train_step
from embed.resume import TrainingStates
from embed.sampling import PairSampler, TrainingVolume
from embed.storage import reports_storage, write_bytes

# Some ten thousand places: mean and deviation are then good to one per cent.
_CALIBRATION_STEPS = 20


@dataclasses.dataclass(frozen=True)
class Progress:
    """What the loop tells while it runs.

    Attributes:
        step: steps done.
        steps: in all.
        loss: of the newest logged step.
        places_per_s: locations embedded per second since the loop began, both views counted.
    """

    step: int
    steps: int
    loss: float
    places_per_s: float


def fit(
    config: RunConfig,
    volumes: list[TrainingVolume],
    run: Path,
    *,
    progress: Callable[[Progress], None] = lambda _: None,
) -> TrainedEncoder | None:
    """Trains, or goes on with what is in `run`, until the last step or a request to stop.

    Args:
        config: the settings; a run that exists must have the same.
        volumes: what `config.volumes` names, opened.
        run: the directory of the run: config.json, metrics.jsonl, states/ and encoder.npz.
        progress: called after every step.

    Returns:
        The encoder, or None if SIGTERM or SIGINT asked to stop; the state is then saved.

    Raises:
        MismatchError: the directory holds a run with other settings.
        DataError: the loss is no longer a number; the last saved state stays.
        StorageError: the disk refuses.
    """
    _claim(config, run)
    sampler = PairSampler(volumes, config.encoder, config.sampling)
    with TrainingStates(run) as states, _stop_requests() as stop:
        state = init_state(config)
        if states.latest is not None:
            state = states.restore(states.latest, state)
        start = int(state.step)
        _keep_metrics_until(run, start)
        state = _loop(config, sampler, state, states, run, stop, progress)
        done = int(state.step)
        if done > start:
            states.save(done, state)
    encoder = _export(config, volumes, sampler, state, run)
    return encoder if done == config.train.steps else None


def _loop(
    config: RunConfig,
    sampler: PairSampler,
    state: TrainState,
    states: TrainingStates,
    run: Path,
    stop: threading.Event,
    progress: Callable[[Progress], None],
) -> TrainState:
    train_step = make_train_step(config)
    steps, start = config.train.steps, int(state.step)
    places = 2 * config.sampling.crops * math.prod(config.sampling.places)
    began, loss = time.monotonic(), math.nan
    pending: list[Metrics] = []
    with contextlib.closing(sampler.ahead(start, steps)) as batches:
        for step, views in enumerate(batches, start + 1):
            state, metrics = train_step(state, views)
            pending.append(metrics)
            if step % config.train.log_every == 0 or step in (start + 1, steps):
                loss = _log(run, step, pending, (step - start) / (time.monotonic() - began))
                pending.clear()
                _require_finite(config, states, step, loss)
            rate = places * (step - start) / (time.monotonic() - began)
            progress(Progress(step, steps, loss, rate))
            if stop.is_set():
                break
            if step % config.train.save_every == 0 and step < steps:
                states.save(step, state)
    return state


def _claim(config: RunConfig, run: Path) -> None:
    if not (run / "config.json").exists():
        if run.exists() and (not run.is_dir() or any(run.iterdir())):
            raise DataError(f"{run} exists and is not a training run; choose a new --out")
        save_config(config, run)
        return
    old, new = _flat(to_json(read_config(run))), _flat(to_json(config))
    names = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    if names:
        what = "; ".join(f"{n} was {old.get(n)}, now {new.get(n)}" for n in names[:3])
        raise MismatchError(
            f"{run} holds a run with other settings ({what}); use those to go on with it, or "
            "choose a new --out"
        )


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(value, dict | list):
        return {name: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    flat: dict[str, Any] = {}
    for key, inner in items:
        flat |= _flat(inner, f"{name}.{key}" if name else str(key))
    return flat


@contextlib.contextmanager
def _stop_requests() -> Iterator[threading.Event]:
    """Set once SIGTERM or SIGINT arrives; a second SIGINT interrupts as usual."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def request(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, before[number])

    before = {number: signal.signal(number, request) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _log(run: Path, step: int, metrics: list[Metrics], steps_per_s: float) -> float:
    """Writes the means over the steps since the last line; fetching them is the only wait."""
    fetched = jax.device_get(metrics)
    values = {name: float(np.mean([m[name] for m in fetched])) for name in fetched[0]}
    line = {"step": step, **values, "steps_per_s": round(steps_per_s, 3)}
    with reports_storage(f"write {run / 'metrics.jsonl'}"), (run / "metrics.jsonl").open("a") as f:
        f.write(json.dumps(line) + "\n")
    return values["loss"]


def _keep_metrics_until(run: Path, step: int) -> None:
    """Drops the lines of steps that will be done again."""
    file = run / "metrics.jsonl"
    if file.exists():
        lines = [line for line in file.read_text().splitlines() if json.loads(line)["step"] <= step]
        write_bytes(file, "".join(line + "\n" for line in lines).encode())


def _require_finite(config: RunConfig, states: TrainingStates, step: int, loss: float) -> None:
    if not math.isfinite(loss):
        last = states.latest
        raise DataError(
            f"the loss became {loss} between steps {max(step - config.train.log_every, 0)} and "
            f"{step}; the last saved state is of step {last}. A smaller learning rate than "
            f"{config.train.learning_rate} usually helps"
        )


def _export(
    config: RunConfig,
    volumes: list[TrainingVolume],
    sampler: PairSampler,
    state: TrainState,
    run: Path,
) -> TrainedEncoder:
    trained_on = tuple(
        {
            "name": source.volume.name,
            "source": v.source,
            "box_zyx": [*zip(source.box.start, source.box.stop, strict=True)],
            "attributes": source.volume.attributes,
        }
        for v, source in zip(config.volumes, volumes, strict=True)
    )
    views = (sampler.views(step) for step in range(_CALIBRATION_STEPS))
    params = calibrated(state.params["encoder"], config.encoder, views)
    encoder = TrainedEncoder(config.encoder, params, int(state.step), trained_on)
    save_encoder(encoder, run / FILE)
    return encoder
