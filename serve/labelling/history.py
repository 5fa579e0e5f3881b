"""What was done to labels, by whom, and what stands of it.

A label stands where the action that made it is not undone, and every action that took it away is.
So an undo needs to know nothing of what was done since: it says which action does not count any
more, and what stands follows.
"""

import dataclasses
import sqlite3
from typing import Literal

from embed.errors import ConflictError
from serve.labelling.rows import COLUMNS, label_of

Kind = Literal["add", "import", "remove", "undo"]

_STANDS = """(
  NOT EXISTS (SELECT 1 FROM action WHERE undoes = label.action_id)
  AND NOT EXISTS (
    SELECT 1 FROM removal WHERE removal.label_id = label.id
    AND NOT EXISTS (SELECT 1 FROM action WHERE undoes = removal.action_id)))"""
_TOUCHED = """
  SELECT id FROM label WHERE action_id IN (:action, :undone)
  UNION SELECT label_id FROM removal WHERE action_id IN (:action, :undone)"""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What an action did.

    Attributes:
        went: ids of the labels that do not stand any more.
        came: ids of those that stand now.
        revision: of the store after it.
    """

    went: tuple[int, ...]
    came: tuple[int, ...]
    revision: int


def record(
    db: sqlite3.Connection,
    kind: Kind,
    author: str,
    time: str,
    source: str = "",
    undoes: int | None = None,
) -> int:
    """Writes down an action; its id. What it does is told by the caller, then `settle`d."""
    done = db.execute(
        "INSERT INTO action (kind, author, time, source, undoes) VALUES (?, ?, ?, ?, ?)",
        (kind, author, time, source, undoes),
    )
    return int(done.lastrowid or 0)


def take_away(db: sqlite3.Connection, action: int, label: int) -> None:
    """Says that an action took a label away."""
    db.execute("INSERT INTO removal (label_id, action_id) VALUES (?, ?)", (label, action))


def take_replaced(db: sqlite3.Connection, action: int) -> None:
    """Says that the labels of an action replace their authors' earlier ones at the same locations.

    Also those that were taken away by now: they may yet come back by an undo of that.
    """
    db.execute(
        """
        INSERT INTO removal (label_id, action_id)
        SELECT old.id, new.action_id FROM label AS new JOIN label AS old
        ON old.set_id = new.set_id AND old.location = new.location AND old.author = new.author
        WHERE new.action_id = ? AND old.id < new.id
        AND NOT EXISTS (SELECT 1 FROM action WHERE undoes = old.action_id)
        """,
        (action,),
    )


def settle(db: sqlite3.Connection, action: int, undone: int | None = None) -> Outcome:
    """Works out anew which of the labels that an action touched stand.

    Args:
        action: the newest.
        undone: the action that it undoes.
    """
    rows = db.execute(
        f"SELECT id, is_current, {_STANDS} FROM label WHERE id IN ({_TOUCHED}) ORDER BY id",
        {"action": action, "undone": undone},
    )
    changed = [(id_, stands) for id_, stood, stands in rows if stood != stands]
    # Before others come, as the store allows an author but one label at a place.
    went = [id_ for id_, stands in changed if not stands]
    came = [id_ for id_, stands in changed if stands]
    revision = next_revision(db, max(len(changed), 1))
    first = revision - len(changed) + 1
    updates = [
        (stands, first + n, id_)
        for n, (id_, stands) in enumerate([*((i, 0) for i in went), *((i, 1) for i in came)])
    ]
    db.executemany("UPDATE label SET is_current = ?, changed = ? WHERE id = ?", updates)
    return Outcome(tuple(went), tuple(came), revision)


def next_revision(db: sqlite3.Connection, steps: int = 1) -> int:
    """The revision of the store after so many changes more."""
    db.execute("UPDATE head SET revision = revision + ?", (steps,))
    return revision_of(db)


def revision_of(db: sqlite3.Connection) -> int:
    """The revision of the store."""
    return int(db.execute("SELECT revision FROM head").fetchone()[0])


def last_action(db: sqlite3.Connection, author: str) -> tuple[int, Kind]:
    """The newest action of an author that is not undone, and what it was.

    Raises:
        ConflictError: there is none.
    """
    row = db.execute(
        """
        SELECT id, kind FROM action AS done WHERE author = ? AND kind <> 'undo'
        AND NOT EXISTS (SELECT 1 FROM action WHERE undoes = done.id)
        ORDER BY id DESC LIMIT 1
        """,
        (author,),
    ).fetchone()
    if row is None:
        raise ConflictError(f"there is nothing to undo of what {author!r} did")
    return row


def told(db: sqlite3.Connection, kind: Kind, outcome: Outcome) -> str:
    """What an undo did, in a few words."""
    went, came = len(outcome.went), len(outcome.came)
    if went + came == 1:
        row = db.execute(
            f"SELECT {COLUMNS} WHERE label.id = ?", (*outcome.went, *outcome.came)
        ).fetchone()
        label = label_of(row)
        x, y, z = label.position_nm_xyz
        verb = "took back" if went else "put back"
        return f"{verb} {label.label!r} ({label.set}) at {x:g}, {y:g}, {z:g} nm"
    if went + came == 0:
        return "nothing: others had taken back what there was to undo"
    what = "an import of " if kind == "import" else ""
    again = f" and put back the {came:,} that it had replaced" if came else ""
    noun = "label" if went == 1 else "labels"
    return f"took back {what}{went:,} {noun}{again}" if went else f"put back {came:,} labels"
