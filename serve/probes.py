"""The probes of an atlas: trained on labelled positions, and kept beside it, version by version."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Float32, Int

from embed.atlas import Atlas
from embed.errors import DataError, MismatchError, RequestError
from embed.penalty import spatial_blocks
from embed.probe import Origin, Probe
from embed.probing.class_prior import Wish
from embed.probing.linear import Kind
from embed.probing.training import Examples, train_probe
from serve.labels import LabelTable
from serve.locations import Locations, sample_locations, unit
from serve.probing.names import checked_name
from serve.probing.versions import keep_version, probe_names, read_version, version_files

BLOCK = 2
"""Edge of a block of cross-validation in fields of view: few of two blocks then overlap."""

SAMPLE = 8192
"""Locations that say what the volume looks like: shares of a percent are then told from none."""

_SEED = 0


@dataclasses.dataclass(frozen=True)
class Teaching:
    """How a probe is to be trained.

    Attributes:
        kind: whether a place is of one class, or classes are decided each alone.
        prior: how common the classes are in the volume.
        labels: where the labels are from; for people.
        seed: of the division into folds.
    """

    kind: Kind = "multiclass"
    prior: Wish = "estimated"
    labels: str = ""
    seed: int = 0


def sample_of(atlas: Atlas) -> Locations:
    """Locations from all over an atlas, which must be complete; always the same ones.

    Raises:
        DataError: a shard is corrupt, or no location has data.
    """
    return sample_locations(atlas, SAMPLE, _SEED)


def train_atlas_probe(
    atlas: Atlas,
    table: LabelTable | Mapping[str, LabelTable],
    name: str,
    teaching: Teaching = Teaching(),
    *,
    sample: Locations | None = None,
) -> Probe:
    """Trains a probe on labelled positions and keeps it; earlier ones of its name stay.

    Args:
        atlas: must be complete.
        table: labelled positions; each stands for the location nearest to it. Several by the names
            of their class sets are decided class by class, each from the places of its own set.
        name: up to 64 of a-z, 0-9, - and _.
        teaching: how.
        sample: of the atlas, as `sample_of` draws it; where it is not given it is drawn.

    Raises:
        RequestError: the name is not one, or a class is in two sets.
        IncompleteError: the atlas is unfinished.
        OutOfBoundsError: a position is outside the atlas.
        DataError: a position has no data, or there are too few labels.
        ConfigError: shares of classes are given that are none.
        StorageError: the disk refuses.
    """
    checked_name(name)
    atlas.require_complete()
    tables = {"": table} if isinstance(table, LabelTable) else dict(table)
    examples = _examples(atlas, tables, teaching.kind)
    examples.require_enough()
    origin = Origin(
        name=name,
        atlas=atlas.info.fingerprint,
        encoder=atlas.info.encoder,
        labels=teaching.labels,
        sets=tuple(filter(None, tables)),
    )
    probe = train_probe(
        examples,
        origin,
        sample=(sample or sample_of(atlas)).vectors,
        prior=teaching.prior,
        seed=teaching.seed,
    )
    return keep_version(atlas, probe)


def list_probes(atlas: Atlas) -> tuple[Probe, ...]:
    """The probes of an atlas that are in use, in the order of their names.

    Raises:
        DataError: one of them is damaged.
    """
    return tuple(read_version(atlas, name) for name in probe_names(atlas))


def probe_versions(atlas: Atlas, name: str) -> tuple[Probe, ...]:
    """Every version of a probe, the one in use last.

    Raises:
        RequestError: the name is not one.
        NotFoundError: there is no such probe.
        DataError: one of them is damaged.
    """
    used = read_version(atlas, name)
    earlier = (number for number in version_files(atlas, name) if number < used.version)
    return (*(read_version(atlas, name, number) for number in earlier), used)


def load_probe(atlas: Atlas, name: str, version: int | None = None) -> Probe:
    """The probe of that name that is in use, or one of its versions.

    Raises:
        RequestError: the name is not one.
        NotFoundError: there is no such probe or version.
        MismatchError: it was trained on embeddings of another encoder.
        DataError: it is damaged.
    """
    probe = read_version(atlas, name, version)
    require_fit(atlas, probe)
    return probe


def roll_back(atlas: Atlas, name: str, to: int | None = None) -> Probe:
    """Puts an earlier version of a probe in use: a copy of it becomes the newest version.

    Args:
        atlas: of the probe.
        name: of the probe.
        to: the version; what was trained before the one in use where it is not said.

    Raises:
        RequestError: the name is not one, or that version is in use or there is none before.
        NotFoundError: there is no such probe or version.
        MismatchError: it was trained on embeddings of another encoder.
        StorageError: the disk refuses.
    """
    used = load_probe(atlas, name)
    what = used.restored or used.version
    wanted = _before(atlas, name, what) if to is None else to
    if wanted in (what, used.version):
        raise RequestError(f"version {wanted} of probe {name!r} is in use already")
    probe = load_probe(atlas, name, wanted)
    return keep_version(atlas, dataclasses.replace(probe, restored=probe.restored or wanted))


def require_fit(atlas: Atlas, probe: Probe) -> None:
    """Checks that a probe is for the embeddings of an atlas.

    Raises:
        MismatchError: it was trained on those of another encoder.
    """
    if probe.origin.encoder != atlas.info.encoder or probe.dim != atlas.info.embedding_dim:
        raise MismatchError(
            f"probe {probe.name!r} was trained on {probe.dim}-dimensional embeddings of encoder "
            f"{probe.origin.encoder}; atlas {atlas.name!r} holds {atlas.info.embedding_dim}-"
            f"dimensional ones of encoder {atlas.info.encoder}: train the probe on this atlas"
        )


def _before(atlas: Atlas, name: str, version: int) -> int:
    """The version that was trained before another."""
    for number in reversed(list(version_files(atlas, name))):
        if number < version and not read_version(atlas, name, number).restored:
            return number
    raise RequestError(
        f"nothing was trained before version {version} of probe {name!r}; it is the first"
    )


def _examples(atlas: Atlas, tables: Mapping[str, LabelTable], kind: Kind) -> Examples:
    """The labelled places of one table, or of several whose classes are decided each alone."""
    positions = np.concatenate([t.positions_nm_xyz for t in tables.values()] or [np.empty((0, 3))])
    ids = atlas.ids_at(positions) if len(positions) else np.empty(0, np.int64)
    if len(tables) == 1 and kind == "multiclass":
        (only,) = tables.values()
        vectors = _with_data(atlas, ids, positions)
        return Examples.of_one_class_each(vectors, only.labels, _blocks(atlas, positions), ids)
    classes = [name for table in tables.values() for name in sorted(set(table.labels))]
    twice = next((name for name in classes if classes.count(name) > 1), None)
    if twice is not None:
        raise RequestError(f"class {twice!r} is in two of the sets {', '.join(tables)}; rename one")
    places, first, row_of = np.unique(ids, return_index=True, return_inverse=True)
    targets = np.full((len(places), len(classes)), -1, np.int8)
    begin = 0
    for table in tables.values():
        rows = row_of[begin : begin + len(table.labels)]
        begin += len(table.labels)
        columns = np.array([classes.index(label) for label in table.labels], np.int64)
        targets[np.ix_(rows, np.unique(columns))] = 0  # of a set that a place is labelled in
        targets[rows, columns] = 1
    vectors = _with_data(atlas, places, positions[first])
    parts = _blocks(atlas, positions[first])
    return Examples("multilabel", tuple(classes), vectors, targets, parts, places)


def _blocks(atlas: Atlas, positions: Float[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
    edges = np.multiply(atlas.grid.fov, atlas.frame.voxel_size_nm)
    return spatial_blocks(positions, BLOCK * float(edges.max()))


def _with_data(
    atlas: Atlas, ids: Int[np.ndarray, " n"], positions: Float[np.ndarray, "n 3"]
) -> Float32[np.ndarray, "n dim"]:
    vectors, has_data = unit(atlas.embeddings(ids))
    if not has_data.all():
        first = positions[~has_data][0].tolist()
        raise DataError(
            f"{int((~has_data).sum())} of {len(has_data)} labels lie where there are no data; the "
            f"first is at ({', '.join(f'{v:g}' for v in first)}) nm (XYZ); remove them"
        )
    return vectors
