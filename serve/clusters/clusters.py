"""The clusters of an atlas, as people see them: names, pictures, and where a place belongs."""

import dataclasses
import os
import threading
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Float32

from embed.atlas import Atlas
from embed.errors import DataError, NotFoundError
from embed.geometry import XyzFloat
from embed.storage import locked
from serve.clusters.montage import Montages
from serve.clusters.names import checked_cluster_name, default_name, read_names, write_names
from serve.clusters.placing import Placer
from serve.clusters.projection import (
    FILE,
    Projection,
    load_projection,
    montage_path,
    projection_path,
)
from serve.clusters.suggestions import Suggestion, by_labels, by_probe, surest
from serve.clusters.table import Points
from serve.labelling.store import LabelStore
from serve.locations import unit
from serve.probes import list_probes

# The look of a file, by which a map that has been made again is noticed.
_Stamp = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A group of points of a map.

    Attributes:
        number: 0 is the largest.
        name: what people call it, or "cluster 3".
        size: points.
        suggestion: what it might be called; None where nothing is known of it.
    """

    number: int
    name: str
    size: int
    suggestion: Suggestion | None


@dataclasses.dataclass(frozen=True)
class Placed:
    """Where a place lies on a map: coordinates without unit, and its cluster, -1 for none."""

    x: float
    y: float
    cluster: int


class Clusters:
    """The clusters of the map of an atlas, as it is on disk now. Safe to use from many threads.

    Every call may raise what `load_projection` raises.
    """

    def __init__(self, atlas: Atlas) -> None:
        self._atlas = atlas
        self._lock = threading.Lock()
        self._map: _OpenMap | None = None

    @property
    def projection(self) -> Projection:
        """How the map was made, and its points."""
        return self._opened().projection

    @property
    def placer(self) -> Placer:
        """Places vectors on the map."""
        return self._opened().placer

    @property
    def vectors(self) -> Float32[np.ndarray, "n dim"]:
        """Of the points of the map, unit length."""
        return self._opened().vectors

    @property
    def version(self) -> str:
        """Changes when the map does."""
        return self.projection.info.created

    def points(self) -> Points:
        """The points of the map."""
        return self.projection.points

    def listed(self) -> tuple[Cluster, ...]:
        """The clusters in the order of their numbers.

        Raises:
            DataError: the names, a probe or the labels are damaged.
        """
        opened = self._opened()
        names = read_names(projection_path(self._atlas))
        suggested = self._suggested(opened)
        return tuple(
            Cluster(number, names.get(number, default_name(number)), size, suggested.get(number))
            for number, size in enumerate(opened.sizes)
        )

    def name(self, number: int, text: str) -> Cluster:
        """Calls a cluster something; by its number again where the text is empty.

        Raises:
            NotFoundError: there is no such cluster.
            RequestError: the name is too long or no plain text.
            StorageError: the disk refuses; its name stays.
        """
        name = checked_cluster_name(text)
        opened = self._opened()
        opened.require(number)
        directory = projection_path(self._atlas)
        with locked(directory / FILE, shared=False):
            names = {**read_names(directory), number: name}
            write_names(directory, {number: name for number, name in names.items() if name})
        suggestion = self._suggested(opened).get(number)
        return Cluster(number, name or default_name(number), opened.sizes[number], suggestion)

    def montage(self, number: int) -> bytes:
        """A picture of the most typical places of a cluster, as PNG.

        Raises:
            NotFoundError: there is no such cluster.
            VolumeError: it has not been drawn, and the volume cannot be opened.
            DataError: the same, and the volume cannot be read.
        """
        opened = self._opened()
        opened.require(number)
        path = montage_path(projection_path(self._atlas), number)
        return path.read_bytes() if path.exists() else opened.drawn(number)

    def place_at(self, nm_xyz: XyzFloat) -> Placed:
        """Where the location nearest to a position lies on the map.

        Raises:
            OutOfBoundsError: the position is outside the atlas.
            DataError: there are no data.
        """
        vectors = self._atlas.embeddings(self._atlas.ids_at(np.array([nm_xyz])))
        if not vectors.any():
            raise DataError(
                f"the location nearest to xyz = {nm_xyz} nm has no data, so that it has no place "
                "on the map"
            )
        xy, clusters = self.placer.place(vectors)
        return Placed(float(xy[0, 0]), float(xy[0, 1]), int(clusters[0]))

    def _opened(self) -> "_OpenMap":
        with self._lock:
            stamp = _stamp(self._atlas)
            if self._map is None or self._map.stamp != stamp:
                self._map = _OpenMap(self._atlas, load_projection(self._atlas), stamp)
            return self._map

    def _suggested(self, opened: "_OpenMap") -> dict[int, Suggestion]:
        store = LabelStore.open(self._atlas)
        probes = [
            probe for probe in list_probes(self._atlas) if probe.dim == opened.vectors.shape[1]
        ]
        known = (store.revision(), *(probe.created for probe in probes))
        if opened.suggested is None or opened.suggested[0] != known:
            found = [by_probe(probe, opened.vectors, opened.clusters) for probe in probes]
            found += [opened.by_labels(store, labelled.name) for labelled in store.sets()]
            opened.suggested = known, surest(found)
        return opened.suggested[1]


class _OpenMap:
    """A map that was read, and what is made of it when it is first asked for."""

    def __init__(self, atlas: Atlas, projection: Projection, stamp: _Stamp) -> None:
        self.projection, self.stamp = projection, stamp
        self.clusters = projection.points.clusters
        self.sizes: list[int] = np.bincount(self.clusters[self.clusters >= 0]).tolist()
        self.suggested: tuple[Sequence[object], dict[int, Suggestion]] | None = None
        self._atlas = atlas
        self._montages: dict[int, bytes] = {}

    @cached_property
    def vectors(self) -> Float32[np.ndarray, "n dim"]:
        """Of the points, unit length."""
        return unit(self._atlas.embeddings(self.projection.points.ids))[0]

    @cached_property
    def placer(self) -> Placer:
        """Places vectors on it."""
        return Placer(self.vectors, self.projection.points)

    def require(self, number: int) -> None:
        """Checks that there is a cluster.

        Raises:
            NotFoundError: there is none of that number.
        """
        if not 0 <= number < len(self.sizes):
            last = len(self.sizes) - 1
            there = f"they are 0 to {last}" if last >= 0 else "it has none"
            raise NotFoundError(f"no cluster {number} on the map of {self._atlas.name!r}; {there}")

    def drawn(self, number: int) -> bytes:
        """Draws a cluster, once."""
        if number not in self._montages:
            rows = self.clusters == number
            ids = self.projection.points.ids[rows]
            title = f"{default_name(number)}: {len(ids):,} points"
            montage = Montages(self._atlas).draw(title, ids, self.vectors[rows])
            self._montages[number] = montage
        return self._montages[number]

    def by_labels(self, store: LabelStore, name: str) -> dict[int, Suggestion]:
        """What a set of labels says of its clusters."""
        table = store.table(name)
        if not len(table.labels):
            return {}
        vectors = self._atlas.embeddings(self._atlas.ids_at(table.positions_nm_xyz))
        return by_labels(name, table.labels, self.placer.place(vectors)[1])


def _stamp(atlas: Atlas) -> _Stamp:
    try:
        look = os.stat(projection_path(atlas) / FILE)
    except OSError:  # of which `load_projection` says more
        return 0, 0
    return look.st_mtime_ns, look.st_ino
