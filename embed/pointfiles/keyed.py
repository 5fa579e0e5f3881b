"""Values stored under numbers or names, as Neuroglancer's precomputed formats keep them.

A folder holds one file per key, or, where a sharding is given, shard files that TensorStore reads.
"""

import dataclasses
import gzip
import posixpath
import zlib
from collections.abc import Iterable, Iterator, Sequence

import tensorstore as ts

from embed.errors import DataError
from embed.formats.arrays import FAILURES, Json, context, folder, local_path, reason, url

# Reads under way at once: enough to hide the latency of a bucket.
_BATCH = 1024
_GZIP = b"\x1f\x8b\x08"


@dataclasses.dataclass(frozen=True, eq=False)
class Keyed:
    """A folder of values. Safe to read from many threads at once.

    Attributes:
        where: the folder as a URL, for messages.
        sharded: whether keys are numbers in shard files; else they are names of files.
        zipped: whether files on this machine may have the suffix `.gz`, as CloudVolume has it.
    """

    where: str
    sharded: bool
    zipped: bool
    store: ts.KvStore = dataclasses.field(repr=False)

    def values(self, keys: Iterable[str]) -> Iterator[bytes | None]:
        """The value of each key in turn, a number written in digits; None where it is absent.

        Raises:
            DataError: a value is there but cannot be read.
        """
        batch: list[str] = []
        for key in keys:
            batch.append(key)
            if len(batch) == _BATCH:
                yield from self._read(batch)
                batch = []
        yield from self._read(batch)

    def keys(self) -> list[str] | None:
        """All keys, in no order; None where the store cannot list them, as plain HTTP cannot.

        Raises:
            DataError: the store can be listed, but not now or not by us.
        """
        try:
            found = self.store.list().result()
        except NotImplementedError:
            return None
        except FAILURES as error:
            raise DataError(f"cannot list {self.where}: {reason(error)}") from error
        if self.sharded:
            return [str(int.from_bytes(key, "big")) for key in found]
        names = (key.decode() for key in found)
        return [name.removesuffix(".gz") if self.zipped else name for name in names]

    def _read(self, keys: Sequence[str]) -> list[bytes | None]:
        found = self._raw([self._stored(key) for key in keys])
        if self.zipped and None in found:
            absent = [i for i, value in enumerate(found) if value is None]
            for i, value in zip(absent, self._raw([f"{keys[i]}.gz" for i in absent]), strict=True):
                found[i] = value
        return found

    def _stored(self, key: str) -> str | bytes:
        return int(key).to_bytes(8, "big") if self.sharded else key

    def _raw(self, keys: Sequence[str | bytes]) -> list[bytes | None]:
        with ts.Batch() as batch:  # values of one shard are then read together
            futures = [self.store.read(key, batch=batch) for key in keys]
        del batch
        try:
            results = [future.result() for future in futures]
        except FAILURES as error:
            raise DataError(f"cannot read {self.where}: {reason(error)}") from error
        return [_plain(r.value) if r.state == "value" else None for r in results]


def open_keyed(kvstore: Json, path: str, sharding: Json | None) -> Keyed:
    """Opens a folder of values; nothing is read.

    Args:
        kvstore: the folder with the `info` file.
        path: of the values from there; may go up with `..`.
        sharding: what `info` says of it.

    Raises:
        DataError: the sharding is none that TensorStore knows.
    """
    whole = posixpath.normpath(posixpath.join(str(kvstore.get("path", "")), path))
    inner = folder({**kvstore, "path": "" if whole == "." else whole})
    spec: Json = inner
    if sharding is not None:
        spec = {"driver": "neuroglancer_uint64_sharded", "base": inner, "metadata": sharding}
    try:
        store = ts.KvStore.open(spec, context=context()).result()
    except FAILURES as error:
        raise DataError(f"cannot open {url(inner)}: {reason(error)}") from error
    zipped = sharding is None and local_path(inner) is not None
    return Keyed(url(inner), sharding is not None, zipped, store)


def _plain(value: bytes) -> bytes:
    """A value without gzip around it, which a server takes off and a copy on disk does not."""
    if not value.startswith(_GZIP):
        return value
    try:
        return gzip.decompress(value)
    except (OSError, EOFError, zlib.error):
        return value  # began with these bytes by chance
