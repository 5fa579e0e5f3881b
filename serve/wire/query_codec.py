"""Messages to queries and wishes, and back; maps of similarity."""

from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from embed.errors import RequestError
from embed.geometry import XyzFloat
from serve.pb.voxkin.v1 import search_pb2, types_pb2
from serve.queries import MODES, BoxNm, ClassFilter, Filters, LabelFilter, Mode, Query, Wish
from serve.searching.similarity_map import SimilarityMap
from serve.wire.codec import (
    counts,
    cut_out,
    position,
    read_counts,
    read_cut_out,
    read_position,
    read_vector,
    vector,
)

_UINT32_MAX = 2**32 - 1
_FLOAT = np.dtype("<f4")
_MODES: dict[search_pb2.QueryMode, Mode] = {
    search_pb2.QUERY_MODE_UNSPECIFIED: "average",
    search_pb2.QUERY_MODE_AVERAGE: "average",
    search_pb2.QUERY_MODE_BEST: "best",
    search_pb2.QUERY_MODE_LINEAR: "linear",
}
_MODE_OF: dict[Mode, search_pb2.QueryMode] = {
    name: number for number, name in _MODES.items() if number
}
_MAP_TYPES: dict[search_pb2.MapType, np.dtype] = {
    search_pb2.MAP_TYPE_UNSPECIFIED: np.dtype("u1"),
    search_pb2.MAP_TYPE_UINT8: np.dtype("u1"),
    search_pb2.MAP_TYPE_FLOAT16: np.dtype("<f2"),
}


def query(asked: Query) -> search_pb2.Query:
    """What places should be like."""
    return search_pb2.Query(
        like_nm=[position(nm_xyz) for nm_xyz in asked.like_nm_xyz],
        unlike_nm=[position(nm_xyz) for nm_xyz in asked.unlike_nm_xyz],
        like=[vector(np.asarray(v)) for v in asked.like],
        unlike=[vector(np.asarray(v)) for v in asked.unlike],
        cut_out=None if asked.cut_out is None else cut_out(asked.cut_out),
        mode=_MODE_OF[asked.mode],
        unlike_weight=asked.unlike_weight,
        typical_weight=asked.typical_weight,
        probe=asked.probe,
        probe_class=asked.probe_class,
    )


def read_query(message: search_pb2.Query) -> Query:
    """What places should be like.

    Raises:
        RequestError: the examples do not go together, or one is malformed.
    """
    mode = _MODES.get(message.mode)
    if mode is None:
        raise RequestError(f"mode {message.mode} is not known; there are {', '.join(MODES)}")
    weight = {"unlike_weight": message.unlike_weight} if message.HasField("unlike_weight") else {}
    return Query(
        like_nm_xyz=tuple(map(read_position, message.like_nm)),
        unlike_nm_xyz=tuple(map(read_position, message.unlike_nm)),
        like=tuple(map(read_vector, message.like)),
        unlike=tuple(map(read_vector, message.unlike)),
        cut_out=read_cut_out(message.cut_out) if message.HasField("cut_out") else None,
        mode=mode,
        typical_weight=message.typical_weight,
        probe=message.probe,
        probe_class=message.probe_class,
        **weight,
    )


def find_query(message: search_pb2.FindSimilarRequest) -> Query:
    """What a request is looking for.

    Raises:
        RequestError: it does not say, or what it says is malformed.
    """
    kind = message.WhichOneof("query")
    if kind == "position_nm":
        return Query(like_nm_xyz=(read_position(message.position_nm),))
    if kind == "vector":
        return Query(like=(read_vector(message.vector),))
    if kind == "examples":
        return read_query(message.examples)
    raise RequestError("say what to look for: position_nm or vector, or examples")


def find_request(atlas: str, asked: Query, wish: Wish) -> search_pb2.FindSimilarRequest:
    """A search."""
    return search_pb2.FindSimilarRequest(
        atlas=atlas, examples=query(asked), page_token=wish.page, **_wish(wish)
    )


def each_request(
    atlas: str, vectors: Float[np.ndarray, "n dim"], wish: Wish
) -> search_pb2.FindEachRequest:
    """A search by each of many vectors.

    Raises:
        RequestError: they are no table, or the wish is for a later page.
    """
    if wish.page:
        raise RequestError("the next page is asked for one vector at a time")
    table = np.asarray(vectors, _FLOAT)
    if table.ndim != 2:
        raise RequestError(f"vectors are a table, one a row; got shape {table.shape}")
    packed = types_pb2.Vectors(values=table.tobytes(), count=table.shape[0], dim=table.shape[1])
    return search_pb2.FindEachRequest(atlas=atlas, vectors=packed, **_wish(wish))


def read_vectors(message: types_pb2.Vectors) -> Float32[np.ndarray, "n dim"]:
    """Vectors, one a row; nothing is allocated before their size has been checked.

    Raises:
        RequestError: the bytes are not as many as `count` and `dim` say.
    """
    expected = _FLOAT.itemsize * message.count * message.dim
    if expected == 0 or len(message.values) != expected:
        raise RequestError(
            f"{message.count} vectors of dim {message.dim} are {expected} bytes of little-endian "
            f"float32, more than none; got {len(message.values)} bytes"
        )
    table = np.frombuffer(message.values, _FLOAT).reshape(message.count, message.dim)
    return table.astype(np.float32)


