"""An atlas: one volume seen by one encoder, in a directory of its own.

`atlas.json` says what it is (written first, never changed), `embeddings.zarr` holds the vectors,
`ledger/` says which shards are done; `index/`, `probes/`, `projection/` and `maps/` come later.
"""

import dataclasses
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int
from pydantic import TypeAdapter, ValidationError

from embed.embeddings import EmbeddingStore
from embed.errors import DataError, IncompleteError, MismatchError, OutOfBoundsError
from embed.geometry import Frame, Grid, XyzFloat, Zyx
from embed.ledger import Ledger
from embed.normaliser import Normaliser
from embed.storage import digest_json, is_free, read_json, write_json
from embed.volume import Volume, VolumeSource, open_volume_source

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class AtlasInfo:
    """Where an atlas comes from: enough to make it again, and to refuse what does not fit it.

    Attributes:
        volume: the source that was embedded, with its level, voxel size and axes.
        attribution: the licence and source that the volume states of itself.
        frame: voxel size and origin of the volume in nm, ZYX.
        grid: where the locations are.
        embedding_dim: length of an embedding.
        shard: locations per shard, ZYX.
        encoder: fingerprint of the architecture, parameters and input normalisation rule.
        run: the run directory and step that the encoder came from; for people, never compared.
        normaliser: of the grey values of the volume.
        backend: what computed the embeddings, and in which precision.
        versions: of the libraries; for people, never compared.
        created: time in UTC; never compared.
    """

    volume: VolumeSource
    attribution: dict[str, str]
    frame: Frame
    grid: Grid
    embedding_dim: int
    shard: Zyx
    encoder: str
    run: str
    normaliser: Normaliser
    backend: str
    versions: dict[str, str]
    created: str
    format: int = FORMAT

    @property
    def fingerprint(self) -> str:
        """The digest of everything that decides what the embeddings are."""
        value = _INFO.dump_python(self, mode="json")
        return digest_json({k: v for k, v in value.items() if k not in _FOR_PEOPLE})


_FOR_PEOPLE = ("run", "versions", "created", "attribution", "backend")
_INFO = TypeAdapter(AtlasInfo)


class Atlas:
    """An atlas on disk. Reading is safe from many threads."""

    def __init__(self, path: Path, info: AtlasInfo, store: EmbeddingStore):
        self.path = path
        self.info = info
        self.store = store
        self.grid = info.grid
        self.frame = info.frame
        self.ledger = Ledger(path / "ledger")

    @classmethod
    def create(cls, path: Path, info: AtlasInfo) -> "Atlas":
        """Makes an atlas, or opens the one that a run with the same provenance left unfinished.

        Raises:
            MismatchError: another atlas is there.
            DataError: something else is there.
            StorageError: the disk refuses.
        """
        if (path / "atlas.json").exists():
            found = cls.open(path)
            if found.info.fingerprint != info.fingerprint:
                raise MismatchError(
                    f"{path} holds another atlas: {_differences(found.info, info)}; "
                    "choose a new --out, or remove that directory"
                )
            return found
        if not is_free(path):
            raise DataError(f"{path} exists and is not an atlas; choose a new --out")
        write_json(path / "atlas.json", _INFO.dump_python(info, mode="json"))
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> "Atlas":
        """Opens an atlas, finished or not.

        Raises:
            NotFoundError: no atlas is there.
            DataError: it is damaged or of another format version.
        """
        value = read_json(path / "atlas.json", "description of an atlas")
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            raise DataError(f"{path / 'atlas.json'} is not of atlas format {FORMAT}")
        try:
            info = _INFO.validate_python(value)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise DataError(f"{path / 'atlas.json'} is damaged: {where}: {first['msg']}") from None
        store = EmbeddingStore.create(
            path / "embeddings.zarr", info.grid.shape, info.embedding_dim, info.shard
        )
        return cls(path, info, store)

    @property
    def name(self) -> str:
        """What people call it: the name of its directory."""
        return self.path.resolve().name

    @cached_property
    def volume(self) -> Volume:
        """The volume that was embedded, opened when first asked for."""
        return open_volume_source(self.info.volume)

    def require_complete(self) -> None:
        """Checks that every shard is done or void.

        Raises:
            IncompleteError: some are missing or failed; the message says how to go on.
        """
        total = sum(1 for _ in self.store.shards)
        marks = self.ledger.marks()
        failed = sum(mark.state == "failed" for mark in marks.values())
        done = len(marks) - failed
        if done < total:
            raise IncompleteError(
                f"atlas {self.name!r} has {done} of {total} shards ({failed} failed); finish it "
                f"with: voxkin embed {self.info.run} --out {self.path} --volume …"
            )

    def ids_at(self, nm_xyz: Float[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
        """Ids of the locations nearest to positions in nm, XYZ.

        Raises:
            OutOfBoundsError: a position is more than half a stride outside the locations.
        """
        nm_xyz = np.asarray(nm_xyz, np.float64)
        try:
            cells = self.grid.nearest_cells(self.frame.to_voxel(nm_xyz))
        except OutOfBoundsError:
            low, high = self.extent_nm_xyz
            raise OutOfBoundsError(
                f"a position is outside atlas {self.name!r}: asked for xyz = "
                f"{_outermost(nm_xyz, low, high)} nm; its locations run from {_nm(low)} to "
                f"{_nm(high)} nm (XYZ)"
            ) from None
        return self.grid.ids(cells)

    def positions_nm_xyz(self, ids: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
        """Centres of the fields of view of locations, in nm, XYZ."""
        return self.frame.to_nm_xyz(self.grid.centres(self.grid.cells_of(ids)))

    def embeddings(self, ids: Int[np.ndarray, " n"]) -> Float32[np.ndarray, "n dim"]:
        """The stored vectors of locations; zero vectors where there is no data."""
        return self.store.read_at(self.grid.cells_of(ids))

    @property
    def extent_nm_xyz(self) -> tuple[XyzFloat, XyzFloat]:
        """Centres of the first and the last location, in nm, XYZ."""
        corners = self.positions_nm_xyz(np.array([0, self.grid.size - 1]))
        (ax, ay, az), (bx, by, bz) = corners.tolist()
        return (ax, ay, az), (bx, by, bz)


def _nm(xyz: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{v:g}" for v in xyz) + ")"


def _outermost(nm_xyz: np.ndarray, low: XyzFloat, high: XyzFloat) -> str:
    outside = np.maximum(np.asarray(low) - nm_xyz, nm_xyz - np.asarray(high)).max(axis=-1)
    return _nm(tuple(nm_xyz[int(np.argmax(outside))].tolist()))


def _differences(found: AtlasInfo, asked: AtlasInfo) -> str:
    a: dict[str, Any] = _INFO.dump_python(found, mode="json")
    b: dict[str, Any] = _INFO.dump_python(asked, mode="json")
    keys = [k for k in a if k not in _FOR_PEOPLE and a[k] != b[k]]
    return "; ".join(f"its {k} is {a[k]}, not {b[k]}" for k in keys)
