"""A directory, or a file too long for memory, that is made beside its place and put there whole."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from embed.errors import IncompleteError, UnavailableError
from embed.storage import reports_storage


@contextlib.contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Keeps other processes from making something in a directory, which need not be there.

    Raises:
        IncompleteError: another process is doing so.
        StorageError: the disk refuses.
    """
    with reports_storage(f"write in {directory}"):
        directory.mkdir(parents=True, exist_ok=True)
        with _locked(directory):
            yield


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """An empty directory that takes the place of `path` when the block ends without an error.

    What was at `path` stays until then. A reader finds the old or the new; while they change
    places (two renames) it may find neither for a moment, and what a crash between the two leaves
    is put back here the next time. What a killed process left half-made is removed then, too.

    Raises:
        IncompleteError: another process is making a directory in the same place.
        StorageError: the disk refuses; what was there stays.
    """
    new = path.with_name(f".{path.name}.new")
    with reports_storage(f"write {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.parent):
            _restore(path, path.with_name(f".{path.name}.old"))
            if new.exists():
                shutil.rmtree(new)
            new.mkdir()
            try:
                yield new
                take_place(new, path)
            except BaseException:
                shutil.rmtree(new, ignore_errors=True)
                raise


def take_place(new: Path, path: Path) -> None:
    """Puts a directory in the place of another, or where none was; see `replacing`.

    To be called by who keeps others from writing beside it.
    """
    old = path.with_name(f".{path.name}.old")
    _restore(path, old)
    if path.exists():
        path.rename(old)
    new.rename(path)
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def resuming(work: Path) -> Iterator[Path]:
    """A directory for what a long job has done so far, which a killed or stopped one leaves.

    The same job finds there what it did before; one that fails leaves nothing, unless it was for
    want of those who do it. At the end of the block the directory is removed, unless it was
    renamed.

    Raises:
        IncompleteError: another process is writing in the directory that `work` is in.
        StorageError: the disk refuses.
    """
    with alone(work.parent), reports_storage(f"write {work}"):
        work.mkdir(exist_ok=True)
        try:
            yield work
        except UnavailableError:
            raise
        except Exception:
            shutil.rmtree(work, ignore_errors=True)
            raise
        shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def replacing_file(path: Path) -> Iterator[TextIO]:
    """An empty text file that takes the place of `path` when the block ends without an error.

    What was at `path` stays until then, and a reader finds the old or the new.

    Raises:
        IncompleteError: another process is making something in the same directory.
        StorageError: the disk refuses; what was there stays.
    """
    new = path.with_name(f".{path.name}.new")
    with reports_storage(f"write {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.parent):
            try:
                with new.open("w", encoding="utf-8", newline="") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                new.replace(path)
            finally:
                new.unlink(missing_ok=True)


def link_or_copy(file: Path, place: Path) -> None:
    """The same file in another place; a copy where the file system has no links."""
    try:
        os.link(file, place)
    except OSError:
        shutil.copyfile(file, place)


def _restore(path: Path, old: Path) -> None:
    """Ends what a crash between two renames left."""
    if old.exists() and not path.exists():
        old.rename(path)
    if old.exists():
        shutil.rmtree(old)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Holds the directory's lock, which the system lets go of when the process dies."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise IncompleteError(
                f"another process is writing in {directory}; wait for it, or stop it"
            ) from None
        except OSError:
            pass  # Some network file systems lock no directories: go on without.
        yield
    finally:
        os.close(handle)
