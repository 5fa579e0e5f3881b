"""Tests of serve/client.py against a real server."""

import threading
import time

import numpy as np
import pytest

from embed import errors
from embed.errors import BusyError
from serve.client import Client
from serve.jobs import Finished, Step
from serve.labels import LabelTable
from serve.server import start_server
from tests.served import INSIDE, make_served

ANY = "127.0.0.1:0"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return make_served(tmp_path_factory.mktemp("served") / "small")


@pytest.fixture(scope="module")
def server(served):
    with start_server({"small": served}, ANY, ANY) as server:
        yield server


@pytest.fixture
def client(server):
    with Client(server.grpc_address) as client:
        yield client


def test_a_search_by_place_is_the_one_made_in_process(client, served):
    found = client.find_similar(position_nm_xyz=INSIDE, k=4, min_separation_nm=150.0)

    assert found == served.find_at(INSIDE, 4, 150.0)


def test_a_search_by_vector_is_the_one_made_in_process(client, served):
    vector = np.random.default_rng(0).normal(size=16).astype(np.float32)

    assert client.find_similar(vector=vector, k=4) == served.find_like(vector, 4, None)
    assert client.find_similar(vector=vector.tolist(), k=4).hits


def test_the_embedding_of_a_cut_out_can_be_searched_for(client, served):
    voxels = np.random.default_rng(0).integers(1, 255, (5, 17, 17)).astype(np.uint16)

    embedded = client.embed(voxels)
    found = client.find_similar(vector=embedded.centre, k=3)

    assert embedded.vectors.shape == (1, 1, 1, 16)
    assert len(found.hits) == 3


def test_what_is_served_is_described(client, served):
    assert client.atlases() == (client.describe(),) == (served.summary(),)


def test_a_probe_is_trained_listed_and_applied(client, served):
    positions = np.array([(x, 260, z) for x in (132, 196, 452, 548) for z in (315, 435, 675)])
    table = LabelTable(positions.astype(float), ("low",) * 6 + ("high",) * 6)

    trained = client.train_probe("side", table)
    *steps, last = client.apply_probe("side")

    assert trained.labels == {"high": 6, "low": 6}
    assert client.probes() == (trained,)
    assert client.describe().probes == ("side",)
    assert steps[-1] == Step(served.atlas.grid.size, served.atlas.grid.size)
    assert isinstance(last, Finished)
    assert last.result.path.is_dir()
    assert sum(last.result.locations.values()) + last.result.voids == served.atlas.grid.size


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda c: c.find_similar(position_nm_xyz=INSIDE, k=0), "RequestError", "1 to 10000"),
        (lambda c: c.find_similar(position_nm_xyz=INSIDE, k=-3), "RequestError", "at least 1"),
        (lambda c: c.find_similar(), "RequestError", "a position or a vector"),
        (lambda c: c.find_similar(vector=np.zeros(16)), "RequestError", "zero"),
        (lambda c: c.find_similar(position_nm_xyz=(0, 0, 9e9)), "OutOfBoundsError", "9e+09"),
        (lambda c: c.find_similar(position_nm_xyz=(68, 68, 75)), "DataError", "no data"),
        (lambda c: c.describe("nobody"), "NotFoundError", "served: small"),
        (lambda c: c.projection(), "NotFoundError", "voxkin project"),
        (lambda c: list(c.apply_probe("nobody")), "NotFoundError", "no probe"),
        (lambda c: c.embed(np.zeros((2, 2, 2), np.uint8)), "RequestError", "field of view"),
        (lambda c: c.embed(np.zeros((9, 99, 99), np.int64)), "RequestError", "uint8, uint16"),
        (lambda c: c.embed(np.zeros((513, 512, 256), np.uint8)), "RequestError", "larger than"),
    ],
)
def test_the_error_of_the_server_is_raised_again(client, ask, error, words):
    with pytest.raises(getattr(errors, error)) as raised:
        ask(client)

    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_no_server_is_told_in_time_with_how_to_start_one():
    # Within the time that a call may take, or the error would be that of a server that is too slow.
    with Client("127.0.0.1:1") as client:
        with pytest.raises(errors.UnavailableError, match="voxkin serve"):
            client.atlases()


def test_a_malformed_address_is_refused_before_anything_is_asked():
    with pytest.raises(errors.ConfigError, match="HOST:PORT"):
        Client("localhost")


def test_a_closed_client_says_so(server):
    client = Client(server.grpc_address)
    client.close()

    with pytest.raises(errors.RequestError, match="closed"):
        client.atlases()


class Slow:
    """A served atlas whose searches take a second."""

    def __init__(self, served):
        self._served = served

    def __getattr__(self, name):
        return getattr(self._served, name)

    def find(self, *arguments):
        time.sleep(1)
        return self._served.find(*arguments)


def test_a_server_that_is_too_slow_is_given_up(served):
    with start_server({"small": Slow(served)}, ANY, ANY) as server:
        with Client(server.grpc_address, timeout_s=0.2) as client:
            with pytest.raises(errors.UnavailableError, match="in time"):
                client.find_similar(position_nm_xyz=INSIDE)


def test_a_server_that_comes_back_at_once_is_asked_again(served):
    first = start_server({"small": served}, ANY, ANY)
    address = first.grpc_address
    with Client(address) as client:
        assert client.describe().name == "small"
        first.stop(0)
        again = []
        restart = threading.Timer(
            0.3, lambda: again.append(start_server({"small": served}, address, ANY))
        )
        restart.start()

        found = client.describe()

    restart.join()
    again[0].stop(0)
    assert found.name == "small"


def test_a_busy_atlas_is_told_apart_from_a_missing_server(client, served):
    positions = np.array([(132, 260, 435), (164, 260, 435), (452, 260, 435), (484, 260, 435)])
    client.train_probe("busy", LabelTable(positions.astype(float), ("a", "a", "b", "b")))

    with served.slot.holding("being held"), pytest.raises(BusyError, match="being held"):
        list(client.apply_probe("busy"))


def test_the_client_needs_neither_jax_nor_a_server_framework():
    import subprocess
    import sys

    code = (
        "import sys, serve.client; heavy = {'jax', 'fastapi', 'umap', 'sklearn', 'matplotlib', "
        "'faiss'} & set(sys.modules); sys.exit(f'imports {heavy}' if heavy else 0)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
