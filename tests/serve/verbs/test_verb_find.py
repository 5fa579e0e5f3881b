"""Tests of `voxkin find`, in an atlas and through a server."""

import json
import shutil

import pytest

from serve.verbs.serve import start

AT = "235,215,175"
MANY = ("--at", AT, "-k", 1000, "--min-separation", 0)


@pytest.fixture(scope="module")
def server(atlas, tmp_path_factory):
    """A server of the atlas."""
    with start((atlas,), "127.0.0.1:0", "127.0.0.1:0") as running:
        yield running.grpc_address


@pytest.fixture(scope="module")
def two(atlas, tmp_path_factory):
    """A server of the atlas under two names."""
    other = shutil.copytree(atlas, tmp_path_factory.mktemp("other") / "other")
    with start((atlas, other), "127.0.0.1:0", "127.0.0.1:0") as running:
        yield running.grpc_address


def test_the_place_and_its_neighbours_are_a_table_in_nm(voxkin, atlas):
    ended = voxkin("find", atlas, "--at", AT, "-k", 3)

    heading, _, query, *hits = (line.split() for line in ended.out.splitlines())
    assert ended.code == 0
    assert ended.err == ""
    assert heading == "hit similarity x nm y nm z nm".split()
    assert query == ["query", "235", "215", "175"]
    assert [rank for rank, *_ in hits] == ["1", "2", "3"]
    assert float(hits[0][1]) >= float(hits[2][1])


def test_what_is_rare_may_count_for_more(voxkin, atlas):
    plain = voxkin("find", atlas, "--at", AT, "--json").json["hits"]

    rare = voxkin("find", atlas, "--at", AT, "--typical-weight", 0.9, "--json").json["hits"]

    assert len(rare) == len(plain)
    assert [hit["id"] for hit in rare] != [hit["id"] for hit in plain]


def test_json_holds_the_same_hits(voxkin, atlas):
    ended = voxkin("find", atlas, "--at", AT, "-k", 3, "--json")

    assert len(ended.json["hits"]) == 3
    assert set(ended.json["hits"][0]) == {
        "id",
        "position_nm_xyz",
        "similarity",
        "segment",
        "source",
        "exact",
        "example",
        "why",
    }
    assert ended.err == ""


def test_a_server_answers_as_the_atlas_does(voxkin, atlas, server):
    here = voxkin("find", atlas, "--at", AT, "--json").json["hits"]
    there = voxkin("find", "--server", server, "--at", AT, "--json").json["hits"]

    # It holds the vectors in memory, and sums up their products in another order.
    similarities = [[hit.pop("similarity") for hit in hits] for hits in (here, there)]
    assert there == here
    assert similarities[1] == pytest.approx(similarities[0], abs=1e-6)


def test_several_atlases_are_searched_together_and_each_hit_names_its_own(
    voxkin, atlas, given_atlas
):
    ended = voxkin("find", atlas, given_atlas, *MANY)
    told = voxkin("find", atlas, given_atlas, *MANY, "--json").json
    turned = voxkin("find", given_atlas, atlas, *MANY, "--json").json
    twice = voxkin("find", atlas, atlas, "--at", AT, "--json").json

    heading, _, _, *hits = (line.split() for line in ended.out.splitlines())
    assert heading == "hit similarity x nm y nm z nm segment source atlas".split()
    assert [hit["atlas"] for hit in told["hits"]] == [line[-1] for line in hits]
    assert {hit["atlas"] for hit in told["hits"]} == {"tissue", "places"}
    assert (told["query_atlas"], turned["query_atlas"]) == ("tissue", "places")
    assert twice == voxkin("find", atlas, "--at", AT, "--json").json


def test_atlases_of_one_name_are_told_by_their_paths(voxkin, atlas, given_atlas, tmp_path):
    other = shutil.copytree(given_atlas, tmp_path / atlas.name)

    told = voxkin("find", atlas, other, *MANY, "--json").json

    assert {hit["atlas"] for hit in told["hits"]} == {str(atlas), str(other)}


def test_given_places_are_told_with_segment_and_source(voxkin, given_atlas):
    ended = voxkin("find", given_atlas, "--at", AT, "-k", 3)
    told = voxkin("find", given_atlas, "--at", AT, "-k", 3, "--json").json

    heading, _, _, *hits = (line.split() for line in ended.out.splitlines())
    assert heading == "hit similarity x nm y nm z nm segment source".split()
    assert [line[-1] for line in hits] == [str(hit["source"]) for hit in told["hits"]]
    assert all(hit["segment"] > 2**63 for hit in told["hits"])


