"""What lies at a place that holds no array, and what to do about it."""

from pathlib import Path

from embed.errors import VolumeError
from embed.formats.arrays import Json, local_path, url
from embed.formats.source import Source

_SHOWN = 8
_INGESTED = (".tif", ".tiff", ".h5", ".hdf5", ".hdf")


def require_store(kvstore: Json) -> None:
    """Does nothing for a local folder, a zip file or a remote store.

    Raises:
        VolumeError: nothing is there, or a file that must be converted first.
    """
    path = local_path(kvstore)
    if path is None or path.is_dir() or (path.is_file() and path.suffix == ".zip"):
        return
    if not path.exists():
        raise no_such_path(path)
    if path.name.endswith(_INGESTED):
        raise VolumeError(
            f"{path} must be converted once: voxkin ingest {path} --out {path.stem}.zarr"
        )
    if path.name.endswith((".nii", ".nii.gz")):
        raise VolumeError(
            f"{path} is NIfTI, which cannot be read; save it as TIFF or HDF5 (nibabel reads it), "
            "then convert that with: voxkin ingest FILE --out NAME.zarr"
        )
    raise VolumeError(
        f"{path} is a file; a volume is the folder of a zarr, N5 or precomputed array, a zip of "
        "one, or a .json file with a TensorStore spec"
    )


def no_such_path(path: Path) -> VolumeError:
    """The error for a path that does not exist; it says what the nearest folder holds."""
    folder = next(parent for parent in path.absolute().parents if parent.is_dir())
    return VolumeError(f"no such path: {path}; the folder {folder} holds: {_contents(folder)}")


def missing_array(source: Source, kvstore: Json, files: list[str]) -> VolumeError:
    """The error for a place that can be read but holds no array of the wished format.

    Args:
        source: what was asked for.
        kvstore: where it was looked for.
        files: the metadata files that are there all the same.
    """
    where = url(kvstore)
    kind = "a group, not an array" if files else "no array"
    if source.driver != "auto":
        kind += f" of format {source.driver}"
    if not files and source.driver == "auto":
        kind += ": it has no zarr.json, .zarray, info or attributes.json"
    path = local_path(kvstore)
    if path is None or not path.is_dir():
        return VolumeError(f"{where} is {kind}; name the array inside it")
    if any(child.suffix in (".tif", ".tiff") for child in path.iterdir()):
        return VolumeError(
            f"{path} is a folder of TIFF files; convert it once: voxkin ingest {path} --out "
            f"{path.name}.zarr"
        )
    return VolumeError(f"{path} is {kind}; the folder holds: {_contents(path)}")


def _contents(folder: Path) -> str:
    """Names in a folder, likely volumes first."""
    names = sorted(child.name for child in folder.iterdir() if not child.name.startswith("."))
    names.sort(key=lambda name: not name.endswith((".zarr", ".n5", ".zip", ".json")))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) or "nothing") + more
