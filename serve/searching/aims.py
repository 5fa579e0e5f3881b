"""What locations are compared with: queries turned into directions among embeddings."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Float32, Shaped

from embed.atlas import Atlas
from embed.errors import DataError, NotFoundError, RequestError
from embed.probe import Probe
from serve.hits import Place
from serve.locations import unit
from serve.probes import load_probe
from serve.queries import Query
from serve.searching.examples import SAME, Vectors, combined
from serve.searching.typical import typical_of
from serve.searching.voids import nearest_with_data

Embed = Callable[[Shaped[np.ndarray, "z y x"]], Float32[np.ndarray, " dim"]]
"""Makes the embedding of the field of view in the middle of a cut-out."""

# Directions that an index is asked for one query, where that is a matter of choice.
_MOST_LEADS = 64


@dataclasses.dataclass(frozen=True, eq=False)
class ProbeAim:
    """A class of a probe.

    Attributes:
        probe: the probe.
        number: of the class.
    """

    probe: Probe
    number: int


@dataclasses.dataclass(frozen=True, eq=False)
class Aim:
    """What locations are compared with.

    Attributes:
        towards: float32 [n, dim], length 1; the highest cosine to one of them counts.
        against: float32 [n, dim], length 1; the highest cosine to one of them, if any, is taken
            off.
        examples: to be like, of length 1; empty for a probe.
        places: the locations among all examples, which are not found.
        asked: the one that was asked for, where it is one and nothing else.
        kind: of the query, for people.
        by_probe: the class that is looked for, where it is a probe's.
    """

    towards: Vectors
    against: Vectors
    examples: Vectors
    places: tuple[Place, ...] = ()
    asked: Place | None = None
    kind: str = ""
    by_probe: ProbeAim | None = None

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest similarity there can be."""
        return (-2.0, 2.0) if len(self.against) else (-1.0, 1.0)

    def scores(self, vectors: Vectors) -> Float32[np.ndarray, " n"]:
        """The similarity of vectors of length 1."""
        found = (vectors @ self.towards.T).max(axis=1, initial=-np.inf)
        if len(self.against):
            found = found - (vectors @ self.against.T).max(axis=1)
        return found.astype(np.float32)

    @property
    def leads(self) -> list[tuple[Vectors, Float[np.ndarray, " n"]]]:
        """Where to look for high scores: directions in groups, and the length of each.

        In each group, no score is above the highest product of length and cosine to a direction:
        what is to be like less one of what is to be unlike.
        """
        if not len(self.against):
            return [(self.towards, np.ones(len(self.towards)))]
        groups = []
        for unliked in self.against[: max(1, _MOST_LEADS // len(self.towards))]:
            offsets = self.towards - unliked
            lengths = np.linalg.norm(offsets, axis=1)
            lengths[lengths < SAME] = 0
            units = offsets / np.where(lengths > 0, lengths, 1)[:, None]
            groups.append((units.astype(np.float32), lengths))
        return [group for group in groups if group[1].any()]

    @property
    def tells_apart(self) -> bool:
        """Whether `why` says something different of each vector."""
        return len(self.examples) > 1 or self.by_probe is not None

    def why(self, vectors: Vectors) -> list[tuple[int | None, str]]:
        """Which example each vector resembles most, and why it was chosen, for people."""
        if self.by_probe is not None:
            name = self.by_probe.probe.classes[self.by_probe.number]
            sure = self.by_probe.probe.probabilities(vectors)[:, self.by_probe.number]
            return [(None, f"{self.kind}: {name!r} with probability {p:.3f}") for p in sure]
        cosines = np.clip(vectors @ self.examples.T, -1, 1)
        best = cosines.argmax(axis=1)
        return [
            (int(e), f"{self.kind}; most like example {e}, similarity {row[e]:.3f}")
            for e, row in zip(best, cosines, strict=True)
        ]


def aim_at_vector(atlas: Atlas, vector: Float[np.ndarray, " dim"] | Sequence[float]) -> Aim:
    """The aim of a search for one vector.

    Raises:
        RequestError: it has another length than embeddings, or no direction.
    """
    towards = direction(atlas, vector)[None]
    return Aim(towards, towards[:0], towards, kind="like the vector")


def aim_of(atlas: Atlas, query: Query, embed: Embed | None = None) -> Aim:
    """What a query is looking for in an atlas.

    Args:
        atlas: whose locations and probes it names.
        query: what is asked.
        embed: makes embeddings of cut-outs; where there is none they are refused.

    Raises:
        RequestError: a vector has another length than embeddings, or examples cancel each other.
        OutOfBoundsError: a place is outside the atlas.
        DataError: there is no data at a place.
        NotFoundError: there is no such probe, or no encoder for a cut-out.
    """
    if query.probe:
        return _probe_aim(atlas, query.probe, query.probe_class)
    likes = [place_at(atlas, nm_xyz) for nm_xyz in query.like_nm_xyz]
    unlikes = [place_at(atlas, nm_xyz) for nm_xyz in query.unlike_nm_xyz]
    positive = [place.vector for place in likes] + [direction(atlas, v) for v in query.like]
    negative = [place.vector for place in unlikes] + [direction(atlas, v) for v in query.unlike]
    if query.cut_out is not None:
        if embed is None:
            raise NotFoundError(f"atlas {atlas.name!r} was opened without what embeds cut-outs")
        positive.append(direction(atlas, embed(query.cut_out)))
    liked, unliked = _stacked(positive, atlas), _stacked(negative, atlas)
    alone = len(positive) == 1 and not negative
    typical = query.typical_weight * typical_of(atlas) if query.typical_weight else None
    towards, against = combined(liked, unliked, query, typical)
    one = "like the place" if likes else "like the vector"
    kind = {"average": "like the average", "best": "like one", "linear": "on the examples' side"}
    return Aim(
        towards,
        against,
        examples=liked,
        places=(*likes, *unlikes),
        asked=likes[0] if alone and likes else None,
        kind=one if alone else kind[query.mode],
    )


def place_at(atlas: Atlas, nm_xyz: Sequence[float]) -> Place:
    """The location nearest to a position in nm, XYZ.

    Raises:
        RequestError: the position is not three finite numbers.
        OutOfBoundsError: it is outside the atlas.
        DataError: there is no data.
    """
    location = int(atlas.ids_at(checked_positions([nm_xyz]))[0])
    vectors, has_data = unit(atlas.embeddings(np.array([location])))
    if not has_data[0]:
        raise DataError(_void_message(atlas, location))
    x, y, z = atlas.positions_nm_xyz(np.array([location]))[0].tolist()
    return Place(location, (x, y, z), vectors[0])


def checked_positions(nm_xyz: object) -> Float[np.ndarray, "m 3"]:
    """One position in nm or several.

    Raises:
        RequestError: they are not three finite numbers each.
    """
    positions = np.atleast_2d(np.asarray(nm_xyz, np.float64))
    if positions.ndim != 2 or positions.shape[1] != 3 or not np.isfinite(positions).all():
        raise RequestError(f"a position is three finite numbers in nm (XYZ); got {nm_xyz}")
    return positions


def direction(
    atlas: Atlas, vector: Float[np.ndarray, " dim"] | Sequence[float]
) -> Float32[np.ndarray, " dim"]:
    """A vector at length 1.

    Raises:
        RequestError: it has another length than embeddings, or no direction.
    """
    values = np.asarray(vector, np.float64)
    dim = atlas.info.embedding_dim
    if values.shape != (dim,):
        raise RequestError(
            f"atlas {atlas.name!r} holds {dim}-dimensional embeddings; the query has "
            f"{values.size} numbers"
        )
    largest = float(np.abs(values).max())
    if not (math.isfinite(largest) and largest > 0):
        raise RequestError("a query vector needs finite numbers that are not all zero")
    values = values / largest  # so that squares neither overflow nor vanish
    return (values / math.sqrt(values @ values)).astype(np.float32)


def _probe_aim(atlas: Atlas, name: str, wanted: str) -> Aim:
    probe = load_probe(atlas, name)
    chosen = wanted or name
    if chosen not in probe.classes:
        raise RequestError(
            f"probe {name!r} has no class {chosen!r}; say where it should be surest of which: "
            f"{', '.join(probe.classes)}"
        )
    number = probe.classes.index(chosen)
    weights = probe.direction(number)
    length = np.linalg.norm(weights)
    if not length > 0:
        raise RequestError(f"probe {name!r} has no weights, so that it is nowhere surest")
    towards = (weights / length).astype(np.float32)[None]
    return Aim(
        towards, towards[:0], towards[:0], kind=f"probe {name!r}", by_probe=ProbeAim(probe, number)
    )


def _stacked(vectors: list[Float32[np.ndarray, " dim"]], atlas: Atlas) -> Vectors:
    return np.array(vectors) if vectors else np.empty((0, atlas.info.embedding_dim), np.float32)


def _void_message(atlas: Atlas, location: int) -> str:
    asked = _text(atlas.positions_nm_xyz(np.array([location]))[0])
    nearest = nearest_with_data(atlas, location)
    if nearest is None:
        return f"there is no data at {asked} nm (XYZ), nor anywhere near it"
    place = _text(atlas.positions_nm_xyz(np.array([nearest]))[0])
    return f"there is no data at {asked} nm (XYZ); the nearest place with data is {place} nm"


def _text(nm_xyz: Float[np.ndarray, " 3"]) -> str:
    return "(" + ", ".join(f"{v:g}" for v in nm_xyz.tolist()) + ")"
