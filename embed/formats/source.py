"""Where a volume lies: every way of saying it, turned into a TensorStore spec and back.

Understood are a local path; a URL in TensorStore's pipe form (`gs://bucket/x/|zarr3:`) or in that
of Neuroglancer and CloudVolume (`precomputed://gs://bucket/x`); a TensorStore spec; and the
VolumeDescriptor of google-research/connectomics. A spec may be JSON text or a file that ends in
`.json`.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorstore as ts

from embed.errors import VolumeError
from embed.formats.arrays import Json, folder, reason, url
from embed.geometry import XyzFloat

# Format prefixes of Neuroglancer and CloudVolume; "auto" finds the format out. TensorStore's own
# pipe form says zarr2 and neuroglancer-precomputed for the first two.
_DRIVERS = {
    "zarr2": "zarr",
    "precomputed": "neuroglancer_precomputed",
    "neuroglancer-precomputed": "neuroglancer_precomputed",
    "zarr3": "zarr3",
    "n5": "n5",
    "zarr": "auto",
    "auto": "auto",
}
_PREFIXES = {
    "zarr": "zarr2",
    "zarr3": "zarr3",
    "n5": "n5",
    "neuroglancer_precomputed": "precomputed",
}
_PIPES = {**_PREFIXES, "neuroglancer_precomputed": "neuroglancer-precomputed"}
_PIPE = re.compile(rf"(?P<store>.*)\|(?P<format>{'|'.join(_DRIVERS)}):(?P<path>[^|]*)")
_PREFIX = re.compile(rf"(?P<format>{'|'.join(_DRIVERS)})://(?P<store>.+)")
_METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", "attributes.json", "info")
_SUFFIXES = (".zip", ".json", ".zarr", ".ome", ".n5", ".precomputed")


@dataclasses.dataclass(frozen=True)
class Source:
    """A place that TensorStore can open.

    Attributes:
        spec: TensorStore's JSON; its driver is `auto` where the format is to be found out. Local
            paths are absolute.
        voxel_size_nm: what a VolumeDescriptor states beside its spec, XYZ.
    """

    spec: Json
    voxel_size_nm: XyzFloat | None = None

    @property
    def driver(self) -> str:
        """TensorStore's name of the format, or `auto`."""
        return str(self.spec["driver"])

    @property
    def is_plain(self) -> bool:
        """Whether the spec says only where and in which format, so that our readers may look."""
        return self.spec.keys() == {"driver", "kvstore"} and self.driver in _DRIVERS.values()

    @property
    def name(self) -> str:
        """The last part of the path, without suffixes such as `.ome.zarr`."""
        place = self.spec
        while not place.get("path") and ("kvstore" in place or "base" in place):
            place = place["kvstore"] if "kvstore" in place else place["base"]
        said = [str(place.get(key, "")).rstrip("/") for key in ("path", "bucket", "base_url")]
        name = next((text.split("/")[-1] for text in said if text), self.driver)
        while name.endswith(_SUFFIXES) and not name.startswith("."):
            name = name[: name.rindex(".")]
        return name

    @property
    def url(self) -> str:
        """TensorStore's pipe form, or JSON where no URL can say it."""
        place = url(self.spec["kvstore"]) if self.is_plain else "{"
        if place.startswith("{"):
            return json.dumps(self.spec, sort_keys=True)
        return place if self.driver == "auto" else f"{place}|{_PIPES[self.driver]}:"

    @property
    def neuroglancer_url(self) -> str:
        """The form that Neuroglancer and CloudVolume understand.

        Raises:
            VolumeError: they have no word for it, such as a spec with a transform.
        """
        if self.url.startswith("{"):
            raise VolumeError(f"Neuroglancer has no URL for {self.url}; it knows only plain stores")
        place, _, _ = self.url.rpartition("|")
        if "|" in place or self.driver == "auto":  # a zip file, say; or a format to be found out
            return self.url
        return f"{_PREFIXES[self.driver]}://{place.rstrip('/')}"


