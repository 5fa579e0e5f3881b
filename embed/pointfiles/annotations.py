"""Reads point annotations in Neuroglancer's precomputed format, from disk or over the network."""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int, Shaped, UInt64

from embed.errors import DataError, NotFoundError
from embed.formats.arrays import Json, read_json, url
from embed.formats.source import parse
from embed.pointfiles.annotation_format import PropertyType, Schema, schema
from embed.pointfiles.keyed import Keyed, open_keyed

# Cells of a spatial index that are asked for one by one where the store cannot list them.
_CELLS = 1_000_000


@dataclasses.dataclass(frozen=True, eq=False)
class Property:
    """A property of each annotation.

    Attributes:
        type: what it is.
        values: as stored: numbers, or `[n, 3]` and `[n, 4]` bytes of a colour.
    """

    type: PropertyType
    values: Shaped[np.ndarray, "n ..."]

    def labels(self) -> list[str]:
        """The label of each value, where it has one; else the value itself, as text."""
        enum = self.type.enum
        return [enum.get(value, str(value)) for value in self.values.tolist()]


@dataclasses.dataclass(frozen=True, eq=False)
class Related:
    """The objects that each annotation is related to, such as the segments it lies in.

    Attributes:
        ids: of the objects, those of the first annotation first.
        first: index into `ids` where those of each annotation begin, and where the last end.
    """

    ids: UInt64[np.ndarray, " m"]
    first: Int[np.ndarray, " bounds"]

    def of(self, annotation: int) -> UInt64[np.ndarray, " k"]:
        """The objects of one annotation, in their order."""
        return self.ids[self.first[annotation] : self.first[annotation + 1]]

    def firsts(self) -> UInt64[np.ndarray, " n"]:
        """The first object of each annotation; 0 where it has none."""
        padded = np.concatenate([self.ids, np.zeros(1, np.uint64)])
        return np.where(np.diff(self.first) > 0, padded[self.first[:-1]], np.uint64(0))


@dataclasses.dataclass(frozen=True, eq=False)
class Annotations:
    """Points, in the order of their ids.

    Attributes:
        positions_nm_xyz: where they are.
        ids: rising.
        properties: by name, in the order of `info`.
        relationships: by name; empty where they were not asked for.
        indexed: whether each is in the index by id, which alone knows its relationships.
    """

    positions_nm_xyz: Float64[np.ndarray, "n 3"]
    ids: UInt64[np.ndarray, " n"]
    properties: Mapping[str, Property]
    relationships: Mapping[str, Related]
    indexed: Bool[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.ids)


@dataclasses.dataclass(frozen=True, eq=False)
class _Collection:
    """An open collection: its folder and what `info` says."""

    kvstore: Json
    info: Json
    schema: Schema

    @property
    def where(self) -> str:
        return url(self.kvstore)

    def index(self, said: Json) -> Keyed:
        """One of its indices."""
        return open_keyed(self.kvstore, str(said["key"]), said.get("sharding"))


Lists = tuple[Shaped[np.ndarray, " n"], UInt64[np.ndarray, " n"]]


def read_annotations(
    source: str | Path,
    *,
    ids: Iterable[int] | None = None,
    related: tuple[str, int] | None = None,
    relationships: bool = True,
) -> Annotations:
    """Reads all point annotations of a collection, or some.

    Args:
        source: folder or URL of the `info` file; see `embed.formats.source.parse`.
        ids: only these.
        related: only those that a relationship, by name, connects to this object id.
        relationships: whether to look up each annotation by its id, which takes a read per
            annotation that is not in a shard.

    Raises:
        VolumeError: the place cannot be reached, or its `info` is no JSON.
        NotFoundError: there is no `info`, or one of `ids` is not there.
        DataError: these are no points in x, y, z, or a file is damaged.
    """
    kvstore = parse(source).spec["kvstore"]
    info = read_json(kvstore, ["info"]).get("info")
    if info is None:
        raise NotFoundError(f"no annotations at {url(kvstore)}: there is no file info")
    collection = _Collection(kvstore, info, schema(info, url(kvstore)))
    if ids is not None:
        return _by_id(collection, sorted(set(ids)))
    lists = _levels(collection) if related is None else _related(collection, *related)
    return _annotations(collection, *_joined(collection.schema, lists), relationships)


