"""What probes may be called: files and addresses are named by them."""

import re

from embed.errors import RequestError

NAME = re.compile(r"[a-z0-9_-]{1,64}")


def checked_name(name: str) -> str:
    """The name of a probe.

    Raises:
        RequestError: it is none.
    """
    if not NAME.fullmatch(name):
        raise RequestError(f"a probe's name is 1 to 64 of a-z, 0-9, - and _; got {name!r}")
    return name
