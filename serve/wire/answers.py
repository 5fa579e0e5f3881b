"""What a server answers where the library has no word for it."""

import dataclasses

import numpy as np
from jaxtyping import Float32

from embed.geometry import XyzFloat, Zyx
from embed.probe import Probe
from embed.probing.learning_curve import CurvePoint
from embed.probing.linear import Kind
from embed.probing.scores import Scores

Xyz = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class IndexSummary:
    """How an atlas is searched.

    Attributes:
        factory: kind of index, as a FAISS factory string.
        vectors: how many it holds; locations without data are not in it.
        exact: whether a search compares every one of them.
        recall_at_10: share of the true ten nearest that a search finds, 0 to 1, as measured when
            it was built.
    """

    factory: str
    vectors: int
    exact: bool
    recall_at_10: float


@dataclasses.dataclass(frozen=True)
class AtlasSummary:
    """One volume seen by one encoder. Everything spatial is XYZ.

    Attributes:
        name: what requests call it.
        voxel_size_nm: edge lengths of a voxel, nm.
        volume_nm: lower and upper corner of the box that the volume fills, nm.
        locations_nm: centres of the first and the last location, nm; of given places the lowest
            and highest coordinates of any.
        locations: how many along each axis; of given places all of them along x.
        stride_voxels: voxels between neighbouring locations; 0 where they are not on a grid.
        fov_voxels: voxels that one embedding sees.
        embedding_dim: length of an embedding.
        encoder: fingerprint of the encoder.
        fingerprint: of everything that decides what the embeddings are.
        source: where the volume was read from; for people.
        attribution: what the volume states of itself: licence, source.
        index: how it is searched.
        probes: names of its probes, in order.
        has_projection: whether its map has been made.
        has_encoder: whether it can embed cut-outs.
        masks: names of the masks that searches can be limited to, in order.
    """

    name: str
    voxel_size_nm: XyzFloat
    volume_nm: tuple[XyzFloat, XyzFloat]
    locations_nm: tuple[XyzFloat, XyzFloat]
    locations: Xyz
    stride_voxels: Xyz
    fov_voxels: Xyz
    embedding_dim: int
    encoder: str
    fingerprint: str
    source: str
    attribution: dict[str, str]
    index: IndexSummary
    probes: tuple[str, ...]
    has_projection: bool
    has_encoder: bool
    masks: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class ProbeSummary:
    """A trained probe without its weights.

    Attributes:
        name: what it is called.
        kind: whether a place is of one class, or classes are decided each alone.
        classes: their names.
        labels: how many labelled places of each class it learnt from.
        labels_from: where they are from; for people.
        sets: names of the class sets that they are of; empty where they are of none.
        scores: cross-validated; None where the labels do not allow it.
        unscored: why not; empty otherwise.
        curve: cross-validated scores with fewer labels.
        prior: the share of the volume that each class is taken to have.
        prior_source: whether it was estimated, given or none.
        encoder: fingerprint of the encoder whose embeddings it takes.
        created: time in UTC.
        version: counts the probes of its name, from 1.
        versions: how many there are.
        restored: the version that this one is a copy of; 0 where it was trained.
    """

    name: str
    kind: Kind
    classes: tuple[str, ...]
    labels: dict[str, int]
    labels_from: str
    sets: tuple[str, ...]
    scores: Scores | None
    unscored: str
    curve: tuple[CurvePoint, ...]
    prior: dict[str, float]
    prior_source: str
    encoder: str
    created: str
    version: int = 1
    versions: int = 1
    restored: int = 0

    @classmethod
    def of(cls, probe: Probe, versions: int) -> "ProbeSummary":
        """The summary of a probe, of which there are so many versions."""
        return cls(
            name=probe.name,
            kind=probe.kind,
            classes=probe.classes,
            labels=dict(probe.labels),
            labels_from=probe.origin.labels,
            sets=probe.origin.sets,
            scores=probe.scores,
            unscored=probe.unscored,
            curve=probe.curve,
            prior=dict(probe.prior.shares),
            prior_source=probe.prior.source,
            encoder=probe.origin.encoder,
            created=probe.created,
            version=probe.version,
            versions=versions,
            restored=probe.restored,
        )


@dataclasses.dataclass(frozen=True)
class PlaceProbabilities:
    """What a probe says of a place.

    Attributes:
        probabilities: of each class, 0 to 1.
        unknown: how unlike anything labelled it is, 0 to 1.
    """

    probabilities: dict[str, float]
    unknown: float


@dataclasses.dataclass(frozen=True, eq=False)
class CutOutEmbeddings:
    """The embeddings of a cut-out.

    Attributes:
        vectors: float32 [z, y, x, dim], unit length: every field of view that fits, the first at
            the first voxel.
        centre: float32 [dim], the one whose field of view is nearest to the middle.
        stride: voxels between neighbouring vectors, ZYX.
        fov: voxels of a field of view, ZYX.
    """

    vectors: Float32[np.ndarray, "z y x dim"]
    centre: Float32[np.ndarray, " dim"]
    stride: Zyx
    fov: Zyx
