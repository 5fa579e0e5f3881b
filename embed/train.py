"""The training loop: it logs, saves, resumes exactly and stops cleanly."""

import contextlib
import dataclasses
import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

from embed.checkpoint import FILE, TrainedEncoder, save_encoder
from embed.config import RunConfig, read_config, save_config, to_json
from embed.errors import DataError, MismatchError
from embed.learner import TrainState, calibrated, init_state, make_train_step, zero_metrics
from embed.resume import TrainingStates
from embed.sampling import PairSampler, TrainingVolume
from embed.storage import is_free, reports_storage, write_bytes

# Some ten thousand places: mean and deviation are then good to one per cent.
_CALIBRATION_STEPS = 20


@dataclasses.dataclass(frozen=True)
class Progress:
    """What the loop tells while it runs.

    Attributes:
        step: steps done.
        steps: in all.
        loss: of the newest logged step.
        places_per_s: locations embedded per second since the first step, both views counted.
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
    # Before the directory is claimed: a volume that is too small must leave nothing behind.
    sampler = PairSampler(volumes, config.encoder, config.sampling)
    _claim(config, run)
    with TrainingStates(run) as states, _stop_requests() as stop:
        state = init_state(config)
        if states.latest is not None:
            state = states.restore(states.latest, state)
        _keep_metrics_until(run, int(state.step))
        state = _loop(config, sampler, state, states, run, stop, progress)
    encoder = _export(config, volumes, sampler, state, run)
    return encoder if int(state.step) == config.train.steps else None


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
    with contextlib.closing(sampler.ahead(start, steps)) as batches:
        for step, batch in enumerate(batches, start + 1):
            state, _ = train_step(state, batch)
            log = step % config.train.log_every == 0 or step in (1, steps)
            last = step == steps or stop.is_set()
            save = last or step % config.train.save_every == 0
            # The first step compiles, which says nothing of those to come.
            steps_per_s = (step - start - 1) / (time.monotonic() - began)
            if log or save or step == start + 1:  # fetching the means is the only wait
                means = _means(config, state, states)
                loss = means["loss"]
            if step == start + 1:
                began = time.monotonic()
            if log:
                _log(run, {"step": step, **means, "steps_per_s": round(steps_per_s, 3)})
                state = state._replace(sums=zero_metrics())
            if save:
                states.save(step, state)
            progress(Progress(step, steps, loss, places * steps_per_s))
            if last:
                break
    return state


def _claim(config: RunConfig, run: Path) -> None:
    if not (run / "config.json").exists():
        if not is_free(run):
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
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, request) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _means(config: RunConfig, state: TrainState, states: TrainingStates) -> dict[str, float]:
    """The mean metrics of the steps since the last line of them; resuming changes nothing."""
    step, every = int(state.step), config.train.log_every
    logged = max((step - 1) // every * every, min(step - 1, 1))
    means = {k: float(v) / (step - logged) for k, v in jax.device_get(state.sums).items()}
    for name, what in (("loss", "loss"), ("grad_norm", "gradient")):
        if not math.isfinite(means[name]):
            last = states.latest
            kept = "no state was saved yet" if last is None else f"the last saved is of step {last}"
            raise DataError(
                f"the {what} became {means[name]} between steps {logged} and {step}; {kept}. A "
                f"smaller learning rate than {config.train.learning_rate} usually helps"
            )
    return means


def _log(run: Path, line: Mapping[str, float | int]) -> None:
    with reports_storage(f"write {run / 'metrics.jsonl'}"), (run / "metrics.jsonl").open("a") as f:
        f.write(json.dumps(line) + "\n")


def _keep_metrics_until(run: Path, step: int) -> None:
    """Drops the lines of steps that will be done again."""
    file = run / "metrics.jsonl"
    if file.exists():
        lines = [line for line in file.read_text().splitlines() if _step_of(line) <= step]
        write_bytes(file, "".join(line + "\n" for line in lines).encode())


def _step_of(line: str) -> float:
    """The step of a line of metrics; infinity for one that a kill cut short."""
    try:
        return float(json.loads(line)["step"])
    except json.JSONDecodeError:
        return math.inf


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
    views = (sampler.batch(step).views for step in range(_CALIBRATION_STEPS))
    params = calibrated(state.params["encoder"], config.encoder, views)
    encoder = TrainedEncoder(config.encoder, params, int(state.step), trained_on)
    save_encoder(encoder, run / FILE)
    return encoder
