"""`voxkin embed`: an embedding at every location of a volume."""

import shutil
from pathlib import Path
from typing import Annotated

import tyro

from embed.atlas import Atlas
from embed.checkpoint import TrainedEncoder, load_encoder
from embed.geometry import Box, Grid
from embed.inference import create_atlas, embed_volume, remaining, verify
from embed.ledger import Mark
from embed.samples import locate
from embed.volume import Volume, open_volume
from serve.arguments import Axes, Out, Region, Size, Whole, call
from serve.console import note, out, parse_box, parse_steps, parse_xyz, print_json, progress

# float16.
_BYTES = 2
_FAILED = 2


def main(words: list[str]) -> int:
    """Parses and runs."""
    return call(embed, "embed", words)


def embed(
    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")],
    /,
    volume: str,
    out_path: Out,
    stride: Size = None,
    box: Region = None,
    voxel_size: Size = None,
    axes: Axes = None,
    level: Whole = None,
    channel: Whole = None,
    any_voxel_size: bool = False,
    dry_run: bool = False,
    verify_only: Annotated[bool, tyro.conf.arg(name="verify")] = False,
    json: bool = False,
) -> int:
    """Writes an embedding at every location of a volume: an atlas.

    The work is cut into shards. A run that was killed goes on with the shards that are missing when
    the same command is given again; shards that failed are tried again. Of a multiscale volume the
    level nearest to the encoder's voxel size is taken.

    Examples:
      voxkin embed runs/em --volume em.ome.zarr --out em.atlas
      voxkin embed runs/em --volume em.ome.zarr --out em.atlas --dry-run
      voxkin embed runs/em --volume em.ome.zarr --out em.atlas --verify

    Args:
        run: a training run, or the file of an encoder.
        volume: path, URL or TensorStore spec; `sample` is the one that comes with voxkin.
        out_path: the directory of the atlas.
        stride: X,Y,Z voxels between locations: multiples of the encoder's own, which is the
            default.
        box: voxels to embed, X0:X1,Y0:Y1,Z0:Z1; the whole volume if not given.
        voxel_size: X,Y,Z in nm, where the volume does not state it.
        axes: one letter per dimension in the order of the store, where it does not name them.
        level: of a multiscale volume.
        channel: of a volume with several.
        any_voxel_size: embed a volume of another voxel size than the encoder was made for.
        dry_run: say how many locations, shards and bytes it would be, and write nothing.
        verify_only: re-read what is there against its checksums, recompute a sample of it, and mark
            what does not agree to be done again.
        json: print a JSON report.
    """
    encoder = load_encoder(run)
    free = any_voxel_size or level is not None
    source = open_volume(
        locate(volume),
        voxel_size_nm=parse_xyz(voxel_size, "--voxel-size", "nm") if voxel_size else None,
        axes=axes,
        level=level,
        channel=channel,
        at_voxel_size_nm=None if free else encoder.voxel_size_nm,
    )
    step = parse_steps(stride, "--stride") if stride else encoder.stride
    region = parse_box(box, "--box") if box else None
    if dry_run:
        _plan(encoder, source, Grid.covering(region or source.box, encoder.fov, step), json)
        return 0
    if verify_only:
        return _verify(Atlas.open(out_path), json)
    atlas = create_atlas(
        encoder,
        source,
        out_path,
        run=str(run.resolve()),
        stride=step,
        box=region,
        any_voxel_size=any_voxel_size,
    )
    return _finish(atlas, embed_atlas(atlas), json)


def embed_atlas(atlas: Atlas) -> list[tuple[Box, Mark]]:
    """Does what remains of an atlas, with progress; gives back the shards that failed."""
    left = sum(box.size for box in remaining(atlas))
    done, voids = atlas.grid.size - left, 0
    with progress("embedding", atlas.grid.size, "locations") as advance:
        advance(done)

        def tell(shard: Box, mark: Mark) -> None:
            nonlocal done, voids
            done, voids = done + shard.size, voids + mark.voids
            advance(done, f"{voids:,} void" if voids else "")

        return embed_volume(atlas, progress=tell)


def _finish(atlas: Atlas, failed: list[tuple[Box, Mark]], json: bool) -> int:
    marks = atlas.ledger.marks().values()
    report = {
        "atlas": str(atlas.path),
        "fingerprint": atlas.info.fingerprint,
        "locations": atlas.grid.size,
        "voids": sum(mark.voids for mark in marks),
        "failed": [
            {"cells_zyx": [list(box.start), list(box.stop)], "reason": mark.reason}
            for box, mark in failed
        ],
    }
    for box, mark in failed:
        note(f"failed: locations {box} (cells, ZYX): {mark.reason}")
    if failed:
        note(f"{len(failed)} shards failed; mend the volume and give the same command again")
    if json:
        print_json(report)
    elif not failed:
        out.print(
            f"{atlas.path} holds {atlas.grid.size:,} locations ({report['voids']:,} void); "
            f"next: voxkin index {atlas.path}"
        )
    return _FAILED if failed else 0


def _plan(encoder: TrainedEncoder, volume: Volume, grid: Grid, json: bool) -> None:
    size = grid.size * encoder.embedding_dim * _BYTES
    report = {
        "volume": volume.name,
        "locations": grid.size,
        "grid": dict(zip("zyx", grid.shape, strict=True)),
        "stride_voxels": dict(zip("zyx", grid.stride, strict=True)),
        "fov_voxels": dict(zip("zyx", grid.fov, strict=True)),
        "embedding_bytes": size,
        "volume_bytes": volume.box.size * volume.dtype.itemsize,
        "free_bytes": shutil.disk_usage(Path.cwd()).free,
    }
    if json:
        print_json(report)
        return
    for name, value in report.items():
        out.print(f"{name:>16}  {value:,}" if isinstance(value, int) else f"{name:>16}  {value}")


def _verify(atlas: Atlas, json: bool) -> int:
    bad = verify(atlas)
    cells = [[list(box.start), list(box.stop)] for box in bad]
    if json:
        print_json({"atlas": str(atlas.path), "disagree_cells_zyx": cells})
    elif bad:
        note(
            f"{len(bad)} shards do not agree with their checksum: {cells}; embed again to redo them"
        )
    else:
        out.print(f"{atlas.path}: every finished shard agrees with its checksum")
    return _FAILED if bad else 0
