"""What a search costs at a recall that none of its settings gives exactly."""

from collections.abc import Sequence
from typing import NamedTuple


class Point(NamedTuple):
    """One setting of a search.

    Attributes:
        recall: share of the true neighbours that it finds.
        cost: of a query, in any unit.
    """

    recall: float
    cost: float


def cost_at(recall: float, points: Sequence[Point]) -> float | None:
    """The cost of a recall, on lines between settings that none beats in both.

    Nothing is extrapolated: what finds more at less cost than asked for costs what it costs.

    Returns:
        None where no setting finds as much.

    """
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -p.recall)):
        if not best or point.recall > best[-1].recall:
            best.append(point)
    above = next((n for n, point in enumerate(best) if point.recall >= recall), None)
    if above is None:
        return None
    if above == 0:
        return best[0].cost
    low, high = best[above - 1], best[above]
    share = (recall - low.recall) / (high.recall - low.recall)
    return low.cost + share * (high.cost - low.cost)
