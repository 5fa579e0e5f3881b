"""What a run tells while it trains: figures, event files, sheets, the page, and an alarm."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Array, PyTree

from embed.config import RunConfig
from embed.errors import DataError
from embed.reporting.config import ReportConfig
from embed.reporting.domains import domain_accuracy
from embed.reporting.events import EventFile
from embed.reporting.figures import METRICS, SCORES
from embed.reporting.journal import Journal
from embed.reporting.labelled import labelled_places, open_labels
from embed.reporting.page import SHEETS, write_page
from embed.reporting.places import watched_places
from embed.reporting.sheet import choose_queries, draw_sheet, find_rows
from embed.reporting.watch import Embedded, Embedder, look_at
from embed.storage import write_bytes
from embed.training.sampling import TrainingVolume


class Reporter:
    """Looks at the states of a run; changes nothing of what is learnt.

    Its random numbers are its own and depend on nothing but the settings, so that a run that is
    resumed reports what it would have reported.
    """

    def __init__(
        self,
        config: RunConfig,
        report: ReportConfig,
        sources: Sequence[TrainingVolume],
        run: Path,
    ):
        self._config, self._report, self._run = config, report, run
        self._sources = [_shown(source, config) for source in sources]
        self._labels = None
        if report.labels is not None:  # before the run begins: a mistake costs no training
            self._labels = open_labels(report, sources[0], config.encoder)
        self._metrics, self._scores = Journal(run / METRICS), Journal(run / SCORES)
        self._spent_s, self._since = 0.0, time.monotonic()
        self._suspect: int | None = None
        self._embedded: Embedded | None = None

    def begin(self, step: int) -> None:
        """Goes on after a step: what was told of later ones is dropped, and places are read.

        Raises:
            DataError: a volume cannot be read or is empty, or labels are too few.
        """
        self._metrics.keep_until(step)
        self._scores.keep_until(step)
        for sheet in (self._run / SHEETS).glob("step-*.png"):
            if int(sheet.stem.removeprefix("step-")) > step:
                sheet.unlink()
        self._since = time.monotonic()
        with self._counted():
            folder = self._run / "tensorboard"
            self._events = EventFile(folder, step) if self._report.tensorboard else None
            encoder, cells = self._config.encoder, self._config.sampling.places
            if self._report.places:
                count = self._report.places
                self._places = watched_places(self._sources, encoder, cells, count)
                self._queries = choose_queries(self._places, self._report.queries)
                self._embedder = Embedder(encoder)
            if self._labels is not None:
                first = self._sources[0]
                self._labelled = labelled_places(self._report, self._labels, first, encoder, cells)

    def log(self, line: Mapping[str, float | int]) -> None:
        """Writes the metrics of some steps."""
        self._metrics.append(line)
        self._add_events("train", line)

    def accepts(
        self, step: int, params: PyTree[Array], kept: str, *, due: bool, last: bool
    ) -> bool:
        """Whether a state may be saved, which one that has collapsed may not.

        Once is passed over, since embeddings can lie close together for a while after the start.

        Args:
            step: of the state.
            params: of its encoder.
            kept: what there is to go back to, in words.
            due: whether the settings have it saved; otherwise a stop was asked for.
            last: whether no later state is to come that could be better.

        Raises:
            DataError: embeddings are no numbers, or have collapsed at two due states, or at last.
        """
        if not self._report.places:
            return True
        with self._counted():
            features = self._embedder.features(params, self._places.blocks)
            if not np.isfinite(features).all():
                raise DataError(
                    f"the embeddings became NaN or infinite by step {step}; {kept}. A smaller "
                    f"learning rate than {self._config.train.learning_rate} usually helps"
                )
            self._embedded = look_at(features)
        return self._is_healthy(step, kept, due, last)

    def score(self, step: int, params: PyTree[Array]) -> None:
        """Writes the figures of the state that was last asked about."""
        if self._embedded is None:
            return
        with self._counted():
            found = dict(self._embedded.figures)
            if len(self._sources) > 1:
                places, rows = self._places, self._embedded.rows
                accuracy = domain_accuracy(rows, places.volumes, places.parts)
                if accuracy is not None:
                    found |= {"domain_accuracy": accuracy, "domain_chance": 1 / len(self._sources)}
            if self._labels is not None:
                features = self._embedder.features(params, self._labelled.places.blocks)
                found |= self._labelled.scores(self._embedded.like(features))
        now = time.monotonic()
        cost = {"report_s": round(self._spent_s, 3), "elapsed_s": round(now - self._since, 3)}
        self._spent_s, self._since = 0.0, now
        self._scores.append({"step": step, **found, **cost})
        self._add_events("state", {"step": step, **found})

    def draw(self, step: int) -> None:
        """Draws the sheet of neighbours of the state that was last asked about."""
        if self._embedded is None or not self._report.queries:
            return
        with self._counted():
            fov, places, sources = self._config.encoder.fov, self._places, self._sources
            rows = find_rows(self._embedded.rows, places, self._queries, sources, fov)
            title = f"{self._run.resolve().name}, step {step:,}: places and what is most like them"
            sheet = draw_sheet(rows, places, sources, fov, title)
            write_bytes(self._run / SHEETS / f"step-{step:06d}.png", sheet)

    def write(self, outcome: str, *, good: bool = True) -> None:
        """Writes the page anew."""
        with self._counted():
            write_page(self._run, trained_on(self._config, self._sources), outcome, good=good)

    def _is_healthy(self, step: int, kept: str, due: bool, last: bool) -> bool:
        assert self._embedded is not None
        collapse = self._embedded.collapse
        if not due:
            return collapse is None
        if collapse is None:
            self._suspect = None
            return True
        if self._suspect is not None or last:
            since = "" if self._suspect is None else f"by step {self._suspect} and still "
            raise DataError(
                f"training has collapsed {since}at step {step}: {collapse}; {kept}. A smaller "
                f"learning rate than {self._config.train.learning_rate}, a longer warm-up or more "
                "crops per step usually helps; see that the volume is not mostly empty"
            )
        self._suspect = step
        return False

    def _add_events(self, group: str, line: Mapping[str, float | int]) -> None:
        if self._events is not None:
            scalars = {f"{group}/{name}": v for name, v in line.items() if name != "step"}
            self._events.add(int(line["step"]), scalars)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self._spent_s += time.monotonic() - began


def _shown(source: TrainingVolume, config: RunConfig) -> TrainingVolume:
    """A volume as the encoder is to see it: with segments only where it is shown one at a time."""
    masked = config.sampling.segments.masked
    return source if masked else dataclasses.replace(source, segmentation=None)


def trained_on(config: RunConfig, sources: Sequence[TrainingVolume]) -> tuple[dict[str, Any], ...]:
    """Where an encoder comes from: per volume its name, source, voxel size, box, attributes."""
    return tuple(
        {
            "name": source.volume.name,
            "source": volume.source,
            "voxel_size_nm": [*source.volume.frame.voxel_size_nm],
            "box_zyx": [*zip(source.box.start, source.box.stop, strict=True)],
            "attributes": source.volume.attributes,
        }
        for volume, source in zip(config.volumes, sources, strict=True)
    )
