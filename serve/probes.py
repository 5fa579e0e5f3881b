"""The probes of an atlas: trained on labelled positions, kept beside it, applied to all of it."""

import dataclasses
from pathlib import Path

import numpy as np

from embed.atlas import Atlas
from embed.errors import DataError, MismatchError, NotFoundError
from embed.penalty import spatial_blocks
from embed.probe import Origin, Probe, read_probe, train_probe, write_probe
from serve.labels import LabelTable
from serve.locations import Progress, unit
from serve.maps import NAME, checked_name, map_path, replacing_map

BLOCK = 2
"""Edge of a block of cross-validation in fields of view: few of two blocks then overlap."""


@dataclasses.dataclass(frozen=True)
class MapSummary:
    """What a probe made of an atlas.

    Attributes:
        path: of the map, a zarr v3 array [z, y, x, class], or of given places a table in CSV.
        locations: how many locations each class is the likeliest at.
        voids: locations without data; their probabilities are all 0.
    """

    path: Path
    locations: dict[str, int]
    voids: int


def train_atlas_probe(atlas: Atlas, table: LabelTable, name: str, *, seed: int = 0) -> Probe:
    """Trains a probe on labelled positions and keeps it; one of the same name is replaced.

    Args:
        atlas: must be complete.
        table: labelled positions; each stands for the location nearest to it.
        name: up to 64 of a-z, 0-9, - and _.
        seed: of the division into folds.

    Raises:
        RequestError: the name is not one.
        IncompleteError: the atlas is unfinished.
        OutOfBoundsError: a position is outside the atlas.
        DataError: a position has no data, or there are too few labels.
        StorageError: the disk refuses.
    """
    path = _path(atlas, name)
    atlas.require_complete()
    vectors, has_data = unit(atlas.embeddings(atlas.ids_at(table.positions_nm_xyz)))
    if not has_data.all():
        first = table.positions_nm_xyz[~has_data][0].tolist()
        raise DataError(
            f"{int((~has_data).sum())} of {len(has_data)} labels lie where there are no data; the "
            f"first is at ({', '.join(f'{v:g}' for v in first)}) nm (XYZ); remove them"
        )
    edges = np.multiply(atlas.grid.fov, atlas.frame.voxel_size_nm)
    blocks = spatial_blocks(table.positions_nm_xyz, BLOCK * float(edges.max()))
    origin = Origin(name, atlas.info.fingerprint, atlas.info.encoder)
    probe = train_probe(vectors, table.labels, origin, groups=blocks, seed=seed)
    write_probe(path, probe)
    return probe


def list_probes(atlas: Atlas) -> tuple[Probe, ...]:
    """The probes of an atlas, in the order of their names.

    Raises:
        DataError: one of them is damaged.
    """
    files = sorted((atlas.path / "probes").glob("*.json"))
    return tuple(read_probe(path) for path in files if NAME.fullmatch(path.stem))


def load_probe(atlas: Atlas, name: str) -> Probe:
    """The probe of that name.

    Raises:
        RequestError: the name is not one.
        NotFoundError: there is no such probe.
        MismatchError: it was trained on embeddings of another encoder.
        DataError: it is damaged.
    """
    path = _path(atlas, name)
    if not path.exists():
        names = ", ".join(sorted(file.stem for file in path.parent.glob("*.json"))) or "none"
        raise NotFoundError(f"no probe {name!r} in atlas {atlas.name!r}; there are: {names}")
    probe = read_probe(path)
    _require_fit(atlas, probe)
    return probe


def apply_probe(atlas: Atlas, probe: Probe, progress: Progress | None = None) -> MapSummary:
    """Writes the class probabilities of every location to `maps/`; see `serve.maps`.

    One shard is in memory at a time. A map of the same name stays until the new one is whole.

    Args:
        atlas: must be complete.
        probe: of the same encoder.
        progress: called with the locations that are done and all there are.

    Raises:
        IncompleteError: the atlas is unfinished, or another process is writing a map.
        MismatchError: the probe was trained on embeddings of another encoder.
        DataError: an embedding cannot be read.
        StorageError: the disk refuses; a map that was there stays.
    """
    _require_fit(atlas, probe)
    atlas.require_complete()
    counts, voids, done = np.zeros(len(probe.classes), np.int64), 0, 0
    with replacing_map(atlas, probe.name, probe.classes) as written:
        for box in atlas.shards:
            vectors, has_data = unit(atlas.store.read(box).reshape(box.size, -1))
            probabilities = probe.probabilities(vectors)
            written.write(box, probabilities, has_data)
            likeliest = probabilities[has_data].argmax(axis=1)
            counts += np.bincount(likeliest, minlength=len(counts))
            voids += int((~has_data).sum())
            done += box.size
            if progress:
                progress(done, atlas.planned)
    path = map_path(atlas, probe.name)
    return MapSummary(path, dict(zip(probe.classes, counts.tolist(), strict=True)), voids)


def _path(atlas: Atlas, name: str) -> Path:
    return atlas.path / "probes" / f"{checked_name(name)}.json"


def _require_fit(atlas: Atlas, probe: Probe) -> None:
    if probe.origin.encoder != atlas.info.encoder or probe.dim != atlas.info.embedding_dim:
        raise MismatchError(
            f"probe {probe.name!r} was trained on {probe.dim}-dimensional embeddings of encoder "
            f"{probe.origin.encoder}; atlas {atlas.name!r} holds {atlas.info.embedding_dim}-"
            f"dimensional ones of encoder {atlas.info.encoder}: train the probe on this atlas"
        )
