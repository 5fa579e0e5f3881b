from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class VoxelType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VOXEL_TYPE_UNSPECIFIED: _ClassVar[VoxelType]
    VOXEL_TYPE_UINT8: _ClassVar[VoxelType]
    VOXEL_TYPE_UINT16: _ClassVar[VoxelType]
    VOXEL_TYPE_INT16: _ClassVar[VoxelType]
    VOXEL_TYPE_FLOAT32: _ClassVar[VoxelType]
VOXEL_TYPE_UNSPECIFIED: VoxelType
VOXEL_TYPE_UINT8: VoxelType
VOXEL_TYPE_UINT16: VoxelType
VOXEL_TYPE_INT16: VoxelType
VOXEL_TYPE_FLOAT32: VoxelType

class PositionNm(_message.Message):
    __slots__ = ("x", "y", "z")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    Z_FIELD_NUMBER: _ClassVar[int]
    x: float
    y: float
    z: float
    def __init__(self, x: _Optional[float] = ..., y: _Optional[float] = ..., z: _Optional[float] = ...) -> None: ...

class BoxNm(_message.Message):
    __slots__ = ("start", "stop")
    START_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    start: PositionNm
    stop: PositionNm
    def __init__(self, start: _Optional[_Union[PositionNm, _Mapping]] = ..., stop: _Optional[_Union[PositionNm, _Mapping]] = ...) -> None: ...

class Counts(_message.Message):
    __slots__ = ("x", "y", "z")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    Z_FIELD_NUMBER: _ClassVar[int]
    x: int
    y: int
    z: int
    def __init__(self, x: _Optional[int] = ..., y: _Optional[int] = ..., z: _Optional[int] = ...) -> None: ...

class Vector(_message.Message):
    __slots__ = ("values", "dim")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    DIM_FIELD_NUMBER: _ClassVar[int]
    values: bytes
    dim: int
    def __init__(self, values: _Optional[bytes] = ..., dim: _Optional[int] = ...) -> None: ...

class Vectors(_message.Message):
    __slots__ = ("values", "count", "dim")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    DIM_FIELD_NUMBER: _ClassVar[int]
    values: bytes
    count: int
    dim: int
    def __init__(self, values: _Optional[bytes] = ..., count: _Optional[int] = ..., dim: _Optional[int] = ...) -> None: ...

class VectorGrid(_message.Message):
    __slots__ = ("values", "shape", "dim")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DIM_FIELD_NUMBER: _ClassVar[int]
    values: bytes
    shape: Counts
    dim: int
    def __init__(self, values: _Optional[bytes] = ..., shape: _Optional[_Union[Counts, _Mapping]] = ..., dim: _Optional[int] = ...) -> None: ...

class CutOut(_message.Message):
    __slots__ = ("voxels", "shape", "voxel_type")
    VOXELS_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    VOXEL_TYPE_FIELD_NUMBER: _ClassVar[int]
    voxels: bytes
    shape: Counts
    voxel_type: VoxelType
    def __init__(self, voxels: _Optional[bytes] = ..., shape: _Optional[_Union[Counts, _Mapping]] = ..., voxel_type: _Optional[_Union[VoxelType, str]] = ...) -> None: ...
