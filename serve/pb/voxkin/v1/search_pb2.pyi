from serve.pb.voxkin.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class QueryMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    QUERY_MODE_UNSPECIFIED: _ClassVar[QueryMode]
    QUERY_MODE_AVERAGE: _ClassVar[QueryMode]
    QUERY_MODE_BEST: _ClassVar[QueryMode]
    QUERY_MODE_LINEAR: _ClassVar[QueryMode]

class MapType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MAP_TYPE_UNSPECIFIED: _ClassVar[MapType]
    MAP_TYPE_UINT8: _ClassVar[MapType]
    MAP_TYPE_FLOAT16: _ClassVar[MapType]
QUERY_MODE_UNSPECIFIED: QueryMode
QUERY_MODE_AVERAGE: QueryMode
QUERY_MODE_BEST: QueryMode
QUERY_MODE_LINEAR: QueryMode
MAP_TYPE_UNSPECIFIED: MapType
MAP_TYPE_UINT8: MapType
MAP_TYPE_FLOAT16: MapType

class FindSimilarRequest(_message.Message):
    __slots__ = ("atlas", "position_nm", "vector", "examples", "k", "min_separation_nm", "filters", "per_segment", "at_least", "page_token")
    ATLAS_FIELD_NUMBER: _ClassVar[int]
    POSITION_NM_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    MIN_SEPARATION_NM_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    PER_SEGMENT_FIELD_NUMBER: _ClassVar[int]
    AT_LEAST_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    atlas: str
    position_nm: _types_pb2.PositionNm
    vector: _types_pb2.Vector
    examples: Query
    k: int
    min_separation_nm: float
    filters: Filters
    per_segment: int
    at_least: float
    page_token: bytes
    def __init__(self, atlas: _Optional[str] = ..., position_nm: _Optional[_Union[_types_pb2.PositionNm, _Mapping]] = ..., vector: _Optional[_Union[_types_pb2.Vector, _Mapping]] = ..., examples: _Optional[_Union[Query, _Mapping]] = ..., k: _Optional[int] = ..., min_separation_nm: _Optional[float] = ..., filters: _Optional[_Union[Filters, _Mapping]] = ..., per_segment: _Optional[int] = ..., at_least: _Optional[float] = ..., page_token: _Optional[bytes] = ...) -> None: ...

class Query(_message.Message):
    __slots__ = ("like_nm", "unlike_nm", "like", "unlike", "cut_out", "mode", "unlike_weight", "probe", "probe_class", "typical_weight")
    LIKE_NM_FIELD_NUMBER: _ClassVar[int]
    UNLIKE_NM_FIELD_NUMBER: _ClassVar[int]
    LIKE_FIELD_NUMBER: _ClassVar[int]
    UNLIKE_FIELD_NUMBER: _ClassVar[int]
    CUT_OUT_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    UNLIKE_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    PROBE_CLASS_FIELD_NUMBER: _ClassVar[int]
    TYPICAL_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    like_nm: _containers.RepeatedCompositeFieldContainer[_types_pb2.PositionNm]
    unlike_nm: _containers.RepeatedCompositeFieldContainer[_types_pb2.PositionNm]
    like: _containers.RepeatedCompositeFieldContainer[_types_pb2.Vector]
    unlike: _containers.RepeatedCompositeFieldContainer[_types_pb2.Vector]
    cut_out: _types_pb2.CutOut
    mode: QueryMode
    unlike_weight: float
    probe: str
    probe_class: str
    typical_weight: float
    def __init__(self, like_nm: _Optional[_Iterable[_Union[_types_pb2.PositionNm, _Mapping]]] = ..., unlike_nm: _Optional[_Iterable[_Union[_types_pb2.PositionNm, _Mapping]]] = ..., like: _Optional[_Iterable[_Union[_types_pb2.Vector, _Mapping]]] = ..., unlike: _Optional[_Iterable[_Union[_types_pb2.Vector, _Mapping]]] = ..., cut_out: _Optional[_Union[_types_pb2.CutOut, _Mapping]] = ..., mode: _Optional[_Union[QueryMode, str]] = ..., unlike_weight: _Optional[float] = ..., probe: _Optional[str] = ..., probe_class: _Optional[str] = ..., typical_weight: _Optional[float] = ...) -> None: ...

