"""The class sets of a store, in its file."""

import sqlite3
from collections.abc import Collection

from embed.errors import ConflictError, NotFoundError, RequestError
from serve.labelling.classes import ClassSet, LabelClass, checked_set_name

# Many more than people can keep apart; each is listed with every answer.
MAX_SETS = 200


def read_sets(db: sqlite3.Connection) -> tuple[ClassSet, ...]:
    """Every set, in the order in which they were made."""
    rows = db.execute(
        """
        SELECT class_set.name, class.name, colour, key,
          (SELECT count(*) FROM label WHERE class_id = class.id AND is_current)
        FROM class_set LEFT JOIN class ON set_id = class_set.id AND rank IS NOT NULL
        ORDER BY class_set.id, rank
        """
    )
    found: dict[str, tuple[list[LabelClass], list[int]]] = {}
    for set_name, name, colour, key, labels in rows:
        classes, counts = found.setdefault(set_name, ([], []))
        if name is not None:
            classes.append(LabelClass(name, colour, key))
            counts.append(labels)
    return tuple(ClassSet(name, tuple(c), tuple(n)) for name, (c, n) in found.items())


def write_set(db: sqlite3.Connection, wanted: ClassSet) -> None:
    """Makes a set, or changes it into this.

    Raises:
        ConflictError: it would drop a class that places are labelled with, or there are too many
            sets.
    """
    if (
        db.execute("SELECT count(*) FROM class_set WHERE name <> ?", (wanted.name,)).fetchone()[0]
        >= MAX_SETS
    ):
        raise ConflictError(f"an atlas has at most {MAX_SETS} class sets")
    db.execute("INSERT OR IGNORE INTO class_set (name) VALUES (?)", (wanted.name,))
    set_id = id_of(db, wanted.name)
    kept = {c.name for c in wanted.classes}
    before = next(s for s in read_sets(db) if s.name == wanted.name)
    for dropped, labels in zip(before.classes, before.labels, strict=True):
        if labels and dropped.name not in kept:
            raise ConflictError(
                f"class {dropped.name!r} of set {wanted.name!r} cannot be dropped: {labels:,} "
                f"{'place is' if labels == 1 else 'places are'} labelled with it; remove those "
                "labels first"
            )
    # A class that is not in use stays, unseen, for the history to refer to.
    db.execute("UPDATE class SET rank = NULL WHERE set_id = ?", (set_id,))
    db.executemany(
        """
        INSERT INTO class (set_id, name, colour, key, rank) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (set_id, name)
        DO UPDATE SET colour = excluded.colour, key = excluded.key, rank = excluded.rank
        """,
        [(set_id, c.name, c.colour, c.key, rank) for rank, c in enumerate(wanted.classes)],
    )


def show_used(db: sqlite3.Connection) -> None:
    """Brings back classes that were dropped while no place had them and an undo then gave one."""
    db.execute(
        """
        UPDATE class SET rank = id + (SELECT max(coalesce(rank, 0)) + 1 FROM class)
        WHERE rank IS NULL AND EXISTS (
          SELECT 1 FROM label WHERE class_id = class.id AND is_current)
        """
    )


def id_of(db: sqlite3.Connection, name: str) -> int:
    """The number of a set in the store.

    Raises:
        RequestError: the name is none.
        NotFoundError: there is no such set.
    """
    checked_set_name(name)
    row = db.execute("SELECT id FROM class_set WHERE name = ?", (name,)).fetchone()
    if row is None:
        names = ", ".join(s.name for s in read_sets(db)) or "none yet"
        raise NotFoundError(f"no class set {name!r}; there are: {names}")
    return int(row[0])


def class_ids(db: sqlite3.Connection, set_id: int) -> dict[str, int]:
    """The number of each class of a set that is shown, by name."""
    rows = db.execute(
        "SELECT name, id FROM class WHERE set_id = ? AND rank IS NOT NULL ORDER BY rank", (set_id,)
    )
    return dict(rows.fetchall())


def require_class(label: str, classes: Collection[str], set_name: str) -> None:
    """Checks that a class is one of those of a set.

    Raises:
        RequestError: it is not.
    """
    if label not in classes:
        names = ", ".join(classes) or "none yet"
        raise RequestError(f"no class {label[:100]!r} in set {set_name!r}; it has: {names}")
