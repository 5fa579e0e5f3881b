from serve.pb.voxkin.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Atlas(_message.Message):
    __slots__ = ("name", "voxel_size_nm", "volume_nm", "first_location_nm", "last_location_nm", "locations", "stride_voxels", "fov_voxels", "embedding_dim", "encoder_fingerprint", "fingerprint", "source", "attribution", "index", "probes", "has_projection", "has_encoder", "masks")
    class AttributionEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    VOXEL_SIZE_NM_FIELD_NUMBER: _ClassVar[int]
    VOLUME_NM_FIELD_NUMBER: _ClassVar[int]
    FIRST_LOCATION_NM_FIELD_NUMBER: _ClassVar[int]
    LAST_LOCATION_NM_FIELD_NUMBER: _ClassVar[int]
    LOCATIONS_FIELD_NUMBER: _ClassVar[int]
    STRIDE_VOXELS_FIELD_NUMBER: _ClassVar[int]
    FOV_VOXELS_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_DIM_FIELD_NUMBER: _ClassVar[int]
    ENCODER_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    PROBES_FIELD_NUMBER: _ClassVar[int]
    HAS_PROJECTION_FIELD_NUMBER: _ClassVar[int]
    HAS_ENCODER_FIELD_NUMBER: _ClassVar[int]
    MASKS_FIELD_NUMBER: _ClassVar[int]
    name: str
    voxel_size_nm: _types_pb2.PositionNm
    volume_nm: _types_pb2.BoxNm
    first_location_nm: _types_pb2.PositionNm
    last_location_nm: _types_pb2.PositionNm
    locations: _types_pb2.Counts
    stride_voxels: _types_pb2.Counts
    fov_voxels: _types_pb2.Counts
    embedding_dim: int
    encoder_fingerprint: str
    fingerprint: str
    source: str
    attribution: _containers.ScalarMap[str, str]
    index: Index
    probes: _containers.RepeatedScalarFieldContainer[str]
    has_projection: bool
    has_encoder: bool
    masks: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., voxel_size_nm: _Optional[_Union[_types_pb2.PositionNm, _Mapping]] = ..., volume_nm: _Optional[_Union[_types_pb2.BoxNm, _Mapping]] = ..., first_location_nm: _Optional[_Union[_types_pb2.PositionNm, _Mapping]] = ..., last_location_nm: _Optional[_Union[_types_pb2.PositionNm, _Mapping]] = ..., locations: _Optional[_Union[_types_pb2.Counts, _Mapping]] = ..., stride_voxels: _Optional[_Union[_types_pb2.Counts, _Mapping]] = ..., fov_voxels: _Optional[_Union[_types_pb2.Counts, _Mapping]] = ..., embedding_dim: _Optional[int] = ..., encoder_fingerprint: _Optional[str] = ..., fingerprint: _Optional[str] = ..., source: _Optional[str] = ..., attribution: _Optional[_Mapping[str, str]] = ..., index: _Optional[_Union[Index, _Mapping]] = ..., probes: _Optional[_Iterable[str]] = ..., has_projection: bool = ..., has_encoder: bool = ..., masks: _Optional[_Iterable[str]] = ...) -> None: ...

class Index(_message.Message):
    __slots__ = ("factory", "vectors", "exact", "recall_at_10")
    FACTORY_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    RECALL_AT_10_FIELD_NUMBER: _ClassVar[int]
    factory: str
    vectors: int
    exact: bool
    recall_at_10: float
    def __init__(self, factory: _Optional[str] = ..., vectors: _Optional[int] = ..., exact: bool = ..., recall_at_10: _Optional[float] = ...) -> None: ...

class ListAtlasesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListAtlasesResponse(_message.Message):
    __slots__ = ("atlases",)
    ATLASES_FIELD_NUMBER: _ClassVar[int]
    atlases: _containers.RepeatedCompositeFieldContainer[Atlas]
    def __init__(self, atlases: _Optional[_Iterable[_Union[Atlas, _Mapping]]] = ...) -> None: ...

class DescribeAtlasRequest(_message.Message):
    __slots__ = ("atlas",)
    ATLAS_FIELD_NUMBER: _ClassVar[int]
    atlas: str
    def __init__(self, atlas: _Optional[str] = ...) -> None: ...

class DescribeAtlasResponse(_message.Message):
    __slots__ = ("atlas",)
    ATLAS_FIELD_NUMBER: _ClassVar[int]
    atlas: Atlas
    def __init__(self, atlas: _Optional[_Union[Atlas, _Mapping]] = ...) -> None: ...

class ProjectionRequest(_message.Message):
    __slots__ = ("atlas",)
    ATLAS_FIELD_NUMBER: _ClassVar[int]
    atlas: str
    def __init__(self, atlas: _Optional[str] = ...) -> None: ...

class ProjectionResponse(_message.Message):
    __slots__ = ("location_ids", "points", "positions_nm", "clusters", "count")
    LOCATION_IDS_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_NM_FIELD_NUMBER: _ClassVar[int]
    CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    location_ids: bytes
    points: bytes
    positions_nm: bytes
    clusters: bytes
    count: int
    def __init__(self, location_ids: _Optional[bytes] = ..., points: _Optional[bytes] = ..., positions_nm: _Optional[bytes] = ..., clusters: _Optional[bytes] = ..., count: _Optional[int] = ...) -> None: ...
