"""Pictures of places of an atlas, all at one scale, with what the encoder sees framed."""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from embed.atlas import Atlas
from embed.geometry import XyzFloat
from serve.thumbnails import Greys, Plane, Slice, draw_slice

REACH = 2.0
"""Edge of a tile in fields of view: as much again around it, for context."""

INK = (30, 33, 38)
FAINT = (110, 116, 125)
MARK = (234, 88, 12)
PAPER = (250, 250, 249)
EMPTY = (226, 228, 231)

# Which axis points right and which down, as slices are drawn.
_RIGHT_DOWN: dict[Plane, str] = {"xy": "xy", "xz": "xz", "yz": "zy"}


class Tiles:
    """Draws tiles of some planes of one atlas."""

    def __init__(self, atlas: Atlas, planes: tuple[Plane, ...], edge: int):
        """Finds the scale at which the field of view fits in every plane.

        Args:
            atlas: whose volume is drawn.
            planes: that will be.
            edge: of a tile in pixels.

        Raises:
            VolumeError: its volume cannot be opened.
        """
        sizes = zip(atlas.grid.fov, atlas.frame.voxel_size_nm, strict=True)
        edges = dict(zip("zyx", (n * size for n, size in sizes), strict=True))
        self.edge = edge
        self.across_nm = REACH * max(edges[a] for plane in planes for a in _RIGHT_DOWN[plane])
        self._nm_per_pixel = self.across_nm / edge
        self._seen = {
            plane: tuple(edges[axis] / self._nm_per_pixel for axis in _RIGHT_DOWN[plane])
            for plane in planes
        }
        self._volume = atlas.volume
        self._greys = Greys.around(atlas.info.normaliser.centre, atlas.info.normaliser.scale)

    def draw(self, place: XyzFloat, plane: Plane) -> tuple[Image.Image, float]:
        """The surroundings of a place, XYZ in nm, and the share of them that has data.

        Raises:
            DataError: a chunk of the volume cannot be read.
        """
        what = Slice(place, plane, self.edge, self._nm_per_pixel)
        picture = Image.open(io.BytesIO(draw_slice(self._volume, self._greys, what)))
        tile = Image.new("RGB", (self.edge, self.edge), EMPTY)
        alpha = picture.getchannel("A")
        tile.paste(picture.convert("RGB"), (0, 0), alpha)
        right, down = self._seen[plane]
        left, top = (self.edge - right) / 2, (self.edge - down) / 2
        ImageDraw.Draw(tile).rectangle((left, top, left + right, top + down), outline=MARK)
        return tile, float(np.asarray(alpha).mean() / 255)


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of captions, in pixels."""
    return ImageFont.load_default(size)


def png_of(picture: Image.Image) -> bytes:
    """A picture as a small PNG."""
    with io.BytesIO() as png:
        picture.save(png, "PNG", optimize=True)
        return png.getvalue()
