"""Tests of `voxkin serve`: where it listens, what it refuses, and how it ends."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from embed.checkpoint import FILE, load_encoder, random_like, save_encoder
from embed.errors import UnavailableError
from serve.client import Client
from serve.gate.tokens import digest_of, read_tokens
from serve.verbs import serve as verb_serve
from tests.certificates import Authority

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
ANYWHERE = ("--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0")


@pytest.fixture
def taken() -> Iterator[str]:
    """An address that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_listens_answers_and_ends_with_0_when_asked(atlas, number):
    command = [sys.executable, "-m", "serve.cli", "serve", str(atlas), *ANYWHERE, "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as process:
        told = json.loads("".join(process.stdout.readline() for _ in range(4)))
        with Client(told["grpc"]) as client:
            names = [summary.name for summary in client.atlases()]
        with urllib.request.urlopen(f"http://{told['http']}/") as page:
            status = page.status

        process.send_signal(number)
        rest, err = process.communicate(timeout=30)

    assert process.returncode == 0
    assert names == ["tissue"]
    assert status == 200
    assert rest == ""
    assert err.splitlines() == [
        f"page  http://{told['http']}/",
        f"gRPC  {told['grpc']}    (Ctrl-C stops)",
    ]


@pytest.mark.parametrize("flag", ["--grpc", "--http"])
def test_a_port_that_is_taken_is_refused_and_the_flag_named(voxkin, atlas, taken, flag):
    words = {"--grpc": "127.0.0.1:0", "--http": "127.0.0.1:0", flag: taken}

    ended = voxkin("serve", atlas, *(word for pair in words.items() for word in pair))

    assert f"cannot serve on {taken}" in ended.complaint
    assert f"with {flag} HOST:PORT" in ended.complaint


@pytest.mark.parametrize("flag", ["--grpc", "--http"])
@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("0.0.0.0:50061", "ssh -L 50061:127.0.0.1:50061"),
        ("50061", "write HOST:PORT"),
        ("127.0.0.1:70000", "a port from 0"),
    ],
)
def test_an_address_that_others_reach_or_that_is_none_is_refused(
    voxkin, atlas, flag, address, said
):
    assert said in voxkin("serve", atlas, flag, address).complaint


def test_an_atlas_is_needed(voxkin):
    assert "voxkin serve em.atlas" in voxkin("serve").complaint


def test_two_atlases_of_one_name_are_refused(voxkin, atlas, tmp_path):
    shutil.copytree(atlas, tmp_path / atlas.name)

    ended = voxkin("serve", atlas, tmp_path / atlas.name, *ANYWHERE)

    assert "two atlases are called 'tissue'" in ended.complaint


def test_an_atlas_without_an_index_is_refused_with_how_to_make_one(voxkin, own_atlas):
    shutil.rmtree(own_atlas / "index")

    assert f"voxkin index {own_atlas}" in voxkin("serve", own_atlas, *ANYWHERE).complaint


def test_a_half_written_atlas_is_refused_with_how_to_finish_it(voxkin, own_atlas):
    (own_atlas / "ledger" / "0.0.0.json").unlink()

    assert "1 of 2 shards" in voxkin("serve", own_atlas, *ANYWHERE).complaint


def test_an_atlas_whose_encoder_was_exchanged_is_refused(voxkin, own_atlas, run):
    save_encoder(random_like(load_encoder(run), seed=7), own_atlas / FILE)

    assert "fingerprint" in voxkin("serve", own_atlas, *ANYWHERE).complaint


@pytest.mark.parametrize("address", ["--grpc", "--http"])
def test_other_machines_need_all_three_flags(voxkin, atlas, authority, address):
    certificate, key = authority.issue()
    tls = ("--tls-cert", certificate, "--tls-key", key)

    ended = voxkin("serve", atlas, *ANYWHERE, address, "0.0.0.0:0", *tls)

    assert "--tls-cert, --tls-key and --tokens, all three" in ended.complaint


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--tls-cert", "cert.pem"), "both --tls-cert and --tls-key"),
        (("--tls-client-ca", "ca.pem"), "both --tls-cert and --tls-key"),
        (("--tls-cert", "cert.pem", "--tls-key", "key.pem"), "cannot read cert.pem"),
        (("--tokens", "none.txt"), "cannot read the tokens none.txt"),
        (("--drain", "-1"), "--drain takes 0 to 3600"),
        (("--grace", "nan"), "--grace takes 0 to 3600"),
    ],
)
def test_flags_that_cannot_be_used_are_refused_with_the_rule(voxkin, atlas, flags, said):
    assert said in voxkin("serve", atlas, *ANYWHERE, *flags).complaint


def test_a_token_is_made_with_its_line(voxkin, tmp_path):
    ended = voxkin(
        *"serve token --scope read,admin --name lab --calls 20 --work 0.5 --at-once 4".split()
    )

    secret, line = ended.out.splitlines()
    (tmp_path / "tokens").write_text(line)
    (grant,) = read_tokens(tmp_path / "tokens")
    assert grant.digest == digest_of(secret)
    assert (grant.name, grant.scopes) == ("lab", {"read", "admin"})
    assert str(grant.limits) == "calls=20 work=0.5 at-once=4"
    assert secret not in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--scope all --name lab", "scopes are read, write, admin"),
        ("--scope read --name a/b", "name is 1 to 64"),
        ("--scope read --name lab --calls -1", "calls is a number above 0"),
    ],
)
def test_a_token_that_makes_no_sense_is_not_made(voxkin, words, said):
    ended = voxkin("serve", "token", *words.split())

    assert said in ended.complaint
    assert ended.out == ""


def test_others_are_served_over_tls_with_a_token_and_calls_are_logged(
    voxkin, atlas, authority, tmp_path, monkeypatch
):
    made = json.loads(voxkin(*"serve token --scope read --name lab --json".split()).out)
    (tmp_path / "tokens").write_text(made["line"])
    certificate, key = map(str, authority.issue())
    command = [sys.executable, "-m", "serve.cli", "serve", str(atlas), "--json", "--log", "json"]
    command += ["--grpc", "0.0.0.0:0", "--http", "0.0.0.0:0", "--tls-cert", certificate]
    command += ["--tls-key", key, "--tokens", str(tmp_path / "tokens")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as process:
        told = json.loads("".join(process.stdout.readline() for _ in range(4)))
        port = told["grpc"].rpartition(":")[2]
        words = ("find", "--server", f"localhost:{port}", "--at", "250,250,250", "-k", "1")
        monkeypatch.setenv("VOXKIN_TLS_CA", str(authority.certificate))
        refused = voxkin(*words)
        monkeypatch.setenv("VOXKIN_TOKEN", made["token"])
        found = voxkin(*words, "--json")

        process.send_signal(signal.SIGTERM)
        err = process.communicate(timeout=30)[1]

    assert process.returncode == 0
    assert "asks for a token" in refused.complaint
    assert len(json.loads(found.out)["hits"]) == 1
    logged = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    calls = [(li["status"], li["token"]) for li in logged if li["message"] == "call"]
    assert calls[0] == ("UNAUTHENTICATED", "")
    assert set(calls[1:]) == {("OK", "lab")}
    assert made["token"] not in err


def test_blas_computes_on_one_thread_while_it_serves(voxkin, atlas, monkeypatch):
    seen = []

    def start(*_):
        seen.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        raise UnavailableError("that will do")

    monkeypatch.setattr(verb_serve, "start_server", start)
    with threadpool_limits(2, "blas"):
        assert "that will do" in voxkin("serve", atlas, *ANYWHERE).complaint
        after = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    assert (set(seen), after) == ({1}, {2})
