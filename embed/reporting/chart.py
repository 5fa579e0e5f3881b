"""Line charts as SVG, to stand in a page that colours them."""

import dataclasses
import math
from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 400, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 8, 24
# More points than this say nothing that the eye could see; they are averaged.
_POINTS = 200

Point = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Curve:
    """A named line.

    Attributes:
        name: in the legend.
        points: step and value, in order; values that are no numbers are left out.
        level: draws it dashed, as something to compare with.
    """

    name: str
    points: tuple[Point, ...]
    level: bool = False


def draw_chart(title: str, curves: Sequence[Curve], note: str = "") -> str:
    """A figure of HTML with a chart of curves over steps, a legend, and a note below.

    Returns:
        Markup that refers to nothing outside of itself; all words are escaped. Lines have the
        classes `c0`, `c1`, ... and `level`; empty where no curve has a point.
    """
    thin = [dataclasses.replace(curve, points=_thinned(curve.points)) for curve in curves]
    thin = [curve for curve in thin if curve.points]
    if not thin:
        return ""
    scale = _Scale.around([point for curve in thin for point in curve.points])
    lines = [_line(curve, scale, i) for i, curve in enumerate(thin)]
    keys = "".join(
        f'<span class="{_class(curve, i)}">{escape(curve.name)}</span>'
        for i, curve in enumerate(thin)
    )
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{scale.axes()}{''.join(lines)}</svg>"
        f'<p class="keys">{keys if len(thin) > 1 else ""}</p>'
        f"{f'<p>{escape(note)}</p>' if note else ''}</figure>"
    )


@dataclasses.dataclass(frozen=True)
class _Scale:
    """Where numbers lie in the picture."""

    x: Point
    y: Point
    ticks: tuple[float, ...]

    @classmethod
    def around(cls, points: Sequence[Point]) -> "_Scale":
        steps, values = zip(*points, strict=True)
        low, high = min(values), max(values)
        if high - low < 1e-9 * max(abs(high), 1e-3):
            room = 0.1 * abs(high) or 0.1
            low, high = low - room, high + room
        ticks = _round_numbers(low, high, 4)
        y = (min(low, ticks[0]), max(high, ticks[-1]))
        return cls((min(steps), max(max(steps), min(steps) + 1)), y, ticks)

    def at(self, step: float, value: float) -> Point:
        across = (step - self.x[0]) / (self.x[1] - self.x[0])
        up = (value - self.y[0]) / (self.y[1] - self.y[0])
        return (
            _LEFT + across * (WIDTH - _LEFT - _RIGHT),
            HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM),
        )

    def axes(self) -> str:
        marks = []
        for tick in self.ticks:
            _, y = self.at(self.x[0], tick)
            marks.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>')
            marks.append(f'<text x="{_LEFT - 5}" y="{y + 3.5:.1f}" class="y">{tick:,.6g}</text>')
        for step in _round_numbers(*self.x, 5):
            if self.x[0] <= step <= self.x[1]:
                x, _ = self.at(step, self.y[0])
                marks.append(f'<text x="{x:.1f}" y="{HEIGHT - 8}" class="x">{step:,.6g}</text>')
        return "".join(marks)


def _line(curve: Curve, scale: _Scale, number: int) -> str:
    places = [scale.at(*point) for point in curve.points]
    name = _class(curve, number)
    dots = ""
    if len(places) < 30 and not curve.level:
        dots = "".join(
            f'<circle class="{name}" cx="{x:.1f}" cy="{y:.1f}" r="2.2"/>' for x, y in places
        )
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline class="{name}" points="{path}"/>{dots}'


def _class(curve: Curve, number: int) -> str:
    return f"c{number} level" if curve.level else f"c{number}"


def _thinned(points: Sequence[Point]) -> tuple[Point, ...]:
    finite = [point for point in points if math.isfinite(point[1])]
    width = -(-len(finite) // _POINTS)
    groups = [finite[i : i + width] for i in range(0, len(finite), max(width, 1))]
    return tuple(
        (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group))
        for group in groups
    )


def _round_numbers(low: float, high: float, about: int) -> tuple[float, ...]:
    """Multiples of 1, 2 or 5 times a power of ten inside a range."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * min((1, 2, 5, 10), key=lambda n: abs(n * power - rough))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return tuple(round(n * step, 12) for n in range(first, last + 1))
