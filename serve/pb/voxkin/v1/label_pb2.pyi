from serve.pb.voxkin.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LabelClass(_message.Message):
    __slots__ = ("name", "colour", "key", "labels")
    NAME_FIELD_NUMBER: _ClassVar[int]
    COLOUR_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    name: str
    colour: str
    key: str
    labels: int
    def __init__(self, name: _Optional[str] = ..., colour: _Optional[str] = ..., key: _Optional[str] = ..., labels: _Optional[int] = ...) -> None: ...

class LabelSet(_message.Message):
    __slots__ = ("name", "classes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    name: str
    classes: _containers.RepeatedCompositeFieldContainer[LabelClass]
    def __init__(self, name: _Optional[str] = ..., classes: _Optional[_Iterable[_Union[LabelClass, _Mapping]]] = ...) -> None: ...

class Label(_message.Message):
    __slots__ = ("id", "position_nm", "location_id", "set", "label", "author", "time", "source", "segment")
    ID_FIELD_NUMBER: _ClassVar[int]
    POSITION_NM_FIELD_NUMBER: _ClassVar[int]
    LOCATION_ID_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    id: int
    position_nm: _types_pb2.PositionNm
    location_id: int
    set: str
    label: str
    author: str
    time: str
    source: str
    segment: int
    def __init__(self, id: _Optional[int] = ..., position_nm: _Optional[_Union[_types_pb2.PositionNm, _Mapping]] = ..., location_id: _Optional[int] = ..., set: _Optional[str] = ..., label: _Optional[str] = ..., author: _Optional[str] = ..., time: _Optional[str] = ..., source: _Optional[str] = ..., segment: _Optional[int] = ...) -> None: ...

class ListLabelSetsRequest(_message.Message):
    __slots__ = ("atlas",)
    ATLAS_FIELD_NUMBER: _ClassVar[int]
    atlas: str
    def __init__(self, atlas: _Optional[str] = ...) -> None: ...

class ListLabelSetsResponse(_message.Message):
    __slots__ = ("sets", "revision")
    SETS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    sets: _containers.RepeatedCompositeFieldContainer[LabelSet]
    revision: int
    def __init__(self, sets: _Optional[_Iterable[_Union[LabelSet, _Mapping]]] = ..., revision: _Optional[int] = ...) -> None: ...

class PutLabelSetRequest(_message.Message):
    __slots__ = ("atlas", "set")
    ATLAS_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    atlas: str
    set: LabelSet
    def __init__(self, atlas: _Optional[str] = ..., set: _Optional[_Union[LabelSet, _Mapping]] = ...) -> None: ...

class PutLabelSetResponse(_message.Message):
    __slots__ = ("revision",)
    REVISION_FIELD_NUMBER: _ClassVar[int]
    revision: int
    def __init__(self, revision: _Optional[int] = ...) -> None: ...

class ListLabelsRequest(_message.Message):
    __slots__ = ("atlas", "set", "after", "limit")
    ATLAS_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    atlas: str
    set: str
    after: int
    limit: int
    def __init__(self, atlas: _Optional[str] = ..., set: _Optional[str] = ..., after: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class ListLabelsResponse(_message.Message):
    __slots__ = ("labels", "removed", "revision", "more")
    LABELS_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    labels: _containers.RepeatedCompositeFieldContainer[Label]
    removed: _containers.RepeatedScalarFieldContainer[int]
    revision: int
    more: bool
    def __init__(self, labels: _Optional[_Iterable[_Union[Label, _Mapping]]] = ..., removed: _Optional[_Iterable[int]] = ..., revision: _Optional[int] = ..., more: bool = ...) -> None: ...

class NewLabel(_message.Message):
    __slots__ = ("position_nm", "label")
    POSITION_NM_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    position_nm: _types_pb2.PositionNm
    label: str
    def __init__(self, position_nm: _Optional[_Union[_types_pb2.PositionNm, _Mapping]] = ..., label: _Optional[str] = ...) -> None: ...

class AddLabelsRequest(_message.Message):
    __slots__ = ("atlas", "set", "author", "places", "source")
    ATLAS_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    atlas: str
    set: str
    author: str
    places: _containers.RepeatedCompositeFieldContainer[NewLabel]
    source: str
    def __init__(self, atlas: _Optional[str] = ..., set: _Optional[str] = ..., author: _Optional[str] = ..., places: _Optional[_Iterable[_Union[NewLabel, _Mapping]]] = ..., source: _Optional[str] = ...) -> None: ...

class AddLabelsResponse(_message.Message):
    __slots__ = ("labels", "revision")
    LABELS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    labels: _containers.RepeatedCompositeFieldContainer[Label]
    revision: int
    def __init__(self, labels: _Optional[_Iterable[_Union[Label, _Mapping]]] = ..., revision: _Optional[int] = ...) -> None: ...

class RemoveLabelRequest(_message.Message):
    __slots__ = ("atlas", "id", "author")
    ATLAS_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    atlas: str
    id: int
    author: str
    def __init__(self, atlas: _Optional[str] = ..., id: _Optional[int] = ..., author: _Optional[str] = ...) -> None: ...

class RemoveLabelResponse(_message.Message):
    __slots__ = ("revision",)
    REVISION_FIELD_NUMBER: _ClassVar[int]
    revision: int
    def __init__(self, revision: _Optional[int] = ...) -> None: ...

class UndoLabelsRequest(_message.Message):
    __slots__ = ("atlas", "author")
    ATLAS_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    atlas: str
    author: str
    def __init__(self, atlas: _Optional[str] = ..., author: _Optional[str] = ...) -> None: ...

class UndoLabelsResponse(_message.Message):
    __slots__ = ("undone", "revision")
    UNDONE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    undone: str
    revision: int
    def __init__(self, undone: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...
