"""The training loop: it logs, saves, resumes exactly and stops cleanly."""

import contextlib
import dataclasses
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from embed.checkpoint import FILE, TOLERANCE, TrainedEncoder, save_encoder
from embed.config import RunConfig, read_config, save_config, to_json
from embed.devices import make_mesh, on_every_device, spread
from embed.errors import DataError, MismatchError, StorageError
from embed.learner import TrainState, calibrated, init_state, started_from, zero_metrics
from embed.readout import with_filters
from embed.reporting.config import ReportConfig
from embed.reporting.page import FILE as PAGE
from embed.reporting.reporter import Reporter, trained_on
from embed.reporting.starvation import Starvation
from embed.resume import TrainingStates
from embed.sampling import PairSampler, TrainingVolume
from embed.step import make_train_step
from embed.storage import is_free

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
        saved: step of the newest saved state; 0 for none.
    """

    step: int
    steps: int
    loss: float
    places_per_s: float
    saved: int


def fit(
    config: RunConfig,
    volumes: list[TrainingVolume],
    run: Path,
    *,
    init: TrainedEncoder | None = None,
    report: ReportConfig | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> TrainedEncoder | None:
    """Trains, or goes on with what is in `run`, until the last step or a request to stop.

    Args:
        config: the settings; a run that exists must have the same.
        volumes: what `config.volumes` names, opened.
        run: the directory of the run: config.json, metrics.jsonl, scores.jsonl, states/, sheets/,
            tensorboard/, report.html and encoder.npz.
        init: the encoder to start from, of the shape that `config` has; random if not given.
        report: what is told of the run besides; changes nothing of what is learnt.
        progress: called after every step.

    Returns:
        The encoder, or None if SIGTERM or SIGINT asked to stop; the state is then saved, unless
        it has collapsed: then the last good one is kept.

    Raises:
        MismatchError: the directory holds a run with other settings, or `init` has another shape.
        DataError: the loss is no longer a number, or embeddings have collapsed; the last good state
            stays.
        StorageError: the disk refuses.
    """
    # Before the directory is claimed: a volume that is too small must leave nothing behind.
    sampler = PairSampler(volumes, config.encoder, config.sampling)
    mesh = make_mesh(config.sampling.crops)
    reporter = Reporter(config, report or ReportConfig(), volumes, run)
    _claim(config, run)
    with TrainingStates(run) as states, _stop_requests() as stop:
        state = init_state(config) if init is None else started_from(init, config)
        if states.latest is not None:
            state = states.restore(states.latest, state)
        state = on_every_device(state, mesh)
        start = int(state.step)
        if start < config.train.steps:
            reporter.begin(start)
            loop = _Loop(config, sampler, mesh, reporter, states, stop, progress)
            with _told(reporter):
                state = loop.run(state)
    before = () if init is None else init.trained_on
    encoder = _export(config, volumes, sampler, state, run, before)
    done = int(state.step) == config.train.steps
    if start < config.train.steps or not (run / PAGE).exists():
        stopped = f"Stopped at step {int(state.step):,}; the same command goes on."
        reporter.write(f"Finished: {config.train.steps:,} steps." if done else stopped)
    return encoder if done else None


@contextlib.contextmanager
def _told(reporter: Reporter) -> Iterator[None]:
    """Writes into the report why a run ended early."""
    try:
        yield
    except DataError as error:
        with contextlib.suppress(StorageError):  # what ended the run is the news
            reporter.write(f"Stopped: {error}", good=False)
        raise


@dataclasses.dataclass(frozen=True, eq=False)
class _Loop:
    """One start of a run."""

    config: RunConfig
    sampler: PairSampler
    mesh: Mesh | None
    reporter: Reporter
    states: TrainingStates
    stop: threading.Event
    progress: Callable[[Progress], None]

    def run(self, state: TrainState) -> TrainState:
        """Trains on from a state; returns the newest good one."""
        train_step = make_train_step(self.config, self.mesh)
        config, steps, start = self.config.train, self.config.train.steps, int(state.step)
        places = 2 * self.config.sampling.crops * math.prod(self.config.sampling.places)
        began, loss, good, saved = time.monotonic(), math.nan, state, start
        batches = contextlib.closing(self.sampler.ahead(start, steps))
        with batches as ahead, Starvation() as starvation:
            for step, batch in enumerate(starvation.timed(ahead), start + 1):
                state, _ = train_step(state, spread(batch, self.mesh))
                starvation.given(state.step)
                log = step % config.log_every == 0 or step in (1, steps)
                last = step == steps or self.stop.is_set()
                save = last or step % config.save_every == 0
                if log or save or step == start + 1:  # fetching the means is the only wait
                    means = self._means(state)
                    loss = means["loss"]
                # The first step compiles, which says nothing of those to come.
                steps_per_s = (step - start - 1) / (time.monotonic() - began)
                if step == start + 1:
                    began = time.monotonic()
                if log:
                    speed = {"steps_per_s": round(steps_per_s, 3)}
                    if step > start + 1:
                        speed["places_per_s"] = round(places * steps_per_s, 1)
                    speed["starved"] = round(starvation.share(), 4)
                    self.reporter.log({"step": step, **means, **speed})
                    state = state._replace(sums=on_every_device(zero_metrics(), self.mesh))
                if save and self._save(step, state):
                    good, saved = state, step
                self.progress(Progress(step, steps, loss, places * steps_per_s, saved))
                if last:
                    break
        return good

    def _save(self, step: int, state: TrainState) -> bool:
        """Saves a state that has not collapsed, and tells of it; returns whether it did."""
        steps = self.config.train.steps
        # A state saved because of a stop is not told of: a run that was not stopped has none.
        due = step % self.config.train.save_every == 0 or step == steps
        params, kept = state.params["encoder"], self._kept
        healthy = self.reporter.accepts(step, params, kept, due=due, last=step == steps)
        if due:
            self.reporter.score(step, params)
        if healthy:
            self.states.save(step, state)
        if due:
            self.reporter.draw(step)
            self.reporter.write(f"Training: {step:,} of {steps:,} steps.")
        return healthy

    @property
    def _kept(self) -> str:
        last = self.states.latest
        return "no state was saved yet" if last is None else f"the last saved is of step {last}"

    def _means(self, state: TrainState) -> dict[str, float]:
        """The mean metrics of the steps since the last line; resuming changes nothing."""
        step, every = int(state.step), self.config.train.log_every
        logged = max((step - 1) // every * every, min(step - 1, 1))
        means = {k: float(v) / (step - logged) for k, v in jax.device_get(state.sums).items()}
        for name, what in (("loss", "loss"), ("grad_norm", "gradient")):
            if not math.isfinite(means[name]):
                raise DataError(
                    f"the {what} became {means[name]} between steps {logged} and {step}; "
                    f"{self._kept}. A smaller learning rate than "
                    f"{self.config.train.learning_rate} usually helps"
                )
        return means


def _claim(config: RunConfig, run: Path) -> None:
    if not (run / "config.json").exists():
        if not is_free(run):
            raise DataError(f"{run} exists and is not a training run; choose a new --out")
        save_config(config, run)
        return
    old, new = _flat(to_json(read_config(run))), _flat(to_json(config))
    differ = (name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name))
    names = [name for name in differ if not name.startswith("report.")]  # they change no run
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


def _export(
    config: RunConfig,
    volumes: list[TrainingVolume],
    sampler: PairSampler,
    state: TrainState,
    run: Path,
    before: tuple[dict[str, Any], ...],
) -> TrainedEncoder:
    # With what the encoder it started from had seen, which no evaluation may take for unseen.
    origins = (*before, *trained_on(config, volumes))
    shape, views = config.encoder, [sampler.batch(i).seen for i in range(_CALIBRATION_STEPS)]
    params = calibrated(state.params["encoder"], shape, views)
    if config.train.read_filters:
        scales, weight = config.train.filter_scales, config.train.read_filters
        shape, params = with_filters(params, shape, views, scales, weight)
    encoder = TrainedEncoder(
        shape,
        params,
        int(state.step),
        origins,
        tolerance=TOLERANCE * config.sampling.zoom,
        masked=sampler.masked,
    )
    save_encoder(encoder, run / FILE)
    return encoder
