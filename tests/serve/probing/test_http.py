"""Tests of serve/probing/http.py over a real HTTP port."""

import httpx
import pytest

from serve.labelling.label import Place
from serve.labelling.store import LabelStore
from serve.server import start_server
from tests.serve.probing.conftest import signs

ANY = "127.0.0.1:0"


@pytest.fixture(scope="module")
def http(served):
    """A client of an atlas with a probe and a class set of 40 labels."""
    table = signs(served.atlas, 40, seed=1)
    rows = zip(table.positions_nm_xyz.tolist(), table.labels, strict=True)
    places = [Place(tuple(xyz), label) for xyz, label in rows]
    LabelStore.open(served.atlas).add("structures", "ana", places, "a test", new_classes=True)
    with start_server({"small": served}, ANY, ANY) as server:
        base = f"http://{server.http_address}/api/atlases/small/"
        with httpx.Client(base_url=base, timeout=30) as http:
            yield http


@pytest.fixture(scope="module")
def trained(http):
    return http.post("probes", json={"name": "of-set", "set": "structures"}).json()


def test_a_probe_is_trained_from_the_label_store_and_told(http, trained):
    probe = trained["probe"]

    assert trained["seconds"] > 0
    assert probe["labels"] == {"axon": 23, "mito": 15, "rare": 2}
    assert probe["kind"] == "multiclass"
    assert sum(probe["prior"].values()) == pytest.approx(1)
    assert probe["scores"]["folds"] >= 2
    assert probe["learning_curve"][-1].keys() == {"labels", "score", "deviation"}
    assert (probe["version"], probe["versions"]) == (1, 1)
    assert probe["labels_from"].startswith("set structures, revision ")
    assert [p["name"] for p in http.get("probes").json()["probes"]] == ["mito", "of-set"]


def test_its_name_is_that_of_the_set_where_none_is_given_and_shares_can_be(http):
    shares = {"axon": 0.5, "mito": 0.4, "rare": 0.1}

    first = http.post("probes", json={"set": "structures"}).json()["probe"]
    again = http.post("probes", json={"set": "structures", "prior": shares}).json()["probe"]

    assert first["name"] == again["name"] == "structures"
    assert (first["prior_source"], again["prior_source"]) == ("estimated", "given")
    assert again["prior"] == shares
    assert (again["version"], again["versions"]) == (2, 2)


def test_the_next_places_to_label_are_told(http, trained):
    answer = http.get("probes/of-set/suggestions", params={"k": 4, "kind": "uncertain"})

    places = answer.json()["places"]
    assert len(places) == 4
    assert places[0].keys() == {
        *("position_nm", "location_id", "probabilities", "uncertainty", "unknown", "why")
    }
    assert isinstance(places[0]["location_id"], str)


def test_what_was_labelled_since_is_not_suggested_again(http, trained, served):
    params = {"k": 1, "kind": "unknown"}
    (place,) = http.get("probes/of-set/suggestions", params=params).json()["places"]
    x, y, z = (place["position_nm"][axis] for axis in "xyz")

    LabelStore.open(served.atlas).add("structures", "ana", [Place((x, y, z), "mito")], "a test")

    (other,) = http.get("probes/of-set/suggestions", params=params).json()["places"]
    assert other["location_id"] != place["location_id"]


def test_what_a_probe_says_of_a_place_is_told(http, trained):
    said = http.get("probes/of-set/at", params={"x": 260, "y": 260, "z": 435}).json()

    assert said["probabilities"].keys() == {"axon", "mito", "rare"}
    assert sum(said["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert 0 <= said["unknown"] <= 1


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("probes/nobody/suggestions", 404, "no probe 'nobody'"),
        ("probes/of-set/suggestions?k=0", 400, "1 to 100; got 0"),
        ("probes/of-set/suggestions?kind=bold", 400, "kind"),
        ("probes/of-set/suggestions?kind=likely&label=<b>", 400, "no class '<b>'"),
        ("probes/..%2Fatlas/at?x=1&y=1&z=1", 404, "not found"),
        ("probes/of-set/at?x=68&y=68&z=75", 400, "no data at that place"),
        ("probes/of-set/at?x=nan&y=68&z=75", 400, "finite"),
        ("probes/of-set/at?x=1e9&y=68&z=75", 400, "outside atlas"),
    ],
)
def test_a_question_that_cannot_be_answered_says_why(http, trained, path, status, said):
    answer = http.get(path)

    assert (answer.status_code, said in answer.json()["error"]) == (status, True)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 400, "name one class set"),
        ({"set": "nobody"}, 404, "nobody"),
        ({"set": "structures", "name": "../x"}, 400, "a-z, 0-9, - and _"),
        ({"set": "structures", "prior": "many"}, 400, "estimated"),
        ({"set": "structures", "prior": {"axon": 0.5}}, 400, "no share is given for 'mito'"),
        ({"set": "structures", "prior": {"axon": 7, "mito": 1, "rare": 1}}, 400, "below 1"),
        ({"set": "structures", "volume": "/etc/passwd"}, 400, "extra inputs"),
        ({"sets": ["structures"] * 2}, 400, "name one class set or several different ones"),
    ],
)
def test_a_probe_that_cannot_be_trained_says_why(http, body, status, said):
    answer = http.post("probes", json=body)

    assert (answer.status_code, said in answer.json()["error"]) == (status, True)
