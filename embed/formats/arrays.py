"""TensorStore as we use it: one shared cache, metadata files, and errors in one line."""

import functools
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tensorstore as ts

from embed.errors import VolumeError

Json = dict[str, Any]

CACHE_BYTES = 512 * 2**20
"""Decoded chunks kept in memory: some 250 chunks of 128x128x128 bytes, enough that neighbouring
reads decode none twice, and little beside what training takes."""

FAILURES = (ValueError, NotImplementedError, OSError)
"""What TensorStore raises when a store refuses; a status that Python has no type for is a
ValueError."""

# TensorStore's default of 32 attempts keeps a person with a misspelt host waiting for a quarter of
# an hour; these give up after about 20 s, which still outlasts a hiccup of a bucket.
_RETRIES = {"max_retries": 6, "initial_delay": "0.5s", "max_delay": "8s"}


@functools.lru_cache
def context(cache_bytes: int = CACHE_BYTES) -> ts.Context:
    """The context that every store with this cache size shares, so no chunk is decoded twice."""
    retries = {f"{kind}_request_retries": _RETRIES for kind in ("http", "gcs", "s3")}
    return ts.Context({"cache_pool": {"total_bytes_limit": cache_bytes}, **retries})


def reason(error: BaseException) -> str:
    """What TensorStore says went wrong, in one line without its spec and status code."""
    text = re.sub(
        r"\s*\[(tensorstore_spec|domain|transform|curl_code|os_error_code)=.*",
        "",
        str(error),
        flags=re.S,
    )
    text = " ".join(text.split())
    return re.sub(
        r'^([A-Z_]+: |Error opening "\w+" driver: |Parsing spec from url: "[^"]*": )+', "", text
    )


def open_arrays(
    specs: Iterable[Json], what: str, cache_bytes: int = CACHE_BYTES
) -> list[ts.TensorStore]:
    """Opens the arrays of `what` for reading, all at once.

    Raises:
        VolumeError: one of them is missing or of a kind that TensorStore cannot decode.
    """
    shared = context(cache_bytes)
    try:
        futures = [ts.open(spec, context=shared, open=True, read=True) for spec in specs]
        return [future.result() for future in futures]
    except FAILURES as error:
        hint = "; write it anew as numbers with a common codec (blosc, gzip, zstd)"
        unknown = "Error parsing object member" in str(error)
        raise VolumeError(f"cannot open {what}: {reason(error)}{hint * unknown}") from error


def read_json(kvstore: Json, names: Iterable[str]) -> dict[str, Json]:
    """The JSON objects stored under `names`, read all at once; those that are absent are left out.

    Raises:
        VolumeError: the store cannot be reached, or a file holds no JSON object.
    """
    names = tuple(names)
    try:
        store = ts.KvStore.open(kvstore, context=context()).result()
        futures = [store.read(name) for name in names]
    except FAILURES as error:
        raise VolumeError(f"cannot reach {url(kvstore)}: {reason(error)}") from error
    found, failures = {}, []
    for name, future in zip(names, futures, strict=True):
        try:
            result = future.result()
        except FAILURES as error:
            failures.append(reason(error))  # a bucket may answer 403 for a key it does not hold
            continue
        if result.state == "value":
            found[name] = _parsed(result.value, f"{url(kvstore)}{name}")
    if failures and not found:
        raise VolumeError(f"cannot read {url(kvstore)}: {failures[0]}")
    return found


def _parsed(content: bytes, where: str) -> Json:
    try:
        value = json.loads(content)
    except ValueError as error:
        raise VolumeError(f"{where} holds no JSON: {error}") from error
    if not isinstance(value, dict):
        raise VolumeError(f"{where} holds no JSON object but a {type(value).__name__}")
    return value


def folder(kvstore: Json, path: str = "") -> Json:
    """The key-value store of a folder inside another; a zip file counts as a folder.

    >>> folder({"driver": "file", "path": "/a"}, "b/c")
    {'driver': 'file', 'path': '/a/b/c/'}
    >>> folder({"driver": "file", "path": "/a.zip"})
    {'driver': 'zip', 'base': {'driver': 'file', 'path': '/a.zip'}, 'path': ''}
    """
    base = str(kvstore.get("path", ""))
    if base.endswith(".zip") and kvstore["driver"] != "zip":
        kvstore, base = {"driver": "zip", "base": kvstore}, ""
    parts = [part for part in (base.rstrip("/") + "/" + path).split("/") if part]
    root = "/" if base.startswith("/") else ""
    return {**kvstore, "path": root + "".join(f"{part}/" for part in parts)}


def local_path(kvstore: Json) -> Path | None:
    """The folder or file on this machine that holds a key-value store, if one does."""
    while "base" in kvstore:
        kvstore = kvstore["base"]
    return Path(kvstore["path"]) if kvstore["driver"] == "file" else None


def url(kvstore: Json) -> str:
    """A key-value store as a URL, or as JSON where no URL can say it."""
    try:
        return str(ts.KvStore.Spec(kvstore).url)
    except FAILURES:
        return json.dumps(kvstore, sort_keys=True)
