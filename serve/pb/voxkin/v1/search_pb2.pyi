from serve.pb.voxkin.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FindSimilarRequest(_message.Message):
    __slots__ = ("atlas", "position_nm", "vector", "k", "min_separation_nm")
    ATLAS_FIELD_NUMBER: _ClassVar[int]
    POSITION_NM_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    MIN_SEPARATION_NM_FIELD_NUMBER: _ClassVar[int]
    atlas: str
    position_nm: _types_pb2.PositionNm
    vector: _types_pb2.Vector
    k: int
    min_separation_nm: float
    def __init__(self, atlas: _Optional[str] = ..., position_nm: _Optional[_Union[_types_pb2.PositionNm, _Mapping]] = ..., vector: _Optional[_Union[_types_pb2.Vector, _Mapping]] = ..., k: _Optional[int] = ..., min_separation_nm: _Optional[float] = ...) -> None: ...

class Hit(_message.Message):
    __slots__ = ("position_nm", "similarity", "location_id", "segment_id", "source_id")
    POSITION_NM_FIELD_NUMBER: _ClassVar[int]
    SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    LOCATION_ID_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    position_nm: _types_pb2.PositionNm
    similarity: float
    location_id: int
    segment_id: int
    source_id: int
    def __init__(self, position_nm: _Optional[_Union[_types_pb2.PositionNm, _Mapping]] = ..., similarity: _Optional[float] = ..., location_id: _Optional[int] = ..., segment_id: _Optional[int] = ..., source_id: _Optional[int] = ...) -> None: ...

class FindSimilarResponse(_message.Message):
    __slots__ = ("hits", "query_position_nm", "query_location_id", "complete", "reason", "candidates_examined", "exact", "query_vector")
    HITS_FIELD_NUMBER: _ClassVar[int]
    QUERY_POSITION_NM_FIELD_NUMBER: _ClassVar[int]
    QUERY_LOCATION_ID_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_EXAMINED_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    QUERY_VECTOR_FIELD_NUMBER: _ClassVar[int]
    hits: _containers.RepeatedCompositeFieldContainer[Hit]
    query_position_nm: _types_pb2.PositionNm
    query_location_id: int
    complete: bool
    reason: str
    candidates_examined: int
    exact: bool
    query_vector: _types_pb2.Vector
    def __init__(self, hits: _Optional[_Iterable[_Union[Hit, _Mapping]]] = ..., query_position_nm: _Optional[_Union[_types_pb2.PositionNm, _Mapping]] = ..., query_location_id: _Optional[int] = ..., complete: bool = ..., reason: _Optional[str] = ..., candidates_examined: _Optional[int] = ..., exact: bool = ..., query_vector: _Optional[_Union[_types_pb2.Vector, _Mapping]] = ...) -> None: ...

class EmbedRequest(_message.Message):
    __slots__ = ("atlas", "cut_out")
    ATLAS_FIELD_NUMBER: _ClassVar[int]
    CUT_OUT_FIELD_NUMBER: _ClassVar[int]
    atlas: str
    cut_out: _types_pb2.CutOut
    def __init__(self, atlas: _Optional[str] = ..., cut_out: _Optional[_Union[_types_pb2.CutOut, _Mapping]] = ...) -> None: ...

class EmbedResponse(_message.Message):
    __slots__ = ("vectors", "centre", "stride_voxels", "fov_voxels")
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    CENTRE_FIELD_NUMBER: _ClassVar[int]
    STRIDE_VOXELS_FIELD_NUMBER: _ClassVar[int]
    FOV_VOXELS_FIELD_NUMBER: _ClassVar[int]
    vectors: _types_pb2.VectorGrid
    centre: _types_pb2.Vector
    stride_voxels: _types_pb2.Counts
    fov_voxels: _types_pb2.Counts
    def __init__(self, vectors: _Optional[_Union[_types_pb2.VectorGrid, _Mapping]] = ..., centre: _Optional[_Union[_types_pb2.Vector, _Mapping]] = ..., stride_voxels: _Optional[_Union[_types_pb2.Counts, _Mapping]] = ..., fov_voxels: _Optional[_Union[_types_pb2.Counts, _Mapping]] = ...) -> None: ...
