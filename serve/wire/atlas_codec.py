"""Messages to what the library speaks, and back: atlases, their probes and their maps."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from embed.errors import RequestError
from embed.geometry import XyzFloat
from serve.clusters.table import Points
from serve.jobs import Finished, Step
from serve.labels import LabelTable
from serve.mapping.apply import MapSummary
from serve.pb.voxkin.v1 import atlas_pb2, probe_pb2, types_pb2
from serve.wire.answers import AtlasSummary, IndexSummary
from serve.wire.codec import counts, position, read_counts, read_position

_IDS = np.dtype("<u8")
_POINTS = np.dtype("<f4")
_NM = np.dtype("<f8")
_CLUSTERS = np.dtype("<i4")


def atlas(summary: AtlasSummary) -> atlas_pb2.Atlas:
    """The description of an atlas."""
    low, high = summary.volume_nm
    first, last = summary.locations_nm
    return atlas_pb2.Atlas(
        name=summary.name,
        voxel_size_nm=position(summary.voxel_size_nm),
        volume_nm=types_pb2.BoxNm(start=position(low), stop=position(high)),
        first_location_nm=position(first),
        last_location_nm=position(last),
        locations=counts(summary.locations),
        stride_voxels=counts(summary.stride_voxels),
        fov_voxels=counts(summary.fov_voxels),
        embedding_dim=summary.embedding_dim,
        encoder_fingerprint=summary.encoder,
        fingerprint=summary.fingerprint,
        source=summary.source,
        attribution=summary.attribution,
        index=atlas_pb2.Index(
            factory=summary.index.factory,
            vectors=summary.index.vectors,
            exact=summary.index.exact,
            recall_at_10=summary.index.recall_at_10,
        ),
        probes=summary.probes,
        has_projection=summary.has_projection,
        has_encoder=summary.has_encoder,
        masks=summary.masks,
    )


def read_atlas(message: atlas_pb2.Atlas) -> AtlasSummary:
    """The description that a server sent."""
    index = message.index
    return AtlasSummary(
        name=message.name,
        voxel_size_nm=read_position(message.voxel_size_nm),
        volume_nm=(read_position(message.volume_nm.start), read_position(message.volume_nm.stop)),
        locations_nm=(
            read_position(message.first_location_nm),
            read_position(message.last_location_nm),
        ),
        locations=read_counts(message.locations),
        stride_voxels=read_counts(message.stride_voxels),
        fov_voxels=read_counts(message.fov_voxels),
        embedding_dim=message.embedding_dim,
        encoder=message.encoder_fingerprint,
        fingerprint=message.fingerprint,
        source=message.source,
        attribution=dict(message.attribution),
        index=IndexSummary(index.factory, index.vectors, index.exact, index.recall_at_10),
        probes=tuple(message.probes),
        has_projection=message.has_projection,
        has_encoder=message.has_encoder,
        masks=tuple(message.masks),
    )


def labels(table: LabelTable) -> list[probe_pb2.LabelledPlace]:
    """Labelled places."""
    positions: list[XyzFloat] = [(x, y, z) for x, y, z in table.positions_nm_xyz.tolist()]
    return [
        probe_pb2.LabelledPlace(position_nm=position(place), label=label)
        for place, label in zip(positions, table.labels, strict=True)
    ]


def read_labels(messages: Iterable[probe_pb2.LabelledPlace]) -> LabelTable:
    """Labelled places.

    Raises:
        RequestError: there are none, one has no label, or a position is not finite.
    """
    places = list(messages)
    positions = np.array([read_position(place.position_nm) for place in places], np.float64)
    if not places or not all(place.label.strip() for place in places):
        raise RequestError("a probe learns from labelled places: at least one, each with a label")
    if not np.isfinite(positions).all():
        bad = positions[~np.isfinite(positions).all(axis=1)][0].tolist()
        raise RequestError(f"a position is three finite numbers in nm (XYZ); got {bad}")
    return LabelTable(positions, tuple(place.label for place in places))


def probe_news(news: Step | Finished[MapSummary]) -> probe_pb2.ApplyProbeResponse:
    """A step of applying a probe, or what came of it."""
    if isinstance(news, Step):
        progress = probe_pb2.Progress(done=news.done, total=news.total)
        return probe_pb2.ApplyProbeResponse(progress=progress)
    made = news.result
    class_map = probe_pb2.ProbeMap(path=str(made.path), locations=made.locations, voids=made.voids)
    return probe_pb2.ApplyProbeResponse(map=class_map)


def read_probe_news(message: probe_pb2.ApplyProbeResponse) -> Step | Finished[MapSummary]:
    """The news that a server sent."""
    if message.WhichOneof("news") == "progress":
        return Step(message.progress.done, message.progress.total)
    made = message.map
    return Finished(MapSummary(Path(made.path), dict(made.locations), made.voids))


def projection(points: Points) -> atlas_pb2.ProjectionResponse:
    """The points of a map."""
    return atlas_pb2.ProjectionResponse(
        location_ids=np.ascontiguousarray(points.ids, _IDS).tobytes(),
        points=np.ascontiguousarray(points.xy, _POINTS).tobytes(),
        positions_nm=np.ascontiguousarray(points.positions_nm_xyz, _NM).tobytes(),
        clusters=np.ascontiguousarray(points.clusters, _CLUSTERS).tobytes(),
        count=len(points.ids),
    )


def read_projection(message: atlas_pb2.ProjectionResponse) -> Points:
    """The points that a server sent."""
    return Points(
        ids=np.frombuffer(message.location_ids, _IDS).astype(np.int64),
        positions_nm_xyz=np.frombuffer(message.positions_nm, _NM).reshape(-1, 3).astype(float),
        xy=np.frombuffer(message.points, _POINTS).reshape(-1, 2).astype(np.float32),
        clusters=np.frombuffer(message.clusters, _CLUSTERS).astype(np.int64),
    )
