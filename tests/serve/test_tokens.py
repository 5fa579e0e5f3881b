"""Tests of serve/gate/tokens.py: what a token file may say, and who is let in by it."""

import logging
import os

import pytest

from embed.errors import ConfigError, ForbiddenError, UnauthenticatedError
from serve.gate.quota import Limits
from serve.gate.tokens import Grant, TokenFile, digest_of, line_of, make_token, read_tokens

SECRET, OTHER = f"vox_{'a' * 43}", f"vox_{'b' * 43}"
HASH = f"sha256:{digest_of(SECRET).hex()}"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "tokens"
    path.write_text(f"# ours\n\nlab read {HASH} calls=2  # until spring\n")
    return path


def change(path, text):
    path.write_text(text)
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 10**9))


def test_a_line_grants_its_scopes_and_limits_to_its_token(file):
    grant = TokenFile(file).grant(f"Bearer {SECRET}")

    assert grant == Grant("lab", frozenset({"read"}), digest_of(SECRET), Limits(calls=2))


def test_a_line_that_was_made_is_read_again(tmp_path):
    limits = Limits(calls=20, work=0.5, at_once=4)
    grant = Grant("ana", frozenset({"write", "read"}), digest_of(make_token()), limits)
    (tmp_path / "tokens").write_text(line_of(grant))

    assert read_tokens(tmp_path / "tokens") == (grant,)


def test_tokens_are_long_and_never_the_same():
    tokens = {make_token() for _ in range(100)}

    assert len(tokens) == 100
    assert min(map(len, tokens)) >= 43


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (None, "asks for a token"),
        ("", "asks for a token"),
        (SECRET, "asks for a token"),
        (f"Basic {SECRET}", "asks for a token"),
        ("Bearer ", "asks for a token"),
        (f"Bearer {OTHER}", "none of the server's"),
        (f"Bearer {SECRET}x", "none of the server's"),
        (f"Bearer {SECRET[:-1]}", "none of the server's"),
        (f"Bearer {HASH}", "none of the server's"),
        ("Bearer " + "x" * 10**6, "none of the server's"),
        ("Bearer \udcff é", "none of the server's"),
    ],
)
def test_what_is_no_token_of_the_file_is_refused_without_repeating_it(file, header, words):
    with pytest.raises(UnauthenticatedError, match=words) as refused:
        TokenFile(file).grant(header)

    assert SECRET[:-1] not in str(refused.value)


def test_a_scope_that_is_not_granted_is_refused_with_those_that_are(file):
    with pytest.raises(ForbiddenError, match="'lab' allows read; this call needs write"):
        TokenFile(file).grant(f"bearer {SECRET}").require("write")


def test_a_withdrawn_token_is_refused_and_a_new_one_let_in(file):
    tokens, new = TokenFile(file), make_token()

    change(file, f"new admin sha256:{digest_of(new).hex()}\n")
    tokens.reload()

    assert tokens.grant(f"Bearer {new}").name == "new"
    with pytest.raises(UnauthenticatedError):
        tokens.grant(f"Bearer {SECRET}")


def test_a_file_that_becomes_unreadable_changes_nothing_and_is_logged_once(file, caplog):
    tokens = TokenFile(file)

    change(file, "nonsense")
    with caplog.at_level(logging.ERROR):
        tokens.reload()
        tokens.reload()

    assert tokens.grant(f"Bearer {SECRET}").name == "lab"
    assert len(caplog.records) == 1
    assert "line 1" in caplog.text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"lab read {SECRET}", "write the hash"),
        ("lab read", "line 1"),
        (f"lab\nread {HASH}", "line 1"),
        (f"lab none {HASH}", "read, write, admin"),
        (f"lab read, {HASH}", "read, write, admin"),
        (f"../lab read {HASH}", "name is 1 to 64"),
        (f"lab read {HASH} calls=0", "above 0"),
        (f"lab read {HASH} calls=nan", "above 0"),
        (f"lab read {HASH} calls=1 calls=2", "each once"),
        (f"lab read {HASH} at-once=1.5", "at-once=WHOLE_NUMBER"),
        (f"lab read {HASH} speed=1", "limits are"),
        (f"lab read {HASH}\nlab write sha256:{'0' * 64}", "same name"),
        (f"lab read {HASH}\nana write {HASH}", "same token"),
    ],
)
def test_a_malformed_file_is_refused_with_the_rule_and_without_its_secrets(tmp_path, text, words):
    path = tmp_path / "tokens"
    path.write_text(text)

    with pytest.raises(ConfigError, match=words) as refused:
        read_tokens(path)

    assert SECRET not in str(refused.value)


def test_a_missing_file_is_refused_with_how_to_make_one(tmp_path):
    with pytest.raises(ConfigError, match="voxkin serve token"):
        TokenFile(tmp_path / "nothing")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="no text"):
        TokenFile(tmp_path / "binary")
