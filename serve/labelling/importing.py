"""Brings labels of files into the store of an atlas, and tells what could not be taken."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from embed.atlas import Atlas
from embed.errors import OutOfBoundsError, RequestError
from embed.geometry import XyzFloat
from serve.labelling.classes import ClassSet, plain_text, with_more
from serve.labelling.label import Place
from serve.labelling.places import LabelFile, Skipped
from serve.labelling.store import LabelStore

MAX_IMPORTED = 200_000
"""Places of one import, which others wait for: some seconds of work."""

_AT_ONCE = 8192


@dataclasses.dataclass(frozen=True)
class Imported:
    """What became of a file.

    Attributes:
        imported: labels that stand, or would.
        classes: how many of each class.
        skipped: rows that were left out, in the order of the file.
        voids: labels at locations without data, of which no probe can learn.
        revision: of the store after it.
    """

    imported: int
    classes: dict[str, int]
    skipped: tuple[Skipped, ...]
    voids: int
    revision: int


def import_labels(
    atlas: Atlas,
    file: LabelFile,
    set_name: str,
    author: str,
    source: str,
    *,
    strict: bool = False,
    dry_run: bool = False,
) -> Imported:
    """Stores the labels of a file: one action, which one undo takes back.

    The set and its classes are made where they are not there. Rows outside the atlas are left out,
    and of several at one location all but the last; both are told.

    Args:
        atlas: whose locations are labelled.
        file: what is to be stored.
        set_name: of the class set.
        author: who imports, and who says so where the file does not.
        source: the name of the file, by which it is known later.
        strict: refuses the file whole instead of leaving out a row of it.
        dry_run: stores nothing, and tells what would be.

    Raises:
        OutOfBoundsError: all places are outside the atlas, or one is and `strict` is set.
        RequestError: a name is none, or there are too many places or classes; with `strict`, a row
            would be left out.
        VoxkinError: what `LabelStore.add` raises.
    """
    if len(file.places) > MAX_IMPORTED:
        raise RequestError(
            f"{source} has {len(file.places):,} labels; at most {MAX_IMPORTED:,} are imported at "
            "once: cut it in parts"
        )
    plain_text(author, "an author")
    inside = _inside(atlas, file.places)
    if not inside.any() or (strict and not inside.all()):
        raise OutOfBoundsError(_outside_told(atlas, file, inside, source))
    kept, doubled = _one_a_location(atlas, file, inside, author)
    outside = f"it is outside atlas {atlas.name!r}"
    left_out = [
        *file.skipped,
        *doubled,
        *(
            Skipped(place.line, outside)
            for place, is_inside in zip(file.places, inside, strict=True)
            if not is_inside
        ),
    ]
    skipped = tuple(sorted(left_out, key=lambda row: row.line))
    if strict and skipped:
        first = skipped[0]
        raise RequestError(
            f"{len(skipped):,} of {source} would be left out; the first is {file.unit} "
            f"{first.line}: {first.why}. Nothing was imported; leave them out without --strict"
        )
    voids = int((~has_data(atlas, [place.position_nm_xyz for place in kept])).sum())
    store = LabelStore.open(atlas)
    if dry_run:
        known = next((s.classes for s in store.sets() if s.name == set_name), ())
        ClassSet(set_name, with_more(known, (place.label for place in kept)))  # is checked by it
        revision = store.revision()
    else:
        _, revision = store.add(set_name, author, kept, f"import {source}", new_classes=True)
    counts: dict[str, int] = {}
    for place in kept:
        counts[place.label] = counts.get(place.label, 0) + 1
    return Imported(len(kept), counts, skipped, voids, revision)


def has_data(atlas: Atlas, positions_nm_xyz: Sequence[XyzFloat]) -> Bool[np.ndarray, " n"]:
    """Whether the location nearest to each of some positions in an atlas has data."""
    ids = atlas.ids_at(np.array(positions_nm_xyz, np.float64))
    parts = np.split(ids, range(_AT_ONCE, len(ids), _AT_ONCE))
    return np.concatenate([atlas.embeddings(part).any(axis=1) for part in parts])


def _inside(atlas: Atlas, places: Sequence[Place]) -> Bool[np.ndarray, " n"]:
    """Which places have a location of the atlas, found by halves: most files fit as a whole."""
    inside = np.ones(len(places), bool)

    def look(start: int, stop: int) -> None:
        try:
            atlas.ids_at(positions[start:stop])
        except OutOfBoundsError:
            if stop - start == 1:
                inside[start] = False
                return
            middle = (start + stop) // 2
            look(start, middle)
            look(middle, stop)

    positions = _positions(places)
    look(0, len(places))
    return inside


def _one_a_location(
    atlas: Atlas, file: LabelFile, inside: Bool[np.ndarray, " n"], author: str
) -> tuple[list[Place], list[Skipped]]:
    """The last place of each location and author, and those that it stands for."""
    some = [place for place, is_inside in zip(file.places, inside, strict=True) if is_inside]
    standing: dict[tuple[int, str], Place] = {}
    doubled = []
    for location, place in zip(atlas.ids_at(_positions(some)).tolist(), some, strict=True):
        key = location, place.author or author
        if key in standing:
            why = f"{file.unit} {place.line} labels the same location"
            doubled.append(Skipped(standing.pop(key).line, why))
        standing[key] = place
    return list(standing.values()), doubled


def _outside_told(
    atlas: Atlas, file: LabelFile, inside: Bool[np.ndarray, " n"], source: str
) -> str:
    low, high = (", ".join(f"{v:g}" for v in corner) for corner in atlas.extent_nm_xyz)
    first = file.places[int(np.argmin(inside))]
    at = ", ".join(f"{v:g}" for v in first.position_nm_xyz)
    count = int((~inside).sum())
    return (
        f"{count:,} of the {len(file.places):,} places of {source} are outside atlas "
        f"{atlas.name!r}, whose locations run from ({low}) to ({high}) nm (XYZ); the first is "
        f"{file.unit} {first.line}, at ({at}) nm"
        + ("; leave them out without --strict" if inside.any() else "")
    )


def _positions(places: Sequence[Place]) -> np.ndarray:
    return np.array([place.position_nm_xyz for place in places], np.float64).reshape(-1, 3)