def _by_id(collection: _Collection, ids: list[int]) -> Annotations:
    found = list(_looked_up(collection, ids))
    missing = [id_ for id_, one in zip(ids, found, strict=True) if one is None]
    if missing:
        raise NotFoundError(f"no annotation {missing[0]} in {collection.where}")
    records = [one[0] for one in found if one is not None]
    joined = np.concatenate([np.zeros(0, collection.schema.record), *records])
    return _annotations(collection, joined, np.array(ids, np.uint64), True)


def _related(collection: _Collection, name: str, object_id: int) -> Iterator[Lists]:
    """The annotations of one object."""
    said = {r["id"]: r for r in collection.info.get("relationships", [])}
    if name not in said:
        known = ", ".join(said) or "none"
        raise NotFoundError(f"no relationship {name!r} in {collection.where}; it has {known}")
    index = collection.index(said[name])
    for value in index.values([str(object_id)]):
        if value is not None:
            yield collection.schema.many(value, f"{index.where}{object_id}")


def _levels(collection: _Collection) -> Iterator[Lists]:
    """Every cell of every level of the spatial index: together these are all annotations."""
    for level in collection.info.get("spatial", []):
        index = collection.index(level)
        keys = index.keys()
        if keys is None:
            keys = _cells(level, index.where)
        keys = [key for key in keys if index.sharded or key.replace("_", "").isdigit()]
        for key, value in zip(keys, index.values(keys), strict=True):
            if value is not None:
                yield collection.schema.many(value, f"{index.where}{key}")


def _cells(level: Json, where: str) -> list[str]:
    """Names of all cells of a level, for a store that cannot say which there are."""
    count = math.prod(level["grid_shape"])
    if count > _CELLS:
        raise DataError(
            f"{where} may have {count} files and its server does not list them: read it from a "
            "bucket (gs://, s3://) or a copy on disk"
        )
    return ["_".join(map(str, c)) for c in itertools.product(*map(range, level["grid_shape"]))]


def _joined(schema: Schema, lists: Iterable[Lists]) -> Lists:
    """All annotations in the order of their ids, each once."""
    records, ids = [np.zeros(0, schema.record)], [np.zeros(0, np.uint64)]
    for some, named in lists:
        records.append(some)
        ids.append(named)
    unique, first = np.unique(np.concatenate(ids), return_index=True)
    return np.concatenate(records)[first], unique


def _annotations(
    collection: _Collection,
    records: Shaped[np.ndarray, " n"],
    ids: UInt64[np.ndarray, " n"],
    relationships: bool,
) -> Annotations:
    known = collection.schema
    related: dict[str, Related] = {}
    indexed = np.zeros(len(ids), bool)
    if relationships and known.relationships:
        found = [None if one is None else one[1] for one in _looked_up(collection, ids.tolist())]
        indexed = np.array([one is not None for one in found], bool)
        for name in known.relationships:
            related[name] = _ragged([None if one is None else one[name] for one in found])
    return Annotations(
        positions_nm_xyz=known.positions_nm_xyz(records),
        ids=ids,
        properties={p.id: Property(p, records[p.id].copy()) for p in known.properties},
        relationships=related,
        indexed=indexed,
    )


def _looked_up(
    collection: _Collection, ids: list[int]
) -> Iterator[tuple[Shaped[np.ndarray, "1"], dict[str, UInt64[np.ndarray, "..."]]] | None]:
    """What the index by id has of each; None where it lacks it."""
    said = collection.info.get("by_id")
    if said is None:
        yield from (None for _ in ids)
        return
    index = collection.index(said)
    for id_, value in zip(ids, index.values(map(str, ids)), strict=True):
        where = f"{index.where}{id_}"
        yield None if value is None else collection.schema.one(value, where)


def _ragged(lists: list[UInt64[np.ndarray, "..."] | None]) -> Related:
    filled = [np.zeros(0, np.uint64) if ids is None else ids for ids in lists]
    first = np.concatenate([[0], np.cumsum([len(ids) for ids in filled], dtype=np.int64)])
    return Related(np.concatenate([np.zeros(0, np.uint64), *filled]), first)
