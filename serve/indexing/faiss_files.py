"""FAISS indices as files with checksums."""

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from embed.errors import DataError


def write_index(index: Any, path: Path) -> tuple[int, str]:
    """Writes an index through Python, whose errors say when the disk is full; FAISS's may not.

    Returns:
        Bytes and SHA-256 of the file.
    """
    import faiss

    untyped: Any = faiss  # its stubs do not know the writer
    sha = hashlib.sha256()
    with path.open("wb") as file:

        def write(block: bytes) -> int:
            sha.update(block)
            return file.write(block)

        untyped.write_index(index, untyped.PyCallbackIOWriter(write))
        file.flush()
        os.fsync(file.fileno())
        size = file.tell()
    return size, sha.hexdigest()


def read_index(path: Path) -> Any:
    """Reads an index into memory.

    Not mapped: codes would be copied anyway, and search crashes in a mapped index whose lists were
    mapped when it was written.

    Raises:
        DataError: it is none.
    """
    import faiss

    try:
        return faiss.read_index(str(path))
    except RuntimeError as error:
        reason = str(error).rpartition("Error: ")[2]
        raise DataError(f"{path} is no index that FAISS can read: {reason}") from None


def check_bytes(path: Path, size: int, sha256: str) -> None:
    """Checks a file against its size and SHA-256.

    Raises:
        DataError: it is missing, cut short or damaged.
    """
    check_size(path, size)
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise DataError(f"{path} is damaged (its SHA-256 differs)")


def check_size(path: Path, size: int) -> None:
    """Checks the size of a file, without reading it.

    Raises:
        DataError: it is missing or of another size.
    """
    found = path.stat().st_size if path.exists() else 0
    if found != size:
        raise DataError(f"{path} has {found:,} bytes instead of {size:,}")


def ids_in(index: Any, list_number: int) -> Int[np.ndarray, " n"]:
    """The ids in one inverted list."""
    import faiss

    lists: Any = faiss.extract_index_ivf(index).invlists
    size = lists.list_size(list_number)
    if not size:
        return np.empty(0, np.int64)
    found = faiss.rev_swig_ptr(lists.get_ids(list_number), size).copy()
    return np.asarray(found, np.int64)
