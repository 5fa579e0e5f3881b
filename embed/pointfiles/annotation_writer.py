"""Writes point annotations in Neuroglancer's precomputed format, for `annotations` to read.

Points are spread over levels as the format wants it: a level holds as many of those that are left
as its fullest cell takes, drawn evenly, and the next has smaller cells. Neuroglancer then shows a
sample of all from far away and every one from near.
"""

import json
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorstore as ts
from jaxtyping import Float, Int, Shaped, UInt64

from embed.formats.arrays import Json
from embed.pointfiles.annotation_format import POSITION, TYPE, PropertyType, Schema

CELL = 5000
"""Annotations of a cell: drawn at once without a pause, and read in one piece."""

PLAIN = 10_000
"""Up to so many values lie in files of their own, which any web server shows; more in shards."""

# Cells of the last level are a quarter million at most, which a reader may have to ask for each.
_DEPTH = 7
_METER_PER_NM = 1e-9


def annotation_files(
    positions_nm_xyz: Float[np.ndarray, "n 3"],
    ids: UInt64[np.ndarray, " n"],
    properties: Sequence[tuple[PropertyType, Shaped[np.ndarray, "n ..."]]],
    segments: UInt64[np.ndarray, " n"] | None = None,
) -> Iterator[tuple[str, bytes]]:
    """The files of a folder of annotations: path in the folder, and content.

    Args:
        positions_nm_xyz: where they are; kept as float32, to a nanometre up to 16 mm.
        ids: of the annotations, each once.
        properties: with the value of each annotation.
        segments: the segment of each, 0 where it has none: the relationship "segment".
    """
    related = () if segments is None else ("segment",)
    kinds = tuple(kind for kind, _ in properties)
    schema = Schema((1.0, 1.0, 1.0), (0, 1, 2), kinds, related)
    records = np.zeros(len(ids), schema.record)
    records[POSITION] = positions_nm_xyz
    for kind, column in properties:
        records[kind.id] = column
    stored = records[POSITION].astype(np.float64)
    low, high = np.zeros(3), np.ones(3)
    if len(ids):
        low, high = np.floor(stored.min(axis=0)), np.floor(stored.max(axis=0)) + 1
    info: Json = {
        "@type": TYPE,
        "annotation_type": "POINT",
        "dimensions": {axis: [_METER_PER_NM, "m"] for axis in "xyz"},
        "lower_bound": low.tolist(),
        "upper_bound": high.tolist(),
        "properties": [_described(kind) for kind in kinds],
        "relationships": [],
        "by_id": {"key": "by_id"},
        "spatial": [],
    }
    related_to = np.zeros(len(ids), np.uint64) if segments is None else segments
    values = {int(i): _one(records[n], related_to[n], related) for n, i in enumerate(ids)}
    yield from _stored(info["by_id"], values)
    if segments is not None:
        info["relationships"].append({"id": "segment", "key": "segment"})
        known = np.flatnonzero(segments)
        named, which = np.unique(segments[known], return_inverse=True)
        groups = zip(named.tolist(), _grouped(which), strict=True)
        lists = {segment: _many(records, ids, known[members]) for segment, members in groups}
        yield from _stored(info["relationships"][0], lists)
    for number, (shape, cells, limit) in enumerate(_levels(stored, low, high)):
        key = f"spatial{number}"
        size = ((high - low) / shape).tolist()
        level = {"key": key, "grid_shape": list(shape), "chunk_size": size, "limit": limit}
        info["spatial"].append(level)
        for cell, members in cells.items():
            yield f"{key}/{'_'.join(map(str, cell))}", _many(records, ids, members)
    yield "info", json.dumps(info).encode()


def _described(kind: PropertyType) -> Json:
    enum = {"enum_values": list(kind.enum), "enum_labels": list(kind.enum.values())}
    return {"id": kind.id, "type": kind.type, **(enum if kind.enum else {})}


def _one(record: np.void, segment: np.uint64, related: Sequence[str]) -> bytes:
    ids = np.array([segment] if segment else [], "<u8")
    count = len(ids).to_bytes(4, "little")
    return record.tobytes() + b"".join(count + ids.tobytes() for _ in related)


def _many(
    records: Shaped[np.ndarray, " n"], ids: UInt64[np.ndarray, " n"], members: Int[np.ndarray, " m"]
) -> bytes:
    count = len(members).to_bytes(8, "little")
    return count + records[members].tobytes() + ids[members].astype("<u8").tobytes()


def _levels(
    positions: Float[np.ndarray, "n 3"],
    low: Float[np.ndarray, "3"],
    high: Float[np.ndarray, "3"],
) -> Iterator[tuple[tuple[int, ...], dict[tuple[int, ...], Int[np.ndarray, " m"]], int]]:
    """Per level its cells along x, y, z, the annotations of each cell, and the most of any."""
    left = np.random.default_rng(0).permutation(len(positions))
    shape = np.ones(3, np.int64)
    for depth in range(_DEPTH):
        size = (high - low) / shape
        cell = np.clip((positions[left] - low) // size, 0, shape - 1).astype(np.int64)
        found, which = np.unique(cell, axis=0, return_inverse=True)
        which = which.reshape(-1)  # numpy 2.0 gives it another axis
        groups = _grouped(which)
        # At last all that are left: places that are the same can be told apart by no cell.
        fullest = 0 if depth == _DEPTH - 1 else max(map(len, groups), default=0)
        cells, rest = {}, []
        for place, members in zip(found.tolist(), groups, strict=True):
            takes = -(-len(members) * min(CELL, fullest) // fullest) if fullest else len(members)
            cells[tuple(place)] = left[members[:takes]]
            rest.append(left[members[takes:]])
        yield tuple(shape.tolist()), cells, max(map(len, cells.values()), default=1)
        left = np.concatenate([left[:0], *rest])
        if not len(left):
            return
        # The longest edges are halved, so that cells become cubes.
        shape = np.where(size > size.max() / 2, shape * 2, shape)


def _grouped(group: Int[np.ndarray, " n"]) -> list[Int[np.ndarray, " m"]]:
    """Indices of each number from 0 on, in their order."""
    order = np.argsort(group, kind="stable")
    return np.split(order, np.cumsum(np.bincount(group))[:-1]) if len(group) else []


def _stored(said: Json, values: Mapping[int, bytes]) -> Iterator[tuple[str, bytes]]:
    """The files of an index by number; says in `said` where it is in shards."""
    if len(values) <= PLAIN:
        yield from ((f"{said['key']}/{number}", value) for number, value in values.items())
        return
    said["sharding"] = {
        "@type": "neuroglancer_uint64_sharded_v1",
        "hash": "murmurhash3_x86_128",
        "preshift_bits": 0,
        "minishard_bits": max(len(values) // 1000, 1).bit_length(),
        "shard_bits": 0,
        "data_encoding": "gzip",
        "minishard_index_encoding": "gzip",
    }
    context, base = ts.Context(), "memory://shards/"
    spec = {"driver": "neuroglancer_uint64_sharded", "base": base, "metadata": said["sharding"]}
    with ts.Transaction() as together:  # else every value would write the shard anew
        store = ts.KvStore.open(spec, context=context).result().with_transaction(together)
        for number, value in values.items():
            store.write(number.to_bytes(8, "big"), value).result()
    shards = ts.KvStore.open(base, context=context).result()
    for name in shards.list().result():
        yield f"{said['key']}/{name.decode()}", shards.read(name).result().value
