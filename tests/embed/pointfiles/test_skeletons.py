"""Tests of embed/pointfiles/skeletons.py: precomputed skeletons and SWC files."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from embed.errors import DataError, NotFoundError
from embed.pointfiles.skeletons import read_precomputed, read_swc, spaced_out
from tests.precomputed import write_skeletons

NODES = np.arange(30, dtype=np.float64).reshape(10, 3) * 8
SKELETONS = {7: NODES, 2**63 + 5: NODES[:4] + 1000, 12: NODES[:1]}


def test_skeletons_are_read_in_the_order_of_their_ids(folder):
    write_skeletons(folder, SKELETONS)

    found = list(read_precomputed(folder.path))

    assert [skeleton.segment for skeleton in found] == [7, 12, 2**63 + 5]
    for skeleton in found:
        np.testing.assert_array_equal(skeleton.nodes_xyz, SKELETONS[skeleton.segment])
        np.testing.assert_array_equal(skeleton.ids, np.arange(len(skeleton.nodes_xyz)))


def test_those_that_are_asked_for_are_read(folder):
    write_skeletons(folder, SKELETONS)

    found = list(read_precomputed(str(folder.path), [12, 2**63 + 5, 12]))

    assert [skeleton.segment for skeleton in found] == [12, 2**63 + 5]
    with pytest.raises(NotFoundError, match="no skeleton of segment 8 in"):
        list(read_precomputed(folder.path, [8]))


def test_the_transform_turns_stored_positions_into_nm(folder):
    turn = [8, 0, 0, 100, 0, 8, 0, 200, 0, 0, 30, 300]
    write_skeletons(folder, SKELETONS, transform=turn)

    found = next(read_precomputed(folder.path))

    np.testing.assert_allclose(found.nodes_xyz, NODES * [8, 8, 30] + [100, 200, 300])


def test_a_segmentation_names_its_skeletons(folder):
    folder.info({"@type": "neuroglancer_multiscale_volume", "skeletons": "thin"})
    inner = type(folder)(folder.path / "thin", folder.how)
    write_skeletons(inner, SKELETONS)

    assert len(list(read_precomputed(folder.path))) == 3


def test_a_server_that_cannot_list_is_asked_by_segment(plain, serve):
    write_skeletons(plain, SKELETONS)
    url = serve(plain.path)

    found = list(read_precomputed(url, [7]))

    np.testing.assert_array_equal(found[0].nodes_xyz, NODES)
    with pytest.raises(DataError, match="does not list its skeletons: name the segments"):
        list(read_precomputed(url))


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"@type": "neuroglancer_annotations_v1"}, "holds no skeletons"),
        ({"transform": [1, 2, 3]}, "the transform of .* is no 12 numbers"),
    ],
)
def test_what_is_no_folder_of_skeletons_is_refused(plain, info, message):
    write_skeletons(plain, SKELETONS, **info)

    with pytest.raises(DataError, match=message):
        list(read_precomputed(plain.path))


def test_a_sharding_that_is_unknown_is_refused(plain):
    write_skeletons(plain, SKELETONS, sharding={"@type": "some_other"})

    with pytest.raises(DataError, match="cannot open"):
        list(read_precomputed(plain.path))


def test_a_damaged_skeleton_is_refused_and_named(plain):
    write_skeletons(plain, SKELETONS)
    path = plain.path / "7"
    whole = path.read_bytes()

    for damaged in (
        b"",
        whole[:3],
        whole[:50],
        whole[:150],
        whole[:8] + b"\xff" * (len(whole) - 8),
    ):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"/7 is damaged"):
            list(read_precomputed(plain.path))


def test_a_folder_without_info_is_refused(tmp_path):
    with pytest.raises(NotFoundError, match="no skeletons at .* there is no file info"):
        list(read_precomputed(tmp_path))


def swc(path, nodes, first=1):
    lines = ["# made by hand", "", " # id type x y z radius parent"]
    lines += [f"{first + i} 0 {x} {y} {z} 1.0 -1" for i, (x, y, z) in enumerate(nodes.tolist())]
    path.write_text("\n".join(lines) + "\n")


def test_an_swc_file_is_read_and_its_name_is_the_segment(tmp_path):
    swc(tmp_path / "18446744073709551615.swc", NODES, first=100)

    (found,) = read_swc(tmp_path / "18446744073709551615.swc")

    assert found.segment == 2**64 - 1
    np.testing.assert_array_equal(found.nodes_xyz, NODES)
    np.testing.assert_array_equal(found.ids, np.arange(100, 110))


def test_a_folder_of_swc_files_is_read_in_the_order_of_their_names(tmp_path):
    for name in ("9", "cell b", "12"):
        swc(tmp_path / f"{name}.swc", NODES[: len(name)])
    (tmp_path / "notes.txt").write_text("not a skeleton")

    found = list(read_swc(tmp_path))

    assert [(s.segment, len(s.nodes_xyz)) for s in found] == [(12, 2), (9, 1), (0, 6)]


def test_an_swc_file_of_comments_has_no_nodes(tmp_path):
    (tmp_path / "3.swc").write_text("# nothing\n")

    (found,) = read_swc(tmp_path / "3.swc")

    assert found.nodes_xyz.shape == (0, 3)


@pytest.mark.parametrize(
    "line", ["2 0 1 2", "a 0 1 2 3 1 -1", "-2 0 1 2 3 1 -1", "2 0 1 nan 3 1 -1", "2 0 1 2 ? 1 -1"]
)
def test_a_line_that_is_no_node_is_named(tmp_path, line):
    (tmp_path / "3.swc").write_text(f"# head\n1 0 1 2 3 1 -1\n{line}\n")

    with pytest.raises(DataError, match=rf"3.swc, line 3: '{line[:3]}.*' is no node"):
        list(read_swc(tmp_path / "3.swc"))


def test_an_swc_file_that_is_missing_or_not_text_is_refused(tmp_path):
    (tmp_path / "1.swc").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(DataError, match="cannot read .*1.swc as SWC"):
        list(read_swc(tmp_path / "1.swc"))
    with pytest.raises(NotFoundError, match="no SWC file at"):
        list(read_swc(tmp_path / "2.swc"))


def test_an_swc_file_named_by_too_large_a_number_is_refused(tmp_path):
    swc(tmp_path / f"{2**64}.swc", NODES)

    with pytest.raises(DataError, match="is no segment id"):
        list(read_swc(tmp_path))


nodes = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 60), st.just(3)), elements=st.integers(-20, 20)
)


@settings(deadline=None)  # the first example loads scipy
@given(nodes, st.floats(0.5, 15))
def test_spaced_out_nodes_are_those_a_plain_loop_keeps(places, spacing):
    kept = []
    for i, place in enumerate(places):
        if all(np.linalg.norm(place - places[k]) >= spacing * (1 - 1e-9) for k in kept):
            kept.append(i)

    assert np.flatnonzero(spaced_out(places, spacing)).tolist() == kept
