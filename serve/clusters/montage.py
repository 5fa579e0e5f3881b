"""One picture of a cluster: its most typical places in three planes."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int
from PIL import Image, ImageDraw

from embed.atlas import Atlas
from embed.geometry import XyzFloat
from serve.searching.suppression import suppress
from serve.thumbnails import Plane
from serve.tiles import FAINT, INK, PAPER, Tiles, font, png_of

PLACES = 24
_PLANES: tuple[Plane, ...] = ("xy", "xz", "yz")
_COLUMNS = 4
_TILE, _GAP, _CAPTION, _HEAD = 96, 14, 18, 52
# Looked at until enough are found whose surroundings have data, of which a tile shows this share.
_TRIED = 3 * PLACES
_SHOWS = 0.9
_LEAST = 0.6


class _Drawn(NamedTuple):
    """A place in three planes, and the least share of a plane that has data."""

    place: XyzFloat
    tiles: list[Image.Image]
    shown: float


class Montages:
    """Draws the montages of the clusters of one atlas."""

    def __init__(self, atlas: Atlas) -> None:
        """Opens the volume.

        Raises:
            VolumeError: it cannot be opened.
        """
        self._atlas = atlas
        self._tiles = Tiles(atlas, _PLANES, _TILE)
        edges = np.multiply(atlas.grid.fov, atlas.frame.voxel_size_nm)
        self._apart_nm = float(edges.max())

    def draw(
        self, title: str, ids: Int[np.ndarray, " n"], vectors: Float32[np.ndarray, "n dim"]
    ) -> bytes:
        """Draws the core of a cluster, the most typical place first.

        No two places are nearer than a field of view to each other; those whose surroundings are
        void, or lie outside the volume, are left out where there are others.

        Args:
            title: of the picture.
            ids: of the places of the cluster, at least one.
            vectors: of them, unit length.

        Returns:
            A PNG.

        Raises:
            DataError: a chunk of the volume cannot be read.
        """
        positions = self._atlas.positions_nm_xyz(ids)
        drawn: list[_Drawn] = []
        for row in core(positions, vectors, self._apart_nm, _TRIED).tolist():
            x, y, z = positions[row].tolist()
            pairs = [self._tiles.draw((x, y, z), plane) for plane in _PLANES]
            drawn.append(_Drawn((x, y, z), [p for p, _ in pairs], min(s for _, s in pairs)))
            if sum(one.shown >= _SHOWS for one in drawn) == PLACES:
                break
        whole = [one for one in drawn if one.shown >= _SHOWS]
        # In a small volume most places are near its border.
        partly = [one for one in drawn if _LEAST <= one.shown < _SHOWS]
        partly.sort(key=lambda one: -one.shown)
        return self._sheet(title, ([*whole, *partly] or drawn)[:PLACES])

    def _sheet(self, title: str, drawn: list[_Drawn]) -> bytes:
        columns = min(_COLUMNS, len(drawn))
        rows = -(-len(drawn) // columns)
        across = len(_PLANES) * (_TILE + 2) + _GAP
        down = _TILE + _CAPTION + 4
        width = max(_GAP + columns * across, 2 * across)
        sheet = Image.new("RGB", (width, _HEAD + rows * down + 4), PAPER)
        draw = ImageDraw.Draw(sheet)
        draw.text((_GAP, 8), title, INK, font(16))
        legend = (
            f"the most typical places in xy, xz and yz, {self._tiles.across_nm:,.0f} nm across; "
            "the frame is what the encoder sees"
        )
        draw.text((_GAP, 30), legend, FAINT, font(11))
        for number, (place, tiles, _) in enumerate(drawn):
            x = _GAP + number % columns * across
            y = _HEAD + number // columns * down
            for i, tile in enumerate(tiles):
                sheet.paste(tile, (x + i * (_TILE + 2), y))
            where = ", ".join(f"{v:.0f}" for v in place)
            draw.text((x, y + _TILE + 2), f"{where} nm", FAINT, font(10))
        # A third of the size, and no difference that an eye sees.
        return png_of(sheet.quantize(128, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE))


def core(
    positions_nm: Float[np.ndarray, "n 3"],
    vectors: Float32[np.ndarray, "n dim"],
    apart_nm: float,
    limit: int,
) -> Int[np.ndarray, " rows"]:
    """Rows of the most typical places of a cluster, none nearer than `apart_nm` to a better one.

    Typical is what is like the mean of the cluster; of places that lie apart the likest come first.
    """
    order = np.argsort(-(vectors @ vectors.mean(axis=0)), kind="stable")
    return order[suppress(positions_nm[order], limit, apart_nm, np.empty((0, 3)))]
