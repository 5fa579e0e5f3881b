"""One contract, kept by the servicers called directly and by a server over the wire."""

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest

from embed.geometry import Box
from serve.catalogue import Catalogue
from serve.metrics import Metrics
from serve.pb.voxkin.v1 import (
    atlas_pb2,
    atlas_pb2_grpc,
    probe_pb2,
    probe_pb2_grpc,
    search_pb2,
    search_pb2_grpc,
    types_pb2,
)
from serve.probing.servicer import ProbeServicer
from serve.recheck import Rechecks
from serve.server import start_server
from serve.servicer import AtlasServicer, SearchServicer
from serve.wire import codec
from tests.atlases import FOV, STRIDE
from tests.serve.hostile import HOSTILE
from tests.served import INSIDE, make_served

HERE = codec.position(INSIDE)
METHODS = {
    search_pb2.FindSimilarRequest: ("Search", "FindSimilar"),
    search_pb2.FindEachRequest: ("Search", "FindEach"),
    search_pb2.FindAllRequest: ("Search", "FindAll"),
    search_pb2.MapSimilarityRequest: ("Search", "MapSimilarity"),
    search_pb2.EmbedRequest: ("Search", "Embed"),
    probe_pb2.TrainProbeRequest: ("Probe", "Train"),
    probe_pb2.ApplyProbeRequest: ("Probe", "Apply"),
    probe_pb2.ListProbesRequest: ("Probe", "List"),
    probe_pb2.SuggestRequest: ("Probe", "Suggest"),
    probe_pb2.RollbackProbeRequest: ("Probe", "Rollback"),
    atlas_pb2.ListAtlasesRequest: ("Atlas", "List"),
    atlas_pb2.DescribeAtlasRequest: ("Atlas", "Describe"),
    atlas_pb2.ProjectionRequest: ("Atlas", "Projection"),
}


class RefusedError(Exception):
    """A call that ended with another status than OK."""

    def __init__(self, code, details):
        super().__init__(code, details)
        self.code, self.details = code, details


class Context:
    """What a servicer needs of a call."""

    def is_active(self):
        return True

    def set_trailing_metadata(self, entries):
        pass

    def abort(self, code, details):
        raise RefusedError(code, details)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return make_served(tmp_path_factory.mktemp("served") / "small")


@pytest.fixture(scope="module")
def stubs(served):
    with start_server({"small": served}, "127.0.0.1:0", "127.0.0.1:0") as server:
        with grpc.insecure_channel(server.grpc_address) as channel:
            yield {
                "Search": search_pb2_grpc.SearchServiceStub(channel),
                "Probe": probe_pb2_grpc.ProbeServiceStub(channel),
                "Atlas": atlas_pb2_grpc.AtlasServiceStub(channel),
            }


@pytest.fixture(scope="module")
def servicers(served):
    atlases, metrics = Catalogue({"small": served}), Metrics()
    return {
        "Search": SearchServicer(atlases, metrics, Rechecks(metrics, 0)),
        "Probe": ProbeServicer(atlases),
        "Atlas": AtlasServicer(atlases),
    }


@pytest.fixture(params=["direct", "wire"])
def call(request, stubs, servicers):
    """A function that makes a call and returns its answer, or raises RefusedError."""

    def answer(message):
        service, method = METHODS[type(message)]
        if request.param == "direct":
            result = getattr(servicers[service], method)(message, Context())
        else:
            result = getattr(stubs[service], method)(message, timeout=60)
        return list(result) if method in ("Apply", "FindAll") else result

    def answer_or_refuse(message):
        try:
            return answer(message)
        except grpc.RpcError as failure:
            raise RefusedError(failure.code(), failure.details()) from None

    return answer_or_refuse


def find(**fields):
    return search_pb2.FindSimilarRequest(**fields)


def test_a_place_is_found_by_itself_and_its_like_are_spread_out(call, served):
    request = find(position_nm=HERE, k=5, min_separation_nm=200)

    answer = call(request)

    assert codec.read_search_result(answer) == served.find_at(INSIDE, 5, 200)
    assert codec.read_position(answer.query_position_nm) == INSIDE
    places = np.array([INSIDE, *(codec.read_position(hit.position_nm) for hit in answer.hits)])
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    assert apart[~np.eye(6, dtype=bool)].min() >= 200


def test_a_vector_finds_the_place_it_was_taken_from(call, served):
    number = int(served.atlas.ids_at(np.array([INSIDE]))[0])
    vector = codec.vector(served.atlas.embeddings(np.array([number]))[0] * 3)

    answer = call(find(vector=vector, k=1))

    assert answer.hits[0].location_id == number
    assert answer.hits[0].similarity == pytest.approx(1, abs=1e-5)
    assert not answer.HasField("query_position_nm")
    assert not answer.HasField("query_location_id")


