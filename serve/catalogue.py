"""The atlases that a server holds, by the names that requests use."""

import dataclasses
from collections.abc import Iterator, Mapping

from embed.errors import NotFoundError, RequestError
from serve.served import ServedAtlas
from serve.wire.answers import AtlasSummary


class Catalogue:
    """The served atlases, in the order of their names. Safe to use from many threads."""

    def __init__(self, served: Mapping[str, ServedAtlas]) -> None:
        self._served = dict(sorted(served.items()))

    def __getitem__(self, name: str) -> ServedAtlas:
        """The atlas of that name; the only one, where the name is empty.

        Raises:
            NotFoundError: there is no such atlas.
            RequestError: the name is empty and several are served.
        """
        names = ", ".join(self._served) or "none"
        if not name and len(self._served) == 1:
            return next(iter(self._served.values()))
        if not name:
            raise RequestError(f"say which atlas; served: {names}")
        if name not in self._served:
            raise NotFoundError(f"no atlas {name[:100]!r}; served: {names}")
        return self._served[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._served)

    def replace(self, name: str, served: ServedAtlas) -> None:
        """Serves another version of an atlas to the calls that begin from now on."""
        self._served[name] = served

    def summary(self, name: str) -> AtlasSummary:
        """The summary of an atlas, under the name that it is served by."""
        summary = self[name].summary()
        return dataclasses.replace(summary, name=name or next(iter(self)))
