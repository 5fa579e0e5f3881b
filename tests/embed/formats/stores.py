"""Arrays and files of metadata, made for the tests of the formats."""

import json

import tensorstore as ts


def make_array(path, driver="zarr3", shape=(4, 6, 8), dtype="uint8", **metadata):
    spec = {"driver": driver, "kvstore": f"file://{path}/", "metadata": metadata}
    return ts.open(spec, create=True, dtype=dtype, shape=shape).result()


def write(path, **files):
    path.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (path / {"group": "zarr.json", "n5": "attributes.json"}.get(name, f".{name}")).write_text(
            json.dumps(value)
        )
