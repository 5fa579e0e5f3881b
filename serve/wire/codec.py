"""Messages to what the library speaks, and back: places, vectors, voxels and searches.

With the opening of volumes, this is the only code that turns x, y, z into ZYX. What a caller sent
is checked here for shape and size, by RequestError; what it means is checked where it is used.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Shaped

from embed.errors import RequestError
from embed.geometry import XyzFloat, zyx
from serve.hits import Hit, SearchResult
from serve.pb.voxkin.v1 import search_pb2, types_pb2
from serve.wire.answers import CutOutEmbeddings, Xyz

MAX_MESSAGE_BYTES = 64 * 2**20
"""Of a message, both ways: a cut-out of 400 voxels an edge, or a map of a million places."""

VOXEL_TYPES: dict[types_pb2.VoxelType, np.dtype] = {
    types_pb2.VOXEL_TYPE_UINT8: np.dtype("u1"),
    types_pb2.VOXEL_TYPE_UINT16: np.dtype("<u2"),
    types_pb2.VOXEL_TYPE_INT16: np.dtype("<i2"),
    types_pb2.VOXEL_TYPE_FLOAT32: np.dtype("<f4"),
}
_TYPE_NAMES = ", ".join(str(dtype.name) for dtype in VOXEL_TYPES.values())
_FLOAT = np.dtype("<f4")
_UINT32_MAX = 2**32 - 1


def position(nm_xyz: XyzFloat) -> types_pb2.PositionNm:
    """A position in nm."""
    x, y, z = nm_xyz
    return types_pb2.PositionNm(x=x, y=y, z=z)


def read_position(message: types_pb2.PositionNm) -> XyzFloat:
    """The XYZ of a position in nm."""
    return message.x, message.y, message.z


def counts(xyz: Xyz) -> types_pb2.Counts:
    """Counts along the axes, from XYZ."""
    x, y, z = xyz
    return types_pb2.Counts(x=x, y=y, z=z)


def read_counts(message: types_pb2.Counts) -> Xyz:
    """Counts along the axes, XYZ."""
    return message.x, message.y, message.z


def vector(values: Float[np.ndarray, " dim"]) -> types_pb2.Vector:
    """A vector, rounded to float32."""
    packed = np.ascontiguousarray(values, _FLOAT)
    return types_pb2.Vector(values=packed.tobytes(), dim=packed.size)


def read_vector(message: types_pb2.Vector) -> Float32[np.ndarray, " dim"]:
    """The numbers of a vector.

    Raises:
        RequestError: the bytes are not as many as `dim` says.
    """
    expected = _FLOAT.itemsize * message.dim
    if len(message.values) != expected or message.dim == 0:
        raise RequestError(
            f"a vector of dim {message.dim} is {expected} bytes of little-endian float32 and has "
            f"at least one number; got {len(message.values)} bytes"
        )
    return np.frombuffer(message.values, _FLOAT).astype(np.float32)


def vector_grid(vectors: Float[np.ndarray, "z y x dim"]) -> types_pb2.VectorGrid:
    """Vectors on a grid, rounded to float32."""
    z, y, x, dim = vectors.shape
    values = np.ascontiguousarray(vectors, _FLOAT).tobytes()
    return types_pb2.VectorGrid(values=values, shape=counts((x, y, z)), dim=dim)


def read_vector_grid(message: types_pb2.VectorGrid) -> Float32[np.ndarray, "z y x dim"]:
    """The vectors of a grid."""
    shape = (message.shape.z, message.shape.y, message.shape.x, message.dim)
    return np.frombuffer(message.values, _FLOAT).reshape(shape).astype(np.float32)


def cut_out(voxels: Shaped[np.ndarray, "z y x"]) -> types_pb2.CutOut:
    """A cut-out to send.

    Raises:
        RequestError: it is not three-dimensional, is empty, or has another type than can be sent.
    """
    voxels = np.asarray(voxels)
    found = (t for t, dtype in VOXEL_TYPES.items() if dtype == voxels.dtype.newbyteorder("<"))
    voxel_type = next(found, None)
    if voxel_type is None:
        raise RequestError(f"voxels are {_TYPE_NAMES}; got {voxels.dtype.name}")
    if voxels.ndim != 3 or voxels.size == 0:
        raise RequestError(
            f"a cut-out has three axes (ZYX) and no empty one; got shape {voxels.shape}"
        )
    z, y, x = voxels.shape
    packed = np.ascontiguousarray(voxels, VOXEL_TYPES[voxel_type]).tobytes()
    return types_pb2.CutOut(voxels=packed, shape=counts((x, y, z)), voxel_type=voxel_type)


def read_cut_out(message: types_pb2.CutOut) -> Shaped[np.ndarray, "z y x"]:
    """The voxels of a cut-out; nothing is allocated before its size has been checked.

    Raises:
        RequestError: the type is unknown, or the bytes do not fit the shape.
    """
    dtype = VOXEL_TYPES.get(message.voxel_type)
    if dtype is None:
        raise RequestError(f"voxel_type {message.voxel_type} is not known; there are {_TYPE_NAMES}")
    x, y, z = read_counts(message.shape)
    expected = x * y * z * dtype.itemsize
    if expected == 0 or len(message.voxels) != expected:
        raise RequestError(
            f"a cut-out of {x} x {y} x {z} voxels (XYZ) of {dtype.name} is {expected} bytes, more "
            f"than none; got {len(message.voxels)}"
        )
    return np.frombuffer(message.voxels, dtype).reshape(z, y, x)


def embeddings(found: CutOutEmbeddings) -> search_pb2.EmbedResponse:
    """The embeddings of a cut-out."""
    return search_pb2.EmbedResponse(
        vectors=vector_grid(found.vectors),
        centre=vector(found.centre),
        stride_voxels=counts(zyx(found.stride[::-1])),
        fov_voxels=counts(zyx(found.fov[::-1])),
    )


def read_embeddings(message: search_pb2.EmbedResponse) -> CutOutEmbeddings:
    """The embeddings that a server made."""
    return CutOutEmbeddings(
        vectors=read_vector_grid(message.vectors),
        centre=read_vector(message.centre),
        stride=zyx(read_counts(message.stride_voxels)[::-1]),
        fov=zyx(read_counts(message.fov_voxels)[::-1]),
    )


def find_request(
    atlas: str,
    position_nm_xyz: Sequence[float] | None,
    similar_to: Float[np.ndarray, " dim"] | Sequence[float] | None,
    k: int,
    min_separation_nm: float | None,
) -> search_pb2.FindSimilarRequest:
    """A search by a position or by a vector.

    Raises:
        RequestError: not exactly one of the two is given, or a message cannot hold an argument.
    """
    if (position_nm_xyz is None) == (similar_to is None):
        raise RequestError("say what to look for: a position or a vector, not both")
    if not 0 <= k <= _UINT32_MAX:
        raise RequestError(f"k is the number of hits, at least 1; got {k}")
    request = search_pb2.FindSimilarRequest(atlas=atlas, k=k, min_separation_nm=min_separation_nm)
    if position_nm_xyz is None:
        request.vector.CopyFrom(vector(np.asarray(similar_to, np.float32).reshape(-1)))
    elif len(position_nm_xyz) == 3:
        x, y, z = map(float, position_nm_xyz)
        request.position_nm.CopyFrom(position((x, y, z)))
    else:
        raise RequestError(f"a position is three numbers in nm (XYZ); got {position_nm_xyz}")
    return request


def search_result(result: SearchResult) -> search_pb2.FindSimilarResponse:
    """What was found."""
    message = search_pb2.FindSimilarResponse(**_beside_hits(result))
    add_hits(message, result.hits)
    return message


def search_results(results: Iterable[SearchResult]) -> search_pb2.FindEachResponse:
    """What was found for each of many vectors."""
    message = search_pb2.FindEachResponse()
    for result in results:
        add_hits(message.results.add(**_beside_hits(result)), result.hits)
    return message


def _beside_hits(result: SearchResult) -> dict[str, Any]:
    return {
        "query_position_nm": None if result.query_nm_xyz is None else position(result.query_nm_xyz),
        "query_location_id": result.query_id,
        "complete": result.complete,
        "reason": result.reason,
        "candidates_examined": result.candidates,
        "exact": result.exact,
        "query_vector": None if result.query_vector is None else vector(result.query_vector),
        "next_page_token": result.next_page,
        "missing": result.missing,
    }


def add_hits(
    message: search_pb2.FindSimilarResponse | search_pb2.FindAllResponse, found: Iterable[Hit]
) -> None:
    """Tells of places that were found.

    In the message itself, field by field: making one of each and copying it there takes three times
    as long, which was a twentieth of a search.
    """
    for hit in found:
        told = message.hits.add()
        told.similarity, told.location_id, told.why = hit.similarity, hit.id, hit.why
        if hit.exact:
            told.exact = True
        if hit.segment is not None:
            told.segment_id = hit.segment
        if hit.source is not None:
            told.source_id = hit.source
        if hit.example is not None:
            told.example = hit.example
        at = told.position_nm
        at.x, at.y, at.z = hit.position_nm_xyz


def read_search_result(message: search_pb2.FindSimilarResponse) -> SearchResult:
    """What a server found."""
    by_place = message.HasField("query_position_nm")
    return SearchResult(
        hits=tuple(map(read_hit, message.hits)),
        query_id=message.query_location_id if by_place else None,
        query_nm_xyz=read_position(message.query_position_nm) if by_place else None,
        complete=message.complete,
        reason=message.reason,
        candidates=message.candidates_examined,
        exact=message.exact,
        query_vector=read_vector(message.query_vector)
        if message.HasField("query_vector")
        else None,
        next_page=message.next_page_token,
        missing=message.missing,
    )


def read_hit(message: search_pb2.Hit) -> Hit:
    """A place that a server found."""
    return Hit(
        id=message.location_id,
        position_nm_xyz=read_position(message.position_nm),
        similarity=message.similarity,
        segment=message.segment_id if message.HasField("segment_id") else None,
        source=message.source_id if message.HasField("source_id") else None,
        exact=message.exact,
        example=message.example if message.HasField("example") else None,
        why=message.why,
    )
