"""The map for other programs: tables with the names of clusters, neighbours and pictures."""

import csv
import io
from pathlib import Path
from typing import Any, get_args

from embed.atlas import Atlas
from embed.errors import ConfigError
from embed.storage import write_bytes
from serve.clusters.clusters import Clusters
from serve.clusters.names import default_name
from serve.clusters.picture import Kind, caption, draw_points
from serve.clusters.table import parquet_modules
from serve.locations import Progress, count_locations
from serve.tiles import Tiles, png_of

NEIGHBOURS = 15
"""Of each point, in a Parquet file."""

_TILE = 64
_PICTURES: tuple[Kind, ...] = get_args(Kind)
_SUFFIXES = (".parquet", ".csv", *(f".{kind}" for kind in _PICTURES))


def export_map(
    atlas: Atlas, path: Path, *, thumbnails: bool = False, progress: Progress | None = None
) -> int:
    """Writes the map of an atlas to a file whose name says the kind.

    - `.parquet`, for embedding-atlas, pandas and others: id, x_nm, y_nm, z_nm, segment_id,
      umap_x, umap_y, cluster, cluster_name, neighbors (rows and distances, 1 - similarity) and, if
      wanted, thumbnail (a PNG);
    - `.csv`, which napari opens as points: axis-0, axis-1, axis-2 (z, y, x in nm) and the others
      as features;
    - `.png`, `.pdf`, `.svg`: the picture, with the names that clusters have now.

    Args:
        atlas: that has a map.
        path: of the file; one that is there is replaced.
        thumbnails: whether to put a picture of every point into a Parquet file.
        progress: called with the thumbnails that are drawn and all there are.

    Returns:
        The number of points.

    Raises:
        ConfigError: the file is of no such kind, or thumbnails are to go into another than Parquet.
        NotFoundError: the atlas has no map.
        MissingExtraError: Parquet needs pyarrow.
        VolumeError: there is no volume to draw thumbnails of.
        DataError: what has to be read is damaged.
        StorageError: the disk refuses.
    """
    if path.suffix not in _SUFFIXES:
        raise ConfigError(f"a map is exported as {', '.join(_SUFFIXES)}; got {path.name!r}")
    if thumbnails and path.suffix != ".parquet":
        raise ConfigError(f"thumbnails go into .parquet files only; got {path.name!r}")
    clusters = Clusters(atlas)
    if path.suffix == ".parquet":
        content = _parquet(atlas, clusters, thumbnails, progress)
    elif path.suffix == ".csv":
        content = _napari(atlas, clusters)
    else:
        kind = next(kind for kind in _PICTURES if path.suffix == f".{kind}")
        text = caption(atlas.name, clusters.projection.info, count_locations(atlas))
        content = draw_points(clusters.points(), text, _names(clusters), kind)
    write_bytes(path, content)
    return len(clusters.points().ids)


def _columns(atlas: Atlas, clusters: Clusters) -> dict[str, Any]:
    points, names = clusters.points(), _names(clusters)
    x, y, z = points.positions_nm_xyz.T
    segments = [segment for segment, _ in atlas.known_of(points.ids)]
    columns: dict[str, Any] = {"id": points.ids, "x_nm": x, "y_nm": y, "z_nm": z}
    if any(segment is not None for segment in segments):
        # As text: most programs' numbers do not hold 64 bits.
        columns["segment_id"] = ["" if s is None else str(s) for s in segments]
    columns |= dict(zip(("umap_x", "umap_y"), points.xy.T, strict=True))
    called = [names.get(c, default_name(c)) for c in points.clusters.tolist()]
    return columns | {"cluster": points.clusters, "cluster_name": called}


def _names(clusters: Clusters) -> dict[int, str]:
    """The names that people gave, by the number of the cluster."""
    return {
        one.number: one.name for one in clusters.listed() if one.name != default_name(one.number)
    }


def _napari(atlas: Atlas, clusters: Clusters) -> bytes:
    columns = _columns(atlas, clusters)
    axes = {f"axis-{i}": columns.pop(name) for i, name in enumerate(("z_nm", "y_nm", "x_nm"))}
    columns = {"index": range(len(columns["id"])), **axes, **columns}
    sink = io.StringIO()
    rows = csv.writer(sink, lineterminator="\n")
    rows.writerow(columns)
    rows.writerows(zip(*columns.values(), strict=True))
    return sink.getvalue().encode()


def _parquet(
    atlas: Atlas, clusters: Clusters, thumbnails: bool, progress: Progress | None
) -> bytes:
    arrow, parquet = parquet_modules()
    columns = _columns(atlas, clusters)
    similarities, rows = clusters.placer.neighbours(NEIGHBOURS)
    columns["neighbors"] = [
        {"ids": ids, "distances": distances}
        for ids, distances in zip(rows.tolist(), (1 - similarities).tolist(), strict=True)
    ]
    if thumbnails:
        columns["thumbnail"] = _thumbnails(atlas, clusters, progress)
    sink = io.BytesIO()
    parquet.write_table(arrow.table(columns), sink)
    return sink.getvalue()


def _thumbnails(
    atlas: Atlas, clusters: Clusters, progress: Progress | None
) -> list[dict[str, bytes]]:
    """As Hugging Face's tables hold pictures, which embedding-atlas shows."""
    tiles, places = Tiles(atlas, ("xy",), _TILE), clusters.points().positions_nm_xyz.tolist()
    drawn = []
    for number, (x, y, z) in enumerate(places, 1):
        drawn.append({"bytes": png_of(tiles.draw((x, y, z), "xy")[0].convert("L"))})
        if progress:
            progress(number, len(places))
    return drawn