def read_wish(message: search_pb2.FindSimilarRequest | search_pb2.FindEachRequest) -> Wish:
    """How many places are wanted, and which.

    Raises:
        RequestError: a number is out of its range, or a box is empty.
    """
    names = ("k", "min_separation_nm", "per_segment", "at_least")
    said: dict[str, Any] = {n: getattr(message, n) for n in names if message.HasField(n)}
    page = message.page_token if isinstance(message, search_pb2.FindSimilarRequest) else b""
    return Wish(filters=read_filters(message.filters), page=page, **said)


def filters(asked: Filters) -> search_pb2.Filters:
    """Which places may be found."""
    return search_pb2.Filters(
        boxes_nm=map(box, asked.boxes_nm),
        segments=sorted(asked.segments),
        not_segments=sorted(asked.not_segments),
        masks=sorted(asked.masks),
        classes=[
            search_pb2.ClassFilter(
                probe=wanted.probe, probe_class=wanted.probe_class, at_least=wanted.at_least
            )
            for wanted in asked.classes
        ],
        labels=map(_label, asked.labels),
        not_labels=map(_label, asked.not_labels),
    )


def read_filters(message: search_pb2.Filters) -> Filters:
    """Which places may be found.

    Raises:
        RequestError: a box is empty, or a number is out of its range.
    """
    if not message.ByteSize():  # as mostly, and looking at each of its fields takes longer
        return Filters()
    return Filters(
        boxes_nm=tuple(map(read_box, message.boxes_nm)),
        segments=frozenset(message.segments),
        not_segments=frozenset(message.not_segments),
        masks=frozenset(message.masks),
        classes=tuple(map(_read_class, message.classes)),
        labels=tuple(map(_read_label, message.labels)),
        not_labels=tuple(map(_read_label, message.not_labels)),
    )


def _read_class(message: search_pb2.ClassFilter) -> ClassFilter:
    least = message.at_least if message.HasField("at_least") else None
    return ClassFilter(message.probe, message.probe_class, least)


def _label(wanted: LabelFilter) -> search_pb2.LabelFilter:
    return search_pb2.LabelFilter(label_set=wanted.label_set, label=wanted.label)


def _read_label(message: search_pb2.LabelFilter) -> LabelFilter:
    return LabelFilter(message.label_set, message.label)


def box(corners: BoxNm) -> types_pb2.BoxNm:
    """A box in nm."""
    low, high = corners
    return types_pb2.BoxNm(start=position(low), stop=position(high))


def read_box(message: types_pb2.BoxNm) -> BoxNm:
    """The corners of a box in nm."""
    return read_position(message.start), read_position(message.stop)


def map_type(dtype: str) -> search_pb2.MapType:
    """How the numbers of a map are written.

    Raises:
        RequestError: they cannot be written so.
    """
    found = {"uint8": search_pb2.MAP_TYPE_UINT8, "float16": search_pb2.MAP_TYPE_FLOAT16}
    if dtype not in found:
        raise RequestError(f"a map is of uint8 or float16; got {dtype}")
    return found[dtype]


def read_map_type(message: search_pb2.MapType) -> str:
    """The name of the type of a map.

    Raises:
        RequestError: it is not known.
    """
    if message not in _MAP_TYPES:
        raise RequestError(f"map_type {message} is not known; there are uint8 and float16")
    return _MAP_TYPES[message].name


def similarity_map(found: SimilarityMap) -> search_pb2.MapSimilarityResponse:
    """A map of similarity."""
    kind = map_type(found.values.dtype.name)
    z, y, x = found.values.shape
    return search_pb2.MapSimilarityResponse(
        values=np.ascontiguousarray(found.values, _MAP_TYPES[kind]).tobytes(),
        shape=counts((x, y, z)),
        map_type=kind,
        first_nm=position(found.first_nm_xyz),
        step_nm=position(found.step_nm_xyz),
        lowest=found.lowest,
        highest=found.highest,
    )


def read_similarity_map(message: search_pb2.MapSimilarityResponse) -> SimilarityMap:
    """The map that a server made."""
    x, y, z = read_counts(message.shape)
    values = np.frombuffer(message.values, _MAP_TYPES[message.map_type]).reshape(z, y, x)
    first: XyzFloat = read_position(message.first_nm)
    return SimilarityMap(
        values, first, read_position(message.step_nm), message.lowest, message.highest
    )


def _wish(wish: Wish) -> dict[str, Any]:
    """The fields that searches by one query and by many vectors share."""
    return {
        "k": wish.k,
        "min_separation_nm": wish.min_separation_nm,
        "filters": filters(wish.filters),
        "per_segment": wish.per_segment,
        "at_least": wish.at_least,
    }
