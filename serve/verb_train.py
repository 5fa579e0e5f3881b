"""`voxkin train`: an encoder from a volume, without labels."""

import dataclasses
import signal
from pathlib import Path
from typing import Annotated

import tyro

from embed.augment import AugmentConfig
from embed.checkpoint import TrainedEncoder
from embed.config import RunConfig, TrainConfig, VolumeConfig, load_preset
from embed.encoder import EncoderConfig
from embed.errors import ConfigError
from embed.report import write_report
from embed.sampling import SamplingConfig
from embed.train import Progress, fit
from embed.training_volumes import open_training_volumes
from serve.arguments import HELP, Axes, Flag, Region, Size, Word, call, parse_box, parse_voxel_size
from serve.console import note, print_json, progress, say
from serve.stopping import Stopped, arrivals


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Learns an encoder from a volume, without labels.

    CONFIG is a preset that comes with voxkin (fibsem, sections, demo or smoke), or the path of a
    Python file like one; its settings are the defaults below, and any of them can be changed by its
    flag. A run goes on where it stopped when the same command is given again; Ctrl-C and SIGTERM
    save first.

    Examples:
      voxkin train fibsem --volume em.ome.zarr --out runs/em
      voxkin train fibsem --volume em.ome.zarr --out runs/em --train.steps 10000
      voxkin train my_preset.py --out runs/mine

    Attributes:
        config: a preset, or a path that ends in .py.
        out: the directory of the run.
        volume: path, URL or TensorStore spec to train on instead of what the preset names.
        voxel_size: in nm, where --volume does not state it.
        axes: one letter per dimension in the order of the store, where --volume does not name them.
        box: voxels of --volume to train on; all of them if not given.
        json: print a JSON report at the end.
        encoder: the network.
        sampling: what is cut in a step.
        augment: how views are changed.
        train: how long and how.
    """

    config: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="CONFIG")]
    out: Annotated[Path, tyro.conf.arg(metavar="RUN")]
    encoder: EncoderConfig
    sampling: SamplingConfig
    augment: AugmentConfig
    train: TrainConfig
    volume: Word = None
    voxel_size: Size = None
    axes: Axes = None
    box: Region = None
    json: Flag = False


def main(words: list[str]) -> None:
    """Parses and runs."""
    # The preset gives the flags their defaults, so it is read before they are.
    named = bool(words) and not words[0].startswith("-")
    if words and not named and words[0] not in HELP:
        raise ConfigError("CONFIG comes first, as in: voxkin train fibsem --out RUN")
    preset = load_preset(words[0] if named else "fibsem")
    parts = (preset.encoder, preset.sampling, preset.augment, preset.train)
    default = Arguments(tyro.MISSING, tyro.MISSING, *parts)
    arguments = call(Arguments, "train", words, default=default)
    config = RunConfig(
        _volumes(arguments) or preset.volumes,
        arguments.encoder,
        arguments.sampling,
        arguments.augment,
        arguments.train,
    )
    encoder, curves = train(config, arguments.out)
    if arguments.json:
        print_json(_report(encoder, arguments.out, curves))
    else:
        say(
            f"encoder {encoder.fingerprint[:12]} is in {arguments.out}, its curves are {curves}; "
            f"next: voxkin embed {arguments.out} --volume VOLUME --out ATLAS"
        )


def train(config: RunConfig, run: Path) -> tuple[TrainedEncoder, Path]:
    """Trains with progress.

    Returns:
        The encoder, and the picture of the curves.

    Raises:
        Stopped: Ctrl-C or SIGTERM asked to stop; the run is saved.
    """
    volumes = open_training_volumes(config)
    steps, done = config.train.steps, 0
    with arrivals() as arrived, progress("training", steps, "steps", rated=False) as advance:

        def tell(now: Progress) -> None:
            nonlocal done
            done = now.step
            advance(done, f"loss {now.loss:.3f} · {now.places_per_s:,.0f} places/s")

        advance(0, "compiling")
        encoder = fit(config, volumes, run, progress=tell)
        signals = arrived()
    curves = write_report(run)
    if encoder is None:
        number = signal.SIGTERM if signal.SIGTERM in signals else signal.SIGINT
        saved = f"stopped and saved at step {done} of {steps}"
        raise Stopped(number, f"{saved}; give the same command again to go on")
    if not done:
        note(f"all {steps} steps were done before")
    return encoder, curves


def _report(encoder: TrainedEncoder, run: Path, curves: Path) -> dict[str, object]:
    return {
        "run": str(run),
        "encoder": encoder.fingerprint,
        "steps": encoder.step,
        "fov_voxels": dict(zip("xyz", reversed(encoder.fov), strict=True)),
        "embedding_dim": encoder.embedding_dim,
        "report": str(curves),
    }


def _volumes(arguments: Arguments) -> tuple[VolumeConfig, ...]:
    if arguments.volume is None:
        if arguments.voxel_size or arguments.axes or arguments.box:
            raise ConfigError("--voxel-size, --axes and --box describe --volume, which is missing")
        return ()
    ranges = None
    if arguments.box:
        box = parse_box(arguments.box, "--box")
        z, y, x = zip(box.start, box.stop, strict=True)
        ranges = (x, y, z)
    size = parse_voxel_size(arguments.voxel_size)
    return (VolumeConfig(arguments.volume, size, arguments.axes, ranges),)
