from serve.pb.voxkin.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ProbeKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROBE_KIND_UNSPECIFIED: _ClassVar[ProbeKind]
    PROBE_KIND_MULTICLASS: _ClassVar[ProbeKind]
    PROBE_KIND_MULTILABEL: _ClassVar[ProbeKind]

class PriorSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRIOR_SOURCE_UNSPECIFIED: _ClassVar[PriorSource]
    PRIOR_SOURCE_ESTIMATED: _ClassVar[PriorSource]
    PRIOR_SOURCE_GIVEN: _ClassVar[PriorSource]
    PRIOR_SOURCE_NONE: _ClassVar[PriorSource]

class SuggestionKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SUGGESTION_KIND_UNSPECIFIED: _ClassVar[SuggestionKind]
    SUGGESTION_KIND_MIXED: _ClassVar[SuggestionKind]
    SUGGESTION_KIND_UNCERTAIN: _ClassVar[SuggestionKind]
    SUGGESTION_KIND_LIKELY: _ClassVar[SuggestionKind]
    SUGGESTION_KIND_UNKNOWN: _ClassVar[SuggestionKind]
PROBE_KIND_UNSPECIFIED: ProbeKind
PROBE_KIND_MULTICLASS: ProbeKind
PROBE_KIND_MULTILABEL: ProbeKind
PRIOR_SOURCE_UNSPECIFIED: PriorSource
PRIOR_SOURCE_ESTIMATED: PriorSource
PRIOR_SOURCE_GIVEN: PriorSource
PRIOR_SOURCE_NONE: PriorSource
SUGGESTION_KIND_UNSPECIFIED: SuggestionKind
SUGGESTION_KIND_MIXED: SuggestionKind
SUGGESTION_KIND_UNCERTAIN: SuggestionKind
SUGGESTION_KIND_LIKELY: SuggestionKind
SUGGESTION_KIND_UNKNOWN: SuggestionKind

class LabelledPlace(_message.Message):
    __slots__ = ("position_nm", "label")
    POSITION_NM_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    position_nm: _types_pb2.PositionNm
    label: str
    def __init__(self, position_nm: _Optional[_Union[_types_pb2.PositionNm, _Mapping]] = ..., label: _Optional[str] = ...) -> None: ...

class TrainProbeRequest(_message.Message):
    __slots__ = ("atlas", "name", "places", "sets", "kind", "prior_source", "prior")
    class PriorEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    ATLAS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    SETS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PRIOR_SOURCE_FIELD_NUMBER: _ClassVar[int]
    PRIOR_FIELD_NUMBER: _ClassVar[int]
    atlas: str
    name: str
    places: _containers.RepeatedCompositeFieldContainer[LabelledPlace]
    sets: _containers.RepeatedScalarFieldContainer[str]
    kind: ProbeKind
    prior_source: PriorSource
    prior: _containers.ScalarMap[str, float]
    def __init__(self, atlas: _Optional[str] = ..., name: _Optional[str] = ..., places: _Optional[_Iterable[_Union[LabelledPlace, _Mapping]]] = ..., sets: _Optional[_Iterable[str]] = ..., kind: _Optional[_Union[ProbeKind, str]] = ..., prior_source: _Optional[_Union[PriorSource, str]] = ..., prior: _Optional[_Mapping[str, float]] = ...) -> None: ...

class TrainProbeResponse(_message.Message):
    __slots__ = ("probe",)
    PROBE_FIELD_NUMBER: _ClassVar[int]
    probe: Probe
    def __init__(self, probe: _Optional[_Union[Probe, _Mapping]] = ...) -> None: ...

