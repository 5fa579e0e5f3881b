"""The same few voxels stored as zarr and as precomputed, for the tests of embed/volume.py."""

import numpy as np
import tensorstore as ts

UNITS = {"z": "40 nm", "y": "4 nm", "x": "4 nm"}
VOXELS = np.arange(4 * 6 * 8, dtype=np.uint16).reshape(4, 6, 8)


def make_array(path, voxels=VOXELS, axes="zyx", units=UNITS, **metadata):
    """A zarr v3 array of chunks of two voxels whose axes are named."""
    attributes = {"dimension_units": [units.get(axis) for axis in axes], "license": "CC0"}
    chunks = {"name": "regular", "configuration": {"chunk_shape": [2] * voxels.ndim}}
    spec = {
        "driver": "zarr3",
        "kvstore": f"file://{path}/",
        "metadata": {
            "dimension_names": list(axes),
            "attributes": attributes,
            "chunk_grid": chunks,
            **metadata,
        },
    }
    store = ts.open(spec, create=True, dtype=voxels.dtype, shape=voxels.shape).result()
    store[...] = voxels
    return path


def make_precomputed(path, offset=(-3, 5, 7), channels=1):
    """Three levels of 8 x 6 x 4 voxels and less, XYZ, at an offset; 4, 8 and 16 nm in x and y."""
    for factor in (1, 2, 4):
        spec = {
            "driver": "neuroglancer_precomputed",
            "kvstore": f"file://{path}/",
            "multiscale_metadata": {
                "type": "image",
                "data_type": "uint16",
                "num_channels": channels,
            },
            "scale_metadata": {
                "resolution": [4 * factor, 4 * factor, 40],
                "size": [8 // factor, max(1, 6 // factor), 4],
                "voxel_offset": [offset[0] // factor, offset[1] // factor, offset[2]],
                "encoding": "raw",
                "chunk_size": [4, 2, 3],
            },
        }
        store = ts.open(spec, create=True).result()
        if factor == 1:
            for channel in range(channels):
                store[..., channel] = VOXELS.transpose() + channel
    return path
