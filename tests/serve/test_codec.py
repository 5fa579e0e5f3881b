"""Tests of serve/wire: codec.py and atlas_codec.py: what goes in comes out, the rest is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from embed.errors import RequestError
from serve.clusters.table import Points
from serve.jobs import Finished, Step
from serve.labels import LabelTable
from serve.mapping.apply import MapSummary
from serve.pb.voxkin.v1 import probe_pb2, types_pb2
from serve.search import Hit, SearchResult
from serve.wire import atlas_codec, codec
from serve.wire.answers import AtlasSummary, CutOutEmbeddings, IndexSummary

finite = st.floats(allow_nan=False, allow_infinity=False)
floats32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.tuples(finite, finite, finite))
def test_a_position_keeps_its_axes(xyz):
    message = codec.position(xyz)

    assert (message.x, message.y, message.z) == xyz
    assert codec.read_position(message) == xyz


@given(arrays.arrays(np.float32, st.integers(1, 20), elements=floats32))
def test_a_vector_is_little_endian_float32(values):
    message = codec.vector(values)

    assert message.values == values.astype("<f4").tobytes()
    np.testing.assert_array_equal(codec.read_vector(message), values)


@given(
    arrays.arrays(
        st.sampled_from(["u1", "<u2", ">u2", "<i2", "<f4", ">f4"]),
        arrays.array_shapes(min_dims=3, max_dims=3, max_side=4),
        elements={"min_value": 0, "max_value": 100},
    )
)
def test_a_cut_out_keeps_its_voxels_and_axes(voxels):
    message = codec.cut_out(voxels)

    assert (message.shape.z, message.shape.y, message.shape.x) == voxels.shape
    np.testing.assert_array_equal(codec.read_cut_out(message), voxels)


def test_a_cut_out_that_is_not_contiguous_keeps_its_voxels():
    voxels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)[:, ::-1, ::2]

    np.testing.assert_array_equal(codec.read_cut_out(codec.cut_out(voxels)), voxels)


@pytest.mark.parametrize(
    "voxels",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((0, 4, 4), np.uint8),
        np.zeros((2, 2, 2), np.float64),
        np.zeros((2, 2, 2), np.complex64),
    ],
)
def test_voxels_that_no_message_holds_are_refused_before_they_are_sent(voxels):
    with pytest.raises(RequestError, match=r"ZYX|uint8, uint16, int16, float32"):
        codec.cut_out(voxels)


@pytest.mark.parametrize("size", [0, 1, 11, 13, 4000])
def test_a_vector_whose_bytes_do_not_fit_its_dim_is_refused(size):
    with pytest.raises(RequestError, match=f"got {size} bytes"):
        codec.read_vector(types_pb2.Vector(values=bytes(size), dim=3))


def test_an_empty_vector_is_refused():
    with pytest.raises(RequestError, match="at least one number"):
        codec.read_vector(types_pb2.Vector())


@pytest.mark.parametrize(
    ("xyz", "size"),
    [
        ((2, 2, 2), 7),
        ((2, 2, 2), 9),
        ((2, 0, 2), 0),
        ((0, 0, 0), 0),
        ((2**31, 1, 1), 8),
        ((2**32 - 1,) * 3, 8),  # 10^29 bytes: checked, never allocated
        ((2**32 - 1, 1, 1), 0),
    ],
)
def test_a_cut_out_whose_bytes_do_not_fit_its_shape_is_refused(xyz, size):
    shape = codec.counts(xyz)
    message = types_pb2.CutOut(voxels=bytes(size), shape=shape, voxel_type=1)

    with pytest.raises(RequestError, match="XYZ"):
        codec.read_cut_out(message)


@pytest.mark.parametrize("voxel_type", [0, 5, 99])
def test_an_unknown_voxel_type_is_refused_and_those_known_are_named(voxel_type):
    message = types_pb2.CutOut(voxels=b"1", shape=codec.counts((1, 1, 1)), voxel_type=voxel_type)

    with pytest.raises(RequestError, match=f"voxel_type {voxel_type}.*uint8"):
        codec.read_cut_out(message)


@pytest.mark.parametrize(
    ("position", "vector", "k"),
    [
        (None, None, 10),
        ((1, 2, 3), [1.0], 10),
        ((1, 2), None, 10),
        ((1, 2, 3, 4), None, 10),
        ((1, 2, 3), None, -1),
        ((1, 2, 3), None, 10**12),
    ],
)
def test_a_search_that_no_message_holds_is_refused(position, vector, k):
    with pytest.raises(RequestError):
        codec.find_request("", position, vector, k, None)


@pytest.mark.parametrize("by_place", [True, False])
def test_a_search_result_survives_the_wire(by_place):
    result = SearchResult(
        hits=(
            Hit(2**63, (1.5, -2.0, 3e9), 0.5, segment=2**64 - 1, source=0),
            Hit(7, (0.0, 0.0, 0.0), -1.0),
            Hit(8, (0.0, 0.0, 0.0), -1.0, source=2**64 - 1),
        ),
        query_id=0 if by_place else None,
        query_nm_xyz=(0.0, 0.0, 0.0) if by_place else None,
        complete=False,
        reason="only 2 places have data",
        candidates=1000,
        exact=True,
        query_vector=np.ones(3, np.float32) if by_place else None,
    )

    got = codec.read_search_result(codec.search_result(result))

    assert got == result
    np.testing.assert_array_equal(got.query_vector, result.query_vector)


def test_embeddings_of_a_cut_out_survive_the_wire():
    vectors = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    sent = CutOutEmbeddings(vectors, vectors[1, 1, 1], stride=(2, 4, 8), fov=(5, 17, 33))

    got = codec.read_embeddings(codec.embeddings(sent))

    np.testing.assert_array_equal(got.vectors, vectors)
    np.testing.assert_array_equal(got.centre, vectors[1, 1, 1])
    assert (got.stride, got.fov) == (sent.stride, sent.fov)


def test_a_summary_of_an_atlas_survives_the_wire():
    summary = AtlasSummary(
        name="a",
        voxel_size_nm=(4.0, 4.0, 30.0),
        volume_nm=((-10.0, 0.0, 5.0), (1e6, 2e6, 3e6)),
        locations_nm=((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)),
        locations=(1, 2, 3),
        stride_voxels=(8, 8, 2),
        fov_voxels=(33, 33, 9),
        embedding_dim=64,
        encoder="e",
        fingerprint="f",
        source="gs://b/v/",
        attribution={"license": "CC BY 4.0"},
        index=IndexSummary("IVF8,Flat", 6, False, 0.99),
        probes=("axon", "mito"),
        has_projection=True,
        has_encoder=False,
    )

    assert atlas_codec.read_atlas(atlas_codec.atlas(summary)) == summary


@pytest.mark.parametrize(
    "news", [Step(3, 10), Finished(MapSummary(Path("/a/b.zarr"), {"mito": 2, "other": 8}, 1))]
)
def test_news_of_a_job_survive_the_wire(news):
    assert atlas_codec.read_probe_news(atlas_codec.probe_news(news)) == news


def test_the_points_of_a_map_survive_the_wire():
    rng = np.random.default_rng(0)
    points = Points(
        ids=np.array([0, 5, 2**40]),
        positions_nm_xyz=rng.normal(size=(3, 3)),
        xy=rng.normal(size=(3, 2)).astype(np.float32),
        clusters=np.array([0, -1, 3]),
    )

    got = atlas_codec.read_projection(atlas_codec.projection(points))

    np.testing.assert_array_equal(got.ids, points.ids)
    np.testing.assert_array_equal(got.positions_nm_xyz, points.positions_nm_xyz)
    np.testing.assert_array_equal(got.xy, points.xy)
    np.testing.assert_array_equal(got.clusters, points.clusters)


def test_labelled_places_survive_the_wire():
    table = LabelTable(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), ("axon", "mito"))

    got = atlas_codec.read_labels(atlas_codec.labels(table))

    np.testing.assert_array_equal(got.positions_nm_xyz, table.positions_nm_xyz)
    assert got.labels == table.labels


@pytest.mark.parametrize(
    ("x", "label"), [(1.0, ""), (1.0, "  "), (float("nan"), "mito"), (float("inf"), "mito")]
)
def test_a_place_without_a_label_or_a_finite_position_is_refused(x, label):
    place = probe_pb2.LabelledPlace(position_nm=types_pb2.PositionNm(x=x), label=label)

    with pytest.raises(RequestError, match=r"label|finite"):
        atlas_codec.read_labels([place])
