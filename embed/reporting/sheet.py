"""A sheet of places and of the places that a state finds most like them."""

import dataclasses
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Float, Float32, Int
from PIL import Image, ImageDraw, ImageFont

from embed.evaluation.retrieval import far_enough, separated
from embed.geometry import Zyx, ZyxFloat
from embed.reporting.places import Places
from embed.reporting.slices import XY, XZ, ZY, Window, draw_segment, draw_slice
from embed.training.sampling import TrainingVolume

# A slice shows the field of view and as much again around it, for context.
_REACH = 2.0
_PIXELS = 92
_SEAM = 2
_GAP = 12
_HEAD = 46
_HITS = 5
_READERS = 8
# Volumes are set so far apart that no place is near one of another volume.
_APART_NM = 1e9
_INK = (30, 33, 38)
_FAINT = (110, 116, 125)
_MARK = (234, 88, 12)
_PAPER = (250, 250, 249)
# How far other segments than that of the place fade.
_PALE, _BUT_PALE = 0.65, ", but what is pale"
_CORNERS = {XY: (0, 0), ZY: (1, 0), XZ: (0, 1)}


@dataclasses.dataclass(frozen=True)
class Row:
    """A query and its hits.

    Attributes:
        query: number of the place.
        hits: numbers of places, best first.
        similarity: cosine of each hit.
    """

    query: int
    hits: tuple[int, ...]
    similarity: tuple[float, ...]


def choose_queries(places: Places, count: int) -> Int[np.ndarray, " q"]:
    """Random places, from all volumes in turn; the same for every state of a run."""
    rng = np.random.default_rng(0)
    orders = [
        rng.permutation(np.flatnonzero(places.volumes == v)) for v in np.unique(places.volumes)
    ]
    turns = [order[i] for i in range(count) for order in orders if i < len(order)]
    return np.asarray(turns[:count], np.int64)


def find_rows(
    rows: Float32[np.ndarray, "n dim"],
    places: Places,
    queries: Int[np.ndarray, " q"],
    sources: Sequence[TrainingVolume],
    fov: Zyx,
) -> list[Row]:
    """The nearest neighbours of each query that share no voxel with it nor show one thing twice."""
    sizes = np.asarray([source.volume.frame.voxel_size_nm for source in sources])
    nm = places.centres * sizes[places.volumes]
    nm[:, 0] += places.volumes * _APART_NM
    found = []
    for query in queries:
        z, y, x = seen_nm(fov, sources[places.volumes[query]]).tolist()
        fov_nm: ZyxFloat = (z, y, x)
        allowed = np.flatnonzero(far_enough(nm[query], nm, fov_nm, 0.0))
        cosine = rows[allowed] @ rows[query]
        best = separated(cosine, nm[allowed], _HITS, max(fov_nm) / 2)
        similarity = tuple(float(cosine[i]) for i in best)
        found.append(Row(int(query), tuple(int(allowed[i]) for i in best), similarity))
    return found


def seen_nm(fov: Zyx, source: TrainingVolume) -> Float[np.ndarray, "3"]:
    """Edges of what the encoder sees of a volume, ZYX: as many of its own voxels, not of those."""
    return np.asarray(fov) * np.asarray(source.step) * source.volume.frame.voxel_size_nm


