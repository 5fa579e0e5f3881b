"""One atlas as it is served: everything a caller may ask of it, for gRPC and the page alike."""

import dataclasses
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped

from embed.atlas import Atlas
from embed.backends.backend import Backend
from embed.backends.choice import open_backend
from embed.checkpoint import FILE, TrainedEncoder, load_encoder
from embed.errors import MismatchError, NotFoundError
from embed.geometry import XyzFloat
from embed.regions import require_mask
from embed.volume import Volume
from serve.clusters.clusters import Clusters
from serve.clusters.projection import projection_path
from serve.cut_outs import embed_cut_out
from serve.hits import Hit, SearchResult
from serve.index import Index, open_index
from serve.jobs import Finished, JobSlot, Step, stepwise
from serve.layers.layers import Layers
from serve.manifest import serving_version
from serve.mapping.apply import MapSummary, apply_probe
from serve.probes import load_probe
from serve.probing.atlas_probes import AtlasProbes
from serve.probing.versions import probe_names
from serve.queries import BoxNm, Filters, Query, Wish
from serve.search import KEPT_BYTES, Searcher
from serve.searching.place_segments import PlaceSegments
from serve.searching.scan import Scanned
from serve.searching.similarity_map import SimilarityMap
from serve.summary import summary_of
from serve.thumbnails import Greys, Plane, Slice, draw_slice, field_of_view_nm
from serve.wire.answers import AtlasSummary, CutOutEmbeddings

OpenIndex = Callable[[Atlas], Index]
"""Opens the serving index of an atlas: in memory here, or elsewhere."""

MAX_TOLD = 1_000_000
"""Places of one call for everything: with what is known of each, a minute's work to tell."""