class Probe(_message.Message):
    __slots__ = ("name", "classes", "labels", "scores", "unscored", "encoder_fingerprint", "created", "kind", "learning_curve", "prior", "prior_source", "version", "versions", "restored", "labels_from", "sets")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class PriorEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    UNSCORED_FIELD_NUMBER: _ClassVar[int]
    ENCODER_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LEARNING_CURVE_FIELD_NUMBER: _ClassVar[int]
    PRIOR_FIELD_NUMBER: _ClassVar[int]
    PRIOR_SOURCE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    RESTORED_FIELD_NUMBER: _ClassVar[int]
    LABELS_FROM_FIELD_NUMBER: _ClassVar[int]
    SETS_FIELD_NUMBER: _ClassVar[int]
    name: str
    classes: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.ScalarMap[str, int]
    scores: ProbeScores
    unscored: str
    encoder_fingerprint: str
    created: str
    kind: ProbeKind
    learning_curve: _containers.RepeatedCompositeFieldContainer[CurvePoint]
    prior: _containers.ScalarMap[str, float]
    prior_source: PriorSource
    version: int
    versions: int
    restored: int
    labels_from: str
    sets: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., classes: _Optional[_Iterable[str]] = ..., labels: _Optional[_Mapping[str, int]] = ..., scores: _Optional[_Union[ProbeScores, _Mapping]] = ..., unscored: _Optional[str] = ..., encoder_fingerprint: _Optional[str] = ..., created: _Optional[str] = ..., kind: _Optional[_Union[ProbeKind, str]] = ..., learning_curve: _Optional[_Iterable[_Union[CurvePoint, _Mapping]]] = ..., prior: _Optional[_Mapping[str, float]] = ..., prior_source: _Optional[_Union[PriorSource, str]] = ..., version: _Optional[int] = ..., versions: _Optional[int] = ..., restored: _Optional[int] = ..., labels_from: _Optional[str] = ..., sets: _Optional[_Iterable[str]] = ...) -> None: ...

class CurvePoint(_message.Message):
    __slots__ = ("labels", "score", "deviation")
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    DEVIATION_FIELD_NUMBER: _ClassVar[int]
    labels: int
    score: float
    deviation: float
    def __init__(self, labels: _Optional[int] = ..., score: _Optional[float] = ..., deviation: _Optional[float] = ...) -> None: ...

class ProbeScores(_message.Message):
    __slots__ = ("folds", "balanced_accuracy", "f1", "average_precision", "calibration_error", "uncalibrated_error")
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
    CALIBRATION_ERROR_FIELD_NUMBER: _ClassVar[int]
    UNCALIBRATED_ERROR_FIELD_NUMBER: _ClassVar[int]
    folds: int
    balanced_accuracy: float
    f1: float
    average_precision: _containers.ScalarMap[str, float]
    calibration_error: float
    uncalibrated_error: float
    def __init__(self, folds: _Optional[int] = ..., balanced_accuracy: _Optional[float] = ..., f1: _Optional[float] = ..., average_precision: _Optional[_Mapping[str, float]] = ..., calibration_error: _Optional[float] = ..., uncalibrated_error: _Optional[float] = ...) -> None: ...

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

class SuggestRequest(_message.Message):
    __slots__ = ("atlas", "name", "k", "kind", "label")
    ATLAS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    atlas: str
    name: str
    k: int
    kind: SuggestionKind
    label: str
    def __init__(self, atlas: _Optional[str] = ..., name: _Optional[str] = ..., k: _Optional[int] = ..., kind: _Optional[_Union[SuggestionKind, str]] = ..., label: _Optional[str] = ...) -> None: ...

class SuggestResponse(_message.Message):
    __slots__ = ("places",)
    PLACES_FIELD_NUMBER: _ClassVar[int]
    places: _containers.RepeatedCompositeFieldContainer[Suggestion]
    def __init__(self, places: _Optional[_Iterable[_Union[Suggestion, _Mapping]]] = ...) -> None: ...

class Suggestion(_message.Message):
    __slots__ = ("location_id", "position_nm", "probabilities", "uncertainty", "unknown", "why")
    class ProbabilitiesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    LOCATION_ID_FIELD_NUMBER: _ClassVar[int]
    POSITION_NM_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    UNCERTAINTY_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    location_id: int
    position_nm: _types_pb2.PositionNm
    probabilities: _containers.ScalarMap[str, float]
    uncertainty: float
    unknown: float
    why: str
    def __init__(self, location_id: _Optional[int] = ..., position_nm: _Optional[_Union[_types_pb2.PositionNm, _Mapping]] = ..., probabilities: _Optional[_Mapping[str, float]] = ..., uncertainty: _Optional[float] = ..., unknown: _Optional[float] = ..., why: _Optional[str] = ...) -> None: ...

class RollbackProbeRequest(_message.Message):
    __slots__ = ("atlas", "name", "version")
    ATLAS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    atlas: str
    name: str
    version: int
    def __init__(self, atlas: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class RollbackProbeResponse(_message.Message):
    __slots__ = ("probe",)
    PROBE_FIELD_NUMBER: _ClassVar[int]
    probe: Probe
    def __init__(self, probe: _Optional[_Union[Probe, _Mapping]] = ...) -> None: ...
