"""What the first host of a training run keeps: its directory, its states, what is told of it."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from embed.checkpoint import FILE, TOLERANCE, TrainedEncoder, save_encoder
from embed.config import RunConfig, read_config, save_config, to_json
from embed.errors import DataError, MismatchError, StorageError
from embed.reporting.config import ReportConfig
from embed.reporting.page import FILE as PAGE
from embed.reporting.reporter import Reporter, trained_on
from embed.storage import is_free
from embed.training.learner import TrainState, calibrated
from embed.training.readout import Tones, with_angles, with_filters, with_length
from embed.training.resume import TrainingStates
from embed.training.sampling import PairSampler, TrainingVolume

# Some ten thousand places: mean and deviation are then good to one per cent.
_CALIBRATION_STEPS = 20


class Keeper:
    """Keeps one run. Use as a context manager."""

    def __init__(
        self, config: RunConfig, report: ReportConfig, volumes: list[TrainingVolume], run: Path
    ):
        """Claims the directory.

        Raises:
            MismatchError: it holds a run with other settings.
            DataError: it holds something else.
            StorageError: the disk refuses.
        """
        self._config, self._volumes, self._run = config, volumes, run
        self._reporter = Reporter(config, report, volumes, run)
        _claim(config, run)
        self._states = TrainingStates(run)

    def __enter__(self) -> "Keeper":
        self._states.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._states.__exit__(kind, error, trace)
        if isinstance(error, DataError):
            with contextlib.suppress(StorageError):  # what ended the run is the news
                self._reporter.write(f"Stopped: {error}", good=False)

    @property
    def kept(self) -> str:
        """What there is to go back to, in words."""
        last = self._states.latest
        return "no state was saved yet" if last is None else f"the last saved is of step {last}"

    def restored(self, state: TrainState) -> TrainState:
        """The newest state that was saved; the one given where there is none.

        Raises:
            DataError: it is damaged.
        """
        latest = self._states.latest
        return state if latest is None else self._states.restore(latest, state)

    def begin(self, step: int) -> None:
        """Goes on after a step; errors as `Reporter.begin`."""
        self._reporter.begin(step)

    def keep_start(self, state: TrainState) -> None:
        """Saves and tells of the state that a run without steps starts and ends with; once."""
        if self._states.latest is None:
            self.begin(0)
            self.save(0, state)

    def log(self, line: Mapping[str, float | int]) -> None:
        """Writes the metrics of some steps."""
        self._reporter.log(line)

    def save(self, step: int, state: TrainState) -> bool:
        """Saves a state that has not collapsed, and tells of it; returns whether it did.

        Raises:
            DataError: embeddings are no numbers, or have collapsed.
            StorageError: the disk refuses.
        """
        steps = self._config.train.steps
        # A state saved because of a stop is not told of: a run that was not stopped has none.
        due = step % self._config.train.save_every == 0 or step == steps
        params, reporter = state.params["encoder"], self._reporter
        healthy = reporter.accepts(step, params, self.kept, due=due, last=step == steps)
        if due:
            reporter.score(step, params)
        if healthy:
            self._states.save(step, state)
        if due:
            reporter.draw(step)
            reporter.write(f"Training: {step:,} of {steps:,} steps." if steps else _outcome(0, 0))
        return healthy

    def export(
        self, state: TrainState, before: tuple[dict[str, Any], ...], *, trained: bool
    ) -> TrainedEncoder:
        """Writes the encoder of a state, and the report where there is news.

        Args:
            state: to make the encoder of.
            before: what the encoder that it started from had seen, which no evaluation may take for
                unseen.
            trained: whether any step was done since it was begun.
        """
        config = self._config
        encoder = encoder_of(config, self._volumes, state, before)
        save_encoder(encoder, self._run / FILE)
        if trained or not (self._run / PAGE).exists():
            self._reporter.write(_outcome(int(state.step), config.train.steps))
        return encoder


def encoder_of(
    config: RunConfig,
    volumes: Sequence[TrainingVolume],
    state: TrainState,
    before: tuple[dict[str, Any], ...] = (),
) -> TrainedEncoder:
    """The encoder that a state has learnt, and what it reads beside that.

    Args:
        config: of the run.
        volumes: of the run, opened; deviations are those of places in them.
        state: of the run.
        before: see `Keeper.export`.
    """
    sampler = PairSampler(volumes, config.encoder, config.sampling)
    shape, views = config.encoder, [sampler.batch(i).seen for i in range(_CALIBRATION_STEPS)]
    params = calibrated(state.params["encoder"], shape, views)
    if config.train.read_filters:
        scales, weight = config.train.filter_scales, config.train.read_filters
        shape, params = with_filters(params, shape, views, scales, weight)
    if config.train.keep_length and shape.embedding_dim > 1:  # else nothing else were left
        params = with_length(params, shape, views, config.train.keep_length)
    shape, params = with_angles(
        params,
        shape,
        views,
        Tones(config.train.tones, config.train.read_tones),
        config.train.read_segment if sampler.masked else 0.0,
    )
    return TrainedEncoder(
        shape,
        params,
        int(state.step),
        (*before, *trained_on(config, volumes)),
        tolerance=TOLERANCE * config.sampling.zoom,
        masked=sampler.masked,
    )


def _outcome(step: int, steps: int) -> str:
    if not steps:
        return "Calibrated to its volumes, and not trained further."
    if step == steps:
        return f"Finished: {steps:,} steps."
    return f"Stopped at step {step:,}; the same command goes on."


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
