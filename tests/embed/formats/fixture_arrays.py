"""What is known of every array in the shared fixtures.

Axes, shapes and sizes are in the order of the store.
"""

NG = "neuroglancer_datasource"
V2 = f"{NG}/zarr/zarr_v2/from_zarr-python/data.zarr"
V3 = f"{NG}/zarr/zarr_v3/from_zarrita/data.zarr"
OME = f"{NG}/zarr/ome_zarr"
PRE = "precomputed"
OME_06 = f"{OME}/all_0.6"

ZYX, XYZC = ("z", "y", "x"), ("x", "y", "z", "channel")


# path: format, axes, shape, dtype, voxel size in nm of the first level
MULTISCALE = {
    f"{NG}/precomputed/one_channel": (PRE, XYZC, (10, 20, 30, 1), "uint16", (3, 4, 5, None)),
    f"{NG}/precomputed/two_channels": (PRE, XYZC, (10, 20, 30, 2), "uint16", (3, 4, 5, None)),
    f"{NG}/n5/n5_viewer_multiscale_modern": ("n5", ("x", "y"), (10, 20), "uint16", (10, None)),
    f"{NG}/n5/n5_viewer_multiscale_deprecated": ("n5", ("x", "y"), (10, 20), "uint16", (10, None)),
    f"{OME}/simple_0.4": ("ome-zarr 0.4", ("y", "x"), (10, 10), "uint16", (4, 30)),
    f"{OME}/simple_0.5": ("ome-zarr 0.5", ("y", "x"), (10, 10), "uint16", (4, 30)),
    f"{OME}/simple_0.5.zip": ("ome-zarr 0.5", ("y", "x"), (10, 10), "uint16", (4, 30)),
    f"{OME}/simple_0.5.ocdbt": ("ome-zarr 0.5", ("y", "x"), (10, 10), "uint16", (4, 30)),
}  # fmt: skip


# path: axes, voxel size, lower corner of voxel 0 (OME-Zarr's origin is its centre), in µm
TRANSFORMED = {
    f"{OME_06}/basic/identity.zarr": (ZYX, (1, 1, 1), (-0.5, -0.5, -0.5)),
    f"{OME_06}/basic/scale.zarr": (ZYX, (4, 3, 2), (-2, -1.5, -1)),
    f"{OME_06}/basic/translation.zarr": (ZYX, (1, 1, 1), (29.5, 19.5, 9.5)),
    f"{OME_06}/basic/sequenceScaleTranslation.zarr": (ZYX, (4, 3, 2), (30, 19.5, 9)),
    f"{OME_06}/axis_dependent/mapAxis.zarr": (("x", "z", "y"), (1, 1, 1), (-0.5, -0.5, -0.5)),
    # These two say affine and rotation, but keep the axes apart: scale with shift, reordering.
    f"{OME_06}/simple/affine.zarr": (ZYX, (4, 3, 2), (30, 19.5, 9)),
    f"{OME_06}/simple/rotation.zarr": (("y", "x", "z"), (1, 1, 1), (-0.5, -0.5, -0.5)),
}
SHEARED = f"{OME_06}/simple/anisotropic_rotation.zarr"


