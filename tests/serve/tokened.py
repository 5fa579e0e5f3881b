"""Settings of a server that asks for TLS and a token, and the tokens that it knows."""

from serve.gate.credentials import TlsFiles
from serve.gate.quota import Limits
from serve.gate.tokens import SCOPES, Grant, digest_of, line_of, make_token
from serve.server import Settings

TOKENS = {scope: make_token() for scope in SCOPES}
LIMITED = {
    "calls": (make_token(), Limits(calls=0.01)),
    "work": (make_token(), Limits(work=1e-9)),
    "at-once": (make_token(), Limits(at_once=1)),
}


def make_settings(authority, folder):
    """TLS and a token for every scope and limit."""
    file = folder / "tokens"
    grants = [Grant(s, frozenset({s}), digest_of(t), Limits()) for s, t in TOKENS.items()]
    grants += [Grant(n, frozenset({"read"}), digest_of(t), q) for n, (t, q) in LIMITED.items()]
    file.write_text("\n".join(map(line_of, grants)))
    return Settings(TlsFiles(*authority.issue()), file)
