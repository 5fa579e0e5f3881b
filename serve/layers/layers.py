"""The layers of a served atlas: which there are, and each by its id."""

import dataclasses
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np

from embed.atlas import Atlas
from embed.errors import MismatchError, NotFoundError, VolumeError
from embed.probe import Probe
from embed.volume import Volume
from serve.clusters.clusters import Clusters
from serve.labelling.store import LabelStore
from serve.layers import shaders
from serve.layers.chunks import Chunks
from serve.layers.cluster_layer import cluster_layer
from serve.layers.layer import Layer
from serve.layers.precomputed import Placement, encode, parse_chunk
from serve.layers.probe_layers import class_segments, likeliest_layer, probability_layer
from serve.layers.similarity_layers import SimilarityLayers
from serve.layers.volume_layer import VolumeLayer
from serve.mapping.identity import digest_of
from serve.probes import list_probes, load_probe
from serve.queries import Query
from serve.searching.aims import aim_of
from serve.thumbnails import Greys

Group = Literal["volume", "segmentation", "similarity", "probe", "clusters"]

# Of each atlas: what a person sees of it in some minutes.
_KEPT_BYTES = 64 * 2**20
_KEPT_LAYERS = 256


@dataclasses.dataclass(frozen=True, eq=False)
class Shown:
    """A layer as it is offered.

    Attributes:
        id: by which it is found again.
        layer: itself.
        title: for people.
        group: what it is of.
        shader: how an image is drawn, in GLSL; empty for segments.
        visible: whether it is seen at first.
        probe: of which it is a map, if of one.
        label: the class of the probe, if it is of one.
    """

    id: str
    layer: Layer
    title: str
    group: Group
    shader: str = ""
    visible: bool = False
    probe: str = ""
    label: str = ""


