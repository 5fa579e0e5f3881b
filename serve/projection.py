"""The map of an atlas: UMAP of a sample, made once, with its clusters and a picture.

`projection/` holds the table, `umap.png` and `projection.json`, put there together. New places are
not fitted in: what lies near them among the points says where they belong.
"""

import dataclasses
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from embed.atlas import Atlas
from embed.errors import ConfigError, DataError, MismatchError, NotFoundError
from embed.storage import read_json, write_bytes, write_json
from serve.locations import Progress, count_locations, sample_locations
from serve.projection_plot import draw_points
from serve.projection_table import Format, Points, read_points, require_format, write_points
from serve.swap import replacing
from serve.umap_worker import MapConfig, lay_out

FORMAT = 1
PICTURE = "umap.png"


@dataclasses.dataclass(frozen=True)
class ProjectionInfo:
    """How a projection was made.

    Attributes:
        atlas: fingerprint of the atlas.
        points: places on the map.
        clusters: groups that were found.
        unclustered: points that belong to none.
        table: name of the file with the points.
        picture: name of the file with the picture.
        config: of the layout.
        versions: of the libraries; for people, never compared.
        seconds: that it took.
        created: time in UTC.
    """

    atlas: str
    points: int
    clusters: int
    unclustered: int
    table: str
    picture: str
    config: MapConfig
    versions: dict[str, str]
    seconds: float
    created: str
    format: int = FORMAT


@dataclasses.dataclass(frozen=True, eq=False)
class Projection:
    """A projection that was read: how it was made, and its points."""

    info: ProjectionInfo
    points: Points


_INFO = TypeAdapter(ProjectionInfo)


def projection_path(atlas: Atlas) -> Path:
    """The directory of the projection of an atlas."""
    return atlas.path / "projection"


def project(
    atlas: Atlas,
    *,
    sample: int = 20_000,
    seed: int = 0,
    neighbours: int = 15,
    min_dist: float = 0.1,
    epochs: int | None = None,
    format: Format = "csv",
    progress: Progress | None = None,
) -> ProjectionInfo:
    """Makes the map of a sample and writes it beside the atlas; an earlier one is replaced.

    Args:
        atlas: must be complete.
        sample: about how many places with data to lay out, spread over the whole volume.
        seed: of the sample and of the layout.
        neighbours: see `MapConfig`; 2 to 200.
        min_dist: see `MapConfig`; 0 to 1.
        epochs: see `MapConfig`.
        format: of the file that the points are written to.
        progress: called with the steps that are done and all of them: sample, map, picture.

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
    report = progress or (lambda done, total: None)
    with replacing(projection_path(atlas)) as directory:
        points = _points(atlas, sample, config, report)
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
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        write_points(directory / info.table, points, format)
        write_bytes(directory / PICTURE, draw_points(points, *_captions(atlas, info)))
        write_json(directory / "projection.json", _INFO.dump_python(info, mode="json"))
    report(3, 3)
    return info


def load_projection(atlas: Atlas) -> Projection:
    """Reads the projection of an atlas.

    Raises:
        NotFoundError: there is none.
        MismatchError: it was made from other embeddings.
        DataError: it is damaged.
        MissingExtraError: its table is Parquet, which needs pyarrow.
    """
    again = f"make one with: voxkin project {atlas.path}"
    path = projection_path(atlas) / "projection.json"
    try:
        info = _INFO.validate_python(read_json(path, "description of a projection"))
    except NotFoundError:
        raise NotFoundError(f"atlas {atlas.name!r} has no projection; {again}") from None
    except ValidationError as error:
        raise DataError(f"{path} is damaged ({error.errors()[0]['msg']}); {again}") from None
    if info.atlas != atlas.info.fingerprint:
        raise MismatchError(
            f"the projection was made from other embeddings than those of {atlas.name!r}; {again}"
        )
    points = read_points(projection_path(atlas) / info.table)
    if len(points.ids) != info.points:
        raise DataError(f"{info.table} has {len(points.ids)} of {info.points} points; {again}")
    return Projection(info, points)


def _points(
    atlas: Atlas, sample: int, config: MapConfig, report: Callable[[int, int], None]
) -> Points:
    report(0, 3)
    chosen = sample_locations(atlas, sample, config.seed)
    count, least = len(chosen.ids), config.neighbours + 2
    if count < least:
        raise DataError(
            f"a map with {config.neighbours} neighbours needs {least} places with data; the sample "
            f"of {sample} from atlas {atlas.name!r} has {count}: lower --neighbours to "
            f"{max(count - 2, 2)} or raise --sample"
        )
    report(1, 3)
    layout = lay_out(chosen.vectors, config)
    report(2, 3)
    positions = atlas.positions_nm_xyz(chosen.ids)
    return Points(chosen.ids, positions, np.asarray(layout.xy, np.float32), layout.clusters)


def _captions(atlas: Atlas, info: ProjectionInfo) -> tuple[str, str]:
    places = f"{info.points:,} of {count_locations(atlas):,} places"
    grouped = f"{info.clusters} clusters" if info.clusters else "no clusters"
    title = f"Atlas {atlas.name}: UMAP of {places}, {grouped}"
    note = (
        f"cosine, {info.config.neighbours} neighbours, min_dist {info.config.min_dist:g}, seed "
        f"{info.config.seed}; clusters of the map by HDBSCAN; distances on it have no unit"
    )
    return title, note
