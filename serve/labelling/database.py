"""The file of a label store: connections, transactions, and its errors in our words.

A connection lasts for one transaction: nothing is held between two calls, so any number of threads
and processes of one machine may share a store, and its folder may be moved while a server runs.
SQLite's write-ahead log is what readers and a writer do not wait for each other with; it does not
work between machines that share a network disk.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from embed.errors import BusyError, DataError, MismatchError, StorageError
from serve.labelling.schema import VERSIONS, upgrade, version_of

# A writer waits for others' transactions, of which the longest, an import, takes seconds.
_PATIENCE_S = 30.0
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_REFUSED = {
    sqlite3.SQLITE_FULL: "no space left on the device; free some and try again",
    sqlite3.SQLITE_READONLY: "the file or its folder is read-only",
    sqlite3.SQLITE_PERM: "permission denied",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened or made there",
    sqlite3.SQLITE_IOERR: "the disk refuses",
}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class Database:
    """A store on disk, which need not be there: reading then finds nothing, writing makes it."""

    def __init__(self, path: Path, places: str) -> None:
        """Opens nothing yet.

        Args:
            path: of the file.
            places: digest of the locations that labels lie at.
        """
        self._path, self._places = path, places

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state of the store until the block ends.

        Raises:
            DataError: the file is damaged, or no label store.
            MismatchError: it is of a newer version, or of other locations.
            BusyError: others keep it.
            StorageError: it may not be read.
        """
        with self._reporting("read"), self._connection(writes=False) as db:
            db.execute("BEGIN")
            yield db
            db.execute("COMMIT")

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection whose changes are on disk, all of them, once the block has ended.

        Of a block that raises nothing is kept. One writes at a time; others wait.

        Raises:
            DataError, MismatchError, BusyError: as `reading`.
            StorageError: the disk refuses; the store stays as it was.
        """
        with self._reporting("change"), self._connection(writes=True) as db:
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")

    @contextlib.contextmanager
    def _connection(self, *, writes: bool) -> Iterator[sqlite3.Connection]:
        if not writes and not self._path.exists():
            with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as empty:
                upgrade(empty, self._places)
                yield empty
            return
        uri = f"{self._path.absolute().as_uri()}?mode={'rwc' if writes else self._mode()}"
        opened = sqlite3.connect(uri, timeout=_PATIENCE_S, isolation_level=None, uri=True)
        # Closing rolls back what was not committed.
        with contextlib.closing(opened) as db:
            # Each commit waits until the disk has it, also through a loss of power.
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            self._prepare(db)
            yield db

    def _mode(self) -> str:
        """How to open the file for reading, for which SQLite writes beside it where it may."""
        if os.access(self._path.parent, os.W_OK):
            return "rw"
        # A log that a kill has left holds labels that the file itself does not have yet.
        has_log = self._path.with_name(f"{self._path.name}-wal").exists()
        return "ro" if has_log else "ro&immutable=1"

    def _prepare(self, db: sqlite3.Connection) -> None:
        if version_of(db, str(self._path)) < len(VERSIONS):
            db.execute("BEGIN IMMEDIATE")
            upgrade(db, self._places)
            db.execute("COMMIT")
        if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            # It takes the file for itself; where another has it just now, the next one does it.
            with contextlib.suppress(sqlite3.OperationalError):
                db.execute("PRAGMA journal_mode = WAL")
        if db.execute("SELECT places FROM head").fetchone()[0] != self._places:
            raise MismatchError(
                f"{self._path} has labels of other locations than this atlas has; move it away. "
                "Labels pass from one atlas to another with `voxkin labels export` and `import`"
            )

    @contextlib.contextmanager
    def _reporting(self, what: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the finer distinction
            if code in _BUSY:
                raise BusyError(
                    f"cannot {what} {self._path}: others keep it for longer than {_PATIENCE_S:g} "
                    "s; try again"
                ) from error
            if code in _REFUSED:
                raise StorageError(f"cannot {what} {self._path}: {_REFUSED[code]}") from error
            if code in _DAMAGED:
                raise DataError(
                    f"{self._path} is damaged ({error}); put back a copy of it, or save what is "
                    "left with: sqlite3 FILE .recover"
                ) from error
            raise