def draw_sheet(
    rows: Sequence[Row], places: Places, sources: Sequence[TrainingVolume], fov: Zyx, title: str
) -> bytes:
    """Draws a row per query: its three slices, then those of its neighbours.

    Slices are xy, to its right zy, below it xz, all at one scale. The frame is the field of view;
    what lies outside of it the encoder did not see, nor what is pale: other segments than that of
    the place, in volumes with a segmentation.

    Returns:
        A PNG.

    Raises:
        DataError: a chunk of a volume cannot be read.
    """
    tile = 2 * _PIXELS + _SEAM
    columns = 1 + max((len(row.hits) for row in rows), default=0)
    across = tile + _GAP
    width = 3 * _GAP + columns * across  # the query stands a little apart from what was found
    sheet = Image.new("RGB", (width, _HEAD + len(rows) * (tile + _GAP)), _PAPER)
    pen = ImageDraw.Draw(sheet)
    edge = _REACH * max(float(seen_nm(fov, source).max()) for source in sources)
    pen.text((_GAP, 7), title, _INK, ImageFont.load_default(15))
    legend = (
        f"xy, zy to the right, xz below; {edge:,.0f} nm across; the frame is what the encoder "
        f"sees{_BUT_PALE if any(source.segmentation for source in sources) else ''}; middle in nm, "
        "XYZ"
    )
    pen.text((_GAP, 26), legend, _FAINT, ImageFont.load_default(11))
    tiles = _Tiles(places, sources, fov, Window(edge, _PIXELS))
    jobs = []
    for i, row in enumerate(rows):
        y = _HEAD + i * (tile + _GAP)
        jobs.append(((_GAP, y), row.query, "query"))
        for j, (hit, cosine) in enumerate(zip(row.hits, row.similarity, strict=True), 1):
            jobs.append(((2 * _GAP + j * across, y), hit, f"{j}   {cosine:.3f}"))
    with ThreadPoolExecutor(_READERS, thread_name_prefix="voxkin-sheet") as pool:
        pictures = list(pool.map(tiles.draw, [job[1] for job in jobs], [job[2] for job in jobs]))
    for (corner, _, _), picture in zip(jobs, pictures, strict=True):
        sheet.paste(picture, corner)
    with io.BytesIO() as png:
        sheet.save(png, "PNG", compress_level=6)
        return png.getvalue()


class _Tiles:
    """Draws places of the training volumes, all at one scale."""

    def __init__(self, places: Places, sources: Sequence[TrainingVolume], fov: Zyx, window: Window):
        self._places, self._sources, self._fov, self._window = places, sources, fov, window

    def draw(self, place: int, caption: str) -> Image.Image:
        """The three slices of a place, and in the corner that they leave what it is."""
        size = 2 * _PIXELS + _SEAM
        tile = Image.new("RGB", (size, size), _PAPER)
        pen = ImageDraw.Draw(tile)
        source = self._sources[self._places.volumes[place]]
        centre = self._places.centres[place]
        seen = seen_nm(self._fov, source) / self._window.edge_nm * _PIXELS
        for axes, corner in _CORNERS.items():
            x, y = (n * (_PIXELS + _SEAM) for n in corner)
            picture = draw_slice(source.volume, source.normaliser, centre, axes, self._window)
            picture = picture.convert("RGB")
            if source.segmentation is not None:
                seen_of_it = draw_segment(source.segmentation, centre, axes, self._window)
                pale = Image.blend(picture, Image.new("RGB", picture.size, _PAPER), _PALE)
                picture = Image.composite(picture, pale, seen_of_it)
            tile.paste(picture, (x, y))
            _frame(pen, (x, y), float(seen[axes[1]]), float(seen[axes[0]]))
        self._write(pen, source, centre, caption)
        return tile

    def _write(
        self,
        pen: ImageDraw.ImageDraw,
        source: TrainingVolume,
        centre: Float[np.ndarray, "3"],
        caption: str,
    ) -> None:
        x, y = _PIXELS + _SEAM + 6, _PIXELS + _SEAM + 4
        pen.text((x, y), caption, _MARK if caption == "query" else _INK, ImageFont.load_default(13))
        lines = [f"{n:,.0f}" for n in source.volume.frame.to_nm_xyz(centre)]
        if len(self._sources) > 1:
            lines.insert(0, source.volume.name[:14])
        for i, line in enumerate(lines):
            pen.text((x, y + 19 + 13 * i), line, _FAINT, ImageFont.load_default(11))


def _frame(pen: ImageDraw.ImageDraw, corner: tuple[int, int], wide: float, high: float) -> None:
    left, top = corner[0] + (_PIXELS - wide) / 2, corner[1] + (_PIXELS - high) / 2
    pen.rectangle((left, top, left + wide, top + high), outline=_MARK)
