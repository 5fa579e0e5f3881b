"""`voxkin train`: an encoder from a volume, without labels."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from embed.config import RunConfig, VolumeConfig, load_preset
from embed.errors import ConfigError
from embed.report import write_report
from embed.train import Progress, fit
from embed.training_volumes import open_training_volumes
from serve.arguments import Axes, Region, Size, Word, call
from serve.console import note, out, parse_box, parse_xyz, print_json, progress

_INTERRUPTED = 130


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Learns an encoder from a volume, without labels.

    CONFIG is a preset that comes with voxkin, or the path of a Python file like one. Any setting of
    it can be changed by a flag. The run is resumed where it stopped when the same command is given
    again; SIGTERM and Ctrl-C save first.

    Examples:
      voxkin train fibsem --volume em.ome.zarr --out runs/em
      voxkin train demo --out demo-run --train.steps 500
      voxkin train my_preset.py --out runs/mine

    Attributes:
        config: a preset, or a path that ends in .py.
        out: the directory of the run.
        volume: trains on this volume instead of the preset's.
        voxel_size: X,Y,Z in nm of --volume, where it does not state it.
        axes: of --volume, where it does not name them.
        box: voxels of --volume to train on, X0:X1,Y0:Y1,Z0:Z1.
        json: print a JSON report at the end.
        settings: of the run.
    """

    config: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="CONFIG")]
    out: Annotated[Path, tyro.conf.arg(metavar="RUN")]
    settings: Annotated[RunConfig, tyro.conf.arg(name="")]
    volume: Word = None
    voxel_size: Size = None
    axes: Axes = None
    box: Region = None
    json: bool = False


def main(words: list[str]) -> int:
    """Parses and runs."""
    # The preset gives the flags their defaults, so it is read before they are.
    preset = words[0] if words and not words[0].startswith("-") else "demo"
    default = Arguments(tyro.MISSING, tyro.MISSING, load_preset(preset))
    arguments = call(Arguments, "train", words, default=default)
    if arguments.config != preset:
        raise ConfigError("CONFIG comes first, as in: voxkin train fibsem --out RUN")
    return train(arguments)


def train(arguments: Arguments) -> int:
    """Trains until the last step or a request to stop.

    Returns:
        The exit code.
    """
    config = _with_volume(arguments)
    volumes = open_training_volumes(config)
    with progress("training", config.train.steps, "steps") as advance:

        def tell(now: Progress) -> None:
            advance(now.step, f"loss {now.loss:.3f} · {now.places_per_s:,.0f} places/s")

        encoder = fit(config, volumes, arguments.out, progress=tell)
    picture = write_report(arguments.out)
    if encoder is None:
        note(f"stopped and saved; go on with the same command (--out {arguments.out})")
        return _INTERRUPTED
    if arguments.json:
        report = {
            "run": str(arguments.out),
            "encoder": encoder.fingerprint,
            "steps": encoder.step,
            "fov_voxels": dict(zip("zyx", encoder.fov, strict=True)),
            "embedding_dim": encoder.embedding_dim,
            "report": str(picture),
        }
        print_json(report)
    else:
        out.print(f"encoder {encoder.fingerprint[:12]} is in {arguments.out}; curves: {picture}")
    return 0


def _with_volume(arguments: Arguments) -> RunConfig:
    if arguments.volume is None:
        if arguments.voxel_size or arguments.axes or arguments.box:
            raise ConfigError("--voxel-size, --axes and --box describe --volume, which is missing")
        return arguments.settings
    size, box = arguments.voxel_size, arguments.box
    ranges = None
    if box:
        b = parse_box(box, "--box")
        ranges = tuple(reversed(list(zip(b.start, b.stop, strict=True))))
    volume = VolumeConfig(
        arguments.volume,
        parse_xyz(size, "--voxel-size", "nm") if size else None,
        arguments.axes,
        ranges,  # type: ignore[arg-type]  # three ranges, which tuple() does not say
    )
    return dataclasses.replace(arguments.settings, volumes=(volume,))
