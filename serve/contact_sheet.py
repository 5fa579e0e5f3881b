"""One picture of queries and their neighbours, for a person to judge."""

import io
from collections.abc import Mapping

from PIL import Image, ImageDraw, ImageFont

from embed.atlas import Atlas
from embed.geometry import XyzFloat
from serve.search import SearchResult
from serve.thumbnails import Greys, Plane, Slice, draw_slice

# A tile shows the field of view and as much again around it, for context.
_REACH = 2.0
_TILE = 132
_GAP = 6
_NAME = 18
_CAPTION = 30
_HEAD = 48
_INK = (30, 33, 38)
_FAINT = (110, 116, 125)
_MARK = (234, 88, 12)
_PAPER = (250, 250, 249)
_EMPTY = (226, 228, 231)
# Which axis points right and which down, as slices are drawn.
_RIGHT_DOWN: dict[Plane, str] = {"xy": "xy", "xz": "xz", "yz": "zy"}


def draw_sheet(
    atlas: Atlas, results: Mapping[str, SearchResult], title: str, plane: Plane = "xy"
) -> bytes:
    """Draws a row per query: its slice, then its neighbours' with their similarity.

    The frame in each tile is the field of view of the encoder; what lies outside of it the encoder
    did not see.

    Args:
        atlas: whose volume the slices are read from.
        results: answers to searches by location, under the names that stand above their rows.
        title: over the sheet.
        plane: of the slices.

    Returns:
        A PNG.

    Raises:
        DataError: a chunk of the volume cannot be read.
    """
    tiles = _Tiles(atlas, plane)
    columns = 1 + max((len(result.hits) for result in results.values()), default=0)
    across, down = _TILE + _GAP, _NAME + _TILE + _CAPTION + _GAP
    # The query stands a little apart from what was found.
    size = (_GAP + columns * across + _GAP, _HEAD + len(results) * down)
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, 8), title, _INK, _font(15))
    draw.text((_GAP, 27), tiles.legend, _FAINT, _font(11))
    for row, (name, result) in enumerate(results.items()):
        assert result.query_nm_xyz is not None
        y = _HEAD + row * down
        draw.text((_GAP, y), name, _INK, _font(12))
        tiles.put(sheet, (_GAP, y + _NAME), result.query_nm_xyz, "query", _MARK)
        for column, hit in enumerate(result.hits, 1):
            corner = (2 * _GAP + column * across, y + _NAME)
            tiles.put(sheet, corner, hit.position_nm_xyz, f"{hit.similarity:.3f}", _INK)
    with io.BytesIO() as png:
        sheet.save(png, "PNG", optimize=True)
        return png.getvalue()


class _Tiles:
    """Draws the tiles of one atlas, all at one scale."""

    def __init__(self, atlas: Atlas, plane: Plane):
        sizes = zip(atlas.grid.fov, atlas.frame.voxel_size_nm, strict=True)
        edges = dict(zip("zyx", (n * size for n, size in sizes), strict=True))
        right, down = (edges[axis] for axis in _RIGHT_DOWN[plane])
        across_nm = _REACH * max(right, down)
        self._volume = atlas.volume
        self._greys = Greys.around(atlas.info.normaliser.centre, atlas.info.normaliser.scale)
        self._plane: Plane = plane
        self._nm_per_pixel = across_nm / _TILE
        self._seen = (right / self._nm_per_pixel, down / self._nm_per_pixel)
        self.legend = (
            f"{plane} slices {across_nm:,.0f} nm across; the frame is what the encoder sees"
        )

    def put(
        self,
        sheet: Image.Image,
        corner: tuple[int, int],
        place: XyzFloat,
        caption: str,
        colour: tuple[int, int, int],
    ) -> None:
        """Draws the surroundings of a place, XYZ in nm, with its caption below."""
        x, y = corner
        what = Slice(place, self._plane, _TILE, self._nm_per_pixel)
        picture = Image.open(io.BytesIO(draw_slice(self._volume, self._greys, what)))
        sheet.paste(_EMPTY, (x, y, x + _TILE, y + _TILE))
        sheet.paste(picture.convert("RGB"), corner, picture.getchannel("A"))
        draw = ImageDraw.Draw(sheet)
        left, top = (x + (_TILE - self._seen[0]) / 2, y + (_TILE - self._seen[1]) / 2)
        draw.rectangle((left, top, left + self._seen[0], top + self._seen[1]), outline=_MARK)
        draw.text((x + 2, y + _TILE + 2), caption, colour, _font(12))
        where = " ".join(f"{v:.0f}" for v in place)
        draw.text((x + 2, y + _TILE + 16), f"{where} nm", _FAINT, _font(10))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
