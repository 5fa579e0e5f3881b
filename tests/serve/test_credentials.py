"""Tests of serve/gate/credentials.py and access.py: certificates refused, and renewed."""

import logging
import os
import shutil
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from embed.errors import ConfigError, UnavailableError
from serve.access import Access
from serve.address import Address
from serve.client import Client
from serve.gate.credentials import Certificates, TlsFiles
from serve.gate.quota import Limits
from serve.gate.tokens import Grant, digest_of, line_of, make_token
from serve.server import Settings, start_server
from tests.certificates import Authority
from tests.served import make_served

ANY = "127.0.0.1:0"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return make_served(tmp_path_factory.mktemp("served") / "small")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("foreign"))


@pytest.fixture(scope="module")
def mutual(served, authority):
    """A server that asks its callers for certificates."""
    files = TlsFiles(*authority.issue("both"), authority.certificate)
    with start_server({"small": served}, ANY, ANY, Settings(files)) as server:
        yield server


def name_over_grpc(server, access):
    with Client(server.grpc_address, access=access) as client:
        return client.describe().name


def name_over_http(server, authority, issued=None):
    context = ssl.create_default_context(cafile=authority.certificate)
    if issued:
        context.load_cert_chain(*issued)
    with httpx.Client(verify=context) as http:
        return http.get(f"https://{server.http_address}/api/atlases").json()["atlases"][0]["name"]


def install(issued, at):
    for new, old in zip(issued, at, strict=True):
        shutil.copy(new, old.with_suffix(".tmp"))
        os.replace(old.with_suffix(".tmp"), old)


@pytest.mark.parametrize("wrong", ["expired", "foreign"])
def test_a_server_that_is_not_to_be_trusted_is_not_asked(served, authority, foreign, wrong):
    issued = authority.issue("old", expired=True) if wrong == "expired" else foreign.issue("theirs")

    with start_server({"small": served}, ANY, ANY, Settings(TlsFiles(*issued))) as server:
        for access in (Access(ca=authority.certificate), Access(tls=True), Access()):
            with pytest.raises(UnavailableError):
                name_over_grpc(server, access)
        with pytest.raises(httpx.TransportError):
            name_over_http(server, authority)
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://{server.http_address}/api/atlases")


def test_a_failed_handshake_says_what_to_check(served, authority, foreign):
    files = TlsFiles(*foreign.issue("theirs"))
    with start_server({"small": served}, ANY, ANY, Settings(files)) as server:
        with pytest.raises(UnavailableError, match=r"no secure connection .* authority"):
            name_over_grpc(server, Access(ca=authority.certificate))


def test_a_client_certificate_of_the_authority_is_let_in_on_both_ports(mutual, authority):
    mine = authority.issue("me")

    assert name_over_grpc(mutual, Access(None, False, authority.certificate, *mine)) == "small"
    assert name_over_http(mutual, authority, mine) == "small"


@pytest.mark.parametrize("wrong", ["none", "expired", "foreign"])
def test_no_wrong_and_expired_client_certificates_are_refused(mutual, authority, foreign, wrong):
    mine = {
        "none": lambda: None,
        "expired": lambda: authority.issue("me-once", expired=True),
        "foreign": lambda: foreign.issue("somebody"),
    }[wrong]()

    with pytest.raises(UnavailableError):
        name_over_grpc(mutual, Access(None, False, authority.certificate, *(mine or ())))
    with pytest.raises(httpx.TransportError):
        name_over_http(mutual, authority, mine)


def test_old_tls_is_refused_on_both_ports(mutual, authority):
    context = ssl.create_default_context(cafile=authority.certificate)
    context.load_cert_chain(*authority.issue("me-too"))
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1

    for address in (mutual.grpc_address, mutual.http_address):
        host, port = address.split(":")
        with socket.create_connection((host, int(port)), timeout=10) as plug:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                context.wrap_socket(plug, server_hostname=host)


def test_certificates_are_renewed_without_a_dropped_connection(served, authority, foreign):
    at = authority.issue("renewed")
    settings = Settings(TlsFiles(*at))
    with start_server({"small": served}, ANY, ANY, settings) as server:
        context = ssl.create_default_context(cafile=authority.certificate)
        with (
            Client(server.grpc_address, access=Access(ca=authority.certificate)) as early,
            httpx.Client(verify=context, base_url=f"https://{server.http_address}") as browser,
        ):
            early.describe()
            browser.get("/healthz")

            install(foreign.issue("new"), at)

            assert name_over_grpc(server, Access(ca=foreign.certificate)) == "small"
            assert name_over_http(server, foreign) == "small"
            assert early.describe().name == "small"
            assert browser.get("/healthz").status_code == 200
        with pytest.raises(UnavailableError):
            name_over_grpc(server, Access(ca=authority.certificate))


