"""Who may enter, and how much they may ask for: the same for gRPC and the page.

A caller shows a bearer token, which grants scopes and may have limits. Without a token file the
door is open: such a server can be reached from its own machine only.
"""

import contextlib

from embed.errors import ForbiddenError, QuotaError, UnauthenticatedError, VoxkinError
from serve.gate.quota import Allowances
from serve.gate.tokens import EVERYBODY, Grant, Scope, TokenFile
from serve.metrics import Metrics


class Door:
    """The entrance of one server. Safe to use from many threads."""

    def __init__(self, tokens: TokenFile | None, metrics: Metrics) -> None:
        self._tokens = tokens
        self._allowances = Allowances()
        self._metrics = metrics

    @property
    def is_open(self) -> bool:
        """Whether nobody is asked for a token."""
        return self._tokens is None

    def admit(self, authorization: str | None, scope: Scope) -> Grant:
        """The grant of a caller who wants something of a scope.

        Args:
            authorization: the header, as in "Bearer vox_…".

        Raises:
            UnauthenticatedError: there is no token, or an unknown one.
            ForbiddenError: it does not allow the scope.
        """
        if self._tokens is None:
            return EVERYBODY
        try:
            grant = self._tokens.grant(authorization)
            grant.require(scope)
        except (UnauthenticatedError, ForbiddenError) as error:
            self._count_refusal(error, bool(authorization))
            raise
        return grant

    def spending(self, grant: Grant) -> contextlib.AbstractContextManager[None]:
        """Begins a call of a caller, which ends with the block that is entered at once.

        Raises:
            QuotaError: they have used up what they may; no call was begun.
        """
        if grant is EVERYBODY:
            return contextlib.nullcontext()
        try:
            return self._allowances.of(grant.name, grant.limits).spending()
        except QuotaError as error:
            self._count_refusal(error, True)
            raise

    def reload(self) -> None:
        """Reads the tokens now, if they changed."""
        if self._tokens is not None:
            self._tokens.reload()

    def _count_refusal(self, error: VoxkinError, showed_token: bool) -> None:
        self._metrics.refused.labels(_reason(error, showed_token)).inc()


def _reason(error: VoxkinError, showed_token: bool) -> str:
    if isinstance(error, QuotaError):
        return "quota"
    if isinstance(error, ForbiddenError):
        return "scope"
    return "wrong token" if showed_token else "no token"
