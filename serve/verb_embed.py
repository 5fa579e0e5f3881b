"""`voxkin embed`: an embedding at every location of a volume."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from embed.atlas import Atlas
from embed.audit import verify
from embed.checkpoint import TrainedEncoder
from embed.errors import ConfigError, DataError, IncompleteError, OutOfBoundsError
from embed.geometry import Box, Zyx, ZyxFloat
from embed.grid_layout import create_atlas
from embed.inference import embed_shards, remaining
from embed.layout import Wanted
from embed.ledger import Mark
from embed.pretrained import find_encoder
from embed.samples import locate
from embed.volume import Volume, open_volume
from serve.arguments import (
    Axes,
    Flag,
    Out,
    Region,
    Run,
    Size,
    Source,
    Verify,
    Whole,
    box_text,
    call,
    parse_box,
    parse_steps,
    parse_voxel_size,
    xyz_text,
)
from serve.console import print_json, progress, say

# float16.
_BYTES = 2


def main(words: list[str]) -> None:
    """Parses and runs."""
    call(embed, "embed", words)


def embed(
    run: Run,
    /,
    volume: Source,
    out_path: Out,
    stride: Size = None,
    box: Region = None,
    voxel_size: Size = None,
    axes: Axes = None,
    level: Whole = None,
    channel: Whole = None,
    any_voxel_size: Flag = False,
    dry_run: Flag = False,
    verify_only: Verify = False,
    json: Flag = False,
) -> None:
    """Writes an embedding at every location of a volume: an atlas.

    The work is cut into shards. A run that was killed goes on with the shards that are missing when
    the same command is given again; shards that failed are tried again. Of a multiscale volume the
    level nearest to the encoder's voxel size is taken.

    Examples:
      voxkin embed pretrained --volume em.ome.zarr --out em.atlas
      voxkin embed runs/em --volume em.ome.zarr --out em.atlas
      voxkin embed runs/em --volume em.ome.zarr --out em.atlas --dry-run
      voxkin embed runs/em --volume em.ome.zarr --out em.atlas --verify

    Args:
        run: a training run, the file of an encoder, or `pretrained`: the encoder that comes with
            voxkin for voxels of this size.
        volume: path, URL or TensorStore spec; `sample` is the one that comes with voxkin.
        out_path: the directory of the atlas.
        stride: voxels between locations: multiples of the encoder's own, which is the default.
        box: voxels to embed, stops excluded; the whole volume if not given.
        voxel_size: in nm, where the volume does not state it.
        axes: one letter per dimension in the order of the store, where it does not name them.
        level: of a multiscale volume, 0 for the first.
        channel: of a volume with several.
        any_voxel_size: embed a volume of another voxel size than the encoder was made for.
        dry_run: say how many locations, shards and bytes it would be, and write nothing.
        verify_only: re-read what is there against its checksums, recompute a sample of it, and mark
            what does not agree to be done again.
        json: print a JSON report.
    """
    free = any_voxel_size or level is not None

    def opened(near: ZyxFloat) -> Volume:
        return open_volume(
            locate(volume),
            voxel_size_nm=parse_voxel_size(voxel_size),
            axes=axes,
            level=level,
            channel=channel,
            at_voxel_size_nm=None if free else near,
        )

    encoder = find_encoder(run, lambda near: opened(near).frame.voxel_size_nm)
    source = opened(encoder.voxel_size_nm)
    if verify_only:
        _verify(Atlas.open(out_path), json)
        return
    wanted = Wanted(
        stride=_stride(encoder, stride),
        box=_region(source, box),
        any_voxel_size=any_voxel_size,
    )
    origin = str(run.resolve())
    if dry_run:
        # Laid out elsewhere, so that what would be refused is refused now.
        with tempfile.TemporaryDirectory(prefix="voxkin-") as folder:
            atlas = create_atlas(encoder, source, Path(folder) / "atlas", wanted, run=origin)
            _tell_plan(atlas, out_path, json)
    else:
        atlas = create_atlas(encoder, source, out_path, wanted, run=origin)
        _tell_result(atlas, embed_atlas(atlas), json)


def embed_atlas(atlas: Atlas) -> list[tuple[Box, Mark]]:
    """Does what remains of an atlas, with progress; gives back the shards that failed."""
    left = sum(box.size for box in remaining(atlas))
    done, voids = atlas.planned - left, 0
    with progress("embedding", atlas.planned, "locations") as advance:
        advance(done)

        def tell(shard: Box, mark: Mark) -> None:
            nonlocal done, voids
            done, voids = done + shard.size, voids + mark.voids
            advance(done, f"{voids:,} void" if voids else "")

        return embed_shards(atlas, progress=tell)


def _stride(encoder: TrainedEncoder, text: str | None) -> Zyx:
    if text is None:
        return encoder.stride
    step = parse_steps(text, "--stride")
    if any(a % b for a, b in zip(step, encoder.stride, strict=True)):
        own = xyz_text(encoder.stride)
        raise ConfigError(f"--stride is a multiple of the encoder's, {own} voxels; got {text}")
    return step


def _region(volume: Volume, text: str | None) -> Box | None:
    if text is None:
        return None
    box = parse_box(text, "--box")
    if not volume.box.contains(box):
        raise OutOfBoundsError(
            f"--box {text} leaves {volume.name}, whose voxels are {box_text(volume.box)}"
        )
    return box


def _tell_result(atlas: Atlas, failed: Sequence[tuple[Box, Mark]], json: bool) -> None:
    voids = sum(mark.voids for mark in atlas.ledger.marks().values())
    if json:
        report = {
            "atlas": str(atlas.path),
            "fingerprint": atlas.info.fingerprint,
            "locations": atlas.grid.size,
            "voids": voids,
            "failed": [{"cells_zyx": _ends(box), "reason": mark.reason} for box, mark in failed],
        }
        print_json(report)
    if failed:
        shards = _shards(sum(1 for _ in atlas.store.shards))
        raise IncompleteError(
            f"{len(failed)} of {shards} failed, the first because: {failed[0][1].reason}; "
            "mend the volume and give the same command again"
        )
    if not json:
        count = f"{atlas.grid.size:,} locations" + (f" ({voids:,} void)" if voids else "")
        say(f"{atlas.path} holds {count}; next: voxkin index {atlas.path}")


def _tell_plan(atlas: Atlas, out: Path, json: bool) -> None:
    volume, grid, dim = atlas.volume, atlas.grid, atlas.info.embedding_dim
    place = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    voxels = volume.box.size * volume.dtype.itemsize
    vectors, free = grid.size * dim * _BYTES, shutil.disk_usage(place).free
    shards = sum(1 for _ in atlas.store.shards)
    if json:
        report = {
            "volume": volume.name,
            "volume_bytes": voxels,
            "fov_voxels": _named(grid.fov),
            "stride_voxels": _named(grid.stride),
            "grid": _named(grid.shape),
            "locations": grid.size,
            "shards": shards,
            "embedding_bytes": vectors,
            "free_bytes": free,
        }
        print_json(report)
        return
    rows = {
        "volume": f"{volume.name}, {_by(volume.box.shape)} voxels (XYZ), {_megabytes(voxels)}",
        "field of view": f"{_by(grid.fov)} voxels, every {_by(grid.stride)}",
        "locations": f"{_by(grid.shape)} = {grid.size:,}, in {_shards(shards)}",
        "embeddings": f"{dim} numbers each, {_megabytes(vectors)}; {_megabytes(free)} are free",
    }
    say("\n".join(f"{name:13}  {value}" for name, value in rows.items()))


def _verify(atlas: Atlas, json: bool) -> None:
    bad = verify(atlas)
    if json:
        print_json({"atlas": str(atlas.path), "disagree_cells_zyx": [_ends(box) for box in bad]})
    if bad:
        raise DataError(
            f"{_shards(len(bad))} of {atlas.path} fail the check, the first with cells "
            f"{_ends(bad[0])} (ZYX); the same command without --verify does them again"
        )
    if not json:
        say(f"{atlas.path}: every finished shard agrees with its checksum")


def _ends(box: Box) -> list[list[int]]:
    return [list(box.start), list(box.stop)]


def _named(values: Zyx) -> dict[str, int]:
    return dict(zip("xyz", reversed(values), strict=True))


def _by(values: Zyx) -> str:
    return " x ".join(f"{n:,}" for n in reversed(values))


def _shards(count: int) -> str:
    return f"{count:,} shard" + "s" * (count != 1)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
