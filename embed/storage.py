"""Writing so that a reader finds the old or the new, never a half, and a full disk is said."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from embed.errors import DataError, NotFoundError, StorageError

_REASONS = {
    errno.ENOSPC: "no space left on the device; free some and run the same command again",
    errno.EDQUOT: "the disk quota is used up; free some and run the same command again",
    errno.EFBIG: "a file would be larger than the system allows here (see `ulimit -f`)",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.EACCES: "permission denied; choose a place that you may write to",
    errno.EPERM: "permission denied; choose a place that you may write to",
    errno.ENOTDIR: "a part of that path is a file, not a folder; choose another place",
    errno.EEXIST: "a part of that path is a file, not a folder; choose another place",
    errno.EISDIR: "that is a folder; choose another place",
}
# TensorStore hands on the system's words, not its number.
_WORDS = {os.strerror(number): reason for number, reason in _REASONS.items()}


@contextlib.contextmanager
def reports_storage(action: str) -> Iterator[None]:
    """Turns the system's refusals inside the block into a StorageError.

    Args:
        action: what is being done and where, as in "write the embeddings of /a/b".
    """
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        reason = _REASONS.get(error.errno or 0)
        if reason is None:
            raise
        raise StorageError(f"cannot {action}: {reason}") from error
    except ValueError as error:
        reason = next((r for words, r in _WORDS.items() if words in str(error)), None)
        if reason is None:
            raise
        raise StorageError(f"cannot {action}: {reason}") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file whole: to a temporary one beside it, then renamed over it.

    Raises:
        StorageError: the disk is full, read-only or not ours; what was there stays.
    """
    with reports_storage(f"write {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)  # mkstemp's 0600 would hide the file from the group
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise


@contextlib.contextmanager
def locked(path: Path, *, shared: bool) -> Iterator[None]:
    """Holds a lock on a file that is there, among all threads and processes that ask for it.

    Args:
        path: the file, which is not changed.
        shared: whether others may hold it as well, if they too will share it.

    Raises:
        StorageError: it may not be opened.
    """
    with contextlib.ExitStack() as stack:
        with reports_storage(f"lock {path}"):
            file = stack.enter_context(path.open("r+b"))
            try:
                fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            except OSError as error:
                # Some network file systems have no locks; there it stays a wish.
                if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                    raise
        yield


def is_free(path: Path) -> bool:
    """Whether a directory may be laid out at `path`: nothing is there, or an empty directory.

    Hidden files do not count: a write that was killed leaves its temporary file behind.
    """
    if not path.is_dir():
        return not path.exists()
    return all(child.name.startswith(".") for child in path.iterdir())


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON, whole or not at all."""
    write_bytes(path, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())


def read_json(path: Path, what: str) -> Any:
    """Reads a JSON file that this program wrote.

    Args:
        path: the file.
        what: what it is to the reader, as in "description of an atlas".

    Raises:
        NotFoundError: there is no such file.
        DataError: it is not JSON.
        StorageError: it may not be read.
    """
    with reports_storage(f"read {path}"):
        if not path.is_file():
            raise NotFoundError(f"no {what} at {path}")
        content = path.read_bytes()
    try:
        return json.loads(content)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is damaged: it is not JSON ({error})") from None


def digest(*parts: bytes | memoryview) -> str:
    """The first 32 hexadecimal digits of the SHA-256 of the parts, one after the other."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part)
    return sha.hexdigest()[:32]


def digest_json(value: Any) -> str:
    """The digest of a JSON value, whatever the order of its keys."""
    return digest(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())
