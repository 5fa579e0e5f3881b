"""Tests of serve/server.py: other machines are served only with both TLS and tokens."""

import dataclasses

import pytest

from embed.errors import UnavailableError
from serve.access import Access
from serve.client import Client
from serve.server import start_server
from tests.certificates import Authority
from tests.serve.tokened import TOKENS, make_settings
from tests.served import make_served

ANY = "127.0.0.1:0"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return make_served(tmp_path_factory.mktemp("served") / "small")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def settings(authority, tmp_path_factory):
    return make_settings(authority, tmp_path_factory.mktemp("tokens"))


@pytest.mark.parametrize("lacking", ["tls", "tokens"])
@pytest.mark.parametrize("port", ["grpc", "http"])
def test_other_machines_are_not_served_without_both_tls_and_tokens(served, settings, lacking, port):
    addresses = {"grpc": ("0.0.0.0:0", ANY), "http": (ANY, "0.0.0.0:0")}[port]

    with pytest.raises(UnavailableError, match=r"--tls-cert, --tls-key and --tokens, all three"):
        start_server(
            {"small": served}, *addresses, dataclasses.replace(settings, **{lacking: None})
        )


def test_every_address_of_this_machine_is_served_with_both(served, settings, authority):
    with start_server({"small": served}, "0.0.0.0:0", "0.0.0.0:0", settings) as server:
        address = server.grpc_address.replace("0.0.0.0", "127.0.0.1")
        access = Access(TOKENS["read"], ca=authority.certificate)
        with Client(address, access=access) as client:
            assert client.describe().name == "small"
