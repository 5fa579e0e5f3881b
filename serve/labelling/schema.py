"""The tables of a label store, version by version.

Facts are only ever added: `action` is what somebody did, `label` what they said, `removal` which
label an action took away. Triggers refuse to change or delete them. Of what follows from the facts
only two columns are kept, for speed: `label.is_current`, and `label.changed`, the revision at which
that last changed.
"""

import sqlite3

from embed.errors import DataError, MismatchError

APPLICATION = 0x76786C62
"""`vxlb`, by which a file is known for a label store."""

VERSIONS = (
    """
    CREATE TABLE head (
      one INTEGER PRIMARY KEY CHECK (one = 1),
      revision INTEGER NOT NULL,
      places TEXT NOT NULL);
    CREATE TABLE class_set (
      id INTEGER PRIMARY KEY,
      name TEXT NOT NULL UNIQUE);
    CREATE TABLE class (
      id INTEGER PRIMARY KEY,
      set_id INTEGER NOT NULL REFERENCES class_set,
      name TEXT NOT NULL,
      colour TEXT NOT NULL,
      key TEXT NOT NULL,
      rank INTEGER,
      UNIQUE (set_id, name));
    CREATE TABLE action (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      kind TEXT NOT NULL CHECK (kind IN ('add', 'import', 'remove', 'undo')),
      author TEXT NOT NULL,
      time TEXT NOT NULL,
      source TEXT NOT NULL,
      undoes INTEGER UNIQUE REFERENCES action);
    CREATE INDEX action_by_author ON action (author, id);
    CREATE TABLE label (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      action_id INTEGER NOT NULL REFERENCES action,
      set_id INTEGER NOT NULL REFERENCES class_set,
      class_id INTEGER NOT NULL REFERENCES class,
      location INTEGER NOT NULL,
      x_nm REAL NOT NULL,
      y_nm REAL NOT NULL,
      z_nm REAL NOT NULL,
      author TEXT NOT NULL,
      time TEXT NOT NULL,
      segment TEXT NOT NULL,
      is_current INTEGER NOT NULL DEFAULT 0,
      changed INTEGER NOT NULL DEFAULT 0);
    CREATE INDEX label_by_action ON label (action_id);
    CREATE INDEX label_by_change ON label (changed);
    CREATE INDEX label_by_class ON label (class_id) WHERE is_current;
    CREATE INDEX label_by_place ON label (set_id, location, author);
    CREATE UNIQUE INDEX one_at_a_place ON label (set_id, location, author) WHERE is_current;
    CREATE TABLE removal (
      label_id INTEGER NOT NULL REFERENCES label,
      action_id INTEGER NOT NULL REFERENCES action,
      PRIMARY KEY (label_id, action_id)) WITHOUT ROWID;
    CREATE INDEX removal_by_action ON removal (action_id);

    CREATE TRIGGER label_stays BEFORE DELETE ON label
      BEGIN SELECT RAISE(ABORT, 'labels are never deleted'); END;
    CREATE TRIGGER label_is_a_fact BEFORE UPDATE OF id, action_id, set_id, class_id, location, x_nm,
      y_nm, z_nm, author, time, segment ON label
      BEGIN SELECT RAISE(ABORT, 'labels are never changed'); END;
    CREATE TRIGGER action_stays BEFORE DELETE ON action
      BEGIN SELECT RAISE(ABORT, 'actions are never deleted'); END;
    CREATE TRIGGER action_is_a_fact BEFORE UPDATE ON action
      BEGIN SELECT RAISE(ABORT, 'actions are never changed'); END;
    CREATE TRIGGER removal_stays BEFORE DELETE ON removal
      BEGIN SELECT RAISE(ABORT, 'removals are never deleted'); END;
    CREATE TRIGGER removal_is_a_fact BEFORE UPDATE ON removal
      BEGIN SELECT RAISE(ABORT, 'removals are never changed'); END;
    """,
)
"""What makes of a store of version n one of version n + 1. Only ever add to the end."""


def version_of(db: sqlite3.Connection, what: str) -> int:
    """The version of an open store; 0 of an empty file.

    Args:
        what: the file, for messages.

    Raises:
        DataError: it is another program's database.
        MismatchError: it was written by a newer voxkin.
    """
    application, version = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("application_id", "user_version")
    )
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application != APPLICATION and tables:
        raise DataError(f"{what} is a database of something else than labels; move it away")
    if version > len(VERSIONS):
        raise MismatchError(
            f"{what} has format {version}, and this voxkin knows formats up to {len(VERSIONS)}: "
            "upgrade voxkin; the labels are as they were"
        )
    return version


def upgrade(db: sqlite3.Connection, places: str) -> None:
    """Makes the tables of a new store, or brings those of an older one up to date.

    Inside a transaction of the caller's, so that a store is of one version or of the next.

    Args:
        places: digest of the locations that labels lie at.
    """
    version = version_of(db, "the store")
    for script in VERSIONS[version:]:
        for statement in _statements(script):
            db.execute(statement)
    if version == 0:
        db.execute("INSERT INTO head VALUES (1, 0, ?)", (places,))
        db.execute(f"PRAGMA application_id = {APPLICATION}")
    db.execute(f"PRAGMA user_version = {len(VERSIONS)}")


def _statements(script: str) -> list[str]:
    """The statements of a script; `executescript` would commit what is not to be committed yet."""
    statements, begun = [], ""
    for piece in script.split(";"):
        begun += piece + ";"
        if sqlite3.complete_statement(begun):
            statements.append(begun)
            begun = ""
    return [text for text in statements if text.strip(" \n;")]
