"""`voxkin ingest`: TIFF stacks and HDF5 to OME-Zarr."""

from typing import Annotated

import tyro

from embed.ingest import ingest as convert
from serve.arguments import Out, Size, Word, call
from serve.console import out, parse_xyz, print_json, progress


def main(words: list[str]) -> None:
    """Parses and runs."""
    call(ingest, "ingest", words)


def ingest(
    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")],
    /,
    out_path: Out,
    voxel_size: Size = None,
    dataset: Word = None,
    segmentation: bool = False,
    levels: int = 4,
    overwrite: bool = False,
    json: bool = False,
) -> None:
    """Converts a TIFF stack or an HDF5 file, which voxkin does not read, into OME-Zarr 0.5.

    Works in pieces that fit into memory, and writes the whole or nothing.

    Examples:
      voxkin ingest 'sections/*.tif' --voxel-size 4,4,40 --out em.ome.zarr
      voxkin ingest volume.h5 --dataset main/raw --out em.ome.zarr

    Args:
        source: a TIFF file, a folder of them, a pattern, or an HDF5 file.
        out_path: the folder to make.
        voxel_size: X,Y,Z in nm; may be left out where the files state it.
        dataset: of an HDF5 file with several.
        segmentation: the values are labels: lower levels take the commonest, not the mean.
        levels: of resolution to write, the full one included.
        overwrite: replace what is at --out, once the new one is whole.
        json: print a JSON report.
    """
    size = parse_xyz(voxel_size, "--voxel-size", "nm") if voxel_size else None
    with progress("converting", 0, "blocks") as advance:
        report = convert(
            source,
            out_path,
            voxel_size_nm=size,
            dataset=dataset,
            segmentation=segmentation,
            levels=levels,
            overwrite=overwrite,
            progress=lambda done, total: advance(done, total=total),
        )
    if json:
        print_json(report)
    else:
        out.print(f"{out_path} is ready; look at it with: voxkin info {out_path}")
