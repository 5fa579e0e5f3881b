"""The cluster of every location of an atlas, written beside its map.

On a grid `projection/clusters.zarr` is a zarr v3 array [z, y, x] of uint16 that Neuroglancer,
napari and any zarr reader open: 0 is no cluster or no data, 1 is cluster 0. Of given places it is
`projection/clusters.csv`, a row for each.
"""

import csv
import dataclasses
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from embed.atlas import Atlas
from embed.storage import digest_json, reports_storage
from serve.clusters.clusters import Clusters
from serve.clusters.placing import Placer
from serve.clusters.projection import projection_path
from serve.locations import Progress
from serve.mapping.making import making
from serve.maps import cell_frame
from serve.swap import alone, replacing_file

COLUMNS = ("id", "source", "segment", "x_nm", "y_nm", "z_nm", "umap_x", "umap_y", "cluster")


@dataclasses.dataclass(frozen=True)
class ClusterMapSummary:
    """What was written.

    Attributes:
        path: of the array, or of the table.
        locations: how many there are in each cluster.
        unclustered: how many in none, those without data counted in.
    """

    path: Path
    locations: dict[int, int]
    unclustered: int


def map_clusters(atlas: Atlas, progress: Progress | None = None) -> ClusterMapSummary:
    """Writes the cluster of every location, by the points of the map that are most like it.

    One shard is in memory at a time. On a grid a job that was killed goes on where it was.

    Args:
        atlas: must be complete, and have a map.
        progress: called with the locations that are done and all there are.

    Raises:
        NotFoundError: it has no map.
        IncompleteError: it is unfinished, or another process writes in it.
        DataError: an embedding or the map is damaged.
        StorageError: the disk refuses; what was there stays.
    """
    atlas.require_complete()
    directory = projection_path(atlas)
    clusters = Clusters(atlas)
    report = progress or (lambda done, total: None)
    # Nobody may put another map in the place of this one meanwhile.
    with alone(atlas.path):
        if atlas.info.points is not None:
            return _write_table(atlas, clusters.placer, directory / "clusters.csv", report)
        return _write_array(atlas, clusters, directory / "clusters.zarr", report)


def _write_array(
    atlas: Atlas, clusters: Clusters, path: Path, report: Progress
) -> ClusterMapSummary:
    plans = sorted(map(atlas.plan, atlas.shards))
    of = digest_json([atlas.info.fingerprint, plans, clusters.version])
    numbers = len(clusters.listed()) + 1
    with making(path, of) as made, reports_storage(f"write {path}"):
        spec = _spec(atlas, clusters, made.folder)
        if (made.folder / "zarr.json").exists():
            del spec["metadata"]  # begun before, and clusters may have got other names since
        store = ts.open(spec, open=True, create=True).result()
        done = 0
        for number, box in enumerate(atlas.shards):
            if number not in made.done:
                _, found = clusters.placer.place(atlas.store.read(box).reshape(box.size, -1))
                store[box.slices].write((found + 1).astype(np.uint16).reshape(box.shape)).result()
                counts = np.bincount(found + 1, minlength=numbers)
                made.note(number, **{str(i): n for i, n in enumerate(counts.tolist())})
            done += box.size
            report(done, atlas.planned)
        noted = list(made.done.values())
        none, *some = (sum(one[str(i)] for one in noted) for i in range(numbers))
        made.summary |= {"clusters": some, "unclustered": none}
    return ClusterMapSummary(path, dict(enumerate(some)), none)


def _write_table(atlas: Atlas, placer: Placer, path: Path, report: Progress) -> ClusterMapSummary:
    counts: Counter[int] = Counter()
    done = 0
    with replacing_file(path) as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for box in atlas.shards:
            ids = np.arange(box.start[2], box.stop[2])
            xy, found = placer.place(atlas.embeddings(ids))
            places = np.round(atlas.positions_nm_xyz(ids), 3).tolist()
            columns = (ids.tolist(), atlas.known_of(ids), places, xy.tolist(), found.tolist())
            for i, (segment, source), place, (x, y), cluster in zip(*columns, strict=True):
                on_map = ("", "", "") if math.isnan(x) else (f"{x:.4f}", f"{y:.4f}", cluster)
                rows.writerow([i, source, segment, *place, *on_map])
            counts.update(found.tolist())
            done += box.size
            report(done, atlas.planned)
    none = counts.pop(-1, 0)
    return ClusterMapSummary(path, dict(sorted(counts.items())), none)


def _spec(atlas: Atlas, clusters: Clusters, folder: Path) -> dict[str, Any]:
    step, corner = cell_frame(atlas)
    return {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{folder}/"},
        "metadata": {
            "shape": list(atlas.grid.shape),
            "data_type": "uint16",
            "fill_value": 0,
            "dimension_names": ["z", "y", "x"],
            # A shard of locations is written at once, so that is what a chunk is.
            "chunk_grid": {
                "name": "regular",
                "configuration": {"chunk_shape": list(atlas.store.shard)},
            },
            "codecs": [{"name": "bytes"}, {"name": "zstd", "configuration": {"level": 3}}],
            "attributes": {
                # As they are called now.
                "clusters": {str(one.number + 1): one.name for one in clusters.listed()},
                "projection": clusters.version,
                "voxel_size_nm_xyz": list(step[::-1]),
                "origin_nm_xyz": list(corner[::-1]),  # the lower corner of cell (0, 0, 0)
                "dimension_units": [f"{size:g} nm" for size in step],
                "atlas": atlas.info.fingerprint,
                "volume_attribution": atlas.info.attribution,
            },
        },
    }
