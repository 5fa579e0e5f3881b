"""How the array of dense embeddings is described to TensorStore, and what its description says."""

from pathlib import Path
from typing import Any

import tensorstore as ts

from embed.formats.arrays import reason
from embed.quantiser import Quantiser


def array_spec(
    path: Path,
    shape: tuple[int, ...],
    shard: tuple[int, ...],
    chunk: tuple[int, ...],
    quantiser: Quantiser | None,
) -> dict[str, Any]:
    """The array as TensorStore is told to make it; shapes are ZYX and channels."""
    codecs = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
    # Embeddings are close to incompressible: a checksum, and no compressor in the way.
    inner = {"chunk_shape": [*chunk], "codecs": codecs, "index_codecs": codecs}
    metadata: dict[str, Any] = {
        "shape": [*shape],
        "data_type": "int8" if quantiser else "float16",
        "fill_value": 0 if quantiser else 0.0,
        "dimension_names": ["z", "y", "x", "channel"],
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [*shard]}},
        "codecs": [{"name": "sharding_indexed", "configuration": inner}],
    }
    if quantiser:
        metadata["attributes"] = quantiser.attributes
    kvstore = {"driver": "file", "path": f"{path}/"}
    return {"driver": "zarr3", "kvstore": kvstore, "metadata": metadata}


def quantiser_of(store: ts.TensorStore) -> Quantiser | None:
    """What decodes an array, as its type and attributes say.

    Raises:
        ValueError: they say nothing of the kind.
    """
    if store.dtype == ts.float16:
        return None
    if store.dtype != ts.int8:
        raise ValueError(f"it holds {store.dtype.name}, not float16 or int8")
    found = Quantiser.from_attributes(store.spec().to_json()["metadata"].get("attributes", {}))
    if len(found.scale) != store.shape[3]:
        raise ValueError(f"it has {len(found.scale)} scales for {store.shape[3]} channels")
    return found


def difference(error: ValueError) -> str:
    """What an array differs in from the one that was asked for, without the lists of scales."""
    text = reason(error)
    return "it has other scales, or none" if 'Mismatch in "attributes"' in text else text
