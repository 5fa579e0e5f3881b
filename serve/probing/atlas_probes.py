"""The probes of an atlas that is served: taught, asked, and asking for more labels."""

import contextlib
import dataclasses
import importlib
import threading
import time
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Int

from embed.atlas import Atlas
from embed.errors import NotFoundError, RequestError, VoxkinError
from embed.geometry import XyzFloat
from embed.probe import Probe
from serve.labelling.store import LabelStore
from serve.labels import LabelTable
from serve.locations import Locations, locations_of
from serve.probes import (
    Teaching,
    list_probes,
    load_probe,
    roll_back,
    sample_of,
    train_atlas_probe,
)
from serve.probing.suggestions import Pool, Suggestion, Wish, suggest
from serve.probing.versions import version_files
from serve.thumbnails import field_of_view_nm
from serve.wire.answers import PlaceProbabilities, ProbeSummary


class AtlasProbes:
    """The probes of one atlas. Safe to use from many threads.

    A sample of the atlas is read when first needed and kept: a few megabytes.
    """

    def __init__(self, atlas: Atlas) -> None:
        self._atlas = atlas

    def train(self, table: LabelTable, name: str, teaching: Teaching = Teaching()) -> ProbeSummary:
        """Trains a probe on labelled places and keeps it; see `train_atlas_probe`."""
        probe = train_atlas_probe(self._atlas, table, name, teaching, sample=self._sample)
        return self._summary(probe)

    def train_on_sets(
        self, sets: Sequence[str], name: str, teaching: Teaching = Teaching()
    ) -> tuple[ProbeSummary, float]:
        """Trains a probe on what the label store has of class sets, and keeps it.

        Args:
            sets: names; the classes of several are decided each alone.
            name: of the probe.
            teaching: how; where the labels are from is known here.

        Returns:
            What was trained, and how many seconds it took.

        Raises:
            NotFoundError: there is no such set.
            VoxkinError: as `train_atlas_probe`.
        """
        began = time.monotonic()
        tables, told = read_sets(self._atlas, sets)
        how = dataclasses.replace(teaching, labels=told)
        probe = train_atlas_probe(self._atlas, tables, name, how, sample=self._sample)
        return self._summary(probe), time.monotonic() - began

    def summaries(self) -> tuple[ProbeSummary, ...]:
        """The probes in use, in the order of their names.

        Raises:
            DataError: one of them is damaged.
        """
        return tuple(map(self._summary, list_probes(self._atlas)))

    def make_ready(self) -> None:
        """Begins to load what a first training would wait for: scikit-learn, and the sample."""
        self._loading.join(0)

    def roll_back(self, name: str, version: int | None = None) -> ProbeSummary:
        """Puts an earlier version in use; see `serve.probes.roll_back`."""
        return self._summary(roll_back(self._atlas, name, version))

    def suggest(self, name: str, wish: Wish = Wish()) -> tuple[Suggestion, ...]:
        """The next places to label; see `serve.probing.suggestions.suggest`.

        Labels that came after the probe was trained count, where they are of its class sets.

        Raises:
            RequestError: the wish is out of its range.
            NotFoundError: there is no such probe.
        """
        probe = load_probe(self._atlas, name)
        wish.require(probe)
        labelled = locations_of(self._atlas, labelled_places(self._atlas, probe))
        return suggest(probe, self._pool, labelled, wish, seed=probe.version)

    def at(self, name: str, nm_xyz: XyzFloat) -> PlaceProbabilities:
        """What a probe says of the location nearest to a place.

        Raises:
            NotFoundError: there is no such probe.
            OutOfBoundsError: the place is outside the atlas.
            RequestError: there are no data.
        """
        probe = load_probe(self._atlas, name)
        if not np.isfinite(nm_xyz).all():
            raise RequestError(f"a position is three finite numbers in nm (XYZ); got {nm_xyz}")
        found = locations_of(self._atlas, self._atlas.ids_at(np.array([nm_xyz])))
        if not len(found.ids):
            raise RequestError("there are no data at that place; a probe says nothing of it")
        (sure,) = probe.probabilities(found.vectors).tolist()
        return PlaceProbabilities(
            dict(zip(probe.classes, sure, strict=True)), float(probe.unknown(found.vectors)[0])
        )

    def _summary(self, probe: Probe) -> ProbeSummary:
        return ProbeSummary.of(probe, len(version_files(self._atlas, probe.name)))

    @cached_property
    def _loading(self) -> threading.Thread:
        thread = threading.Thread(target=self._load, name="probes", daemon=True)
        thread.start()
        return thread

    def _load(self) -> None:
        for module in ("linear_model", "metrics", "model_selection"):
            importlib.import_module(f"sklearn.{module}")
        with contextlib.suppress(VoxkinError):  # which is told when a probe is trained
            self._sample  # noqa: B018  read and kept

    @cached_property
    def _sample(self) -> Locations:
        return sample_of(self._atlas)

    @cached_property
    def _pool(self) -> Pool:
        return pool_of(self._atlas, self._sample)


def pool_of(atlas: Atlas, sample: Locations) -> Pool:
    """A sample as places to choose from, no two of which may share a field of view."""
    apart = field_of_view_nm(atlas.frame, atlas.grid.fov)
    return Pool(sample, atlas.positions_nm_xyz(sample.ids), apart)


def read_sets(atlas: Atlas, sets: Sequence[str]) -> tuple[dict[str, LabelTable], str]:
    """The labels of class sets by their names, and where they are from, for people.

    Raises:
        RequestError: no set is named, or one twice.
        NotFoundError: there is no such set.
    """
    if not sets or len(set(sets)) < len(sets):
        raise RequestError(f"name one class set or several different ones; got {list(sets)}")
    store = LabelStore.open(atlas)
    revision = store.revision()
    which = f"set {sets[0]}" if len(sets) == 1 else f"sets {', '.join(sets)}"
    return {name: store.table(name) for name in sets}, f"{which}, revision {revision}"


def labelled_places(atlas: Atlas, probe: Probe) -> Int[np.ndarray, " n"]:
    """The locations that a probe learnt from, and those labelled since in its class sets."""
    found = [probe.places]
    store = LabelStore.open(atlas)
    for name in probe.origin.sets:
        try:
            positions = store.table(name).positions_nm_xyz
        except NotFoundError:
            continue  # the labels went elsewhere, and the probe stayed
        if len(positions):
            found.append(atlas.ids_at(positions))
    return np.unique(np.concatenate(found))
