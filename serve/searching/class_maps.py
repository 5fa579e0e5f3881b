"""What the map of a probe says of locations; `serve.maps` writes them."""

import csv
import functools
import itertools
from collections.abc import Hashable
from pathlib import Path
from typing import Protocol

import numpy as np
import tensorstore as ts
from jaxtyping import Float32, Int

from embed.atlas import Atlas
from embed.errors import DataError, MismatchError, NotFoundError
from embed.formats.arrays import FAILURES, reason
from embed.geometry import Box
from serve.maps import COLUMNS, FULL, map_path

_COLUMN = "probability_"
# Tables of given places that are kept in memory, as reading one takes seconds.
_KEPT = 4


class ReadMap(Protocol):
    """The class probabilities of locations, 0 to 1, all 0 where there are no data.

    Attributes:
        classes: names, in the order of the probabilities.
        rounding: by how much a probability may have been changed when it was written.
    """

    classes: tuple[str, ...]
    rounding: float

    def of(self, ids: Int[np.ndarray, " n"]) -> Float32[np.ndarray, "n classes"]:
        """Those of some locations.

        Raises:
            DataError: the map cannot be read.
        """
        ...

    def of_cells(self, cells: Box) -> Float32[np.ndarray, "z y x classes"]:
        """Those of a box of cells of a grid.

        Raises:
            DataError: the map cannot be read.
        """
        ...


def open_map(atlas: Atlas, name: str) -> ReadMap:
    """The map of a probe as it was last applied.

    Raises:
        RequestError: the name is none of a probe.
        NotFoundError: the probe has no map.
        DataError: the map cannot be read.
        MismatchError: it is of another atlas.
    """
    path = map_path(atlas, name)
    version = map_version(atlas, name)
    if version is None:
        raise NotFoundError(
            f"probe {name!r} has no map in atlas {atlas.name!r}; make it with: voxkin probe apply "
            f"{atlas.name} --name {name}"
        )
    if atlas.info.points is not None:
        return _table(path, version, atlas.grid.size)
    return _GridMap(atlas, path)


def map_version(atlas: Atlas, name: str) -> Hashable:
    """What changes when a map is replaced; None where there is none.

    Raises:
        RequestError: the name is none of a probe.
    """
    path = map_path(atlas, name)
    try:
        found = (path if atlas.info.points is not None else path / "zarr.json").stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


class _GridMap:
    rounding = 0.5 / FULL

    def __init__(self, atlas: Atlas, path: Path) -> None:
        self._atlas, self._path = atlas, path
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}}
        try:
            self._store = ts.open(spec, read=True).result()
            attributes = self._store.spec().to_json()["metadata"]["attributes"]
            self.classes = tuple(map(str, attributes["classes"]))
            made_for = attributes["atlas"]
        except (*FAILURES, KeyError) as error:
            raise _unreadable(path, reason(error)) from error
        if made_for != atlas.info.fingerprint or self._store.shape[:3] != atlas.grid.shape:
            raise MismatchError(
                f"the map {path.stem!r} was made for another atlas than {atlas.name!r}; apply the "
                "probe again"
            )

    def of(self, ids: Int[np.ndarray, " n"]) -> Float32[np.ndarray, "n classes"]:
        z, y, x = self._atlas.grid.cells_of(ids).T
        return self._read(self._store.vindex[z, y, x])

    def of_cells(self, cells: Box) -> Float32[np.ndarray, "z y x classes"]:
        return self._read(self._store[cells.slices])

    def _read(self, view: ts.TensorStore) -> Float32[np.ndarray, "..."]:
        try:
            levels = np.asarray(view.read().result())
        except FAILURES as error:
            raise _unreadable(self._path, reason(error)) from error
        return levels.astype(np.float32) / FULL


class _TableMap:
    rounding = 0.5e-4  # four digits

    def __init__(
        self, classes: tuple[str, ...], probabilities: Float32[np.ndarray, "n classes"]
    ) -> None:
        self.classes, self._probabilities = classes, probabilities

    def of(self, ids: Int[np.ndarray, " n"]) -> Float32[np.ndarray, "n classes"]:
        return self._probabilities[ids]

    def of_cells(self, cells: Box) -> Float32[np.ndarray, "z y x classes"]:
        return self._probabilities[None, None, cells.slices[2]]


@functools.lru_cache(_KEPT)
def _table(path: Path, version: Hashable, size: int) -> _TableMap:
    """A table as `serve.maps.ClassTable` writes it, a row for each place.

    Args:
        path: of the table.
        version: see `map_version`; a table that was replaced is read again.
        size: places of the atlas.

    Raises:
        DataError: it is no such table.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.reader(file)
            classes = tuple(name.removeprefix(_COLUMN) for name in next(rows)[len(COLUMNS) :])
            if not classes:
                raise ValueError("it has no classes")
            cells = itertools.chain.from_iterable(row[len(COLUMNS) :] for row in rows)
            values = np.fromiter((float(cell or 0) for cell in cells), np.float32)
        return _TableMap(classes, values.reshape(size, len(classes)))
    except (OSError, ValueError, StopIteration) as error:
        raise _unreadable(path, str(error)) from error


def _unreadable(path: Path, why: str) -> DataError:
    # Callers of a server are told this: not where its files are.
    return DataError(f"the map of probe {path.stem!r} cannot be read ({why}); apply it again")
