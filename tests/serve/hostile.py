"""Requests that a server must refuse, with the status and some words of the reason.

They are for a server of one atlas, "small", as `tests.served` makes it.
"""

import grpc
import numpy as np

from serve.pb.voxkin.v1 import atlas_pb2, probe_pb2, search_pb2, types_pb2
from serve.wire import codec
from tests.served import INSIDE

Code = grpc.StatusCode
HERE = codec.position(INSIDE)
NAN, INF = float("nan"), float("inf")


def cut_out(shape_zyx):
    return codec.cut_out(np.random.default_rng(0).integers(1, 255, shape_zyx).astype("uint8"))


HOSTILE = {
    "nothing": (search_pb2.FindSimilarRequest(), Code.INVALID_ARGUMENT, "position_nm or vector"),
    "unknown atlas": (
        search_pb2.FindSimilarRequest(atlas="../etc", position_nm=HERE),
        Code.NOT_FOUND,
        "served: small",
    ),
    "an endless name": (
        search_pb2.FindSimilarRequest(atlas="x" * 10**6, position_nm=HERE),
        Code.NOT_FOUND,
        "served: small",
    ),
    "k of 0": (search_pb2.FindSimilarRequest(position_nm=HERE, k=0), Code.INVALID_ARGUMENT, "k is"),
    "k of a million": (
        search_pb2.FindSimilarRequest(position_nm=HERE, k=10**6),
        Code.INVALID_ARGUMENT,
        "1 to 10000",
    ),
    "k of four billion": (
        search_pb2.FindSimilarRequest(position_nm=HERE, k=2**32 - 1),
        Code.INVALID_ARGUMENT,
        "1 to 10000",
    ),
    "outside": (
        search_pb2.FindSimilarRequest(position_nm=types_pb2.PositionNm(x=1e5, y=260, z=435)),
        Code.OUT_OF_RANGE,
        "(100000, 260, 435)",
    ),
    "very far outside": (
        search_pb2.FindSimilarRequest(position_nm=types_pb2.PositionNm(x=1e300)),
        Code.OUT_OF_RANGE,
        "1e+300",
    ),
    "no number": (
        search_pb2.FindSimilarRequest(position_nm=types_pb2.PositionNm(x=NAN, y=260, z=435)),
        Code.INVALID_ARGUMENT,
        "finite",
    ),
    "a void": (
        search_pb2.FindSimilarRequest(position_nm=types_pb2.PositionNm(x=68, y=68, z=75)),
        Code.FAILED_PRECONDITION,
        "no data",
    ),
    "negative separation": (
        search_pb2.FindSimilarRequest(position_nm=HERE, min_separation_nm=-1),
        Code.INVALID_ARGUMENT,
        "0 or more",
    ),
    "separation without number": (
        search_pb2.FindSimilarRequest(position_nm=HERE, min_separation_nm=NAN),
        Code.INVALID_ARGUMENT,
        "finite",
    ),
    "short vector": (
        search_pb2.FindSimilarRequest(vector=codec.vector(np.ones(15))),
        Code.INVALID_ARGUMENT,
        "16-dimensional",
    ),
    "long vector": (
        search_pb2.FindSimilarRequest(vector=codec.vector(np.ones(10**6))),
        Code.INVALID_ARGUMENT,
        "16-dimensional",
    ),
    "zero vector": (
        search_pb2.FindSimilarRequest(vector=codec.vector(np.zeros(16))),
        Code.INVALID_ARGUMENT,
        "zero",
    ),
    "nan vector": (
        search_pb2.FindSimilarRequest(vector=codec.vector(np.full(16, NAN))),
        Code.INVALID_ARGUMENT,
        "finite",
    ),
    "infinite vector": (
        search_pb2.FindSimilarRequest(vector=codec.vector(np.full(16, INF))),
        Code.INVALID_ARGUMENT,
        "finite",
    ),
    "vector without bytes": (
        search_pb2.FindSimilarRequest(vector=types_pb2.Vector(dim=16)),
        Code.INVALID_ARGUMENT,
        "got 0 bytes",
    ),
    "vector of a length that overflows": (
        search_pb2.FindSimilarRequest(vector=types_pb2.Vector(dim=2**32 - 1, values=b"1")),
        Code.INVALID_ARGUMENT,
        "got 1 bytes",
    ),
    "an empty box": (
        search_pb2.FindSimilarRequest(position_nm=HERE, filters={"boxes_nm": [{}]}),
        Code.INVALID_ARGUMENT,
        "lower corner",
    ),
    "segments that nobody knows": (
        search_pb2.FindSimilarRequest(position_nm=HERE, filters={"segments": [1]}),
        Code.FAILED_PRECONDITION,
        "--segmentation",
    ),
    "no hit of a segment": (
        search_pb2.FindSimilarRequest(position_nm=HERE, per_segment=0),
        Code.INVALID_ARGUMENT,
        "per_segment",
    ),
    "a threshold without number": (
        search_pb2.FindSimilarRequest(position_nm=HERE, at_least=NAN),
        Code.INVALID_ARGUMENT,
        "at_least",
    ),
    "a class of a probe as a path": (
        search_pb2.FindSimilarRequest(
            position_nm=HERE, filters={"classes": [{"probe": "../../etc/passwd"}]}
        ),
        Code.INVALID_ARGUMENT,
        "a-z, 0-9",
    ),
    "a class of a probe that no file can be named": (
        search_pb2.FindSimilarRequest(position_nm=HERE, filters={"classes": [{"probe": "\0"}]}),
        Code.INVALID_ARGUMENT,
        "a-z, 0-9",
    ),
    "a mask as a path": (
        search_pb2.FindSimilarRequest(position_nm=HERE, filters={"masks": ["/etc/passwd"]}),
        Code.NOT_FOUND,
        "no mask",
    ),
    "a similarity that float32 does not hold": (
        search_pb2.FindSimilarRequest(position_nm=HERE, at_least=-1e300),
        Code.INVALID_ARGUMENT,
        "at_least",
    ),
    "a weight without bound": (
        search_pb2.FindSimilarRequest(
            examples={"like_nm": [HERE], "unlike_nm": [HERE], "unlike_weight": 1e300}
        ),
        Code.INVALID_ARGUMENT,
        "unlike_weight",
    ),
    "a weight of what is typical without bound": (
        search_pb2.FindSimilarRequest(examples={"like_nm": [HERE], "typical_weight": 1e300}),
        Code.INVALID_ARGUMENT,
        "typical_weight",
    ),
    "a forged page": (
        search_pb2.FindSimilarRequest(position_nm=HERE, page_token=b"x" * 999),
        Code.INVALID_ARGUMENT,
        "page token",
    ),
    "no examples": (
        search_pb2.FindSimilarRequest(examples={}),
        Code.INVALID_ARGUMENT,
        "at least one example",
    ),
    "an unknown mode": (
        search_pb2.FindSimilarRequest(examples={"like_nm": [HERE], "mode": 77}),
        Code.INVALID_ARGUMENT,
        "mode 77",
    ),
    "a thousand and one examples": (
        search_pb2.FindSimilarRequest(examples={"like_nm": [HERE] * 1001}),
        Code.INVALID_ARGUMENT,
        "at most 1000",
    ),
    "a probe as a path": (
        search_pb2.FindSimilarRequest(examples={"probe": "../../etc/passwd"}),
        Code.INVALID_ARGUMENT,
        "a-z, 0-9",
    ),
    "vectors of a size that overflows": (
        search_pb2.FindEachRequest(vectors={"count": 2**32 - 1, "dim": 2**32 - 1, "values": b"1"}),
        Code.INVALID_ARGUMENT,
        "got 1 bytes",
    ),
    "no vectors": (search_pb2.FindEachRequest(), Code.INVALID_ARGUMENT, "got 0 bytes"),
    "too many vectors": (
        search_pb2.FindEachRequest(
            vectors={"count": 2000, "dim": 16, "values": np.ones(32_000, "f4").tobytes()}
        ),
        Code.INVALID_ARGUMENT,
        "1 to 1024 vectors",
    ),
    "everything like nothing": (search_pb2.FindAllRequest(), Code.INVALID_ARGUMENT, "look for"),
    "everything above no number": (
        search_pb2.FindAllRequest(query={"like_nm": [HERE]}, at_least=INF),
        Code.INVALID_ARGUMENT,
        "at_least",
    ),
    "a map of nowhere": (
        search_pb2.MapSimilarityRequest(query={"like_nm": [HERE]}),
        Code.INVALID_ARGUMENT,
        "lower corner",
    ),
    "a map of an unknown type": (
        search_pb2.MapSimilarityRequest(query={"like_nm": [HERE]}, map_type=9),
        Code.INVALID_ARGUMENT,
        "map_type 9",
    ),
    "no cut-out": (
        search_pb2.EmbedRequest(),
        Code.INVALID_ARGUMENT,
        "voxel_type 0",
    ),
    "cut-out of an absurd shape": (
        search_pb2.EmbedRequest(
            cut_out=types_pb2.CutOut(
                voxels=b"1", voxel_type=1, shape=codec.counts((2**31, 2**31, 2**31))
            )
        ),
        Code.INVALID_ARGUMENT,
        "got 1",
    ),
    "cut-out smaller than the field of view": (
        search_pb2.EmbedRequest(cut_out=cut_out((4, 17, 17))),
        Code.INVALID_ARGUMENT,
        "at least one field of view, 17 x 17 x 5",
    ),
    "cut-out that is too large": (
        search_pb2.EmbedRequest(cut_out=cut_out((5, 17, 900))),
        Code.INVALID_ARGUMENT,
        "at most",
    ),
    "cut-out of NaN": (
        search_pb2.EmbedRequest(cut_out=codec.cut_out(np.full((5, 17, 17), NAN, np.float32))),
        Code.INVALID_ARGUMENT,
        "NaN",
    ),
    "probe without places": (
        probe_pb2.TrainProbeRequest(name="p"),
        Code.INVALID_ARGUMENT,
        "labelled places",
    ),
    "probe outside": (
        probe_pb2.TrainProbeRequest(name="p", places=[{"position_nm": {"x": -1e9}, "label": "a"}]),
        Code.OUT_OF_RANGE,
        "-1e+09",
    ),
    "probe of one class": (
        probe_pb2.TrainProbeRequest(name="p", places=[{"position_nm": HERE, "label": "a"}] * 3),
        Code.FAILED_PRECONDITION,
        "two classes",
    ),
    "probe named as a path": (
        probe_pb2.TrainProbeRequest(name="../../p", places=[{"position_nm": HERE, "label": "a"}]),
        Code.INVALID_ARGUMENT,
        "a-z, 0-9",
    ),
    "unknown probe": (
        probe_pb2.ApplyProbeRequest(name="nobody"),
        Code.NOT_FOUND,
        "no probe 'nobody'",
    ),
    "applying a path": (
        probe_pb2.ApplyProbeRequest(name="/etc/passwd"),
        Code.INVALID_ARGUMENT,
        "a-z, 0-9",
    ),
    "applying nothing": (
        probe_pb2.ApplyProbeRequest(),
        Code.INVALID_ARGUMENT,
        "a-z, 0-9",
    ),
    "probes of nobody": (
        probe_pb2.ListProbesRequest(atlas="\x00"),
        Code.NOT_FOUND,
        "served: small",
    ),
    "unknown description": (
        atlas_pb2.DescribeAtlasRequest(atlas="nobody"),
        Code.NOT_FOUND,
        "served: small",
    ),
    "no map": (
        atlas_pb2.ProjectionRequest(),
        Code.NOT_FOUND,
        "voxkin project",
    ),
}
