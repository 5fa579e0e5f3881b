"""Making the map of an atlas: a sample, laid out by UMAP, its clusters, and pictures of both."""

import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from embed.atlas import Atlas
from embed.errors import ConfigError, DataError, VolumeError, VoxkinError
from embed.storage import write_bytes
from serve.clusters.montage import Montages
from serve.clusters.names import carried_over, default_name, read_names, write_names
from serve.clusters.picture import caption, draw_points
from serve.clusters.placing import Placer
from serve.clusters.projection import (
    PICTURE,
    ProjectionInfo,
    montage_path,
    projection_path,
    write_info,
)
from serve.clusters.table import Format, Points, require_format, write_points
from serve.clusters.umap_worker import MapConfig, Tell, lay_out
from serve.locations import Locations, count_locations, sample_locations
from serve.swap import replacing


def project(
    atlas: Atlas,
    *,
    sample: int = 20_000,
    seed: int = 0,
    neighbours: int = 15,
    min_dist: float = 0.1,
    epochs: int | None = None,
    format: Format = "csv",
    montages: bool = True,
    tell: Tell | None = None,
) -> ProjectionInfo:
    """Makes the map of a sample and writes it beside the atlas; an earlier one is replaced.

    Names that people gave to clusters go over to those that are the same in the main.

    Args:
        atlas: must be complete.
        sample: about how many places with data to lay out, spread over the whole volume.
        seed: of the sample and of the layout.
        neighbours: see `MapConfig`; 2 to 200.
        min_dist: see `MapConfig`; 0 to 1.
        epochs: see `MapConfig`.
        format: of the file that the points are written to.
        montages: whether to draw each cluster; left out where the volume cannot be read.
        tell: see `Tell`; what it raises ends the job.

    Raises:
        ConfigError: a setting is out of its range.
        MissingExtraError: Parquet needs pyarrow.
        IncompleteError: the atlas is unfinished, another process is projecting it, or the process
            that makes the map was killed.
        DataError: too few places have data, or an embedding cannot be read.
        StorageError: the disk refuses; the earlier projection stays.
    """
    begun = time.monotonic()
    config = MapConfig(neighbours, min_dist, epochs, seed)
    if sample < 1:
        raise ConfigError(f"sample is a number of places, at least 1; got {sample}")
    require_format(format)
    atlas.require_complete()
    tell = tell or (lambda what, done, total: None)
    with replacing(projection_path(atlas)) as directory:
        tell("taking a sample", 0, 0)
        chosen = _chosen(atlas, sample, config)
        layout = lay_out(chosen.vectors, config, tell)
        places = atlas.positions_nm_xyz(chosen.ids)
        points = Points(chosen.ids, places, np.asarray(layout.xy, np.float32), layout.clusters)
        names = _kept_names(atlas, chosen.vectors, points)
        write_names(directory, names)
        drawn = _draw_montages(atlas, directory, points, chosen, names, tell) if montages else 0
        info = ProjectionInfo(
            atlas=atlas.info.fingerprint,
            points=len(points.ids),
            clusters=int(points.clusters.max()) + 1,
            unclustered=int((points.clusters < 0).sum()),
            table=f"umap.{format}",
            picture=PICTURE,
            config=config,
            versions={name: version(name) for name in ("umap-learn", "scikit-learn", "numpy")},
            seconds=round(time.monotonic() - begun, 3),
            created=datetime.now(UTC).isoformat(timespec="microseconds"),
            montages=drawn,
        )
        tell("drawing the map", 0, 0)
        text = caption(atlas.name, info, count_locations(atlas))
        write_points(directory / info.table, points, format)
        write_bytes(directory / PICTURE, draw_points(points, text, names))
        write_info(directory, info)
    return info


def _chosen(atlas: Atlas, sample: int, config: MapConfig) -> Locations:
    chosen = sample_locations(atlas, sample, config.seed)
    count, least = len(chosen.ids), config.neighbours + 2
    if count < least:
        raise DataError(
            f"a map with {config.neighbours} neighbours needs {least} places with data; the sample "
            f"of {sample} from atlas {atlas.name!r} has {count}: lower --neighbours to "
            f"{max(count - 2, 2)} or raise --sample"
        )
    return chosen


def _kept_names(
    atlas: Atlas, vectors: Float32[np.ndarray, "n dim"], points: Points
) -> dict[int, str]:
    """What the clusters of the earlier map were called, for those that are in the new one."""
    try:
        names = read_names(projection_path(atlas))
        if not names:
            return {}
        placer = Placer.open(atlas)
    except VoxkinError:  # of a map that is damaged or of other embeddings nothing can be kept
        return {}
    return carried_over(names, placer.place(vectors)[1], points.clusters)


def _draw_montages(
    atlas: Atlas,
    directory: Path,
    points: Points,
    chosen: Locations,
    names: dict[int, str],
    tell: Tell,
) -> int:
    """Draws as many clusters as the volume can be read of, and says how many."""
    clusters, drawn = int(points.clusters.max()) + 1, 0
    try:
        montages = Montages(atlas)
    except VolumeError:  # an atlas outlives its volume
        return 0
    for number in range(clusters):
        tell("drawing clusters", number, clusters)
        rows = points.clusters == number
        title = f"{names.get(number, default_name(number))}: {int(rows.sum()):,} points"
        try:
            png = montages.draw(title, points.ids[rows], chosen.vectors[rows])
        except DataError:  # a part of the volume cannot be read; the map is worth keeping
            continue
        write_bytes(montage_path(directory, number), png)
        drawn += 1
    return drawn
