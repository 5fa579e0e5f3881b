"""`voxkin embed`: an embedding at every location of a volume, or at given places."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embed.atlas import Atlas
from embed.audit import verify
from embed.checkpoint import load_encoder
from embed.engines.engine import Engine
from embed.engines.ray import Ray
from embed.engines.shards import embed_on
from embed.errors import ConfigError, DataError, IncompleteError
from embed.estimate import operations
from embed.geometry import Box, ZyxFloat
from embed.inference import Progress, embed_shards, remaining
from embed.ledger import Mark
from embed.pretrained import find_encoder
from embed.samples import locate
from embed.volume import Volume, open_volume
from serve.verbs.arguments import (
    Out,
    Run,
    Source,
    call,
    parse_voxel_size,
)
from serve.verbs.console import print_json, say
from serve.verbs.embed_arguments import (
    HowFlags,
    HowGroup,
    TellFlags,
    TellGroup,
    VolumeFlags,
    VolumeGroup,
    WhatFlags,
    WhatGroup,
    WhereFlags,
    WhereGroup,
)
from serve.verbs.embed_layout import lay_out
from serve.verbs.embed_plan import shards_text, tell_plan
from serve.verbs.embed_telling import telling


def main(words: list[str]) -> None:
    """Parses and runs."""
    call(embed, "embed", words)


def embed(
    run: Run,
    /,
    volume: Source,
    out_path: Out,
    taken: VolumeGroup = VolumeFlags(),
    what: WhatGroup = WhatFlags(),
    how: HowGroup = HowFlags(),
    where: WhereGroup = WhereFlags(),
    tells: TellGroup = TellFlags(),
) -> None:
    """Writes an embedding at every location of a volume, or at given places: an atlas.

    The work is cut into shards. A run that was killed goes on with the shards that are missing when
    the same command is given again; shards that failed are tried again. Of a multiscale volume the
    level nearest to the encoder's voxel size is taken.

    Examples:
      voxkin embed pretrained --volume em.ome.zarr --out em.atlas
      voxkin embed pretrained --volume em.ome.zarr --out em.atlas --dry-run
      voxkin embed runs/em --volume em.ome.zarr --out em.atlas --mask tissue.zarr
      voxkin embed runs/em --volume em.ome.zarr --out em.atlas --box 0:512,0:512,0:99 --extend
      voxkin embed runs/em --volume em.ome.zarr --out em.atlas --engine ray --address head:6379
      voxkin embed runs/em --volume em.ome.zarr --out synapses.atlas --points synapses.csv
      voxkin embed runs/em --volume em.ome.zarr --out em.atlas --verify

    Args:
        run: a training run, the file of an encoder, or `pretrained`: the encoder that comes with
            voxkin for voxels of this size.
        volume: path, URL or TensorStore spec; `sample` is the one that comes with voxkin.
        out_path: the directory of the atlas.
        taken: how to take the volume.
        what: which locations.
        how: how it is computed and stored.
        where: where it runs.
        tells: what it tells.
    """
    if tells.verify_only:
        _verify(Atlas.open(out_path), tells)
        return
    engine, part = where.chosen(), _part(where.part)
    encoder = find_encoder(run, lambda near: _opened(volume, taken, near).frame.voxel_size_nm)
    source = _opened(volume, taken, encoder.voxel_size_nm)
    options: Any = {"run": str(run.resolve()), "any_voxel_size": taken.any_voxel_size}
    if tells.dry_run:
        # Laid out elsewhere, so that what would be refused is refused now.
        with tempfile.TemporaryDirectory(prefix="voxkin-") as folder:
            atlas = lay_out(encoder, source, Path(folder) / "atlas", what, how, **options)
            tell_plan(atlas, out_path, tells.price, tells.json)
        return
    atlas = lay_out(encoder, source, out_path, what, how, **options)
    shards = _of_part(atlas, part)
    failed = embed_atlas(atlas, shards, engine, events=tells.events, port=tells.metrics)
    _tell_result(atlas, shards, failed, tells.json)


def embed_atlas(
    atlas: Atlas,
    shards: Sequence[Box] | None = None,
    engine: Engine | None = None,
    *,
    events: Path | None = None,
    port: int | None = None,
) -> list[tuple[Box, Mark]]:
    """Does what remains of an atlas, with progress; gives back the shards that failed.

    Args:
        atlas: laid out.
        shards: of which to do what remains; all of them if not given.
        engine: where; in this process if not given.
        events: a file for events.
        port: for metrics.
    """
    left = remaining(atlas)
    if shards is not None:
        own = set(shards)
        left = [shard for shard in left if shard in own]
    cost = operations(atlas, load_encoder(atlas.path))
    here = not isinstance(engine, Ray)
    with telling(atlas, cost, here=here, events=events, port=port) as tell:
        return _done(atlas, left, engine, tell)


def _done(
    atlas: Atlas, shards: list[Box], engine: Engine | None, tell: Progress
) -> list[tuple[Box, Mark]]:
    if engine is None:
        return embed_shards(atlas, shards, progress=tell)
    return embed_on(engine, atlas, shards, progress=tell)


def _opened(volume: str, taken: VolumeFlags, near: ZyxFloat) -> Volume:
    free = taken.any_voxel_size or taken.level is not None
    return open_volume(
        locate(volume),
        voxel_size_nm=parse_voxel_size(taken.voxel_size),
        axes=taken.axes,
        level=taken.level,
        channel=taken.channel,
        at_voxel_size_nm=None if free else near,
    )


def _part(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    number, _, count = text.partition("/")
    if not (number.isdigit() and count.isdigit() and int(number) < int(count)):
        raise ConfigError(f"--part takes I/N with I from 0 to N - 1, as in --part 0/4; got {text}")
    return int(number), int(count)


def _of_part(atlas: Atlas, part: tuple[int, int] | None) -> Sequence[Box]:
    """The shards of a part: a run of neighbours, which share what they read."""
    if part is None:
        return atlas.shards
    number, count = part
    total = len(atlas.shards)
    return atlas.shards[total * number // count : total * (number + 1) // count]


def _tell_result(
    atlas: Atlas, shards: Sequence[Box], failed: Sequence[tuple[Box, Mark]], json: bool
) -> None:
    finished = atlas.finished()
    own = [finished[shard] for shard in shards if shard in finished]
    locations = sum(mark.locations - mark.unwanted for mark in own)
    voids = sum(mark.voids - mark.unwanted for mark in own)
    if json:
        report = {
            "atlas": str(atlas.path),
            "fingerprint": atlas.info.fingerprint,
            "locations": locations,
            "voids": voids,
            "shards": len(own),
            "backend": atlas.info.backend,
            "failed": [{"cells_zyx": _ends(box), "reason": mark.reason} for box, mark in failed],
        }
        print_json(report)
    if failed:
        raise IncompleteError(
            f"{len(failed)} of {shards_text(len(shards))} failed, the first because: "
            f"{failed[0][1].reason}; mend the volume and give the same command again"
        )
    if json:
        return
    count = f"{locations:,} locations" + (f" ({voids:,} void)" if voids else "")
    if len(finished) == len(atlas.shards):
        say(f"{atlas.path} holds {count}; next: voxkin index {atlas.path}")
    else:
        missing = len(atlas.shards) - len(finished)
        say(f"this part of {atlas.path} holds {count}; other parts miss {shards_text(missing)}")


def _verify(atlas: Atlas, tells: TellFlags) -> None:
    bad = verify(atlas, recompute=tells.recompute)
    if tells.json:
        print_json({"atlas": str(atlas.path), "disagree_cells_zyx": [_ends(box) for box in bad]})
    if bad:
        raise DataError(
            f"{shards_text(len(bad))} of {atlas.path} fail the check, the first with cells "
            f"{_ends(bad[0])} (ZYX); the same command without --verify does them again"
        )
    if not tells.json:
        say(f"{atlas.path}: every finished shard agrees with its checksum")


def _ends(box: Box) -> list[list[int]]:
    return [list(box.start), list(box.stop)]
