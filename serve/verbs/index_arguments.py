"""The flags of `voxkin index`, by what they are about."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from jaxtyping import Int

from embed.atlas import Atlas
from embed.errors import ConfigError
from embed.storage import reports_storage
from serve.manifest import Manifest
from serve.verbs.arguments import Count, Flag, Folder, Whole, Word, left_out
from serve.verbs.engine_flags import EngineFlags
from serve.verbs.find_arguments import Boxes, parse_box_nm
from serve.verbs.place_boxes import ids_in_boxes
from serve.versions import KEPT

Gigabytes = Annotated[float | None, left_out(float, "GB"), tyro.conf.arg(help_behavior_hint="")]


@dataclasses.dataclass(frozen=True)
class MakeFlags:
    """Which index to build.

    Attributes:
        factory: a FAISS factory string; chosen by the number of locations, their spectrum and
            --memory if not given.
        memory: GB that the index, or each of its slabs, may take; half of this machine's if not
            given.
        every: 2 keeps one location of each 2 x 2 x 2, an eighth of the memory; those around what is
            found are compared, too. 1 keeps all, which is the default.
        rebuild: begin anew even though a sound index is there.
        keep: versions that stay beside each other.
        dry_run: say what would be built, why, how large it would be and how long it would take.
    """

    factory: Word = None
    memory: Gigabytes = None
    every: Whole = None
    rebuild: Flag = False
    keep: Count = KEPT
    dry_run: Flag = False

    @property
    def memory_bytes(self) -> int | None:
        """What the index may take.

        Raises:
            ConfigError: it is not above 0.
        """
        if self.memory is None:
            return None
        if not 0 < self.memory < float("inf"):
            raise ConfigError(f"--memory is a number of GB above 0; got {self.memory:g}")
        return int(self.memory * 1e9)


@dataclasses.dataclass(frozen=True)
class SlabFlags(EngineFlags):
    """An index in slabs, for more than one machine: see docs/fleet.md.

    Attributes:
        slabs: how many parts, each built by a task; 0 is one file. As it is if not given.
    """

    slabs: Whole = None

    def wanted(self, manifest: Manifest | None) -> int:
        """How many; 0 for one file.

        Args:
            manifest: of the index that serves; None where none does.

        Raises:
            ConfigError: it is negative, or an engine is named to build one file.
        """
        if self.slabs is not None and self.slabs < 0:
            raise ConfigError(f"--slabs is a number of parts, or 0 for one file; got {self.slabs}")
        slabs = len(manifest.slabs) if self.slabs is None and manifest else self.slabs or 0
        if not slabs and self.engine != "process":
            raise ConfigError(f"--engine {self.engine} builds slabs; say how many with --slabs")
        return slabs


@dataclasses.dataclass(frozen=True)
class VersionFlags:
    """What to do with the versions that are there, instead of building.

    Attributes:
        list: show them.
        rollback: put the version before the serving one back in service.
        use: NUMBER of a version to put in service.
    """

    list: Flag = False
    rollback: Flag = False
    use: Word = None


@dataclasses.dataclass(frozen=True)
class RemoveFlags:
    """Which locations are never to be found, such as artefacts; they can be put back.

    Attributes:
        remove_box: in nm, stops excluded: locations whose centre lies in it; may be given several
            times.
        remove_ids: a file with the id of a location in each line, as `voxkin find --json` tells it.
        restore: find all locations again.
    """

    remove_box: Boxes = ()
    remove_ids: Folder = None
    restore: Flag = False

    def ids(self, atlas: Atlas) -> Int[np.ndarray, " n"]:
        """What is to be removed.

        Raises:
            ConfigError: a box is none, or the file holds something else than ids.
            StorageError: the file cannot be read.
        """
        boxes = tuple(parse_box_nm(text, "--remove-box") for text in self.remove_box)
        found = [ids_in_boxes(atlas, boxes)]
        if self.remove_ids is not None:
            found.append(_read_ids(self.remove_ids))
        return np.unique(np.concatenate(found))


def require_one_action(
    make: MakeFlags,
    versions: VersionFlags,
    remove: RemoveFlags,
    slabs: SlabFlags = SlabFlags(),
) -> None:
    """Checks that flags do not ask for two things at once.

    Raises:
        ConfigError: they do.
    """
    asked = {
        "--list": versions.list,
        "--rollback": versions.rollback,
        "--use": versions.use is not None,
        "--remove-box or --remove-ids": bool(remove.remove_box) or remove.remove_ids is not None,
        "--restore": remove.restore,
    }
    given = [flag for flag, value in asked.items() if value]
    building = {
        "--factory": make.factory,
        "--memory": make.memory,
        "--every": make.every,
        "--rebuild": make.rebuild,
        "--dry-run": make.dry_run,
        "--slabs": slabs.slabs is not None,
    }
    given += [flag for flag, value in building.items() if value and given]
    if len(given) > 1:
        raise ConfigError(f"one at a time: {' and '.join(given)} do not go together")


def _read_ids(path: Path) -> Int[np.ndarray, " n"]:
    with reports_storage(f"read {path}"):
        if not path.is_file():
            raise ConfigError(f"--remove-ids names a file with an id in each line; {path} is none")
        words = path.read_text(errors="replace").split()
    try:
        return np.array([int(word) for word in words], np.int64)
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"--remove-ids takes whole numbers, one in each line: {error}") from None


def _plain(kind: Any) -> Any:
    return Annotated[kind, tyro.conf.arg(name="")]


MakeGroup = _plain(MakeFlags)
SlabGroup = _plain(SlabFlags)
VersionGroup = _plain(VersionFlags)
RemoveGroup = _plain(RemoveFlags)
