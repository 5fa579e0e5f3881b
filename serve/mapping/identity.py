"""What a probe is, in a few letters: what is computed by it is called by them."""

from pydantic import TypeAdapter

from embed.probe import Probe
from embed.storage import digest

_PROBE = TypeAdapter(Probe)


def digest_of(probe: Probe) -> str:
    """The digest of everything that is kept of a probe: another for each training."""
    return digest(_PROBE.dump_json(probe))
