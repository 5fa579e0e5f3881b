"""TIFF stacks and HDF5 into OME-Zarr."""
