"""Maps for tests that do not make one: UMAP compiles for half a minute."""

import numpy as np

from embed.atlas import Atlas
from serve.clusters.projection import PICTURE, ProjectionInfo, projection_path, write_info
from serve.clusters.table import Points, write_points
from serve.clusters.umap_worker import MapConfig
from serve.locations import sample_locations


def write_projection(atlas: Atlas, count: int = 400) -> Points:
    """Lays out some of an atlas by two numbers of each embedding, in three clusters and none."""
    chosen = sample_locations(atlas, count, seed=0)
    xy = chosen.vectors[:, :2].astype(np.float32)
    clusters = np.digitize(xy[:, 0], np.quantile(xy[:, 0], [0.1, 0.6, 0.85])) - 1
    points = Points(chosen.ids, atlas.positions_nm_xyz(chosen.ids), xy, clusters)
    info = ProjectionInfo(
        atlas=atlas.info.fingerprint,
        points=len(points.ids),
        clusters=3,
        unclustered=int((clusters < 0).sum()),
        table="umap.csv",
        picture=PICTURE,
        config=MapConfig(neighbours=15, min_dist=0.1, epochs=20, seed=0),
        versions={},
        seconds=0.0,
        created="2026-01-01T00:00:00+00:00",
    )
    directory = projection_path(atlas)
    directory.mkdir(exist_ok=True)
    write_points(directory / info.table, points, "csv")
    write_info(directory, info)
    return points
