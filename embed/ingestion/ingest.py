"""Converts TIFF stacks and HDF5 into OME-Zarr 0.5, in pieces that fit into memory."""

import contextlib
import glob
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from embed.errors import ConfigError, StorageError, VolumeError, VoxkinError
from embed.formats.arrays import FAILURES, Json, reason
from embed.formats.levels import stated_zyx
from embed.formats.missing import no_such_path
from embed.geometry import XyzFloat, ZyxFloat, zyx_float
from embed.ingestion import hdf5, tiff
from embed.ingestion.pyramid import (
    Method,
    PlannedLevel,
    blocks,
    create_level,
    downsample,
    plan,
    write_group,
)
from embed.ingestion.stack import Stack
from embed.storage import reports_storage

Progress = Callable[[int, int], None]


def ingest(
    source: str,
    out: Path,
    *,
    voxel_size_nm: XyzFloat | None = None,
    dataset: str | None = None,
    segmentation: bool = False,
    levels: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Json:
    """Writes a stack of sections as a multiscale OME-Zarr of chunks of 128 voxels.

    Everything is written to `<out>.partial` and renamed at the end, so `out` is whole or absent.

    Args:
        source: a TIFF file, a folder of TIFF files or a pattern such as `stack/*.tif` (one section
            each, sorted naturally), or an HDF5 file.
        out: the folder to make.
        voxel_size_nm: XYZ; may be left out where the files state it.
        dataset: path of the data set in an HDF5 file with several.
        segmentation: downsamples by the most frequent label instead of the mean.
        levels: how many to write, the full size included; every next one halves the axes whose
            voxels are not much longer than the shortest.
        overwrite: replaces a zarr that is at `out`, once the new one is complete.
        progress: called with the blocks done and their total.

    Returns:
        A JSON object that says what was written, with lengths by the names x, y and z.

    Raises:
        VolumeError: the source is no stack that can be read, or its voxel size is not stated.
        DataError: a section is damaged.
        ConfigError: an argument is out of range, or `out` exists.
        StorageError: the disk refuses; nothing is left at `out` or beside it.
        MissingExtraError: tifffile or h5py is not installed.
    """
    if not 1 <= levels <= 16:
        raise ConfigError(f"a volume has 1 to 16 levels; got {levels}")
    stated = stated_zyx(voxel_size_nm)
    _require_free(out, overwrite)
    with _opened(source, dataset) as stack:
        size = stated or _size_of(stack, source)
        planned = plan(stack.shape, size, levels)
        with _partial(out) as partial:
            _write(stack, partial, planned, segmentation, progress)
            _replace(partial, out)
    return _report(stack, out, planned, "the command line" if stated else stack.stated_by)


def _require_free(out: Path, overwrite: bool) -> None:
    if not out.exists():
        return
    if not overwrite:
        raise ConfigError(f"{out} exists; choose another --out, or replace it with --overwrite")
    if not (out / "zarr.json").is_file():  # nobody's holiday pictures
        raise ConfigError(f"{out} is not a zarr, so it is not overwritten; choose another --out")


@contextlib.contextmanager
def _opened(source: str, dataset: str | None) -> Iterator[Stack]:
    """Chooses the reader by what lies at `source`."""
    path = Path(source).expanduser()
    if not path.exists() and not glob.has_magic(source):
        raise no_such_path(path)
    if path.is_dir():
        sections, name = sorted(path.iterdir()), path.resolve().name
    else:
        sections = [Path(match) for match in glob.glob(str(path))]
        name = path.resolve().parent.name
    tiffs = [section for section in sections if section.suffix.lower() in tiff.SUFFIXES]
    if path.is_file() and path.suffix.lower() in hdf5.SUFFIXES:
        with hdf5.open_hdf5(path, dataset) as stack:
            yield stack
    elif path.is_file() and tiffs:
        with tiff.open_tiff(path) as stack:
            yield stack
    elif tiffs:
        with tiff.open_sections(tiffs, name) as stack:
            yield stack
    else:
        kinds = ", ".join((*tiff.SUFFIXES, *hdf5.SUFFIXES))
        raise VolumeError(
            f"{source} is no file of a known kind ({kinds}) and no folder or pattern of TIFF files"
        )


@contextlib.contextmanager
def _partial(out: Path) -> Iterator[Path]:
    """An empty folder beside `out` to write into; gone afterwards, whatever happens."""
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
    try:
        with reports_storage(f"write {out}"):
            partial.mkdir(parents=True)
            yield partial
    except VoxkinError:
        raise
    except FAILURES as error:
        raise StorageError(f"cannot write {out}: {reason(error)}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _size_of(stack: Stack, source: str) -> ZyxFloat:
    """The voxel size that the files state, all of it."""
    known = [length for length in stack.voxel_size_nm if length and math.isfinite(length)]
    if len(known) == 3:
        return zyx_float(known)
    said = dict(zip("zyx", stack.voxel_size_nm, strict=True))
    missing = ", ".join(axis for axis in "xyz" if not said[axis])
    raise VolumeError(
        f"{source} does not state the voxel size on {missing} in ImageJ, OME-TIFF or "
        "element_size_um metadata; state it with --voxel-size X,Y,Z in nm"
    )


def _write(
    stack: Stack,
    path: Path,
    planned: list[PlannedLevel],
    segmentation: bool,
    progress: Progress | None,
) -> None:
    """Copies the full size block by block, then makes each level from the one before."""
    method: Method = "mode" if segmentation else "mean"
    bytes_per_voxel = [stack.dtype.itemsize * math.prod(level.factor) for level in planned]
    todo = [list(blocks(p.shape, n)) for p, n in zip(planned, bytes_per_voxel, strict=True)]
    total, done = sum(map(len, todo)), 0
    write_group(path, planned, {"ingested_from": stack.name}, method)
    finer = None
    for level, boxes in zip(planned, todo, strict=True):
        store = create_level(path, level, stack.dtype)
        for box in boxes:
            if finer is None:
                store[box.slices].write(np.ascontiguousarray(stack.read(box))).result()
            else:
                downsample(finer, store, level.factor, method, box)
            done += 1
            if progress is not None:
                progress(done, total)
        finer = store


def _replace(partial: Path, out: Path) -> None:
    """Renames the finished folder to its name; what was there stays until then."""
    old = out.with_name(out.name + ".replaced")
    if out.exists():
        shutil.rmtree(old, ignore_errors=True)
        out.rename(old)
    partial.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _report(stack: Stack, out: Path, planned: list[PlannedLevel], stated_by: str) -> Json:
    z, y, x = planned[0].voxel_size_nm
    return {
        "out": str(out),
        "format": "ome-zarr 0.5",
        "dtype": stack.dtype.name,
        "voxel_size_nm": {"x": x, "y": y, "z": z},
        "voxel_size_stated_by": stated_by,
        "levels": [
            {
                "path": level.path,
                "shape": dict(zip("xyz", reversed(level.shape), strict=True)),
                "voxel_size_nm": dict(zip("xyz", reversed(level.voxel_size_nm), strict=True)),
            }
            for level in planned
        ],
    }
