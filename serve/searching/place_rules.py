"""What filters ask of locations that has to be looked up: segments, masks, labels, probes' maps."""

from collections.abc import Callable, Hashable, Mapping
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Int, Shaped

from embed.atlas import Atlas
from embed.errors import NotFoundError, RequestError
from embed.geometry import Box
from embed.volume import Volume
from serve.queries import ClassFilter, Filters
from serve.searching.class_maps import ReadMap, map_version, open_map
from serve.searching.place_labels import PlaceLabels
from serve.searching.place_segments import PlaceSegments
from serve.searching.place_values import PlaceValues


class Source(Protocol):
    """What something says of locations: a row of each."""

    def of(self, ids: Int[np.ndarray, " n"]) -> Shaped[np.ndarray, "n ..."]:
        """Of some locations."""
        ...

    def of_cells(self, cells: Box) -> Shaped[np.ndarray, "z y x ..."]:
        """Of a box of cells of a grid."""
        ...


Read = Callable[[Source], np.ndarray]


class PlaceRules:
    """Tells which locations of an atlas have the segments, masks and classes that filters ask for.

    Boxes are not looked at here: they need no reading; nor are labels, of which there are few: who
    asks takes the list of them. Safe to use from many threads.

    Attributes:
        labels: which locations are labelled.
    """

    def __init__(
        self, atlas: Atlas, segments: PlaceSegments, masks: Mapping[str, Volume] | None = None
    ) -> None:
        """Prepares to look up.

        Args:
            atlas: whose locations they are.
            segments: of the same.
            masks: volumes that are not 0 where a mask covers, by the names that filters use.
        """
        self._atlas, self._segments = atlas, segments
        self.labels = PlaceLabels(atlas)
        self._masks = {name: PlaceValues(atlas, mask) for name, mask in (masks or {}).items()}

    @property
    def masks(self) -> tuple[str, ...]:
        """The names of the masks, in their order."""
        return tuple(sorted(self._masks))

    def require(self, filters: Filters) -> None:
        """Checks that all that is asked for can be looked up.

        Raises:
            NotFoundError: there is no such mask, probe, map or class set.
            RequestError: a probe or a set has no such class, or the name is none of one.
            DataError: segments are not known, or a map cannot be read.
            MismatchError: a map is of another atlas.
        """
        if filters.by_segment:
            self._segments.require()
        unknown = sorted(filters.masks - self._masks.keys())
        if unknown:
            there = ", ".join(self.masks) or "none; a server is told them by --mask NAME=VOLUME"
            raise NotFoundError(f"no mask {unknown[0][:100]!r}; there are: {there}")
        for wanted in filters.classes:
            _number(wanted, open_map(self._atlas, wanted.probe))
        self.labels.of(filters.labels + filters.not_labels)

    def version(self, filters: Filters) -> Hashable:
        """What changes when the answer may: a map that was made anew, labels."""
        maps = tuple(map_version(self._atlas, wanted.probe) for wanted in filters.classes)
        return maps, self.labels.revision() if filters.by_label else None

    def passing(self, filters: Filters, ids: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Which of some locations have what is asked for; errors as in `require`."""
        return self._passing(filters, (len(ids),), lambda source: source.of(ids))

    def passing_cells(self, filters: Filters, cells: Box) -> Bool[np.ndarray, "z y x"]:
        """The same of a box of cells of a grid, read at once."""
        return self._passing(filters, cells.shape, lambda source: source.of_cells(cells))

    def _passing(self, filters: Filters, shape: tuple[int, ...], read: Read) -> np.ndarray:
        self.require(filters)
        passed = np.ones(shape, bool)
        if filters.by_segment:
            passed &= _in_right_segments(read(self._segments), filters)
        if filters.masks:
            covered = [read(self._masks[name]) != 0 for name in sorted(filters.masks)]
            passed &= np.logical_or.reduce(covered)
        if filters.classes:
            found = [self._of_class(wanted, read) for wanted in filters.classes]
            passed &= np.logical_or.reduce(found)
        return passed

    def _of_class(self, wanted: ClassFilter, read: Read) -> np.ndarray:
        opened = open_map(self._atlas, wanted.probe)
        probabilities = read(opened)
        own = probabilities[..., _number(wanted, opened)]
        if wanted.at_least is None:
            return (own > 0) & (own == probabilities.max(axis=-1))
        # What was as probable before a map rounded it is enough, and no data never is.
        return (own > 0) & (own >= np.float32(wanted.at_least - opened.rounding))


def _number(wanted: ClassFilter, opened: ReadMap) -> int:
    chosen = wanted.probe_class or wanted.probe
    if chosen not in opened.classes:
        raise RequestError(
            f"the map of probe {wanted.probe!r} has no class {chosen[:100]!r}; say which: "
            f"{', '.join(opened.classes)}"
        )
    return opened.classes.index(chosen)


def _in_right_segments(segments: np.ndarray, filters: Filters) -> np.ndarray:
    passed = np.ones(segments.shape, bool)
    if filters.segments:
        passed &= np.isin(segments, np.array(sorted(filters.segments), np.uint64))
    if filters.not_segments:
        passed &= ~np.isin(segments, np.array(sorted(filters.not_segments), np.uint64))
    return passed