def test_what_is_not_said_has_the_documented_default(call, served):
    answer = call(find(position_nm=HERE))

    assert codec.read_search_result(answer) == served.find_at(INSIDE, 10, None)


def test_too_few_hits_are_said_to_be_too_few(call):
    answer = call(find(position_nm=HERE, k=1000))

    assert not answer.complete
    assert "at least" in answer.reason
    assert answer.exact


def test_a_cut_out_of_the_volume_is_embedded_as_its_encoder_does(call, served):
    volume = served.atlas.volume
    voxels = volume.read(Box.of_shape((9, 26, 33), (4, 8, 8)))

    answer = call(search_pb2.EmbedRequest(cut_out=codec.cut_out(voxels)))

    got = codec.read_embeddings(answer)
    assert got.vectors.shape == (3, 3, 5, 16)
    assert (got.stride, got.fov) == (STRIDE, FOV)
    np.testing.assert_allclose(np.linalg.norm(got.vectors, axis=-1), 1, atol=1e-5)
    np.testing.assert_array_equal(got.centre, got.vectors[1, 1, 2])
    alone = served.embed(voxels[2:7, 4:21, 8:25])  # the field of view in the middle, by itself
    np.testing.assert_allclose(alone.centre, got.centre, atol=1e-5)


def test_labelled_places_become_a_probe_that_is_listed_and_applied(call, served):
    labels = [
        probe_pb2.LabelledPlace(
            position_nm=types_pb2.PositionNm(x=x, y=y, z=z), label="low" if x < 300 else "high"
        )
        for x in (132, 196, 452, 548)
        for y in (196, 452)
        for z in (375, 675)
    ]

    trained = call(probe_pb2.TrainProbeRequest(name="side", places=labels))
    listed = call(probe_pb2.ListProbesRequest())
    news = call(probe_pb2.ApplyProbeRequest(name="side"))

    assert list(trained.probe.classes) == ["high", "low"]
    assert dict(trained.probe.labels) == {"high": 8, "low": 8}
    assert listed.probes[0].name == "side"
    *steps, last = news
    assert [step.WhichOneof("news") for step in steps] == ["progress"] * len(steps)
    assert steps[-1].progress.done == steps[-1].progress.total == served.atlas.grid.size
    assert sum(last.map.locations.values()) + last.map.voids == served.atlas.grid.size


def test_what_is_served_can_be_described(call, served):
    listed = call(atlas_pb2.ListAtlasesRequest())
    described = call(atlas_pb2.DescribeAtlasRequest(atlas="small"))

    assert list(listed.atlases) == [described.atlas]
    atlas = described.atlas
    assert codec.read_position(atlas.voxel_size_nm) == (8, 8, 30)
    assert codec.read_counts(atlas.fov_voxels) == FOV[::-1]
    assert codec.read_counts(atlas.locations) == (16, 14, 12)
    assert atlas.embedding_dim == 16
    assert dict(atlas.attribution)["license"] == "CC0-1.0"
    assert atlas.index.factory == "Flat"
    assert atlas.has_encoder
    assert not atlas.has_projection


@pytest.mark.parametrize(("message", "code", "words"), HOSTILE.values(), ids=HOSTILE.keys())
def test_bad_input_gets_its_status_and_the_next_call_its_answer(call, message, code, words):
    with pytest.raises(RefusedError) as refused:
        call(message)

    assert refused.value.code == code
    assert words in refused.value.details
    assert "Traceback" not in refused.value.details
    assert call(find(position_nm=HERE, k=1)).complete


def test_many_callers_at_once_get_the_same_answer_as_one(call):
    request = find(position_nm=HERE, k=5)
    alone = call(request)

    with ThreadPoolExecutor(8) as callers:
        together = list(callers.map(lambda _: call(request), range(64)))

    assert all(answer == alone for answer in together)


def test_a_second_long_job_on_an_atlas_is_told_to_wait(call, served):
    begun, end = threading.Event(), threading.Event()

    def hold():
        with served.slot.holding("being held"):
            begun.set()
            end.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    begun.wait(30)
    call(
        probe_pb2.TrainProbeRequest(
            name="busy",
            places=[
                {"position_nm": {"x": 132 + 32 * i, "y": 260, "z": 435}, "label": "ab"[i % 2]}
                for i in range(8)
            ],
        ),
    )

    with pytest.raises(RefusedError) as refused:
        call(probe_pb2.ApplyProbeRequest(name="busy"))
    end.set()
    holder.join()

    assert refused.value.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "busy being held" in refused.value.details
    assert call(probe_pb2.ApplyProbeRequest(name="busy"))
