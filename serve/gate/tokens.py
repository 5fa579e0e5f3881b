"""Bearer tokens: who may do what, from a file that holds only their hashes.

A line of the file is a token's name, its scopes, its SHA-256 and, where they are wanted, limits:

    lab     read        sha256:9f86d08…0f00a08
    viewer  read        sha256:60303ae…fb9ae12   calls=20 work=0.5 at-once=4
    ops     read,admin  sha256:fd61a03…4b4b21f

What follows a `#` is ignored. Tokens are 256 random bits, so a plain hash cannot be reversed.
"""

import dataclasses
import hashlib
import hmac
import logging
import re
import secrets
import threading
import time
from pathlib import Path
from typing import Literal, get_args

from embed.errors import ConfigError, ForbiddenError, UnauthenticatedError
from serve.gate.quota import Limits

log = logging.getLogger(__name__)

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""read: search, list, embed a cut-out; write: label, train and apply probes; admin: reload."""

# Longer than any of ours: what is presented is hashed, and that costs time.
_LONGEST = 200
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_HASH = re.compile(r"sha256:([0-9a-f]{64})")
# A withdrawn token is refused this many seconds later at most; looking costs microseconds.
_LOOK_EVERY_S = 1.0


@dataclasses.dataclass(frozen=True)
class Grant:
    """What a token allows.

    Attributes:
        name: for logs and messages; no secret.
        scopes: what it may do; none contains another.
        digest: SHA-256 of the token.
        limits: how much.
    """

    name: str
    scopes: frozenset[str]
    digest: bytes
    limits: Limits

    def require(self, scope: Scope) -> None:
        """Checks that it allows a scope.

        Raises:
            ForbiddenError: it does not.
        """
        if scope not in self.scopes:
            raise ForbiddenError(
                f"token {self.name!r} allows {', '.join(sorted(self.scopes))}; this call needs "
                f"{scope}"
            )


EVERYBODY = Grant("", frozenset(SCOPES), b"", Limits())
"""The grant of all callers of a server without tokens, which only this machine can reach."""


class TokenFile:
    """The tokens of a file, read again when it changes. Safe to use from many threads."""

    def __init__(self, path: Path) -> None:
        """Reads the file.

        Raises:
            ConfigError: it cannot be read or is malformed.
        """
        self._path = path
        self._lock = threading.Lock()
        self._state = _state(path)
        self._grants = read_tokens(path)
        self._looked = time.monotonic()

    def grant(self, authorization: str | None) -> Grant:
        """The grant of the token in an `authorization` header.

        Takes as long for a token that is nearly right as for one that is not.

        Raises:
            UnauthenticatedError: there is none, or it is not in the file.
        """
        kind, _, token = (authorization or "").strip().partition(" ")
        if not token or kind.lower() != "bearer":
            raise UnauthenticatedError(
                "this server asks for a token: send the header (in gRPC, the metadata) "
                "'authorization: Bearer TOKEN'"
            )
        found = None
        if len(token) <= _LONGEST:
            digest = digest_of(token.strip())
            for grant in self._current():
                if hmac.compare_digest(grant.digest, digest):
                    found = grant
        if found is None:
            raise UnauthenticatedError("this token is none of the server's")
        return found

    def reload(self) -> None:
        """Reads the file now, if it changed; where it is malformed, what was read before holds."""
        with self._lock:
            self._looked = time.monotonic()
            state = _state(self._path)
            if state == self._state:
                return
            self._state = state
            try:
                self._grants = read_tokens(self._path)
            except ConfigError as error:
                log.error("the tokens stay as they were: %s", error)
            else:
                log.info("read %d tokens from %s", len(self._grants), self._path)

    def _current(self) -> tuple[Grant, ...]:
        if time.monotonic() - self._looked > _LOOK_EVERY_S:
            self.reload()
        return self._grants


def _state(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def read_tokens(path: Path) -> tuple[Grant, ...]:
    """The grants of a token file.

    Raises:
        ConfigError: it cannot be read, a line is malformed, or two lines have one name or token.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(
            f"cannot read the tokens {path}: {reason}; a line for it is made by: "
            "voxkin serve token --scope read --name lab"
        ) from None
    words = ((n, line.partition("#")[0].split()) for n, line in enumerate(lines, 1))
    grants = tuple(_read_line(path, n, line) for n, line in words if line)
    for what, values in (
        ("name", [g.name for g in grants]),
        ("token", [g.digest for g in grants]),
    ):
        if len(set(values)) < len(values):
            raise ConfigError(f"two lines of {path} have the same {what}; remove one")
    return grants


def _read_line(path: Path, number: int, words: list[str]) -> Grant:
    where = f"line {number} of {path}"
    if len(words) < 3:
        # Never repeats what it read: that may be a token.
        raise ConfigError(f"{where} is not 'NAME SCOPES sha256:HASH [calls=N work=S at-once=N]'")
    name, scopes, digest, *limits = words
    match = _HASH.fullmatch(digest)
    if match is None:
        raise ConfigError(f"{where}: write the hash of a token as sha256: and 64 digits 0-9, a-f")
    try:
        return Grant(
            parse_name(name),
            parse_scopes(scopes),
            bytes.fromhex(match[1]),
            Limits.parse(limits),
        )
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def parse_name(text: str) -> str:
    """The name of a token.

    Raises:
        ConfigError: it is empty, too long or has other characters than it may.
    """
    if not _NAME.fullmatch(text):
        raise ConfigError(
            "a token's name is 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-', and starts with a "
            f"letter or digit; got {text[:80]!r}"
        )
    return text


def parse_scopes(text: str) -> frozenset[str]:
    """Scopes that are separated by commas.

    Raises:
        ConfigError: one is not known, or there is none.
    """
    scopes = frozenset(text.split(","))
    if not scopes <= set(SCOPES):
        raise ConfigError(f"scopes are {', '.join(SCOPES)}, as in read,write; got {text[:80]!r}")
    return scopes


def make_token() -> str:
    """A new token: 256 random bits."""
    return f"vox_{secrets.token_urlsafe(32)}"


def digest_of(token: str) -> bytes:
    """What the file holds of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def line_of(grant: Grant) -> str:
    """The line of a grant in a token file."""
    scopes = ",".join(scope for scope in SCOPES if scope in grant.scopes)
    limits = str(grant.limits)
    return f"{grant.name}  {scopes}  sha256:{grant.digest.hex()}" + (
        f"  {limits}" if limits else ""
    )
