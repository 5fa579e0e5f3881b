"""Numbers by which the points of a map are coloured: how like a query they are, how bright."""

import itertools
from typing import Any, Literal

import numpy as np
from fastapi import FastAPI
from jaxtyping import Float32

from embed.atlas import Atlas
from serve.catalogue import Catalogue
from serve.clusters.clusters import Clusters
from serve.find_http import Examples
from serve.queries import Query
from serve.searching.aims import aim_of

Kind = Literal["similarity", "intensity"]

# A voxel alone is noise; its neighbours in every direction are still the same structure.
_AROUND = np.array(list(itertools.product((-1, 0, 1), repeat=3)))


class Coloured(Examples):
    """What to colour the points by.

    Attributes:
        kind: similarity to the examples, or the intensity of the tissue, which takes none.
    """

    kind: Kind


def add_point_values(app: FastAPI, atlases: Catalogue) -> None:
    """Adds the route."""

    @app.post("/api/atlases/{name}/projection/values")
    def values(name: str, asked: Coloured) -> dict[str, Any]:
        """A number for each point of the map, in their order."""
        served = atlases[name]
        if asked.kind == "similarity":
            found = similarity_of(served.atlas, served.clusters, asked.query())
        else:
            found = intensity_of(served.atlas, served.clusters)
        return {"kind": asked.kind, "values": np.round(found.astype(np.float64), 3).tolist()}


def similarity_of(atlas: Atlas, clusters: Clusters, query: Query) -> Float32[np.ndarray, " n"]:
    """The similarity of every point of a map to a query.

    Raises:
        VoxkinError: as `serve.searching.aims.aim_of` and `load_projection`.
    """
    return aim_of(atlas, query).scores(clusters.vectors)


def intensity_of(atlas: Atlas, clusters: Clusters) -> Float32[np.ndarray, " n"]:
    """The mean grey value at the centre of every point of a map, in the numbers of the volume.

    Raises:
        VolumeError: the volume cannot be opened.
        DataError: it cannot be read.
        VoxkinError: as `load_projection`.
    """
    volume = atlas.volume
    centres = np.floor(atlas.frame.to_voxel(clusters.points().positions_nm_xyz)).astype(np.int64)
    around = np.clip(centres[:, None] + _AROUND, volume.box.start, np.array(volume.box.stop) - 1)
    voxels = volume.read_at(around.reshape(-1, 3)).reshape(len(centres), -1)
    return voxels.mean(axis=1, dtype=np.float64).astype(np.float32)
