from serve.pb.voxkin.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LabelledPlace(_message.Message):
    __slots__ = ("position_nm", "label")
    POSITION_NM_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    position_nm: _types_pb2.PositionNm
    label: str
    def __init__(self, position_nm: _Optional[_Union[_types_pb2.PositionNm, _Mapping]] = ..., label: _Optional[str] = ...) -> None: ...

class TrainProbeRequest(_message.Message):
    __slots__ = ("atlas", "name", "places")
    ATLAS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    atlas: str
    name: str
    places: _containers.RepeatedCompositeFieldContainer[LabelledPlace]
    def __init__(self, atlas: _Optional[str] = ..., name: _Optional[str] = ..., places: _Optional[_Iterable[_Union[LabelledPlace, _Mapping]]] = ...) -> None: ...

class TrainProbeResponse(_message.Message):
    __slots__ = ("probe",)
    PROBE_FIELD_NUMBER: _ClassVar[int]
    probe: Probe
    def __init__(self, probe: _Optional[_Union[Probe, _Mapping]] = ...) -> None: ...

class Probe(_message.Message):
    __slots__ = ("name", "classes", "labels", "scores", "unscored", "encoder_fingerprint", "created")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    UNSCORED_FIELD_NUMBER: _ClassVar[int]
    ENCODER_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    name: str
    classes: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.ScalarMap[str, int]
    scores: ProbeScores
    unscored: str
    encoder_fingerprint: str
    created: str
    def __init__(self, name: _Optional[str] = ..., classes: _Optional[_Iterable[str]] = ..., labels: _Optional[_Mapping[str, int]] = ..., scores: _Optional[_Union[ProbeScores, _Mapping]] = ..., unscored: _Optional[str] = ..., encoder_fingerprint: _Optional[str] = ..., created: _Optional[str] = ...) -> None: ...

class ProbeScores(_message.Message):
    __slots__ = ("folds", "balanced_accuracy", "f1", "average_precision")
    class AveragePrecisionEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    FOLDS_FIELD_NUMBER: _ClassVar[int]
    BALANCED_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    F1_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_PRECISION_FIELD_NUMBER: _ClassVar[int]
    folds: int
    balanced_accuracy: float
    f1: float
    average_precision: _containers.ScalarMap[str, float]
    def __init__(self, folds: _Optional[int] = ..., balanced_accuracy: _Optional[float] = ..., f1: _Optional[float] = ..., average_precision: _Optional[_Mapping[str, float]] = ...) -> None: ...

class ApplyProbeRequest(_message.Message):
    __slots__ = ("atlas", "name")
    ATLAS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    atlas: str
    name: str
    def __init__(self, atlas: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class ApplyProbeResponse(_message.Message):
    __slots__ = ("progress", "map")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    MAP_FIELD_NUMBER: _ClassVar[int]
    progress: Progress
    map: ProbeMap
    def __init__(self, progress: _Optional[_Union[Progress, _Mapping]] = ..., map: _Optional[_Union[ProbeMap, _Mapping]] = ...) -> None: ...

class ProbeMap(_message.Message):
    __slots__ = ("path", "locations", "voids")
    class LocationsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    PATH_FIELD_NUMBER: _ClassVar[int]
    LOCATIONS_FIELD_NUMBER: _ClassVar[int]
    VOIDS_FIELD_NUMBER: _ClassVar[int]
    path: str
    locations: _containers.ScalarMap[str, int]
    voids: int
    def __init__(self, path: _Optional[str] = ..., locations: _Optional[_Mapping[str, int]] = ..., voids: _Optional[int] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("done", "total")
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    done: int
    total: int
    def __init__(self, done: _Optional[int] = ..., total: _Optional[int] = ...) -> None: ...

class ListProbesRequest(_message.Message):
    __slots__ = ("atlas",)
    ATLAS_FIELD_NUMBER: _ClassVar[int]
    atlas: str
    def __init__(self, atlas: _Optional[str] = ...) -> None: ...

class ListProbesResponse(_message.Message):
    __slots__ = ("probes",)
    PROBES_FIELD_NUMBER: _ClassVar[int]
    probes: _containers.RepeatedCompositeFieldContainer[Probe]
    def __init__(self, probes: _Optional[_Iterable[_Union[Probe, _Mapping]]] = ...) -> None: ...
