"""One picture of queries and their neighbours, for a person to judge."""

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from embed.atlas import Atlas
from embed.geometry import XyzFloat
from serve.search import SearchResult
from serve.thumbnails import Greys, Plane, Slice, draw_slice, field_of_view_nm

# A tile shows the field of view and as much again around it, for context.
_REACH = 2.0
_TILE = 132
_GAP = 6
_CAPTION = 30
_HEAD = 44
_INK = (30, 33, 38)
_FAINT = (110, 116, 125)
_MARK = (234, 88, 12)
_PAPER = (250, 250, 249)
_EMPTY = (226, 228, 231)


def draw_sheet(
    atlas: Atlas, results: Sequence[SearchResult], title: str, plane: Plane = "xy"
) -> bytes:
    """Draws a row per query: its slice, then its neighbours' with their similarity.

    The frame in each tile is the field of view of the encoder; what lies outside of it the encoder
    did not see.

    Args:
        atlas: whose volume the slices are read from.
        results: answers to searches by location.
        title: over the sheet.
        plane: of the slices.

    Returns:
        A PNG.

    Raises:
        DataError: a chunk of the volume cannot be read.
    """
    columns = 1 + max((len(r.hits) for r in results), default=0)
    step_x, step_y = _TILE + _GAP, _TILE + _CAPTION + _GAP
    size = (_GAP + columns * step_x + _GAP, _HEAD + len(results) * step_y + _GAP)
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((2 * _GAP, 8), title, _INK, _font(15))
    edge = _REACH * field_of_view_nm(atlas.frame, atlas.grid.fov)
    legend = f"{plane} slices {edge:,.0f} nm across; the frame is what the encoder sees"
    draw.text((2 * _GAP, 27), legend, _FAINT, _font(11))
    for row, result in enumerate(results):
        assert result.query_nm_xyz is not None
        y = _HEAD + row * step_y
        _tile(sheet, draw, atlas, plane, (_GAP, y), result.query_nm_xyz, "query", _MARK)
        for column, hit in enumerate(result.hits, 1):
            x = 2 * _GAP + column * step_x
            caption = f"{hit.similarity:.3f}"
            _tile(sheet, draw, atlas, plane, (x, y), hit.position_nm_xyz, caption, _INK)
    with io.BytesIO() as png:
        sheet.save(png, "PNG", optimize=True)
        return png.getvalue()


def _tile(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    atlas: Atlas,
    plane: Plane,
    corner: tuple[int, int],
    place: XyzFloat,
    caption: str,
    colour: tuple[int, int, int],
) -> None:
    x, y = corner
    fov = field_of_view_nm(atlas.frame, atlas.grid.fov)
    normaliser = atlas.info.normaliser
    greys = Greys.around(normaliser.centre, normaliser.scale)
    png = draw_slice(atlas.volume, greys, Slice(place, plane, _TILE, _REACH * fov / _TILE))
    picture = Image.open(io.BytesIO(png)).convert("LA")
    sheet.paste(_EMPTY, (x, y, x + _TILE, y + _TILE))
    sheet.paste(picture.convert("RGB"), (x, y), picture.getchannel("A"))
    margin = _TILE * (1 - 1 / _REACH) / 2
    frame = (x + margin, y + margin, x + _TILE - margin, y + _TILE - margin)
    draw.rectangle(frame, outline=_MARK)
    draw.text((x + 2, y + _TILE + 2), caption, colour, _font(12))
    where = " ".join(f"{v:.0f}" for v in place)
    draw.text((x + 2, y + _TILE + 16), f"{where} nm", _FAINT, _font(10))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
