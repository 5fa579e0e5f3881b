"""What is told of what was found: hits with their reasons, and why there are too few."""

import numpy as np
from jaxtyping import Float32, Int

from embed.atlas import Atlas
from serve.hits import Hit
from serve.locations import unit
from serve.queries import MAX_HITS
from serve.searching.aims import Aim
from serve.searching.candidates import Gathered, Want
from serve.searching.place_segments import PlaceSegments


def tell(
    atlas: Atlas,
    segments: PlaceSegments,
    aim: Aim | None,
    ids: Int[np.ndarray, " n"],
    similarities: Float32[np.ndarray, " n"],
    exact: bool,
) -> tuple[Hit, ...]:
    """The hits at locations.

    Args:
        atlas: whose locations they are.
        segments: tells in which segments they lie.
        aim: what they were compared with; None for one vector.
        ids: of the locations.
        similarities: of the same.
        exact: whether no better place can have been missed.
    """
    low, high = (-1.0, 1.0) if aim is None else aim.range
    places = atlas.positions_nm_xyz(ids).tolist()
    values = np.clip(similarities, low, high).tolist()
    columns = (ids.tolist(), places, values, _known_of(atlas, segments, ids), _why(atlas, aim, ids))
    return tuple(
        Hit(number, (x, y, z), score, *known, exact, *because)
        for number, (x, y, z), score, known, because in zip(*columns, strict=True)
    )


def reason(want: Want, found: Gathered, k: int | None = None) -> str:
    """Why there are fewer hits than were wanted; empty where there are as many.

    Args:
        want: what was looked for.
        found: what was found.
        k: how many were asked for, where that is more than is told of one search.
    """
    if len(found) == (k or want.k):
        return ""
    one = len(found) == 1
    more = "more " if len(want.told) or len(found) == want.k else ""
    places = f"only {len(found)} {more}{'place' if one else 'places'}"
    if len(found) == want.k:
        return f"{places} {'is' if one else 'are'} told: pages end at {MAX_HITS:,} hits"
    besides = " besides the query" if want.separation_nm == 0 and want.itself is not None else ""
    rules = [_apart(want), *want.rules]
    if want.at_least > -np.inf:
        rules.append(f"have a similarity of at least {want.at_least:g}")
    if want.per_segment is not None:
        rules.append(f"are among the best {want.per_segment} of their segment")
    *most, last = map(_of_one, rules) if one else rules
    text = f"{', '.join(most)} and {last}" if most else last
    scope = "" if found.everything else f" among the {found.candidates:,} most similar locations"
    return f"{places}{besides} {text}{scope}"


def _apart(want: Want) -> str:
    """How far apart places are, as a rule."""
    if want.separation_nm == 0:
        return "have data"
    if len(want.excluded_nm):
        return f"are at least {want.separation_nm:g} nm from each other and from the query"
    return f"are at least {want.separation_nm:g} nm apart"


def _of_one(rule: str) -> str:
    """A rule for places, as one for a single place."""
    verb, _, rest = rule.partition(" ")
    single = {"are": "is", "have": "has", "lie": "lies", "do": "does"}[verb]
    return f"{single} {rest}".replace("their segment", "its segment")


def _why(atlas: Atlas, aim: Aim | None, ids: Int[np.ndarray, " n"]) -> list[tuple[int | None, str]]:
    if aim is None:
        return [(0, "like the query")] * len(ids)
    if aim.tells_apart and len(ids):
        return aim.why(unit(atlas.embeddings(ids))[0])
    return [(0, aim.kind)] * len(ids)


def _known_of(
    atlas: Atlas, segments: PlaceSegments, ids: Int[np.ndarray, " n"]
) -> list[tuple[int | None, int | None]]:
    """Segments and sources: of a grid the segments where a segmentation tells them."""
    known = atlas.known_of(ids)
    if not segments.by_volume:
        return known
    found = segments.of(ids).tolist()
    return [(segment or None, name) for segment, (_, name) in zip(found, known, strict=True)]
