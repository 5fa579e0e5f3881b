"""The labels of an atlas: kept on disk before they are acknowledged, with all that was done."""

import dataclasses
import datetime
import sqlite3
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from embed.atlas import Atlas
from embed.errors import NotFoundError, RequestError
from embed.storage import digest_json
from serve.labelling import history, sets
from serve.labelling.classes import ClassSet, checked_set_name, plain_text, with_more
from serve.labelling.database import Database
from serve.labelling.label import Changes, Label, Place
from serve.labelling.rows import CHANGED, COLUMNS, IS_CURRENT, label_of
from serve.labels import LabelTable

FILE = "labels.sqlite"
"""The file in the directory of an atlas."""

MAX_TOLD = 100_000
"""Labels in one answer."""

_MAX_ID = 2**63 - 1
_ADD: history.Kind = "add"
_IMPORT: history.Kind = "import"


class LabelStore:
    """The label store of an atlas. Safe to use from many threads and processes of one machine.

    Every call may raise what `Database.reading` and, where it changes something,
    `Database.writing` raise. What it changed is on disk when it returns.
    """

    def __init__(self, atlas: Atlas) -> None:
        self._atlas = atlas

    @classmethod
    def open(cls, atlas: Atlas) -> "LabelStore":
        """The store of an atlas; nothing is written before something is stored."""
        return cls(atlas)

    @property
    def path(self) -> Path:
        """Where the store is, if anything was stored."""
        return self._atlas.path / FILE

    def sets(self) -> tuple[ClassSet, ...]:
        """Every class set, in the order in which they were made."""
        with self._db.reading() as db:
            return sets.read_sets(db)

    def revision(self) -> int:
        """A number that grows with every change of labels or sets."""
        with self._db.reading() as db:
            return history.revision_of(db)

    def put_set(self, wanted: ClassSet) -> int:
        """Makes a class set, or changes it into this; the revision after it.

        Raises:
            ConflictError: it would drop a class that places are labelled with.
        """
        with self._db.writing() as db:
            sets.write_set(db, wanted)
            return history.next_revision(db)

    def add(
        self,
        set_name: str,
        author: str,
        places: Sequence[Place],
        source: str,
        *,
        new_classes: bool = False,
    ) -> tuple[tuple[Label, ...], int]:
        """Labels the locations nearest to some places: one action, of which all or nothing is kept.

        An author's earlier label at a location in the set is replaced, also by a later place of the
        same call.

        Args:
            set_name: of the class set.
            author: who does it, and who says so of places that name nobody else.
            places: one or more.
            source: where they come from.
            new_classes: makes the set and those of its classes that are not there; this is an
                import then.

        Returns:
            The labels that stand, and the revision after it.

        Raises:
            RequestError: a name is none, a class is not of the set, or a position is not finite.
            NotFoundError: there is no such set.
            OutOfBoundsError: a place is outside the atlas.
        """
        checked_set_name(set_name)
        plain_text(author, "an author")
        plain_text(source, "a source")
        for other in {place.author for place in places} - {""}:
            plain_text(other, "an author")
        standing = self._at_locations(places, author)
        with self._db.writing() as db:
            if new_classes:
                _make_classes(db, set_name, places)
            set_id = sets.id_of(db, set_name)
            classes = sets.class_ids(db, set_id)
            now, kind = _now(), _IMPORT if new_classes else _ADD
            action = history.record(db, kind, author, now, source)
            db.executemany(
                """
                INSERT INTO label (action_id, set_id, class_id, location, x_nm, y_nm, z_nm, author,
                  time, segment) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
                [
                    (
                        *(action, set_id, _class_id(classes, place.label, set_name), location),
                        *place.position_nm_xyz,
                        *(author_, place.time or now, str(place.segment or "")),
                    )
                    for (location, author_), place in standing.items()
                ],
            )
            history.take_replaced(db, action)
            outcome = history.settle(db, action)
            rows = db.execute(
                f"SELECT {COLUMNS} WHERE action_id = ? AND is_current ORDER BY label.id", (action,)
            )
            return tuple(map(label_of, rows)), outcome.revision

    def remove(self, label_id: int, author: str) -> int:
        """Takes a label away, whoever made it; the revision after it.

        Raises:
            RequestError: the author's name is none.
            NotFoundError: there is no such label now.
        """
        plain_text(author, "an author")
        with self._db.writing() as db:
            known = (
                0 < label_id <= _MAX_ID
                and db.execute(
                    "SELECT 1 FROM label WHERE id = ? AND is_current", (label_id,)
                ).fetchone()
            )
            if not known:
                raise NotFoundError(
                    f"no label {label_id}: it was removed or replaced, or never was"
                )
            action = history.record(db, "remove", author, _now())
            history.take_away(db, action, label_id)
            return history.settle(db, action).revision

    def undo(self, author: str) -> tuple[str, int]:
        """Undoes the newest action of an author that is not undone: of labels, never of sets.

        Returns:
            What was undone, for people, and the revision after it.

        Raises:
            RequestError: the author's name is none.
            ConflictError: there is nothing to undo.
        """
        plain_text(author, "an author")
        with self._db.writing() as db:
            undone, kind = history.last_action(db, author)
            action = history.record(db, "undo", author, _now(), undoes=undone)
            outcome = history.settle(db, action, undone)
            sets.show_used(db)
            return history.told(db, kind, outcome), outcome.revision

    def changes(
        self, set_name: str | None = None, after: int = 0, limit: int = MAX_TOLD
    ) -> Changes:
        """The labels that came and went after a revision; from 0 on, those that there are.

        Args:
            set_name: only of this class set.
            after: a revision that was told before.
            limit: how many at most, 1 to 100,000.

        Raises:
            RequestError: a number is out of its range, or the name is none.
            NotFoundError: there is no such set.
        """
        if not 1 <= limit <= MAX_TOLD:
            raise RequestError(f"limit is 1 to {MAX_TOLD}; got {limit}")
        if not 0 <= after <= _MAX_ID:
            raise RequestError(f"after is a revision, a whole number from 0 on; got {after}")
        with self._db.reading() as db:
            which = "" if set_name is None else f"AND label.set_id = {sets.id_of(db, set_name)}"
            rows = db.execute(
                f"SELECT {COLUMNS} WHERE changed > ? AND (is_current OR ?) {which} "
                "ORDER BY changed LIMIT ?",
                (after, after, limit + 1),
            ).fetchall()
            told = rows[:limit]
            more = len(rows) > limit
            return Changes(
                labels=tuple(label_of(row) for row in told if row[IS_CURRENT]),
                removed=tuple(row[0] for row in told if not row[IS_CURRENT]),
                revision=told[-1][CHANGED] if more else history.revision_of(db),
                more=more,
            )

    def labels(self, set_name: str) -> tuple[Label, ...]:
        """All labels of a class set that stand, in the order in which they were made.

        Raises:
            RequestError: the name is none.
            NotFoundError: there is no such set.
        """
        with self._db.reading() as db:
            rows = db.execute(
                f"SELECT {COLUMNS} WHERE label.set_id = ? AND is_current ORDER BY label.id",
                (sets.id_of(db, set_name),),
            )
            return tuple(map(label_of, rows))

    def table(self, set_name: str) -> LabelTable:
        """What a probe learns from: of each location that is labelled, the newest label of anybody.

        Raises:
            RequestError: the name is none.
            NotFoundError: there is no such set.
        """
        newest = {label.location: label for label in self.labels(set_name)}
        positions = [label.position_nm_xyz for label in newest.values()]
        return LabelTable(
            np.array(positions, np.float64).reshape(-1, 3), tuple(v.label for v in newest.values())
        )

    @cached_property
    def _db(self) -> Database:
        atlas = self._atlas
        places = {
            "grid": dataclasses.asdict(atlas.grid),
            "frame": dataclasses.asdict(atlas.frame),
            "points": atlas.info.points,
        }
        return Database(self.path, digest_json(places))

    def _at_locations(self, places: Sequence[Place], author: str) -> dict[tuple[int, str], Place]:
        """The last of the places by their location and author."""
        if not places:
            raise RequestError("say which places to label: at least one")
        positions = np.array([place.position_nm_xyz for place in places], np.float64)
        finite = np.isfinite(positions).all(axis=1)
        if not finite.all():
            bad = positions[np.argmin(finite)].tolist()
            raise RequestError(f"a position is three finite numbers in nm (XYZ); got {bad}")
        locations = self._atlas.ids_at(positions).tolist()
        pairs = zip(locations, places, strict=True)
        return {(location, place.author or author): place for location, place in pairs}


def _make_classes(db: sqlite3.Connection, set_name: str, places: Sequence[Place]) -> None:
    """Makes the set where it is not there, and the classes that it lacks."""
    found = next((s for s in sets.read_sets(db) if s.name == set_name), ClassSet(set_name, ()))
    classes = with_more(found.classes, (place.label for place in places))
    if classes != found.classes or not found.labels:
        sets.write_set(db, ClassSet(set_name, classes))


def _class_id(classes: dict[str, int], label: str, set_name: str) -> int:
    sets.require_class(label, classes, set_name)
    return classes[label]


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