class Filters(_message.Message):
    __slots__ = ("boxes_nm", "segments", "not_segments", "masks", "classes", "labels", "not_labels")
    BOXES_NM_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    NOT_SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    MASKS_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    NOT_LABELS_FIELD_NUMBER: _ClassVar[int]
    boxes_nm: _containers.RepeatedCompositeFieldContainer[_types_pb2.BoxNm]
    segments: _containers.RepeatedScalarFieldContainer[int]
    not_segments: _containers.RepeatedScalarFieldContainer[int]
    masks: _containers.RepeatedScalarFieldContainer[str]
    classes: _containers.RepeatedCompositeFieldContainer[ClassFilter]
    labels: _containers.RepeatedCompositeFieldContainer[LabelFilter]
    not_labels: _containers.RepeatedCompositeFieldContainer[LabelFilter]
    def __init__(self, boxes_nm: _Optional[_Iterable[_Union[_types_pb2.BoxNm, _Mapping]]] = ..., segments: _Optional[_Iterable[int]] = ..., not_segments: _Optional[_Iterable[int]] = ..., masks: _Optional[_Iterable[str]] = ..., classes: _Optional[_Iterable[_Union[ClassFilter, _Mapping]]] = ..., labels: _Optional[_Iterable[_Union[LabelFilter, _Mapping]]] = ..., not_labels: _Optional[_Iterable[_Union[LabelFilter, _Mapping]]] = ...) -> None: ...

class LabelFilter(_message.Message):
    __slots__ = ("label_set", "label")
    LABEL_SET_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    label_set: str
    label: str
    def __init__(self, label_set: _Optional[str] = ..., label: _Optional[str] = ...) -> None: ...

class ClassFilter(_message.Message):
    __slots__ = ("probe", "probe_class", "at_least")
    PROBE_FIELD_NUMBER: _ClassVar[int]
    PROBE_CLASS_FIELD_NUMBER: _ClassVar[int]
    AT_LEAST_FIELD_NUMBER: _ClassVar[int]
    probe: str
    probe_class: str
    at_least: float
    def __init__(self, probe: _Optional[str] = ..., probe_class: _Optional[str] = ..., at_least: _Optional[float] = ...) -> None: ...

class Hit(_message.Message):
    __slots__ = ("position_nm", "similarity", "location_id", "segment_id", "source_id", "exact", "example", "why")
    POSITION_NM_FIELD_NUMBER: _ClassVar[int]
    SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    LOCATION_ID_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    position_nm: _types_pb2.PositionNm
    similarity: float
    location_id: int
    segment_id: int
    source_id: int
    exact: bool
    example: int
    why: str
    def __init__(self, position_nm: _Optional[_Union[_types_pb2.PositionNm, _Mapping]] = ..., similarity: _Optional[float] = ..., location_id: _Optional[int] = ..., segment_id: _Optional[int] = ..., source_id: _Optional[int] = ..., exact: bool = ..., example: _Optional[int] = ..., why: _Optional[str] = ...) -> None: ...

class FindSimilarResponse(_message.Message):
    __slots__ = ("hits", "query_position_nm", "query_location_id", "complete", "reason", "candidates_examined", "exact", "query_vector", "next_page_token", "missing")
    HITS_FIELD_NUMBER: _ClassVar[int]
    QUERY_POSITION_NM_FIELD_NUMBER: _ClassVar[int]
    QUERY_LOCATION_ID_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_EXAMINED_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    QUERY_VECTOR_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    hits: _containers.RepeatedCompositeFieldContainer[Hit]
    query_position_nm: _types_pb2.PositionNm
    query_location_id: int
    complete: bool
    reason: str
    candidates_examined: int
    exact: bool
    query_vector: _types_pb2.Vector
    next_page_token: bytes
    missing: str
    def __init__(self, hits: _Optional[_Iterable[_Union[Hit, _Mapping]]] = ..., query_position_nm: _Optional[_Union[_types_pb2.PositionNm, _Mapping]] = ..., query_location_id: _Optional[int] = ..., complete: bool = ..., reason: _Optional[str] = ..., candidates_examined: _Optional[int] = ..., exact: bool = ..., query_vector: _Optional[_Union[_types_pb2.Vector, _Mapping]] = ..., next_page_token: _Optional[bytes] = ..., missing: _Optional[str] = ...) -> None: ...