def parse(source: "str | Path | Mapping[str, Any] | Source") -> Source:
    """The source that `source` names; nothing is opened but a `.json` file.

    Raises:
        VolumeError: no form we know; the message names those we do.
    """
    if isinstance(source, Source):
        return source
    if isinstance(source, Mapping):
        return _from_json(dict(source))
    text = str(source)
    if text.lstrip().startswith("{"):
        return _from_json(_loaded(text, "the spec"))
    if "://" in text or _PIPE.fullmatch(text):
        return _from_url(text)
    # TensorStore takes no path with `..` in it.
    path = Path(text).expanduser().resolve()
    if path.name in _METADATA and path.is_file():
        path = path.parent
    elif path.suffix == ".json" and path.is_file():
        return _from_json(_loaded(path.read_bytes(), str(path)))
    return Source({"driver": "auto", "kvstore": folder({"driver": "file", "path": str(path)})})


def _from_url(text: str) -> Source:
    match = _PREFIX.fullmatch(text) or _PIPE.fullmatch(text)
    try:
        if match is None:
            return _from_pipeline(text)
        inner = match["store"]
        if "://" not in inner:  # precomputed:///plain/path
            inner = Path(inner).expanduser().resolve().as_uri()
        kvstore = ts.KvStore.Spec(inner).to_json()
        path = match.groupdict().get("path") or ""
        return Source({"driver": _DRIVERS[match["format"]], "kvstore": folder(kvstore, path)})
    except ValueError as error:
        raise VolumeError(
            f"{text!r} names no volume: {reason(error)}; known are file, gs, s3, http and https "
            "URLs, alone, after precomputed://, zarr://, zarr2://, zarr3:// or n5://, or before "
            "|zarr2:, |zarr3:, |n5: or |neuroglancer-precomputed:"
        ) from error


def _from_pipeline(text: str) -> Source:
    """A URL without a format, or one of TensorStore's rarer pipelines such as `…|cast:uint8`."""
    try:
        kvstore = ts.KvStore.Spec(text).to_json()
    except ValueError:
        return Source(ts.Spec(text).to_json())
    return Source({"driver": "auto", "kvstore": folder(kvstore)})


def _from_json(value: Json) -> Source:
    if "tensorstore_config" in value or "volinfo" in value:
        return _from_descriptor(value)
    try:
        # Fills in what the spec leaves to TensorStore: a kvstore given as a URL, the old `path`.
        kvstore = ts.Spec(value).kvstore
    except (ValueError, TypeError) as error:
        raise VolumeError(f"this JSON is no TensorStore spec: {reason(error)}") from error
    if "kvstore" in value and kvstore is not None:
        value = {**value, "kvstore": folder(kvstore.to_json())}
        value.pop("path", None)
    return Source(_absolute(value))


def _from_descriptor(value: Json) -> Source:
    if value.get("decorator_specs"):
        raise VolumeError(
            "this VolumeDescriptor has decorator_specs, which only google-research/connectomics "
            "can apply; write the decorated volume out and open that"
        )
    config = value.get("tensorstore_config")
    if isinstance(config, str):
        config = _loaded(Path(config).read_bytes(), config) if Path(config).is_file() else None
    if not isinstance(config, dict) or not isinstance(config.get("spec"), dict):
        raise VolumeError("this VolumeDescriptor holds no tensorstore_config with a spec")
    metadata = config.get("metadata")
    size = metadata.get("voxel_size") if isinstance(metadata, dict) else None
    spec = _from_json(config["spec"]).spec
    if size is None:
        return Source(spec)
    try:
        x, y, z = map(float, size)
    except (TypeError, ValueError) as error:
        raise VolumeError(f"voxel_size of this VolumeDescriptor is no X, Y, Z: {size}") from error
    return Source(spec, (x, y, z))


def _absolute(value: Any) -> Any:
    """The same JSON with local paths made absolute, so that it opens from any folder."""
    if isinstance(value, list):
        return [_absolute(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: _absolute(item) for key, item in value.items()}
    if value.get("driver") == "file" and not str(value["path"]).startswith("/"):
        value["path"] = f"{Path.cwd()}/{value['path']}"
    return value


def _loaded(text: str | bytes, where: str) -> Json:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise VolumeError(f"{where} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise VolumeError(f"{where} is no TensorStore spec, which is a JSON object")
    return value
