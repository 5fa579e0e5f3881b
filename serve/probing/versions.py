"""The files of the probes of an atlas: every version that was trained; none is ever replaced.

`probes/NAME/N.json` is version N of a probe, and the highest is the one in use. `probes/NAME.json`,
as it was written before there were versions, is version 1.
"""

import contextlib
import dataclasses
import os
import re
import uuid
from pathlib import Path

from embed.atlas import Atlas
from embed.errors import NotFoundError
from embed.probe import Probe, read_probe, write_probe
from embed.storage import reports_storage
from serve.probing.names import NAME, checked_name

_FILE = re.compile(r"([1-9][0-9]{0,8})\.json")


def probe_names(atlas: Atlas) -> tuple[str, ...]:
    """The names of the probes of an atlas, in order."""
    with contextlib.suppress(FileNotFoundError):
        stems = {path.name.removesuffix(".json") for path in _folder(atlas).iterdir()}
        return tuple(sorted(s for s in stems if NAME.fullmatch(s) and version_files(atlas, s)))
    return ()


def version_files(atlas: Atlas, name: str) -> dict[int, Path]:
    """The file of each version of a probe, in the order of their numbers; none where none is.

    Raises:
        RequestError: the name is none of a probe.
    """
    found = {}
    first = _folder(atlas) / f"{checked_name(name)}.json"
    if first.is_file():
        found[1] = first
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for path in (_folder(atlas) / name).iterdir():
            if match := _FILE.fullmatch(path.name):
                found[int(match[1])] = path
    return dict(sorted(found.items()))


def read_version(atlas: Atlas, name: str, version: int | None = None) -> Probe:
    """A version of a probe; that in use where it is not said.

    Raises:
        RequestError: the name is none of a probe.
        NotFoundError: there is no such probe or version.
        DataError: it is damaged.
    """
    files = version_files(atlas, name)
    if not files:
        there = ", ".join(probe_names(atlas)) or "none"
        raise NotFoundError(f"no probe {name!r} in atlas {atlas.name!r}; there are: {there}")
    number = max(files) if version is None else version
    if number not in files:
        there = ", ".join(map(str, files))
        raise NotFoundError(f"probe {name!r} has no version {number}; it has: {there}")
    return dataclasses.replace(read_probe(files[number]), version=number)


def keep_version(atlas: Atlas, probe: Probe) -> Probe:
    """Keeps a probe as the next version of its name, which is in use from then on.

    Two at the same time, also of different processes, become two versions.

    Raises:
        RequestError: the name is none of a probe.
        StorageError: the disk refuses; nothing has changed.
    """
    folder = _folder(atlas) / checked_name(probe.name)
    while True:
        number = max(version_files(atlas, probe.name), default=0) + 1
        numbered = dataclasses.replace(probe, version=number)
        with contextlib.suppress(FileExistsError):
            _write_new(folder / f"{number}.json", numbered)
            return numbered


def _write_new(path: Path, probe: Probe) -> None:
    """Writes a file whole that must not be there yet.

    Raises:
        FileExistsError: it is.
    """
    whole = path.with_name(f".{uuid.uuid4().hex}.json")
    write_probe(whole, probe)
    try:
        # A second name, unlike a new one, is refused where there is such a file.
        os.link(whole, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if path.exists():
            raise FileExistsError(path) from None
        with reports_storage(f"write {path}"):
            whole.rename(path)
    finally:
        whole.unlink(missing_ok=True)


def _folder(atlas: Atlas) -> Path:
    return atlas.path / "probes"