class Layers:
    """The layers of an atlas. Safe to use from many threads."""

    def __init__(self, atlas: Atlas, segmentation: Volume | None, clusters: Clusters) -> None:
        """Nothing is opened or computed yet.

        Args:
            atlas: that is served.
            segmentation: of its volume, if there is one.
            clusters: of its map, which need not be there.
        """
        self._atlas, self._segments, self._clusters = atlas, segmentation, clusters
        self._chunks = Chunks(_KEPT_BYTES)
        self.similar = SimilarityLayers(atlas)
        # Their ids say what they compute, so that an earlier version stays what it was.
        self.found = lru_cache(_KEPT_LAYERS)(self._find)

    def listed(self) -> list[Shown]:
        """Those that can be looked at now, but for similarities, which are asked for.

        Raises:
            DataError: a probe is damaged.
        """
        found = [self._volume, self._segmentation]
        if self._atlas.info.points is None:
            for probe in list_probes(self._atlas):
                if self._suits(probe):
                    found += self._of_probe(probe)
            found.append(self._of_clusters())
        return [shown for shown in found if shown]

    def _find(self, id: str) -> Shown:
        """The layer of that id, asked for as `found`.

        Raises:
            NotFoundError: there is none, any more.
            RequestError: there is no map of this atlas.
            DataError: a probe is damaged.
        """
        kind, _, rest = id.partition(".")
        several: list[Shown | None] = []
        if kind == "similarity" and rest:
            return self._similarity(rest)
        if kind == "probe" and rest:
            several = [*self._of_probe(load_probe(self._atlas, rest.split(".")[0]))]
        elif kind == "clusters":
            several = [self._of_clusters()]
        elif not rest:
            several = [self._volume, self._segmentation]
        match = next((shown for shown in several if shown and shown.id == id), None)
        if match is None:
            raise NotFoundError(
                f"no layer {id[:100]!r} of atlas {self._atlas.name!r}, or no longer; ask for its "
                "layers again"
            )
        return match

    def compare(self, query: Query) -> tuple[str, Shown]:
        """A layer of the similarity of every location to what is asked for, and its token.

        Raises:
            VoxkinError: as `serve.searching.aims.aim_of`, and where there is no map of this atlas.
        """
        token = self.similar.keep(aim_of(self._atlas, query))
        return token, self.found(f"similarity.{token}")

    def chunk(self, id: str, key: str, name: str) -> bytes:
        """A chunk of a layer.

        Args:
            id: of the layer.
            key: of the scale.
            name: of the chunk.

        Raises:
            NotFoundError: there is none.
            DataError: what it is read or computed from is corrupt.
        """
        layer = self.found(id).layer
        level = next((i for i, scale in enumerate(layer.scales) if scale.key == key), None)
        if level is None:
            raise NotFoundError(f"layer {id[:100]!r} has no scale {key[:100]!r}")
        box = parse_chunk(layer.scales[level], Placement.of(layer.scales).offsets[level], name)
        return self._chunks.get((layer.version, key, name), lambda: encode(layer.read(level, box)))

    @cached_property
    def _volume(self) -> Shown | None:
        """The tissue; None where an atlas has outlived its volume."""
        grey = self._atlas.info.normaliser
        greys = Greys.around(grey.centre, grey.scale)
        version = f"volume {self._atlas.info.fingerprint}"
        try:
            volume = self._atlas.volume
            layer = VolumeLayer(volume, version, greys)
        except VolumeError:
            return None
        # Of 8 bits the person at the screen chooses black and white; others are cut off already.
        seen = (greys.black, greys.white) if volume.dtype == np.uint8 else (0, 255)
        shader = shaders.tissue(*np.clip(np.rint(seen), 0, 255).astype(int).tolist())
        return Shown("volume", layer, "tissue", "volume", shader, visible=True)

    @cached_property
    def _segmentation(self) -> Shown | None:
        if self._segments is None:
            return None
        layer = VolumeLayer(self._segments, f"segmentation of {self._atlas.info.fingerprint}")
        return Shown("segmentation", layer, "segments", "segmentation")

    def _of_probe(self, probe: Probe) -> list[Shown]:
        """The likeliest class, and the probability of each."""
        # By what it is: training it again makes other layers, and going back the same.
        version = digest_of(probe)[:12]
        id, whole = f"probe.{probe.name}.{version}", f"{probe.name} {version}"
        segments = class_segments(probe.classes, self._colours())
        likeliest = likeliest_layer(self._atlas, probe, whole, segments)
        found = []
        if probe.kind == "multiclass":  # where classes are decided each alone there is no such one
            title = f"{probe.name}: likeliest class"
            found.append(Shown(id, likeliest, title, "probe", probe=probe.name))
        for number, segment in enumerate(likeliest.segments):
            found.append(
                Shown(
                    f"{id}.{number}",
                    probability_layer(self._atlas, probe, number, whole),
                    f"{probe.name}: {segment.name}",
                    "probe",
                    shaders.probability(segment.colour),
                    probe=probe.name,
                    label=segment.name,
                )
            )
        return found

    def _of_clusters(self) -> Shown | None:
        """Clusters by their map as it is now; None where there is none of this atlas."""
        try:
            layer = cluster_layer(self._atlas, self._clusters)
        except (NotFoundError, MismatchError):
            return None
        return Shown(f"clusters.{layer.version}", layer, "clusters", "clusters")

    def _colours(self) -> dict[str, str]:
        """Of classes, as people chose them; the last set that has one decides."""
        sets = LabelStore.open(self._atlas).sets()
        return {one.name: one.colour for each in sets for one in each.classes}

    def _similarity(self, token: str) -> Shown:
        layer = self.similar.layer(token)
        shader = shaders.heat(self.similar.common(token))
        id = f"similarity.{token}"
        return Shown(id, layer, "similarity", "similarity", shader, visible=True)

    def _suits(self, probe: Probe) -> bool:
        info = self._atlas.info
        return probe.origin.encoder == info.encoder and probe.dim == info.embedding_dim
