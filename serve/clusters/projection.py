"""The map of an atlas as it is on disk: UMAP of a sample, made once, with its clusters.

`projection/` holds the table, `umap.png`, `projection.json` and pictures of the clusters, put there
together, and then `names.json`. New places are not fitted in: `serve.clusters.placing` says where
among the points they belong.
"""

import dataclasses
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from embed.atlas import Atlas
from embed.errors import DataError, MismatchError, NotFoundError
from embed.storage import read_json, write_json
from serve.clusters.table import Points, read_points
from serve.clusters.umap_worker import MapConfig

FORMAT = 1
FILE = "projection.json"
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
        montages: clusters that there is a picture of.
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
    montages: int = 0
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


def montage_path(directory: Path, number: int) -> Path:
    """Where the picture of a cluster is in the directory of a projection."""
    return directory / "clusters" / f"{number}.png"


def write_info(directory: Path, info: ProjectionInfo) -> None:
    """Writes how a projection was made.

    Raises:
        StorageError: the disk refuses.
    """
    write_json(directory / FILE, _INFO.dump_python(info, mode="json"))


def load_projection(atlas: Atlas) -> Projection:
    """Reads the projection of an atlas.

    Raises:
        NotFoundError: there is none.
        MismatchError: it was made from other embeddings.
        DataError: it is damaged.
        MissingExtraError: its table is Parquet, which needs pyarrow.
    """
    again = f"make one with: voxkin project {atlas.path}"
    path = projection_path(atlas) / FILE
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
