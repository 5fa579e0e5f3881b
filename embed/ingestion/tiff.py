"""TIFF stacks: one file of many pages, or a folder of sections."""

import contextlib
import logging
import re
import xml.etree.ElementTree
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Shaped

from embed.errors import DataError, MissingExtraError, VolumeError
from embed.formats.units import unit_nm
from embed.geometry import Box, Zyx, zyx
from embed.ingestion.stack import MaybeSize, Stack, native, spatial_order

SUFFIXES = (".tif", ".tiff")
_AXES = {"I": "z", "Q": "z"}  # tifffile's names for a series of pages that nothing describes


@contextlib.contextmanager
def open_tiff(path: Path) -> Iterator[Stack]:
    """Opens one file, whose pages are sections.

    Raises:
        VolumeError: it is no TIFF stack of one channel.
        MissingExtraError: tifffile is not installed.
    """
    with _opened(path) as file:
        shape = _shape(file, path)
        dtype = native(file.series[0].dtype, str(path))
        mapped = _mapped(file, path, shape)
        pages = [] if mapped is not None else _pages(file, path, shape)

        def read(box: Box) -> Shaped[np.ndarray, "z y x"]:
            if mapped is not None:
                return mapped[box.slices].astype(dtype)
            rows = [
                _rows(pages[z], box.start[1], box.stop[1], f"{path}, page {z}")
                for z in range(box.start[0], box.stop[0])
            ]
            return np.stack(rows)[:, :, box.slices[2]].astype(dtype, copy=False)

        size, stated_by = _voxel_size_nm(file)
        yield Stack(path.stem.removesuffix(".ome"), shape, dtype, size, stated_by, read)


@contextlib.contextmanager
def open_sections(paths: Sequence[Path], name: str) -> Iterator[Stack]:
    """Opens files of one section each, in natural order of their names (`s2` before `s10`).

    Raises:
        VolumeError: the first of them is no single section; of the others, a section of another
            shape or type is refused when it is read.
        MissingExtraError: tifffile is not installed.
    """
    paths = sorted(paths, key=_natural)
    with open_tiff(paths[0]) as first:
        if first.shape[0] != 1:
            raise VolumeError(
                f"{paths[0]} has {first.shape[0]} pages, but each file of a folder is one section; "
                "name the file itself to convert it alone"
            )

    def read(box: Box) -> Shaped[np.ndarray, "z y x"]:
        rows = Box((0, *box.start[1:]), (1, *box.stop[1:]))
        sections = []
        for path in paths[box.slices[0]]:
            with open_tiff(path) as section:
                if (section.shape, section.dtype) != (first.shape, first.dtype):
                    raise DataError(
                        f"{path} is {section.shape[1:]} (YX) {section.dtype}, but {paths[0].name} "
                        f"is {first.shape[1:]} {first.dtype}; all sections must be alike"
                    )
                sections.append(section.read(rows))
        return np.concatenate(sections)

    shape = zyx((len(paths), *first.shape[1:]))
    yield Stack(name, shape, first.dtype, first.voxel_size_nm, first.stated_by, read)


def _tifffile() -> ModuleType:
    try:
        import tifffile
    except ImportError as error:
        raise MissingExtraError(
            "reading TIFF needs tifffile; install it with: pip install 'voxkin[ingest]'"
        ) from error
    return tifffile


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    tifffile = _tifffile()
    complaints = _Complaints(logging.ERROR)
    log = logging.getLogger("tifffile")
    log.addHandler(complaints)
    try:
        file = tifffile.TiffFile(path)
        _ = file.series  # follows the chain of pages to its end
    except (tifffile.TiffFileError, OSError) as error:
        raise VolumeError(f"{path} cannot be opened as TIFF: {error}") from error
    finally:
        log.removeHandler(complaints)
    with file:
        if complaints.heard:
            raise DataError(f"{path} is damaged or truncated: {complaints.heard[0]}")
        yield file


class _Complaints(logging.Handler):
    """Keeps what tifffile only logs: it reads on after a broken page as if no more followed."""

    def __init__(self, level: int):
        super().__init__(level)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())


def _shape(file: Any, path: Path) -> Zyx:
    """Sections, rows and columns; pages written one by one count as sections if all are alike."""
    kinds = {(series.axes, series.shape, series.dtype) for series in file.series}
    if len(kinds) != 1:
        shapes = ", ".join(sorted({str(series.shape) for series in file.series})) or "none"
        raise VolumeError(
            f"{path} holds images of different kinds, of shape {shapes}; save the stack as a file "
            "of its own"
        )
    ((axes, shape, _),) = kinds
    dims = spatial_order([_AXES.get(a, a.lower()) for a in axes], shape, str(path))
    depth = shape[dims["z"]] if "z" in dims else 1
    return zyx((depth * len(file.series), shape[dims["y"]], shape[dims["x"]]))