def test_atlases_of_two_encoders_are_refused_and_both_named(voxkin, atlas, own_atlas):
    file = own_atlas / "atlas.json"
    encoder = json.loads(file.read_text())["encoder"]
    file.write_text(file.read_text().replace(encoder, "f" * len(encoder)))
    shutil.rmtree(own_atlas / "index")
    assert voxkin("index", own_atlas).code == 0

    said = voxkin("find", atlas, own_atlas, "--at", AT).complaint

    assert f"'tissue' was made by encoder {encoder} and 'own' by fff" in said


def test_of_two_atlases_one_must_be_named(voxkin, two):
    unsaid = voxkin("find", "--server", two, "--at", AT)
    said = voxkin("find", "--server", two, "--name", "other", "--at", AT)
    wrong = voxkin("find", "--server", two, "--name", "third", "--at", AT)

    assert "say which atlas with --name" in unsaid.complaint
    assert "other, tissue" in unsaid.complaint
    assert said.code == 0
    assert "other, tissue" in wrong.complaint


def test_fewer_hits_than_asked_for_are_explained(voxkin, atlas):
    ended = voxkin("find", atlas, "--at", AT, "-k", 50, "--min-separation", 300)

    assert ended.code == 0
    assert "from the query; asked for 50\n" in ended.err
    assert ended.err.startswith("only ")


@pytest.mark.parametrize("where", ["here", "there"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--at", AT, "-k", "0"], "1 to 10000; got 0"),
        (["--at", AT, "-k", "1000000"], "1 to 10000; got 1000000"),
        (["--at", AT, "--min-separation", "-1"], "0 or more; got -1"),
        (["--at", AT, "--min-separation", "nan"], "finite distance in nm"),
        (["--at", "nan,0,0"], "--at takes three finite numbers"),
        (["--at", "1,2"], "as in --at 1200,860,600"),
        (["--at", "205,235,1e9"], "its locations run from (35, 35, 35) to (515, 435, 355) nm"),
        (["--at", "-500,235,205"], "asked for xyz = (-500, 235, 205) nm"),
    ],
)
def test_a_question_out_of_range_is_refused(voxkin, atlas, server, where, words, said):
    place = [atlas] if where == "here" else ["--server", server]

    assert said in voxkin("find", *place, *words).complaint


@pytest.mark.parametrize("words", [[], ["atlas", "--server", "127.0.0.1:1"]])
def test_an_atlas_or_a_server_is_needed(voxkin, words):
    assert "either an ATLAS directory or --server" in voxkin("find", *words, "--at", AT).complaint


def test_a_name_needs_a_server(voxkin, atlas):
    assert "--server" in voxkin("find", atlas, "--name", "other", "--at", AT).complaint


def test_a_place_must_be_given(voxkin, atlas):
    ended = voxkin("find", atlas)

    assert ended.code == 2
    assert "--at X,Y,Z" in ended.err


def test_a_server_that_is_not_there_is_said_with_how_to_start_one(voxkin):
    ended = voxkin("find", "--server", "127.0.0.1:1", "--at", AT)

    assert "start one with: voxkin serve ATLAS --grpc 127.0.0.1:1" in ended.complaint


def test_an_atlas_without_an_index_is_refused_with_how_to_make_one(voxkin, own_atlas):
    shutil.rmtree(own_atlas / "index")

    assert f"voxkin index {own_atlas}" in voxkin("find", own_atlas, "--at", AT).complaint


def test_a_half_written_atlas_is_refused_with_how_to_finish_it(voxkin, own_atlas):
    shutil.rmtree(own_atlas / "index")
    (own_atlas / "ledger" / "0.0.0.json").unlink()

    assert "1 of 2 shards" in voxkin("find", own_atlas, "--at", AT).complaint


def test_an_index_of_other_embeddings_is_refused(voxkin, own_atlas, run, volume, tmp_path):
    other = tmp_path / "other"
    voxkin("embed", run, "--volume", volume, "--out", other, "--stride", "4,4,4")
    shutil.copytree(own_atlas / "index", other / "index")

    assert "voxkin index" in voxkin("find", other, "--at", AT).complaint
