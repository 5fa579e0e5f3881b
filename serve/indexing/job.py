"""One build of an index, in a directory where it finds again what it did before it was killed."""

import dataclasses
import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has none

from embed.atlas import Atlas
from embed.errors import DataError
from embed.geometry import Box
from embed.storage import digest_json
from embed.threads import threads
from serve.indexing.advice import require_fit
from serve.indexing.extension import Base, keep_shards, not_among
from serve.indexing.factory import Factory
from serve.indexing.faiss_files import write_index
from serve.indexing.faiss_search import FaissSearch
from serve.indexing.filling import Chosen, Filled, fill
from serve.indexing.planning import Asked, plan_index
from serve.indexing.spacing import around, representatives
from serve.indexing.sweep import Searched, Step, cheapest, sweep
from serve.indexing.sweep_plot import draw_sweep
from serve.indexing.training import train
from serve.indexing.truth import ExactNeighbours
from serve.indexing.workspace import TRAINED_FILE, TRUTH_FILE, Workspace
from serve.locations import Locations, Progress, count_locations
from serve.manifest import FAISS_FILE, Manifest, write_manifest
from serve.removal import carry_over

PLOT_FILE = "recall.png"

# Locations of which several threads wait for each other longer than they compute.
_FEW = 50_000


class Job:
    """One build."""

    def __init__(self, atlas: Atlas, asked: Asked, base: Base | None, work: Path) -> None:
        """Takes up what a killed build of the same left behind.

        Args:
            atlas: complete.
            asked: kind of index; that of the base where there is one.
            base: the version to add to; None to begin from nothing.
            work: directory for what is done so far.
        """
        self._atlas, self._asked, self._base = atlas, asked, base
        marks = sorted(map(repr, atlas.ledger.marks().items()))
        plan = {
            "asked": dataclasses.asdict(asked),
            "atlas": atlas.info.fingerprint,
            "shards": digest_json(marks),
            "base": base.manifest.sha256 if base else "",
            "faiss": version("faiss-cpu"),
        }
        self._space = Workspace(atlas, work, plan)

    def run(self, directory: Path, progress: Progress) -> Manifest:
        """Makes a version in a directory, which must not be one of those that serve."""
        began = time.monotonic()
        # One core reads ahead, and threads of others would wait for each other by spinning.
        with threadpool_limits(max(1, threads() - 1) if self._atlas.planned > _FEW else 1):
            said = self._space.trained() or self._trained()
            filled = self._filled(progress)
        factory = Factory(said["factory"])
        steps = self._swept(factory, filled)
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        written = self._write(filled, directory)
        # Copied: should this run be killed, the next one needs it where it is.
        shutil.copyfile(self._space.path / TRAINED_FILE, directory / TRAINED_FILE)
        filled.truth.save(directory / TRUTH_FILE)
        keep_shards(self._atlas, directory)
        removed, removed_sha256 = carry_over(self._atlas, directory)
        manifest = Manifest(
            version=directory.name,
            atlas=self._atlas.info.fingerprint,
            dim=self._atlas.info.embedding_dim,
            voids=self._atlas.planned - filled.seen,
            lists=factory.lists,
            queries=len(filled.truth.queries.ids),
            versions={name: version(name) for name in ("faiss-cpu", "numpy")},
            seconds=round(time.monotonic() - began, 3),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            locations=filled.seen,
            every=self._asked.every,
            removed=removed,
            removed_sha256=removed_sha256,
            note=self._note(filled.seen),
            **said,
            **written,
            **_as_measured(steps),
        )
        if len(steps) > 1:
            title = f"{self._atlas.name} {manifest.version}: {manifest.factory}"
            draw_sweep(directory / PLOT_FILE, steps, cheapest(steps), title)
        write_manifest(directory, manifest)
        return manifest

    def _trained(self) -> dict[str, Any]:
        """Trains an empty index, or takes that of the base; what the manifest says of it."""
        if self._base is not None:
            return self._base.begin(self._space)
        atlas, seed = self._atlas, self._asked.seed
        plan = plan_index(atlas, self._asked)
        require_fit(plan.advice)
        found = plan.sample
        index = train(plan.factory, found.training, seed)
        said = {
            "factory": plan.factory.text,
            "reason": plan.advice.reason,
            "training": len(found.training),
            "trained_at": count_locations(atlas),
            "seed": seed,
        }
        return self._space.keep_trained(index, ExactNeighbours(atlas, found.queries), said)

    def _filled(self, progress: Progress) -> Filled:
        atlas, base = self._atlas, self._base
        if base is None:
            begun = Filled(self._space.empty(), self._space.truth(), 0)
            shards: Sequence[Box] = atlas.shards
            new: Chosen = _all
        else:
            begun = Filled(base.index(), self._space.truth(), base.manifest.locations)
            shards, new = base.changed, not_among(begun.index, atlas.grid.size)
        chosen: Chosen = _all
        if self._asked.every > 1:
            chosen = lambda places: representatives(atlas.grid, places.ids)  # noqa: E731
        filled = fill(atlas, self._space, begun, shards, new, chosen, progress)
        expected = count_locations(atlas)
        if filled.seen != expected:
            raise DataError(
                f"the index would hold {filled.seen:,} locations and atlas {atlas.name!r} has "
                f"{expected:,}; build it again with: voxkin index {atlas.path} --rebuild"
            )
        return filled

    def _write(self, filled: Filled, directory: Path) -> dict[str, Any]:
        """Writes the index; what the manifest says of it."""
        size, sha256 = write_index(filled.index, directory / FAISS_FILE)
        return {"count": filled.index.ntotal, "bytes": size, "sha256": sha256}

    def _swept(self, factory: Factory, filled: Filled) -> tuple[Step, ...]:
        grid, search = self._atlas.grid, FaissSearch(filled.index)
        searched = Searched(
            self._atlas,
            lambda vectors, k, nprobe: search(vectors, k, nprobe)[1],
            None if self._asked.every == 1 else lambda ids: around(grid, ids),
            factory.lists,
            factory.holds_vectors,
        )
        return sweep(searched, filled.truth)

    def _note(self, locations: int) -> str:
        if self._base is None:
            return ""
        before = self._base.manifest
        return f"{locations - before.locations:,} locations added to {before.version}"


def _all(places: Locations) -> np.ndarray:
    return np.ones(len(places.ids), bool)


def _as_measured(steps: tuple[Step, ...]) -> dict[str, Any]:
    """What the manifest says of the measurements, by name."""
    chosen = cheapest(steps)
    return {
        "nprobe": chosen.nprobe,
        "candidates": chosen.candidates,
        "recall": chosen.recall,
        "sweep": steps,
    }
