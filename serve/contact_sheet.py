"""One picture of queries and their neighbours, for a person to judge."""

from collections.abc import Mapping

from PIL import Image, ImageDraw

from embed.atlas import Atlas
from embed.geometry import XyzFloat
from serve.search import SearchResult
from serve.thumbnails import Plane
from serve.tiles import FAINT, INK, MARK, PAPER, Tiles, font, png_of

_TILE = 132
_GAP = 6
_NAME = 18
_CAPTION = 30
_HEAD = 48


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
    tiles = Tiles(atlas, (plane,), _TILE)
    columns = 1 + max((len(result.hits) for result in results.values()), default=0)
    across, down = _TILE + _GAP, _NAME + _TILE + _CAPTION + _GAP
    # The query stands a little apart from what was found.
    size = (_GAP + columns * across + _GAP, _HEAD + len(results) * down)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, 8), title, INK, font(15))
    legend = f"{plane} slices {tiles.across_nm:,.0f} nm across; the frame is what the encoder sees"
    draw.text((_GAP, 27), legend, FAINT, font(11))

    def put(corner: tuple[int, int], place: XyzFloat, caption: str, ink: tuple[int, ...]) -> None:
        x, y = corner
        sheet.paste(tiles.draw(place, plane)[0], corner)
        draw.text((x + 2, y + _TILE + 2), caption, ink, font(12))
        where = " ".join(f"{v:.0f}" for v in place)
        draw.text((x + 2, y + _TILE + 16), f"{where} nm", FAINT, font(10))

    for row, (name, result) in enumerate(results.items()):
        assert result.query_nm_xyz is not None
        y = _HEAD + row * down
        draw.text((_GAP, y), name, INK, font(12))
        put((_GAP, y + _NAME), result.query_nm_xyz, "query", MARK)
        for column, hit in enumerate(result.hits, 1):
            corner = (2 * _GAP + column * across, y + _NAME)
            put(corner, hit.position_nm_xyz, f"{hit.similarity:.3f}", INK)
    return png_of(sheet)