# Arrays that name no axes: path: format, shape, dtype
UNNAMED = {
    **{
        f"n5/{codec}": ("n5", (5, 4), "uint16") for codec in ("blosc", "bzip2", "gzip", "raw", "xz")
    },
    f"{NG}/zarr/zarr_v3/examples/single_res": ("zarr3", (6, 7), "uint16"),
    **{f"{path}/array": ("zarr3", (27, 226, 186), "uint8") for path in (*TRANSFORMED, SHEARED)},
    **{
        f"{OME}/simple_0.4/scale{i}/image": ("zarr2", (n, n), "uint16")
        for i, n in enumerate((10, 5, 2))
    },
    **{
        f"{NG}/n5/n5_viewer_multiscale_deprecated/s{i}": ("n5", shape, "uint16")
        for i, shape in enumerate(((10, 20), (5, 10), (3, 5)))
    },
    **{
        f"{V2}/{name}": ("zarr2", shape, dtype)
        for name, shape, dtype in (
            ("1d.chunked.i2", (4,), "int16"),
            ("1d.chunked.ragged.i2", (5,), "int16"),
            ("1d.contiguous.b1", (4,), "bool"),
            ("1d.contiguous.blosc.i2", (4,), "int16"),
            ("1d.contiguous.f4.be", (4,), "float32"),
            ("1d.contiguous.f4.le", (4,), "float32"),
            ("1d.contiguous.f8", (4,), "float64"),
            ("1d.contiguous.i4", (4,), "int32"),
            ("1d.contiguous.raw.i2", (4,), "int16"),
            ("1d.contiguous.u1", (4,), "uint8"),
            ("1d.contiguous.zlib.i2", (4,), "int16"),
            ("1d.contiguous.zstd.i2", (4,), "int16"),
            ("2d.chunked.i2", (2, 2), "int16"),
            ("2d.chunked.ragged.i2", (3, 3), "int16"),
            ("2d.contiguous.i2", (2, 2), "int16"),
            ("3d.chunked.i2", (3, 3, 3), "int16"),
            ("3d.chunked.mixed.i2.C", (3, 3, 3), "int16"),
            ("3d.chunked.mixed.i2.F", (3, 3, 3), "int16"),
            ("3d.contiguous.i2", (3, 3, 3), "int16"),
        )
    },
    **{
        f"{V3}/{name}": ("zarr3", shape, dtype)
        for name, shape, dtype in (
            ("1d.chunked.compressed.sharded.i2", (4,), "int16"),
            ("1d.chunked.filled.compressed.sharded.i2", (4,), "int16"),
            ("1d.chunked.i2", (4,), "int16"),
            ("1d.chunked.ragged.i2", (5,), "int16"),
            ("1d.contiguous.blosc.i2", (4,), "int16"),
            ("1d.contiguous.compressed.sharded.f4", (4,), "float32"),
            ("1d.contiguous.compressed.sharded.f8", (4,), "float64"),
            ("1d.contiguous.compressed.sharded.i2", (4,), "int16"),
            ("1d.contiguous.compressed.sharded.i4", (4,), "int32"),
            ("1d.contiguous.compressed.sharded.u1", (4,), "uint8"),
            ("1d.contiguous.f4.be", (4,), "float32"),
            ("1d.contiguous.f4.le", (4,), "float32"),
            ("1d.contiguous.f8", (4,), "float64"),
            ("1d.contiguous.gzip.i2", (4,), "int16"),
            ("1d.contiguous.i4", (4,), "int32"),
            ("1d.contiguous.raw.i2", (4,), "int16"),
            ("1d.contiguous.u1", (4,), "uint8"),
            ("2d.chunked.compressed.sharded.filled.i2", (4, 4), "int16"),
            ("2d.chunked.compressed.sharded.i2", (4, 4), "int16"),
            ("2d.chunked.i2", (2, 2), "int16"),
            ("2d.chunked.ragged.compressed.sharded.i2", (3, 3), "int16"),
            ("2d.chunked.ragged.i2", (3, 3), "int16"),
            ("2d.contiguous.compressed.sharded.i2", (2, 2), "int16"),
            ("2d.contiguous.i2", (2, 2), "int16"),
            ("3d.chunked.compressed.sharded.i2", (4, 4, 4), "int16"),
            ("3d.chunked.i2", (3, 3, 3), "int16"),
            ("3d.chunked.mixed.compressed.sharded.i2", (3, 3, 3), "int16"),
            ("3d.chunked.mixed.i2.C", (3, 3, 3), "int16"),
            ("3d.chunked.mixed.i2.F", (3, 3, 3), "int16"),
            ("3d.contiguous.compressed.sharded.i2", (3, 3, 3), "int16"),
            ("3d.contiguous.i2", (3, 3, 3), "int16"),
        )
    },
}


# Arrays that name their axes but state no size, or one that is no length.
NAMED = {
    **{
        f"{OME}/simple_0.5/scale{i}/image": ("zarr3", ("y", "x"), (n, n), "uint16", (None, None))
        for i, n in enumerate((10, 5, 2))
    },
    **{  # a level takes axes and resolution from the group around it
        f"{NG}/n5/n5_viewer_multiscale_modern/s{i}": ("n5", ("x", "y"), shape, "uint16", (nm, None))
        for i, (shape, nm) in enumerate((((10, 20), 10), ((5, 10), 20), ((3, 5), 40)))
    },
}


REFUSED = {
    f"{V2}/1d.contiguous.S7": "base64-encoded bytes",
    f"{V2}/1d.contiguous.U13.be": 'Unsupported zarr dtype: ">U13"',
    f"{V2}/1d.contiguous.U13.le": 'Unsupported zarr dtype: "<U13"',
    f"{V2}/1d.contiguous.U7": 'Unsupported zarr dtype: "<U7"',
    f"{V2}/2d.chunked.U7": 'Unsupported zarr dtype: "<U7"',
    f"{V2}/3d.chunked.O": 'Unsupported zarr dtype: "|O"',
    f"{V2}/1d.contiguous.lz4.i2": '"lz4" is not registered; write it anew as numbers with a common',
    f"{V3}/1d.contiguous.b1": '"fill_value": Expected boolean, but received: 0',
    f"{V3}/1d.contiguous.compressed.sharded.b1": '"fill_value": Expected boolean',
    V2: "is a group, not an array; the folder holds: 1d.chunked.i2, 1d.chunked.ragged.i2",
    V3: "is a group, not an array; the folder holds:",
    f"{OME}/simple_0.4/scale0": "is a group, not an array; the folder holds: image",
    f"{OME}/simple_0.4/scale1": "is a group, not an array; the folder holds: image",
    f"{OME}/simple_0.4/scale2": "is a group, not an array; the folder holds: image",
    f"{OME}/simple_0.5/scale0": "is a group, not an array",
    f"{OME}/simple_0.5/scale1": "is a group, not an array",
    f"{OME}/simple_0.5/scale2": "is a group, not an array",
    SHEARED: "turn or shear the axes; to use the grid of the array as it is, open file://",
    f"{NG}/nifti/standard.nii": "is NIfTI, which cannot be read; save it as TIFF or HDF5",
    f"{NG}/nifti/standard.nii.gz": "then convert that with: voxkin ingest",
    f"{NG}/nifti/example_nifti2.nii.gz": "is NIfTI",
    "h01_annotations": "holds neuroglancer_annotations_v1, which is no volume of voxels",
    "sift5k_128.npy": "is a file; a volume is the folder of",
}
