"""Labels as annotations of Neuroglancer: the class, its colour, author and time are properties."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from embed.errors import DataError
from embed.pointfiles.annotation_format import PropertyType
from embed.pointfiles.annotation_writer import annotation_files
from embed.pointfiles.annotations import Annotations, Property, read_annotations
from serve.labelling.classes import LabelClass
from serve.labelling.label import Place
from serve.labelling.places import LabelFile, place_of

_CLASS, _COLOUR, _AUTHOR, _TIME = "label", "color", "author", "time_s"


def read_layer(source: str | Path, property: str | None = None) -> LabelFile:
    """The labels of a folder or URL of annotations; places are numbered by their ids.

    Args:
        source: see `embed.pointfiles.annotations.read_annotations`.
        property: the one that is the class; without it "label", or the only one with names for its
            values.

    Raises:
        NotFoundError: there is no `info`.
        VolumeError: the place cannot be reached.
        DataError: these are no points, or none or several properties can be the class.
    """
    found = read_annotations(source)
    if not len(found):
        raise DataError(f"{source} has no annotations")
    labels = _class_of(found, str(source), property).labels()
    authors = _labels_of(found, _AUTHOR)
    times = _times(found)
    segments = [0] * len(found)
    if len(found.relationships) == 1:
        segments = next(iter(found.relationships.values())).firsts().tolist()
    places = []
    for n, (x, y, z) in enumerate(found.positions_nm_xyz.tolist()):
        beside = {"author": authors[n], "time": times[n], "segment": str(segments[n] or "")}
        places.append(place_of(int(found.ids[n]), (x, y, z), labels[n], beside, str(source)))
    return LabelFile(tuple(places), unit="annotation")


def layer_files(
    places: Sequence[Place], classes: Sequence[LabelClass]
) -> Iterator[tuple[str, bytes]]:
    """The files of a folder of annotations, which `read_layer` reads and Neuroglancer shows.

    Args:
        places: are numbered from 1.
        classes: with those of all places among them.
    """
    names = [c.name for c in classes]
    colours = np.array([list(bytes.fromhex(c.colour[1:])) for c in classes], np.uint8)
    which = np.array([names.index(place.label) for place in places])
    authors = sorted({place.author for place in places})
    properties = [
        (_enum(_CLASS, names), which),
        (PropertyType(_COLOUR, "rgb", {}), colours[which]),
        (_enum(_AUTHOR, authors), np.array([authors.index(place.author) for place in places])),
        (PropertyType(_TIME, "uint32", {}), np.array([_seconds(place.time) for place in places])),
    ]
    segments = np.array([place.segment for place in places], np.uint64)
    return annotation_files(
        np.array([place.position_nm_xyz for place in places]),
        np.arange(1, len(places) + 1, dtype=np.uint64),
        properties,
        segments if segments.any() else None,
    )


def _class_of(found: Annotations, source: str, property: str | None) -> Property:
    named = {id_: value for id_, value in found.properties.items() if value.type.enum}
    if property is not None:
        candidates = [property] if property in found.properties else []
    elif _CLASS in named:
        candidates = [_CLASS]
    else:
        candidates = [id_ for id_ in named if id_ != _AUTHOR]
    if len(candidates) != 1:
        has = ", ".join(found.properties) or "none"
        asked = f"no property {property!r}" if property is not None else "which property"
        raise DataError(f"{asked} of {source} is the class? name one with --property; it has {has}")
    return found.properties[candidates[0]]


def _labels_of(found: Annotations, name: str) -> list[str]:
    property = found.properties.get(name)
    return [""] * len(found) if property is None else property.labels()


def _times(found: Annotations) -> list[str]:
    property = found.properties.get(_TIME)
    if property is None:
        return [""] * len(found)
    return [
        datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat() if seconds else ""
        for seconds in property.values.tolist()
    ]


def _seconds(time: str) -> int:
    """Seconds since 1970 of a time in ISO 8601; 0 where none is known, or uint32 has no room."""
    seconds = int(datetime.datetime.fromisoformat(time).timestamp()) if time else 0
    return seconds if 0 <= seconds < 2**32 else 0


def _enum(name: str, values: Sequence[str]) -> PropertyType:
    kind = "uint8" if len(values) < 2**8 else "uint16" if len(values) < 2**16 else "uint32"
    return PropertyType(name, kind, _numbered(values))


def _numbered(values: Sequence[str]) -> Mapping[int | float, str]:
    return dict(enumerate(values))
