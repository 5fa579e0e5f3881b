"""A probe applied to every location of an atlas: its map."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32

from embed.atlas import Atlas
from embed.geometry import Box
from embed.probe import Probe
from embed.storage import digest_json
from serve.locations import Progress, unit
from serve.mapping.identity import digest_of
from serve.mapping.making import finished, making
from serve.maps import ClassMap, ClassTable, map_path
from serve.probes import require_fit
from serve.swap import replacing_file


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


def apply_probe(atlas: Atlas, probe: Probe, progress: Progress | None = None) -> MapSummary:
    """Writes the class probabilities of every location to `maps/`; see `serve.maps`.

    One shard is in memory at a time. A map of the same name stays until the new one is whole, and
    one that is of this probe and these embeddings already is left as it is. On a grid, a run that
    was killed is gone on with.

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
    require_fit(atlas, probe)
    atlas.require_complete()
    report = progress or (lambda done, total: None)
    write = _to_array if atlas.info.points is None else _to_table
    counts = write(atlas, probe, report)
    names = (*probe.classes, "")
    found = dict(zip(names, counts, strict=True))
    voids = found.pop("")
    return MapSummary(map_path(atlas, probe.name), found, voids)


def made_of(atlas: Atlas, probe: Probe) -> str:
    """The digest of everything that decides what is in the map of a probe."""
    plans = sorted(atlas.plan(shard) for shard in atlas.shards)
    return digest_json([atlas.info.fingerprint, plans, probe.name, digest_of(probe)])


def _to_array(atlas: Atlas, probe: Probe, report: Progress) -> list[int]:
    """Writes a map of a grid, and counts; see `_counted`."""
    path, digest = map_path(atlas, probe.name), made_of(atlas, probe)
    known = finished(path, digest)
    if known is not None:
        report(atlas.planned, atlas.planned)
        return known["counts"]
    with making(path, digest) as made:
        written = ClassMap.create(made.folder, atlas, probe.name, probe.classes)
        left = [box for number, box in enumerate(atlas.shards) if number not in made.done]
        done = atlas.planned - sum(box.size for box in left)
        report(done, atlas.planned)
        numbers = {box: number for number, box in enumerate(atlas.shards)}
        for box, probabilities, has_data in _mapped(atlas, probe, left):
            written.write(box, probabilities, has_data)
            counts = _counted(probabilities, has_data)
            made.note(numbers[box], **{str(i): count for i, count in enumerate(counts)})
            done += box.size
            report(done, atlas.planned)
        noted = made.done.values()
        total = [sum(note[str(i)] for note in noted) for i in range(len(probe.classes) + 1)]
        made.summary["counts"] = total
    return total


def _to_table(atlas: Atlas, probe: Probe, report: Progress) -> list[int]:
    """Writes a map of given places, and counts; see `_counted`."""
    total, done = np.zeros(len(probe.classes) + 1, np.int64), 0
    with replacing_file(map_path(atlas, probe.name)) as file:
        written = ClassTable(file, atlas, probe.classes)
        for box, probabilities, has_data in _mapped(atlas, probe, list(atlas.shards)):
            written.write(box, probabilities, has_data)
            total += _counted(probabilities, has_data)
            done += box.size
            report(done, atlas.planned)
    return [int(count) for count in total]


def _mapped(
    atlas: Atlas, probe: Probe, shards: list[Box]
) -> Iterator[tuple[Box, Float32[np.ndarray, "n classes"], Bool[np.ndarray, " n"]]]:
    for box in shards:
        vectors, has_data = unit(atlas.store.read(box).reshape(box.size, -1))
        yield box, probe.probabilities(vectors), has_data


def _counted(
    probabilities: Float32[np.ndarray, "n classes"], has_data: Bool[np.ndarray, " n"]
) -> list[int]:
    """Locations at which each class is the likeliest, and last those without data."""
    likeliest = probabilities[has_data].argmax(axis=1)
    classes = np.bincount(likeliest, minlength=probabilities.shape[1])
    return [*classes.tolist(), int((~has_data).sum())]
