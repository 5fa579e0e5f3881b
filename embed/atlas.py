"""An atlas: one volume seen by one encoder, in a directory of its own.

`atlas.json` says what it is (written first, never changed), `embeddings.zarr` holds the vectors,
`ledger/` says which shards are done, `regions/` what was added later to what is embedded;
`index/`, `probes/`, `projection/` and `maps/` come later.
"""

import dataclasses
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from pydantic import TypeAdapter, ValidationError

from embed.embeddings import CHUNK, EmbeddingStore
from embed.errors import DataError, IncompleteError, MismatchError, OutOfBoundsError
from embed.geometry import Box, Grid, XyzFloat, Zyx, zyx
from embed.ledger import Ledger, Mark
from embed.points import Points
from embed.provenance import AtlasInfo
from embed.regions import OpenRegion, Region, union
from embed.storage import digest_json, is_free, locked, read_json, write_json
from embed.sweep import layer_width, swept
from embed.volume import Volume, open_volume_source

POINTS = "points.npz"
"""The file with the places of an atlas of given places."""

POINTS_CHUNK: Zyx = (1, 1, 64)
"""How many of them are read at once."""

_REGION = TypeAdapter(Region)


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

        How that one is cut into shards stays.

        Raises:
            MismatchError: another atlas is there.
            DataError: something else is there.
            StorageError: the disk refuses.
        """
        if (path / "atlas.json").exists():
            found = cls.open(path)
            info = dataclasses.replace(info, shard=found.info.shard)
            if found.info.fingerprint != info.fingerprint:
                raise MismatchError(
                    f"{path} holds another atlas: {found.info.differences(info)}; "
                    "choose a new --out, or remove that directory"
                )
            return found
        begun = info.points is not None and (path / POINTS).exists()
        if not (is_free(path) or begun):
            raise DataError(f"{path} exists and is not an atlas; choose a new --out")
        write_json(path / "atlas.json", info.to_json())
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> "Atlas":
        """Opens an atlas, finished or not.

        Raises:
            NotFoundError: no atlas is there.
            DataError: it is damaged or of another format version.
        """
        file = path / "atlas.json"
        info = AtlasInfo.from_json(read_json(file, "description of an atlas"), file)
        made = info.grid.shape, info.embedding_dim, info.shard, info.quantiser
        chunk = CHUNK if info.points is None else POINTS_CHUNK
        store = EmbeddingStore.create(path / "embeddings.zarr", *made, chunk=chunk)
        return cls(path, info, store)

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        """What is embedded, as far as was known when it was opened; empty stands for everything.

        Raises:
            DataError: the description of one is damaged.
        """
        if self.info.region is None:
            return ()
        files = sorted((self.path / "regions").glob("*.json"))
        values = [read_json(file, "description of a region") for file in files]
        try:
            return (self.info.region, *(_REGION.validate_python(value) for value in values))
        except ValidationError as error:
            raise DataError(
                f"a file in {self.path / 'regions'} is damaged: {error.errors()[0]['msg']}"
            ) from None

    def extended(self, region: Region) -> "Atlas":
        """The atlas with one more region to embed; the same where that is to be embedded already.

        Raises:
            StorageError: the disk refuses.
        """
        if not self.regions or region in self.regions:
            return self
        value = _REGION.dump_python(region, mode="json")
        # When nobody is writing a shard, so that none of the old plan comes after the new one's.
        with locked(self.path / "atlas.json", shared=False):
            write_json(self.path / "regions" / f"{digest_json(value)}.json", value)
        return Atlas.open(self.path)

    @cached_property
    def shards(self) -> tuple[Box, ...]:
        """The shards that hold something to embed, in an order that keeps neighbours together."""
        boxes = {box for region in self._open_regions for box in self._shards_of(region)}
        indices = {self.shard_index(b): b for b in (boxes if self.regions else self.store.shards)}
        return tuple(indices[i] for i in swept(indices, layer_width(self.grid, self.store.shard)))

    @property
    def planned(self) -> int:
        """Locations in those shards, voids and what lies beside a region counted in."""
        return sum(shard.size for shard in self.shards)

    def shard_index(self, shard: Box) -> Zyx:
        """The place of a shard among all shards, ZYX, by which the ledger knows it."""
        return zyx(a // n for a, n in zip(shard.start, self.store.shard, strict=True))

    def wanted(self, cells: Box) -> Bool[np.ndarray, "z y x"]:
        """Which cells of a box are to be embedded.

        Raises:
            DataError: a mask cannot be read.
        """
        return union(self._open_regions, cells) if self.regions else np.ones(cells.shape, bool)

    def plan(self, shard: Box) -> str:
        """The digest of what is to be embedded of a shard; empty where everything is."""
        touching = [
            digest_json(_REGION.dump_python(opened.region, mode="json"))
            for opened in self._open_regions
            if opened.cells and opened.cells.intersection(shard)
        ]
        return digest_json(sorted(touching)) if self.regions else ""

    def finished(self) -> dict[Box, Mark]:
        """The shards that are done or void as they are planned now, with their marks."""
        marks = self.ledger.marks()
        found = ((shard, marks.get(self.shard_index(shard))) for shard in self.shards)
        return {
            shard: mark
            for shard, mark in found
            if mark and mark.state != "failed" and mark.plan == self.plan(shard)
        }

    @cached_property
    def _open_regions(self) -> tuple[OpenRegion, ...]:
        return tuple(OpenRegion(region, self.grid, self.frame) for region in self.regions)

    def _shards_of(self, region: OpenRegion) -> list[Box]:
        if region.cells is None:
            return []
        tiles = region.cells.snapped_out(self.store.shard).tiles(self.store.shard)
        cut = (tile.intersection(self.grid.cells) for tile in tiles)
        return [box for box in cut if box]

    @property
    def name(self) -> str:
        """What people call it: the name of its directory."""
        return self.path.resolve().name

    @cached_property
    def places(self) -> Grid | Points:
        """Where its locations are: on the grid, or given one by one.

        Raises:
            NotFoundError: the file with the places is missing.
            DataError: it is damaged, or another than the atlas was laid out for.
        """
        if self.info.points is None:
            return self.grid
        points = Points.load(self.path / POINTS)
        if points.digest() != self.info.points:
            raise DataError(
                f"{self.path / POINTS} is another than {self.name!r} was made from; remove it and "
                "give the same command again"
            )
        return points

    @cached_property
    def segmentation(self) -> Volume | None:
        """What fields of view are masked with, opened when first asked for."""
        source = self.info.segmentation
        return None if source is None else open_volume_source(source)

    @cached_property
    def volume(self) -> Volume:
        """The volume that was embedded, opened when first asked for."""
        return open_volume_source(self.info.volume)

    def require_complete(self) -> None:
        """Checks that every shard is done or void.

        Raises:
            IncompleteError: some are missing or failed; the message says how to go on.
        """
        total, done = len(self.shards), len(self.finished())
        if done < total:
            failed = sum(mark.state == "failed" for mark in self.ledger.marks().values())
            raise IncompleteError(
                f"atlas {self.name!r} has {done} of {total} shards ({failed} failed); finish it "
                f"with: voxkin embed {self.info.run} --out {self.path} --volume …"
            )

    def ids_at(self, nm_xyz: Float[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
        """Ids of the locations nearest to positions in nm, XYZ.

        Raises:
            OutOfBoundsError: a position is more than half a stride outside the locations, or more
                than half a field of view from every given place.
        """
        nm_xyz = np.asarray(nm_xyz, np.float64)
        try:
            cells = self.places.nearest_cells(self.frame.to_voxel(nm_xyz))
        except OutOfBoundsError:
            raise OutOfBoundsError(self._outside(nm_xyz)) from None
        return self.places.ids(cells)

    def _outside(self, nm_xyz: Float[np.ndarray, "n 3"]) -> str:
        """What is wrong with the farthest of positions in nm, XYZ, of which one is too far out."""
        if isinstance(self.places, Points):
            ids, apart = self.places.nearest(self.frame.to_voxel(nm_xyz))
            row = int(np.argmax(apart))
            place = self.positions_nm_xyz(ids[[row]])[0]
            return (
                f"atlas {self.name!r} has no location within {self.places.reach_nm:g} nm (half the "
                f"field of view) of xyz = {_nm(nm_xyz[row])} nm; the nearest is {apart[row]:.0f} "
                f"nm away, at {_nm(place)} nm (XYZ)"
            )
        low, high = self.extent_nm_xyz
        return (
            f"a position is outside atlas {self.name!r}: asked for xyz = "
            f"{_outermost(nm_xyz, low, high)} nm; its locations run from {_nm(low)} to "
            f"{_nm(high)} nm (XYZ)"
        )

    def positions_nm_xyz(self, ids: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
        """Centres of the fields of view of locations, in nm, XYZ."""
        return self.frame.to_nm_xyz(self.places.centres(self.places.cells_of(ids)))

    @cached_property
    def anchor_nm(self) -> Float[np.ndarray, "3"]:
        """Centre of location 0 in nm, ZYX."""
        return self.positions_nm_xyz(np.array([0]))[0, ::-1]

    def offsets_nm(self, ids: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
        """Centres of locations in nm, ZYX, counted from `anchor_nm`.

        On a grid from its indices, so that equal steps are equal to the last bit anywhere.
        """
        return self.places.offsets(self.places.cells_of(ids)) * self.frame.voxel_size_nm

    def known_of(self, ids: Int[np.ndarray, " n"]) -> list[tuple[int | None, int | None]]:
        """The segment of each location and what names it where it was given.

        None where neither is known, as on a grid; the segment alone where a place is in none.
        """
        if not isinstance(self.places, Points):
            return [(None, None)] * len(ids)
        pairs = self.places.segments[ids].tolist(), self.places.sources[ids].tolist()
        return [(segment or None, source) for segment, source in zip(*pairs, strict=True)]

    def embeddings(self, ids: Int[np.ndarray, " n"]) -> Float32[np.ndarray, "n dim"]:
        """The stored vectors of locations; zero vectors where there is no data."""
        return self.store.read_numbered(ids)

    @cached_property
    def extent_nm_xyz(self) -> tuple[XyzFloat, XyzFloat]:
        """Lowest and highest centres of its locations, in nm, XYZ."""
        ends = np.array([0, self.grid.size - 1]) if self.info.points is None else slice(None)
        centres = self.positions_nm_xyz(np.arange(self.grid.size)[ends])
        (ax, ay, az), (bx, by, bz) = centres.min(axis=0).tolist(), centres.max(axis=0).tolist()
        return (ax, ay, az), (bx, by, bz)


def _nm(xyz: Iterable[float]) -> str:
    return "(" + ", ".join(f"{v:g}" for v in xyz) + ")"


def _outermost(nm_xyz: np.ndarray, low: XyzFloat, high: XyzFloat) -> str:
    outside = np.maximum(np.asarray(low) - nm_xyz, nm_xyz - np.asarray(high)).max(axis=-1)
    return _nm(nm_xyz[int(np.argmax(outside))])
