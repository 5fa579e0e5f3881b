"""The versions of an index: which there are, which serves, and the one before it put back."""

import dataclasses
import shutil

from embed.atlas import Atlas
from embed.errors import ConfigError, DataError, MismatchError, NotFoundError
from embed.storage import write_json
from serve.manifest import (
    Manifest,
    index_root,
    read_manifest,
    serving_version,
    sound_manifest,
)
from serve.swap import alone

KEPT = 3
"""Versions that stay beside each other, unless another number is asked for."""


@dataclasses.dataclass(frozen=True)
class Version:
    """One version as a list shows it.

    Attributes:
        name: of its directory.
        serving: whether it is the one that is opened.
        manifest: what it is; None where that cannot be read.
    """

    name: str
    serving: bool
    manifest: Manifest | None


def next_version(atlas: Atlas) -> str:
    """The name of a version that is not there yet."""
    return f"{max(map(int, _names(atlas)), default=0) + 1:04d}"


def list_versions(atlas: Atlas) -> tuple[Version, ...]:
    """All versions, the oldest first.

    Raises:
        DataError: what names the serving one is damaged.
    """
    try:
        serving = serving_version(atlas)
    except NotFoundError:
        serving = ""
    return tuple(Version(name, name == serving, _manifest(atlas, name)) for name in _names(atlas))


def put_in_service(atlas: Atlas, version: str, keep: int = KEPT) -> None:
    """Makes a version the one that is opened from now on, and removes the oldest of too many.

    Args:
        atlas: whose index it is.
        version: that is there.
        keep: how many stay, at least 2: the last one stays for whoever has just read its name and
            is about to open it.
    """
    write_json(index_root(atlas) / "current.json", {"version": version})
    for name in _names(atlas)[: -max(keep, 2)]:
        if name != version:
            shutil.rmtree(index_root(atlas) / name, ignore_errors=True)


def roll_back(atlas: Atlas) -> Manifest:
    """Puts the newest sound version before the serving one back in service.

    The one that served stays, and can be returned to with `use_version`.

    Raises:
        NotFoundError: there is no index, or no version before it.
        DataError: every version before it is damaged or of other embeddings.
        IncompleteError: another process is building the index.
    """
    serving = serving_version(atlas)
    before = [name for name in _names(atlas) if name < serving]
    if not before:
        raise NotFoundError(f"there is no version before {serving} of the index of {atlas.name!r}")
    reasons = []
    for name in reversed(before):
        try:
            return use_version(atlas, name)
        except (DataError, MismatchError) as error:
            reasons.append(str(error))
    raise DataError(f"no version before {serving} can be used: {'; '.join(reasons)}")


def use_version(atlas: Atlas, version: str) -> Manifest:
    """Puts a version in service.

    Raises:
        NotFoundError: there is no such version.
        MismatchError: it was built from other embeddings.
        DataError: it is damaged.
        IncompleteError: another process is building the index.
    """
    if version not in _names(atlas):
        there = ", ".join(_names(atlas)) or "none"
        raise NotFoundError(
            f"the index of {atlas.name!r} has no version {version!r}; there are: {there}"
        )
    with alone(index_root(atlas)):
        manifest, _ = sound_manifest(atlas, version)
        write_json(index_root(atlas) / "current.json", {"version": version})
    return manifest


def checked_keep(keep: int) -> int:
    """How many versions to keep, if it is a number that makes sense.

    Raises:
        ConfigError: it is less than 2.
    """
    if keep < 2:
        raise ConfigError(f"--keep is 2 or more versions, the serving one counted in; got {keep}")
    return keep


def _names(atlas: Atlas) -> list[str]:
    return sorted(path.name for path in index_root(atlas).glob("[0-9]*"))


def _manifest(atlas: Atlas, name: str) -> Manifest | None:
    try:
        return read_manifest(index_root(atlas) / name)
    except DataError:
        return None