class ServedAtlas:
    """An atlas with its index, encoder, probes and map. Safe to use from many threads."""

    def __init__(
        self,
        atlas: Atlas,
        index: Index,
        segmentation: Volume | None = None,
        masks: Mapping[str, Volume] | None = None,
        opener: OpenIndex = open_index,
    ) -> None:
        # Now, not in the first search: where it was never compiled before it takes seconds.
        import serve.searching.compiled  # noqa: F401

        self.atlas = atlas
        self.index = index
        self._segmentation, self._masks, self._opener = segmentation, masks or {}, opener
        self._searcher = Searcher(
            atlas,
            index,
            segmentation,
            lambda voxels: self.embed(voxels).centre,
            KEPT_BYTES,
            self._masks,
        )
        self.slot = JobSlot(atlas.name)

    @classmethod
    def open(
        cls,
        path: Path,
        segmentation: Volume | None = None,
        masks: Mapping[str, Volume] | None = None,
        opener: OpenIndex = open_index,
    ) -> "ServedAtlas":
        """Opens an atlas after checking that its parts are whole and belong together.

        Args:
            path: its directory.
            segmentation: tells in which segments its places lie.
            masks: that searches may be limited to, by the names that callers use.
            opener: opens its index, now and when there is a new one.

        Raises:
            NotFoundError: there is no atlas or no index.
            IncompleteError: the atlas is unfinished.
            MismatchError: the index or the encoder belongs to another atlas, or a mask lies
                elsewhere.
            DataError: a part is damaged.
            UnavailableError: what is to hold the index cannot.
        """
        atlas = Atlas.open(path)
        atlas.require_complete()
        for mask in (masks or {}).values():
            require_mask(atlas.volume, mask)
        served = cls(atlas, opener(atlas), segmentation, masks, opener)
        if served.has_encoder:
            served.encoder  # noqa: B018  a wrong one is refused now, not at the first request
        return served

    def is_current(self) -> bool:
        """Whether the index that it opened is still the one that is named as serving.

        Raises:
            DataError: what names it cannot be read.
            NotFoundError: nothing names one.
        """
        return serving_version(self.atlas) == self.index.manifest.version

    def reopened(self) -> "ServedAtlas":
        """The same atlas as it is on disk now; this one stays usable.

        Both hold the one slot for long jobs, and the encoder where it is the same, as compiling it
        takes seconds.

        Raises:
            VoxkinError: as `open`.
        """
        renewed = type(self).open(self.atlas.path, self._segmentation, self._masks, self._opener)
        renewed.slot = self.slot
        if renewed.has_encoder and renewed.atlas.info.encoder == self.atlas.info.encoder:
            made = {"encoder", "_backend"} & vars(self).keys()
            vars(renewed).update((part, vars(self)[part]) for part in made)
        renewed.layers.similar.adopt(self.layers.similar)
        return renewed

    @cached_property
    def layers(self) -> Layers:
        """What Neuroglancer shows of it."""
        return Layers(self.atlas, self._segmentation, self.clusters)

    @cached_property
    def place_segments(self) -> PlaceSegments:
        """In which segments its locations lie."""
        return PlaceSegments(self.atlas, self._segmentation)

    @cached_property
    def name(self) -> str:
        """What requests call it."""
        return self.atlas.name

    @property
    def segmentation(self) -> Volume | None:
        """What tells in which segments its places lie, if it was given."""
        return self._segmentation

    @property
    def space(self) -> str:
        """Atlases with the same are of one volume."""
        return self._searcher.space

    @property
    def has_encoder(self) -> bool:
        """Whether the atlas carries its encoder."""
        return (self.atlas.path / FILE).exists()

    @cached_property
    def encoder(self) -> TrainedEncoder:
        """The encoder that made the atlas.

        Raises:
            NotFoundError: the atlas does not carry it.
            MismatchError: the one it carries is another.
        """
        if not self.has_encoder:
            raise NotFoundError(
                f"atlas {self.name!r} carries no encoder, so that it cannot embed a cut-out; it "
                "can still be searched"
            )
        encoder = load_encoder(self.atlas.path)
        if encoder.fingerprint != self.atlas.info.encoder:
            raise MismatchError(
                f"the encoder in {self.atlas.path} has fingerprint {encoder.fingerprint}, and the "
                f"atlas was made by {self.atlas.info.encoder}; restore its {FILE}, or make the "
                "atlas anew"
            )
        return encoder

    @cached_property
    def _backend(self) -> Backend:
        return open_backend(self.encoder)

    def find(self, query: Query, wish: Wish) -> SearchResult:
        """The places most like examples or a probe's class; see `Searcher.find`."""
        return self._searcher.find(query, wish)

    def find_each(
        self, vectors: Float[np.ndarray, "n dim"], wish: Wish
    ) -> tuple[SearchResult, ...]:
        """The places most like each of many vectors; see `Searcher.find_each`."""
        return self._searcher.find_each(vectors, wish)

    def find_all(
        self, query: Query, at_least: float, filters: Filters
    ) -> Iterator[tuple[Scanned, tuple[Hit, ...]]]:
        """Every place at least so similar; see `Searcher.find_all`."""
        return self._searcher.find_all(query, at_least, filters, MAX_TOLD)

    def map_similarity(self, query: Query, box_nm: BoxNm, dtype: str) -> SimilarityMap:
        """How similar the locations in a box are; see `Searcher.map_similarity`."""
        return self._searcher.map_similarity(query, box_nm, dtype)

    def find_at(
        self, nm_xyz: Sequence[float], k: int, min_separation_nm: float | None
    ) -> SearchResult:
        """The places most like a place; see `Searcher.find_at`."""
        return self._searcher.find_at(nm_xyz, k, min_separation_nm)

    def find_like(
        self, vector: Float[np.ndarray, " dim"], k: int, min_separation_nm: float | None
    ) -> SearchResult:
        """The places most like a vector; see `Searcher.find_like`."""
        return self._searcher.find_like(vector, k, min_separation_nm)

    def embed(self, cutout: Shaped[np.ndarray, "z y x"]) -> CutOutEmbeddings:
        """Embeds a cut-out, normalised as the volume was.

        Args:
            cutout: grey values at the voxel size of the atlas.

        Raises:
            RequestError: it is smaller than the field of view, larger than is taken at once, or
                holds NaN, infinite or no values.
            NotFoundError: the atlas carries no encoder.
        """
        return embed_cut_out(self._backend, self.encoder, self.atlas.info.normaliser, cutout)

    @cached_property
    def probing(self) -> AtlasProbes:
        """Its probes: how they are trained and what they say."""
        return AtlasProbes(self.atlas)

    def apply_probe(self, name: str) -> Generator[Step | Finished[MapSummary], None, None]:
        """Applies a probe to every location: steps, and at last what was written.

        Raises:
            NotFoundError: there is no such probe.
            BusyError: another such job is running on this atlas.
        """
        probe = load_probe(self.atlas, name)
        with self.slot.holding(f"applying probe {name!r}"):
            yield from stepwise(lambda tell: apply_probe(self.atlas, probe, tell))

    @cached_property
    def clusters(self) -> Clusters:
        """Its map and the clusters on it."""
        return Clusters(self.atlas)

    def slice_png(
        self, centre_nm_xyz: XyzFloat, plane: Plane, size: int, nm_per_pixel: float | None
    ) -> bytes:
        """A slice through the volume; see `Slice` and `draw_slice`.

        Args:
            nm_per_pixel: edge of a pixel in nm; None is the shortest edge of a voxel.
        """
        grey = self.atlas.info.normaliser
        if nm_per_pixel is None:
            nm_per_pixel = min(self.atlas.frame.voxel_size_nm)
        what = Slice(centre_nm_xyz, plane, size, nm_per_pixel)
        return draw_slice(self.atlas.volume, Greys.around(grey.centre, grey.scale), what)

    def thumbnail_png(self, centre_nm_xyz: XyzFloat, plane: Plane, size: int) -> bytes:
        """A slice two fields of view (their longest edge) wide."""
        edge = 2 * field_of_view_nm(self.atlas.frame, self.atlas.grid.fov)
        return self.slice_png(centre_nm_xyz, plane, size, edge / max(size, 1))

    def summary(self) -> AtlasSummary:
        """The facts that a caller needs before asking anything."""
        return dataclasses.replace(
            self._unchanging,
            probes=probe_names(self.atlas),
            has_projection=projection_path(self.atlas).exists(),
            has_encoder=self.has_encoder,
        )

    @cached_property
    def _unchanging(self) -> AtlasSummary:
        return summary_of(self.atlas, self.index.manifest, tuple(sorted(self._masks)))
