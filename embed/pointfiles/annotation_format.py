"""Neuroglancer's precomputed annotations: what `info` says and how points are laid out in bytes.

https://github.com/google/neuroglancer/blob/master/src/datasource/precomputed/annotations.md
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float64, Shaped, UInt64

from embed.errors import DataError
from embed.formats.arrays import Json
from embed.formats.units import unit_nm

TYPE = "neuroglancer_annotations_v1"
# What each type is in numpy; the widest are stored first.
_TYPES = {
    "uint32": ("<u4", ()),
    "int32": ("<i4", ()),
    "float32": ("<f4", ()),
    "uint16": ("<u2", ()),
    "int16": ("<i2", ()),
    "uint8": ("u1", ()),
    "int8": ("i1", ()),
    "rgb": ("u1", (3,)),
    "rgba": ("u1", (4,)),
}
POSITION = "\0position"
"""The field of a record with the stored coordinates; no property can be called so."""


@dataclasses.dataclass(frozen=True)
class PropertyType:
    """A property of annotations.

    Attributes:
        id: its name.
        type: Neuroglancer's word for it.
        enum: the label of each value that has one; several values may have the same.
    """

    id: str
    type: str
    enum: Mapping[int | float, str]


@dataclasses.dataclass(frozen=True)
class Schema:
    """What is said of all annotations of a collection.

    Attributes:
        scale_nm: nanometres in one unit of each stored coordinate, in stored order.
        xyz: which stored coordinate is x, y and z.
        properties: in the order of `info`.
        relationships: their names, in the order of `info`.
    """

    scale_nm: tuple[float, float, float]
    xyz: tuple[int, int, int]
    properties: tuple[PropertyType, ...]
    relationships: tuple[str, ...]

    @property
    def record(self) -> np.dtype:
        """One annotation without its relationships: position, properties, padding to 4 bytes."""
        fields: list[Any] = [(POSITION, "<f4", (3,))]
        kinds = list(_TYPES)
        width = {kind: np.dtype(_TYPES[kind][0]).itemsize for kind in kinds}
        for prop in sorted(self.properties, key=lambda prop: -width[prop.type]):
            fields.append((prop.id, *_TYPES[prop.type]))
        packed = np.dtype(fields)
        return np.dtype([*fields, ("\0pad", f"V{-packed.itemsize % 4}")])

    def many(
        self, content: bytes, where: str
    ) -> tuple[Shaped[np.ndarray, " n"], UInt64[np.ndarray, " n"]]:
        """The records and ids of a list of annotations.

        Raises:
            DataError: the list is truncated or not of this schema.
        """
        count = int.from_bytes(content[:8], "little")
        record = self.record
        end = 8 + count * record.itemsize
        if len(content) < 8 or len(content) != end + 8 * count:
            raise DataError(
                f"{where} is damaged: {len(content)} bytes do not hold its {count} annotations of "
                f"{record.itemsize + 8} bytes"
            )
        return np.frombuffer(content[8:end], record), np.frombuffer(content[end:], "<u8")

    def one(
        self, content: bytes, where: str
    ) -> tuple[Shaped[np.ndarray, "1"], dict[str, UInt64[np.ndarray, "..."]]]:
        """The record of an annotation stored under its id, and its related ids by relationship.

        Raises:
            DataError: it is truncated or not of this schema.
        """
        begin = self.record.itemsize
        related = {}
        for name in self.relationships:
            end = begin + 4 + 8 * int.from_bytes(content[begin : begin + 4], "little")
            if end <= len(content):
                related[name] = np.frombuffer(content[begin + 4 : end], "<u8")
            begin = end
        if begin != len(content):
            raise DataError(f"{where} is damaged: {len(content)} bytes, where {begin} are expected")
        return np.frombuffer(content[: self.record.itemsize], self.record), related

    def positions_nm_xyz(self, records: Shaped[np.ndarray, " n"]) -> Float64[np.ndarray, "n 3"]:
        """Where the annotations are."""
        stored = records[POSITION].astype(np.float64) * self.scale_nm
        return stored[:, list(self.xyz)]


def schema(info: Json, where: str) -> Schema:
    """Reads `info`.

    Raises:
        DataError: the annotations are no points in three dimensions with units of length, or
            `info` breaks the format.
    """
    if info.get("@type") != TYPE:
        raise DataError(f"{where} holds no annotations: its info is {info.get('@type')!r}")
    kind = str(info.get("annotation_type")).upper()
    if kind != "POINT":
        raise DataError(f"{where} holds annotations of type {kind}; only POINT can be read")
    try:
        scale, xyz = _dimensions(info["dimensions"], where)
        properties = tuple(_property(said, where) for said in info.get("properties", []))
        relationships = tuple(str(said["id"]) for said in info.get("relationships", []))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"the info of {where} breaks the format: {error!r}") from error
    return Schema(scale, xyz, properties, relationships)


def _dimensions(said: Json, where: str) -> tuple[tuple[float, float, float], tuple[int, int, int]]:
    names = list(said)
    if sorted(names) != ["x", "y", "z"]:
        raise DataError(f"{where} has dimensions {', '.join(names)}; x, y and z can be read")
    units = [unit_nm(str(unit)) for _, unit in said.values()]
    if None in units:
        unknown = list(said)[units.index(None)]
        raise DataError(f"{where}: the unit of {unknown} is {said[unknown][1]!r}, no length")
    a, b, c = (float(said[name][0]) * (unit or 0) for name, unit in zip(names, units, strict=True))
    return (a, b, c), (names.index("x"), names.index("y"), names.index("z"))


def _property(said: Json, where: str) -> PropertyType:
    name, kind = str(said["id"]), str(said["type"])
    if kind not in _TYPES:
        raise DataError(f"{where}: property {name!r} is of unknown type {kind!r}")
    values, labels = said.get("enum_values", []), said.get("enum_labels", [])
    return PropertyType(name, kind, dict(zip(values, map(str, labels), strict=True)))
