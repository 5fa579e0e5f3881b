"""`voxkin ingest`: TIFF stacks and HDF5 to OME-Zarr."""

from typing import Annotated, Any

import tyro

from embed.ingestion.ingest import ingest as convert
from serve.verbs.arguments import Count, Flag, Out, Size, Word, call, parse_voxel_size
from serve.verbs.console import print_json, progress, say


def main(words: list[str]) -> None:
    """Parses and runs."""
    call(ingest, "ingest", words)


def ingest(
    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")],
    /,
    out_path: Out,
    voxel_size: Size = None,
    dataset: Word = None,
    segmentation: Flag = False,
    levels: Count = 4,
    overwrite: Flag = False,
    json: Flag = False,
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
    size = parse_voxel_size(voxel_size)
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
        say(f"{out_path} holds {_described(report)}; next: voxkin info {out_path}")


def _described(report: dict[str, Any]) -> str:
    """As in "uint8 voxels, 512 x 512 x 99 of 6 x 6 x 30 nm (XYZ), in 4 levels"."""
    levels = report["levels"]
    shape = " x ".join(str(levels[0]["shape"][axis]) for axis in "xyz")
    size = " x ".join(f"{report['voxel_size_nm'][axis]:g}" for axis in "xyz")
    count = f"{len(levels)} levels" if len(levels) > 1 else "1 level"
    return f"{report['dtype']} voxels, {shape} of {size} nm (XYZ), in {count}"
