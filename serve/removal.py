"""Locations that are never to be found, such as artefacts: kept beside an index, and put back.

Removing makes a new version that shares the index itself with the one before, so that it takes no
time, and `voxkin index --rollback` puts them back.
"""

import dataclasses
import hashlib
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from embed.atlas import Atlas
from embed.errors import RequestError
from serve.indexing.faiss_files import check_bytes
from serve.locations import NONE
from serve.manifest import (
    REMOVED_FILE,
    Manifest,
    current_manifest,
    index_root,
    write_manifest,
)
from serve.swap import link_or_copy, replacing
from serve.versions import KEPT, next_version, put_in_service


def load_removed(directory: Path, manifest: Manifest) -> Int[np.ndarray, " n"]:
    """The ids of the locations that a version never finds, ascending.

    Raises:
        DataError: the file with them is damaged or missing.
    """
    if not manifest.removed:
        return NONE
    path = directory / REMOVED_FILE
    size = path.stat().st_size if path.exists() else 0
    check_bytes(path, size, manifest.removed_sha256)
    return np.load(path)


def remove(atlas: Atlas, ids: Int[np.ndarray, " n"], keep: int = KEPT) -> Manifest:
    """A new version, in service, that never finds some more locations.

    Args:
        atlas: whose index it is.
        ids: of locations.
        keep: versions that stay.

    Raises:
        RequestError: an id is none of the atlas, or there are none.
        VoxkinError: as `current_manifest`, `replacing`.
    """
    if not ids.size:
        raise RequestError("there is no location to remove; boxes are in nm, X, Y, Z")
    if ids.min() < 0 or ids.max() >= atlas.grid.size:
        raise RequestError(
            f"ids of atlas {atlas.name!r} run from 0 to {atlas.grid.size - 1}; got "
            f"{ids[(ids < 0) | (ids >= atlas.grid.size)][0]}"
        )
    before, path = current_manifest(atlas)
    known = load_removed(path.parent, before)
    both = np.union1d(known, ids)
    return _version(atlas, before, both, keep, f"{len(both) - len(known):,} locations removed")


def restore(atlas: Atlas, keep: int = KEPT) -> Manifest:
    """A new version, in service, that finds all locations again.

    Raises:
        VoxkinError: as `current_manifest`, `replacing`.
    """
    before, _ = current_manifest(atlas)
    return _version(atlas, before, NONE, keep, f"{before.removed:,} removed locations put back")


def carry_over(atlas: Atlas, directory: Path) -> tuple[int, str]:
    """Writes what the serving version never finds beside an index that will take its place.

    Returns:
        How many, and the SHA-256 of the file.
    """
    try:
        manifest, path = current_manifest(atlas)
        removed = load_removed(path.parent, manifest)
    except (LookupError, ValueError):  # no index yet, another atlas's or a damaged one
        return 0, ""
    return _write(directory, removed)


def allowed_bits(size: int, removed: Int[np.ndarray, " n"]) -> UInt8[np.ndarray, " bytes"] | None:
    """A bit for each id below `size`, set unless it is removed; None where none is."""
    if not len(removed):
        return None
    bits = np.full(-(-size // 8), 255, np.uint8)
    np.bitwise_and.at(bits, removed >> 3, ~np.left_shift(1, removed & 7).astype(np.uint8))
    return bits


def _version(
    atlas: Atlas, before: Manifest, removed: Int[np.ndarray, " n"], keep: int, note: str
) -> Manifest:
    name = next_version(atlas)
    old = index_root(atlas) / before.version
    with replacing(index_root(atlas) / name) as directory:
        for file in old.iterdir():
            if file.name not in ("manifest.json", REMOVED_FILE):
                link_or_copy(file, directory / file.name)
        count, sha256 = _write(directory, removed)
        manifest = dataclasses.replace(
            before,
            version=name,
            removed=count,
            removed_sha256=sha256,
            note=note,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        write_manifest(directory, manifest)
    put_in_service(atlas, name, keep)
    return manifest


def _write(directory: Path, removed: Int[np.ndarray, " n"]) -> tuple[int, str]:
    if not len(removed):
        return 0, ""
    path = directory / REMOVED_FILE
    np.save(path, np.asarray(removed, np.int64))
    return len(removed), hashlib.sha256(path.read_bytes()).hexdigest()