class FindEachRequest(_message.Message):
    __slots__ = ("atlas", "vectors", "k", "min_separation_nm", "filters", "per_segment", "at_least")
    ATLAS_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    MIN_SEPARATION_NM_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    PER_SEGMENT_FIELD_NUMBER: _ClassVar[int]
    AT_LEAST_FIELD_NUMBER: _ClassVar[int]
    atlas: str
    vectors: _types_pb2.Vectors
    k: int
    min_separation_nm: float
    filters: Filters
    per_segment: int
    at_least: float
    def __init__(self, atlas: _Optional[str] = ..., vectors: _Optional[_Union[_types_pb2.Vectors, _Mapping]] = ..., k: _Optional[int] = ..., min_separation_nm: _Optional[float] = ..., filters: _Optional[_Union[Filters, _Mapping]] = ..., per_segment: _Optional[int] = ..., at_least: _Optional[float] = ...) -> None: ...

class FindEachResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[FindSimilarResponse]
    def __init__(self, results: _Optional[_Iterable[_Union[FindSimilarResponse, _Mapping]]] = ...) -> None: ...

class FindAllRequest(_message.Message):
    __slots__ = ("atlas", "query", "at_least", "filters")
    ATLAS_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    AT_LEAST_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    atlas: str
    query: Query
    at_least: float
    filters: Filters
    def __init__(self, atlas: _Optional[str] = ..., query: _Optional[_Union[Query, _Mapping]] = ..., at_least: _Optional[float] = ..., filters: _Optional[_Union[Filters, _Mapping]] = ...) -> None: ...

class FindAllResponse(_message.Message):
    __slots__ = ("hits", "shards_done", "shards", "stopped")
    HITS_FIELD_NUMBER: _ClassVar[int]
    SHARDS_DONE_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    hits: _containers.RepeatedCompositeFieldContainer[Hit]
    shards_done: int
    shards: int
    stopped: str
    def __init__(self, hits: _Optional[_Iterable[_Union[Hit, _Mapping]]] = ..., shards_done: _Optional[int] = ..., shards: _Optional[int] = ..., stopped: _Optional[str] = ...) -> None: ...

class MapSimilarityRequest(_message.Message):
    __slots__ = ("atlas", "query", "box_nm", "map_type")
    ATLAS_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    BOX_NM_FIELD_NUMBER: _ClassVar[int]
    MAP_TYPE_FIELD_NUMBER: _ClassVar[int]
    atlas: str
    query: Query
    box_nm: _types_pb2.BoxNm
    map_type: MapType
    def __init__(self, atlas: _Optional[str] = ..., query: _Optional[_Union[Query, _Mapping]] = ..., box_nm: _Optional[_Union[_types_pb2.BoxNm, _Mapping]] = ..., map_type: _Optional[_Union[MapType, str]] = ...) -> None: ...

class MapSimilarityResponse(_message.Message):
    __slots__ = ("values", "shape", "map_type", "first_nm", "step_nm", "lowest", "highest")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    MAP_TYPE_FIELD_NUMBER: _ClassVar[int]
    FIRST_NM_FIELD_NUMBER: _ClassVar[int]
    STEP_NM_FIELD_NUMBER: _ClassVar[int]
    LOWEST_FIELD_NUMBER: _ClassVar[int]
    HIGHEST_FIELD_NUMBER: _ClassVar[int]
    values: bytes
    shape: _types_pb2.Counts
    map_type: MapType
    first_nm: _types_pb2.PositionNm
    step_nm: _types_pb2.PositionNm
    lowest: float
    highest: float
    def __init__(self, values: _Optional[bytes] = ..., shape: _Optional[_Union[_types_pb2.Counts, _Mapping]] = ..., map_type: _Optional[_Union[MapType, str]] = ..., first_nm: _Optional[_Union[_types_pb2.PositionNm, _Mapping]] = ..., step_nm: _Optional[_Union[_types_pb2.PositionNm, _Mapping]] = ..., lowest: _Optional[float] = ..., highest: _Optional[float] = ...) -> None: ...

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