def test_a_server_that_comes_back_at_once_is_asked_again_over_tls(served, authority, tmp_path):
    secret = make_token()
    grant = Grant("lab", frozenset({"read"}), digest_of(secret), Limits())
    (tmp_path / "tokens").write_text(line_of(grant))
    settings = Settings(TlsFiles(*authority.issue("again")), tmp_path / "tokens")
    access = Access(secret, ca=authority.certificate)
    first = start_server({"small": served}, ANY, ANY, settings)
    address = first.grpc_address
    with Client(address, access=access) as client:
        client.describe()
        first.stop(0)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(client.describe)
            with start_server({"small": served}, address, ANY, settings):
                assert asked.result().name == "small"


def test_an_authority_of_clients_that_is_replaced_lets_nobody_in_any_more(
    served, authority, foreign, tmp_path
):
    ca = tmp_path / "clients.pem"
    shutil.copy(authority.certificate, ca)
    settings = Settings(TlsFiles(*authority.issue("strict"), ca))
    before, after = authority.issue("before"), foreign.issue("after")
    with start_server({"small": served}, ANY, ANY, settings) as server:
        assert name_over_http(server, authority, before) == "small"

        shutil.copy(foreign.certificate, ca)

        access = Access(None, False, authority.certificate, *after)
        assert name_over_grpc(server, access) == "small"
        assert name_over_http(server, authority, after) == "small"
        with pytest.raises(httpx.TransportError):
            name_over_http(server, authority, before)
        with pytest.raises(UnavailableError):
            name_over_grpc(server, Access(None, False, authority.certificate, *before))


def test_half_written_certificates_change_nothing_and_are_logged_once(authority, foreign, caplog):
    at = authority.issue("half")
    certificates = Certificates(TlsFiles(*at))
    before = certificates.reload()

    shutil.copy(foreign.issue("other").certificate, at.certificate)
    with caplog.at_level(logging.ERROR):
        kept = certificates.reload(), certificates.reload()
    shutil.copy(foreign.issue("other").certificate, at.certificate)
    install(foreign.issue("whole"), at)

    assert kept == (before, before)
    assert len(caplog.records) == 1
    assert certificates.reload() is not before


@pytest.mark.parametrize("wrong", ["missing", "no pem", "another key", "bad client ca"])
def test_files_that_cannot_be_used_are_refused_with_the_rule(authority, tmp_path, wrong):
    good = authority.issue("fine")
    junk = tmp_path / "junk"
    junk.write_text("junk")
    files, words = {
        "missing": (TlsFiles(tmp_path / "none", good.key), "cannot read .*No such file"),
        "no pem": (TlsFiles(junk, good.key), "both have to be PEM"),
        "another key": (TlsFiles(good.certificate, authority.issue("x").key), "belong together"),
        "bad client ca": (TlsFiles(*good, junk), "no certificates in PEM"),
    }[wrong]

    with pytest.raises(ConfigError, match=words):
        Certificates(files)


def test_a_token_does_not_leave_this_machine_unencrypted():
    with pytest.raises(ConfigError, match="unencrypted"):
        Access("secret").open_channel(Address("em.lab.org", 50061), ())

    Access("secret").open_channel(Address("127.0.0.1", 50061), ()).close()
    assert "secret" not in repr(Access("secret"))


def test_what_makes_no_sense_to_a_client_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="go together"):
        Access(certificate=tmp_path)
    with pytest.raises(ConfigError, match="one line"):
        Access("a\nb")
    with pytest.raises(ConfigError, match="cannot read"):
        Client(ANY, access=Access(ca=tmp_path / "none"))


def test_the_environment_says_how_to_reach_a_server(tmp_path):
    said = {
        "VOXKIN_TOKEN": "t",
        "VOXKIN_TLS_CA": "ca",
        "VOXKIN_TLS_CERT": "c",
        "VOXKIN_TLS_KEY": "k",
    }

    access = Access.from_environment(said)

    assert (access.token, str(access.ca), str(access.certificate)) == ("t", "ca", "c")
    assert Access.from_environment({}) == Access()
    assert Access.from_environment({"VOXKIN_TLS": "1"}).is_encrypted
    assert not Access.from_environment({"VOXKIN_TLS": "0"}).is_encrypted
