"""Which shards of a long job are done: one small file each, written after the shard.

An engine may run a shard twice or kill it half way; because its mark is written last and only
once, what counts as done is whole, and a run that is started again does only the rest.
"""

import dataclasses
import json
from pathlib import Path
from typing import Literal

import tensorstore as ts
from pydantic import TypeAdapter

from embed.errors import DataError
from embed.geometry import Zyx, zyx
from embed.storage import reports_storage

State = Literal["done", "void", "failed"]


@dataclasses.dataclass(frozen=True)
class Mark:
    """What is known of one shard.

    Attributes:
        state: done, void (no location of it has data, nothing was written) or failed.
        digest: of the bytes of the shard as they are stored; empty unless done.
        locations: locations in the shard.
        voids: how many of them have no embedding: no data, or not wanted.
        unwanted: how many of those were not to be embedded.
        reason: why it failed; empty otherwise.
        plan: digest of what of the shard was to be embedded; see `Atlas.plan`.
        backend: what computed it, as in `openvino-cpu-float32`; empty where nothing did.
    """

    state: State
    digest: str = ""
    locations: int = 0
    voids: int = 0
    unwanted: int = 0
    reason: str = ""
    plan: str = ""
    backend: str = ""


_MARK = TypeAdapter(Mark)


class Ledger:
    """The marks of one store, in a directory of their own. Safe for many processes at once."""

    def __init__(self, path: Path):
        self.path = path
        self._kv = ts.KvStore.open({"driver": "file", "path": f"{path}/"}).result()

    def record(self, shard: Zyx, mark: Mark) -> None:
        """Writes the mark of a shard; of two that finish the same plan of it the first one stays.

        Raises:
            StorageError: the disk refuses.
        """
        value = json.dumps(dataclasses.asdict(mark), sort_keys=True).encode()
        with reports_storage(f"write the ledger at {self.path}"):
            if mark.state == "failed":
                self._kv.write(_key(shard, failed=True), value).result()
                return
            found = self._kv.read(_key(shard)).result()
            known = found.state == "value" and self._parse(_key(shard), found.value)[1]
            if not known or known.plan != mark.plan:
                # Of two writers the one that comes second is refused and changes nothing.
                self._kv.write(_key(shard), value, if_equal=found.stamp.generation).result()
            self._kv.delete_range(_only(_key(shard, failed=True))).result()

    def marks(self) -> dict[Zyx, Mark]:
        """Every shard that has a mark, failed ones only where nothing better is known.

        Raises:
            DataError: a mark is damaged.
            StorageError: the ledger may not be read.
        """
        marks: dict[Zyx, Mark] = {}
        with reports_storage(f"read the ledger at {self.path}"):
            keys = [key.decode() for key in self._kv.list().result()]
            pending = {key: self._kv.read(key) for key in keys if key.endswith(".json")}
            for key in sorted(pending, reverse=True):  # "failed/…" comes before digits this way
                result = pending[key].result()
                if result.state == "value":
                    shard, mark = self._parse(key, result.value)
                    marks[shard] = mark
        return marks

    def mark(self, shard: Zyx) -> Mark | None:
        """The mark of a shard that is done or void; None where it is neither.

        Raises:
            DataError: the mark is damaged.
            StorageError: the ledger may not be read.
        """
        with reports_storage(f"read the ledger at {self.path}"):
            found = self._kv.read(_key(shard)).result()
        return self._parse(_key(shard), found.value)[1] if found.state == "value" else None

    def forget(self, shard: Zyx) -> None:
        """Removes the marks of a shard, so that the next run does it again."""
        for key in (_key(shard), _key(shard, failed=True)):
            self._kv.delete_range(_only(key)).result()

    def _parse(self, key: str, value: bytes) -> tuple[Zyx, Mark]:
        try:
            return _shard(key), _MARK.validate_json(value)
        except ValueError:  # of the name, or pydantic's, of what is inside
            raise DataError(
                f"the ledger entry {self.path / key} is damaged; delete that file and run again"
            ) from None


def _key(shard: Zyx, *, failed: bool = False) -> str:
    return ("failed/" if failed else "") + "{}.{}.{}.json".format(*shard)


def _shard(key: str) -> Zyx:
    return zyx(int(n) for n in key.removeprefix("failed/").removesuffix(".json").split("."))


def _only(key: str) -> ts.KvStore.KeyRange:
    return ts.KvStore.KeyRange(key, key + "\x00")
