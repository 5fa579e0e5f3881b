"""Tests of serve/address.py."""

import pytest

from embed.errors import ConfigError, UnavailableError
from serve.address import Address, is_loopback, parse_address, parse_served_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:50051", Address("127.0.0.1", 50051)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:8080", Address("::1", 8080)),
        ("em-server.example.org:65535", Address("em-server.example.org", 65535)),
    ],
)
def test_an_address_is_read_and_written_the_same(text, address):
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    " 50051 :50051 localhost localhost: localhost:65536 localhost:-1 localhost:8e1 ::1:80 [::1] "
    "[zz]:80 http://localhost:80 localhost:80/x a%20b".split(" "),
)
def test_what_is_no_address_is_refused_and_the_form_is_said(text):
    with pytest.raises(ConfigError, match="HOST:PORT"):
        parse_address(text)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1"])
def test_this_machine_is_loopback(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "192.168.0.1", "example.org", "localhost.example.org", "127.0.0.1.evil.org"],
)
def test_everything_else_is_not(host):
    assert not is_loopback(host)


@pytest.mark.parametrize("text", ["0.0.0.0:50051", "[::]:50051", "example.org:50051"])
def test_serving_to_other_machines_is_refused_and_a_tunnel_is_offered(text):
    with pytest.raises(UnavailableError, match=r"--tls-cert.*ssh -L 50051:127\.0\.0\.1:50051"):
        parse_served_address(text)


def test_serving_to_other_machines_is_possible_once_it_is_secured():
    assert str(parse_served_address("0.0.0.0:50051", secured=True)) == "0.0.0.0:50051"
    assert str(parse_served_address("localhost:1", secured=True)) == "127.0.0.1:1"