def _mapped(file: Any, path: Path, shape: Zyx) -> Shaped[np.ndarray, "z y x"] | None:
    """The voxels where they are one run of bytes, as ImageJ writes them beyond 4 GB too."""
    series = file.series[0]
    if len(file.series) > 1 or series.dataoffset is None:
        return None
    dtype = np.dtype(series.dtype).newbyteorder(file.byteorder)
    try:
        return np.memmap(path, dtype, mode="r", offset=series.dataoffset, shape=shape)
    except (ValueError, OSError) as error:
        raise DataError(f"{path} is truncated: {error}") from error


def _pages(file: Any, path: Path, shape: Zyx) -> list[Any]:
    pages = [page for series in file.series for page in series.pages]
    if len(pages) != shape[0] or None in pages:
        there = sum(page is not None for page in pages)
        raise DataError(f"{path} should have {shape[0]} pages of one section each, and has {there}")
    return pages


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sorts digits by their value.

    >>> sorted([Path("s10.tif"), Path("s2.tif")], key=_natural)[0].name
    's2.tif'
    """
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _rows(page: Any, start: int, stop: int, what: str) -> Shaped[np.ndarray, "y x"]:
    """Some rows of a page; only the strips or tiles that hold them are decoded."""
    key = page.keyframe
    columns = -(-key.imagewidth // key.tilewidth) if key.is_tiled else 1
    height = key.tilelength if key.is_tiled else min(key.rowsperstrip, key.imagelength)
    rows = np.zeros((stop - start, key.imagewidth), key.dtype)
    try:
        for index in range(start // height * columns, -(-stop // height) * columns):
            segment, (_, _, y, x, _), (_, h, w, _) = _segment(page, index)
            top, bottom = max(y, start), min(y + h, stop)
            if segment is not None:  # an empty segment is zeros
                w = min(w, key.imagewidth - x)  # the outermost tiles reach beyond the page
                part = segment[0, top - y : bottom - y, :w, 0]
                rows[top - start : bottom - start, x : x + w] = part
    except Exception as error:  # every codec raises errors of its own
        if "imagecodecs" in str(error):
            raise MissingExtraError(
                f"{what}: {error}; install it with: pip install imagecodecs"
            ) from error
        raise DataError(f"{what} is damaged: {error}") from error
    return rows


def _segment(page: Any, index: int) -> Any:
    """A decoded strip or tile `[1, y, x, 1]`, its position, and its shape inside the page."""
    handle = page.parent.filehandle
    if handle.closed:  # an OME-TIFF may spread over several files
        handle.open()
    handle.seek(page.dataoffsets[index])
    content = handle.read(page.databytecounts[index])
    return page.keyframe.decode(content or None, index, jpegtables=page.jpegtables)


def _voxel_size_nm(file: Any) -> tuple[MaybeSize, str]:
    """Voxel size in nm, ZYX, and who states it. Plain TIFF tags are in print resolutions, mostly
    a scanner's or a drawing program's default, and are not believed."""
    if file.is_ome:
        return _ome_size(file.ome_metadata), "OME-TIFF metadata"
    if file.is_imagej:
        return _imagej_size(file), "ImageJ metadata"
    return (None, None, None), ""


def _ome_size(text: str) -> MaybeSize:
    root = xml.etree.ElementTree.fromstring(text)
    pixels = next((node for node in root.iter() if node.tag.endswith("}Pixels")), None)
    said = {} if pixels is None else pixels.attrib
    sizes = []
    for axis in "ZYX":
        unit = unit_nm(said.get(f"PhysicalSize{axis}Unit", "µm"))  # the schema's default
        value = said.get(f"PhysicalSize{axis}")
        sizes.append(None if value is None or unit is None else float(value) * unit)
    z, y, x = sizes
    return z, y, x


def _imagej_size(file: Any) -> MaybeSize:
    """ImageJ counts pixels per unit in the resolution tags and units between sections."""
    said, tags = file.imagej_metadata or {}, file.pages[0].tags
    unit = unit_nm(str(said.get("unit", "")))
    if unit is None:
        return None, None, None

    def size(tag: str) -> float | None:
        pixels, units = tags[tag].value if tag in tags else (0, 0)
        return units / pixels * unit if pixels and units else None

    spacing = said.get("spacing")
    return (float(spacing) * unit if spacing else None), size("YResolution"), size("XResolution")
