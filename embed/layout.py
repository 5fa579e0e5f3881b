"""What the layouts of all atlases share: how to compute and store, and where it comes from."""

import dataclasses
import datetime
import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any

from embed.atlas import Atlas
from embed.backends.backend import Backend, name
from embed.checkpoint import FILE, load_encoder, save_encoder
from embed.dense import MEMORY
from embed.errors import ConfigError, DataError, MismatchError, NotFoundError
from embed.geometry import Box, Zyx
from embed.normaliser import Normaliser
from embed.provenance import AtlasInfo
from embed.quantiser import Quantiser
from embed.volume import Volume

STORES = ("float16", "int8")


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What to embed of a volume, and how.

    Attributes:
        stride: voxels between locations, ZYX; the encoder's, which is the default, or such that on
            every axis one is a multiple of the other.
        box: voxels to embed; the whole volume if not given.
        mask: where to embed: not 0, or on one of the `segments`; everywhere if not given.
        segments: ids in the mask; all but 0 if not given.
        backend: what computes, `xla` or `openvino`; the fastest here if not given.
        precision: `float32` or `bfloat16`; what suits the backend if not given.
        memory: bytes that the activations of a block may take.
        any_voxel_size: takes a volume of another voxel size than the encoder was made for.
        store: `float16`, or `int8` codes of half that size; that of the atlas which is there, or
            float16, if not given.
        shard: locations per shard, ZYX, in multiples of 4; what suits the volume if not given.
    """

    stride: Zyx | None = None
    box: Box | None = None
    mask: Volume | None = None
    segments: tuple[int, ...] = ()
    backend: str | None = None
    precision: str | None = None
    memory: int = MEMORY
    any_voxel_size: bool = False
    store: str | None = None
    shard: Zyx | None = None


DEFAULTS = Wanted()
"""All of a volume, as suits it and this machine."""


def origin(backend: Backend, volume: Volume, normaliser: Normaliser, run: str) -> dict[str, Any]:
    """What an `AtlasInfo` says of where an atlas comes from, by name."""
    libraries = ("jax", "flax", "tensorstore", *(() if backend.kind == "xla" else (backend.kind,)))
    licence = {k: str(v) for k, v in volume.attributes.items() if k in ("license", "source")}
    return {
        "volume": volume.source,
        "attribution": licence,
        "frame": volume.frame,
        "embedding_dim": backend.encoder.embedding_dim,
        "encoder": backend.encoder.fingerprint,
        "run": run,
        "normaliser": normaliser,
        "backend": name(backend),
        "versions": {library: importlib.metadata.version(library) for library in libraries},
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def create(path: Path, info: AtlasInfo, backend: Backend, wanted: Wanted) -> Atlas:
    """Makes an atlas with its encoder, or opens the one that is there.

    Raises:
        MismatchError: another one is there, or another backend is asked for than computes it.
        DataError: something else is there.
        StorageError: the disk refuses.
    """
    atlas = Atlas.create(path, info)
    found, asked = atlas.info.kind_and_precision, info.kind_and_precision
    for have, want, said in zip(found, asked, (wanted.backend, wanted.precision), strict=True):
        if said is not None and have != want:
            raise MismatchError(
                f"{atlas.path} is computed by {atlas.info.backend}, not by {want}; leave out "
                "--backend and --precision to go on with it, or choose a new --out"
            )
    if not _is_whole(path / FILE):
        save_encoder(backend.encoder, path / FILE)
    return atlas


def _is_whole(encoder: Path) -> bool:
    try:
        load_encoder(encoder)
    except (NotFoundError, DataError):
        return False
    return True


def quantiser_for(
    store: str | None, path: Path, measured: Callable[[], Quantiser]
) -> Quantiser | None:
    """What makes the codes that are stored, if they are; that of an atlas that is there already.

    Raises:
        ConfigError: there is no such kind of store.
        MismatchError: the atlas that is there stores another kind.
    """
    if store not in (None, *STORES):
        raise ConfigError(f"--store is one of {', '.join(STORES)}; got {store!r}")
    found = Atlas.open(path).info if (path / "atlas.json").exists() else None
    known = found.quantiser if found else None
    if found and store not in (None, found.store):
        raise MismatchError(
            f"{path} stores {found.store}; leave out --store to go on with it, or choose a new "
            "--out"
        )
    return known or (measured() if store == "int8" else None)
