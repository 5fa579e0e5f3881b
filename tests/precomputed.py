"""Writes precomputed annotations and skeletons as other programs do."""

import gzip
import json
import struct
from pathlib import Path

import numpy as np
import tensorstore as ts

SHARDING = {
    "@type": "neuroglancer_uint64_sharded_v1",
    "hash": "murmurhash3_x86_128",
    "preshift_bits": 1,
    "minishard_bits": 1,
    "shard_bits": 2,
    "data_encoding": "gzip",
    "minishard_index_encoding": "gzip",
}


class Folder:
    """A folder of precomputed data being written in one of the ways it can be stored.

    How: "plain" files, files with the suffix "gz", or "sharded".
    """

    def __init__(self, path: Path, how: str):
        self.path, self.how = path, how
        self.sharding = {"sharding": SHARDING} if how == "sharded" else {}

    def info(self, value: dict, within: str = "") -> None:
        (self.path / within).mkdir(parents=True, exist_ok=True)
        (self.path / within / "info").write_text(json.dumps(value))

    def write(self, within: str, values: dict[int | str, bytes]) -> None:
        folder = self.path / within
        folder.mkdir(parents=True, exist_ok=True)
        if self.how == "sharded":
            base = {"driver": "file", "path": f"{folder}/"}
            spec = {"driver": "neuroglancer_uint64_sharded", "base": base, "metadata": SHARDING}
            store = ts.KvStore.open(spec).result()
            for key, value in values.items():
                store.write(struct.pack(">Q", int(key)), value).result()
            return
        for key, value in values.items():
            if self.how == "gz":
                (folder / f"{key}.gz").write_bytes(gzip.compress(value))
            else:
                (folder / str(key)).write_bytes(value)


def write_skeletons(folder: Folder, skeletons: dict[int, np.ndarray], **info) -> None:
    """Skeletons whose nodes are a chain."""
    folder.info({"@type": "neuroglancer_skeletons", **folder.sharding, **info})
    values = {}
    for segment, nodes in skeletons.items():
        edges = np.stack([np.arange(len(nodes) - 1), np.arange(1, len(nodes))], axis=1)
        content = struct.pack("<II", len(nodes), len(edges)) + np.float32(nodes).tobytes()
        radii = np.ones(len(nodes), np.float32).tobytes()
        values[segment] = content + edges.astype(np.uint32).tobytes() + radii
    folder.write("", values)
