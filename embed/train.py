"""The training loop: it logs, saves, resumes exactly and stops cleanly."""

import contextlib
import dataclasses
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
from jax.sharding import Mesh

from embed.checkpoint import TrainedEncoder
from embed.config import RunConfig
from embed.errors import ConfigError, DataError
from embed.reporting.config import ReportConfig
from embed.reporting.starvation import Starvation
from embed.training import hosts
from embed.training.ahead import cut_ahead
from embed.training.devices import make_mesh, on_every_device, own_crops, spread
from embed.training.keeper import Keeper
from embed.training.learner import TrainState, init_state, started_from, zero_metrics
from embed.training.sampling import PairSampler, TrainingVolume
from embed.training.step import make_train_step


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

    Where several hosts have joined, each calls this with the same settings and volumes.

    Returns:
        The encoder, or None if SIGTERM or SIGINT asked to stop; the state is then saved, unless
        it has collapsed: then the last good one is kept. None on all hosts but the first.

    Raises:
        ConfigError: there are neither steps nor an encoder to calibrate.
        MismatchError: the directory holds a run with other settings, or `init` has another shape.
        DataError: the loss is no longer a number, or embeddings have collapsed; the last good state
            stays.
        StorageError: the disk refuses.
        UnavailableError: on another host than the first, which has failed.
    """
    if init is None and config.train.steps == 0:
        raise ConfigError(
            "0 steps calibrate an encoder to its volumes and train nothing: name the encoder with "
            "--init, or ask for at least 1 step"
        )
    # Before the directory is claimed: a volume that is too small must leave nothing behind.
    mesh = make_mesh(config.sampling.crops)
    own = own_crops(config.sampling.crops, mesh)
    sampler = PairSampler(volumes, config.encoder, config.sampling, own)
    fresh = init_state(config) if init is None else started_from(init, config)
    with contextlib.ExitStack() as stack:
        keeper, state = _opened(stack, config, report or ReportConfig(), volumes, run, fresh)
        stop = stack.enter_context(_stop_requests())
        state = on_every_device(hosts.shared(state), mesh)
        start = int(state.step)
        if start < config.train.steps:
            _led(keeper, lambda keeper: keeper.begin(start))
            state = _Loop(config, sampler, mesh, keeper, stop, progress).run(state)
        elif config.train.steps == 0:
            _led(keeper, lambda keeper: keeper.keep_start(hosts.here(state)))
        before = () if init is None else init.trained_on
        if keeper is None:
            return None
        trained = start < config.train.steps
        encoder = keeper.export(hosts.here(state), before, trained=trained)
        return encoder if int(state.step) == config.train.steps else None


def _opened(
    stack: contextlib.ExitStack,
    config: RunConfig,
    report: ReportConfig,
    volumes: list[TrainingVolume],
    run: Path,
    fresh: TrainState,
) -> tuple[Keeper | None, TrainState]:
    """On the first host the run and its newest state; on the others neither."""
    keeper, state = None, fresh

    def open_run() -> int:
        nonlocal keeper, state
        keeper = stack.enter_context(Keeper(config, report, volumes, run))
        state = keeper.restored(fresh)
        return 0

    hosts.led(open_run)
    return keeper, state


def _led(keeper: Keeper | None, work: Callable[[Keeper], int | None]) -> int:
    """What the keeper does, which is known to all hosts once it is done."""

    def keep() -> int:
        assert keeper is not None
        return work(keeper) or 0

    return hosts.led(keep)


@dataclasses.dataclass(frozen=True, eq=False)
class _Loop:
    """One start of a run."""

    config: RunConfig
    sampler: PairSampler
    mesh: Mesh | None
    keeper: Keeper | None
    stop: threading.Event
    progress: Callable[[Progress], None]

    def run(self, state: TrainState) -> TrainState:
        """Trains on from a state; returns the newest good one."""
        train_step = make_train_step(self.config, self.mesh)
        config, steps, start = self.config.train, self.config.train.steps, int(state.step)
        places = 2 * self.config.sampling.crops * math.prod(self.config.sampling.places)
        began, loss, good, saved = time.monotonic(), math.nan, state, start
        batches = contextlib.closing(cut_ahead(self.sampler, start, steps))
        with batches as ahead, Starvation() as starvation:
            for step, batch in enumerate(starvation.timed(ahead), start + 1):
                state, _ = train_step(state, spread(batch, self.mesh))
                starvation.given(state.step)
                log = step % config.log_every == 0 or step in (1, steps)
                last = step == steps or self._asked_to_stop(log)
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
                    if self.keeper is not None:
                        self.keeper.log({"step": step, **means, **speed})
                    state = state._replace(sums=on_every_device(zero_metrics(), self.mesh))
                if save and self._save(step, state):
                    good, saved = state, step
                self.progress(Progress(step, steps, loss, places * steps_per_s, saved))
                if last:
                    break
        return good

    def _asked_to_stop(self, log: bool) -> bool:
        """Whether a signal asked any host to stop; several look when they log, all of them."""
        if jax.process_count() == 1:
            return self.stop.is_set()
        return log and hosts.any_of(self.stop.is_set())

    def _save(self, step: int, state: TrainState) -> bool:
        """Whether the state was good enough to be saved."""
        return bool(_led(self.keeper, lambda keeper: keeper.save(step, hosts.here(state))))

    def _means(self, state: TrainState) -> dict[str, float]:
        """The mean metrics of the steps since the last line; resuming changes nothing."""
        step, every = int(state.step), self.config.train.log_every
        logged = max((step - 1) // every * every, min(step - 1, 1))
        means = {k: float(v) / (step - logged) for k, v in jax.device_get(state.sums).items()}
        kept = "the first host says what was saved" if self.keeper is None else self.keeper.kept
        for name, what in (("loss", "loss"), ("grad_norm", "gradient")):
            if not math.isfinite(means[name]):
                raise DataError(
                    f"the {what} became {means[name]} between steps {logged} and {step}; {kept}. "
                    f"A smaller learning rate than {self.config.train.learning_rate} usually helps"
                )
        return means


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
