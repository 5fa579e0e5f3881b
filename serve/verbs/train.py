"""`voxkin train`: an encoder from a volume, without labels."""

import contextlib
import dataclasses
import signal
from pathlib import Path
from typing import Annotated

import tyro

from embed.checkpoint import TrainedEncoder
from embed.config import RunConfig, TrainConfig, VolumeConfig, load_preset
from embed.encoder import EncoderConfig
from embed.errors import ConfigError
from embed.geometry import ZyxFloat
from embed.pretrained import ADAPT, ALONG_SEGMENTS, find_encoder, like_encoder
from embed.reporting.config import ReportConfig
from embed.reporting.figures import main_figures, read_figures
from embed.reporting.page import FILE as PAGE
from embed.train import Progress, fit
from embed.training import hosts
from embed.training.augment import AugmentConfig
from embed.training.sampling import SamplingConfig
from embed.training.volumes import open_nearest, open_training_volumes
from serve.stopping import Stopped, arrivals
from serve.verbs.arguments import (
    HELP,
    Axes,
    Flag,
    Region,
    Size,
    Word,
    call,
    parse_box,
    parse_voxel_size,
)
from serve.verbs.console import note, print_json, progress, say


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Learns an encoder from a volume, without labels.

    CONFIG is a preset that comes with voxkin (fibsem, sections, gpu, gpus, adapt, segments,
    demo, smoke, pretrained_isotropic or pretrained_sections), or the path of a Python file like
    one; its settings are the defaults below, and any of them can be changed by its flag. A run goes
    on where it stopped when the same command is given again; Ctrl-C and SIGTERM save first. With
    --init pretrained, it starts from the encoder that comes with voxkin for voxels like those of
    VOLUME, calibrates it to VOLUME, which takes half a minute, and trains it on if --train.steps
    says so, or, five minutes, along its segments if --segmentation names them; CONFIG is then left
    out, or names other settings, and without --volume the volumes too.

    Examples:
      voxkin train fibsem --volume em.ome.zarr --out runs/em
      voxkin train fibsem --volume em.ome.zarr --out runs/em --train.steps 10000
      voxkin train --init pretrained --volume em.ome.zarr --out runs/em
      voxkin train --init pretrained --volume em.ome.zarr --out runs/em --train.steps 2000
      voxkin train --init pretrained --volume em.zarr --segmentation ids.zarr --out runs/neurons
      voxkin train my_preset.py --out runs/mine
      srun --ntasks 4 voxkin train fibsem --volume em.ome.zarr --out runs/em --join auto

    Attributes:
        config: a preset, or a path that ends in .py; left out with --init.
        out: the directory of the run.
        volume: path, URL or TensorStore spec to train on instead of what the preset names.
        voxel_size: in nm, where --volume does not state it.
        axes: one letter per dimension in the order of the store, where --volume does not name them.
        box: voxels of --volume to train on; all of them if not given.
        segmentation: path or URL of segment ids on the grid of --volume; pairs then lie along one
            segment and show it alone.
        init: the encoder to start from: `pretrained`, a run, or the file of an encoder.
        join: train on several hosts, each of which is given the same command: auto under Slurm or
            Open MPI and on TPU pods, or I/N@HOST:PORT for host I, from 0, of N, the first of which
            listens there. Only host 0 writes to RUN and tells anything.
        json: print a JSON report at the end.
        encoder: the network.
        sampling: what is cut in a step.
        augment: how views are changed.
        train: how long and how.
        report: what is told of the run in RUN/report.html; changes nothing of what is learnt.
    """

    config: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="CONFIG")]
    out: Annotated[Path, tyro.conf.arg(metavar="RUN")]
    encoder: EncoderConfig
    sampling: SamplingConfig
    augment: AugmentConfig
    train: TrainConfig
    report: ReportConfig
    volume: Word = None
    voxel_size: Size = None
    axes: Axes = None
    box: Region = None
    segmentation: Word = None
    init: Word = None
    join: Word = None
    json: Flag = False


def main(words: list[str]) -> None:
    """Parses and runs."""
    named = bool(words) and not words[0].startswith("-")
    flags = {word.split("=")[0] for word in words}
    adapts = not named and "--init" in flags
    if words and not named and not adapts and words[0] not in HELP:
        raise ConfigError("CONFIG comes first, as in: voxkin train fibsem --out RUN")
    # A preset gives the flags their defaults, so it is read before they are.
    if adapts:
        words = [ALONG_SEGMENTS if "--segmentation" in flags else ADAPT, *words]
    preset = load_preset(words[0] if words and words[0] not in HELP else "fibsem")
    arguments = _parsed(words, preset)
    if arguments.join is not None:
        hosts.join(arguments.join)
    start = _start(arguments, None if adapts else preset)
    if start is not None and arguments.volume is not None:
        # Again, because the shape of the encoder decides what blocks are cut.
        preset = like_encoder(preset, start)
        arguments = _parsed(words, preset)
    _check_segmentation(arguments, preset)
    config = RunConfig(
        _volumes(arguments) or preset.volumes,
        arguments.encoder,
        arguments.sampling,
        arguments.augment,
        arguments.train,
        start.fingerprint if start else None,
    )
    trained = train(config, arguments.out, arguments.report, start)
    if trained is None:
        return
    encoder, page = trained
    if arguments.json:
        print_json(_report(encoder, arguments.out, page))
    else:
        say(_summary(encoder, arguments.out))
        if not config.train.steps:
            note("calibrated to the volume, not trained further: --train.steps 2000 would")
        say(
            f"encoder {encoder.fingerprint[:12]} is in {arguments.out}, its report is {page}; "
            f"next: voxkin embed {arguments.out} --volume VOLUME --out ATLAS"
            + (" --segmentation IDS --per-segment 20" if encoder.masked else "")
        )


def _parsed(words: list[str], preset: RunConfig) -> Arguments:
    parts = (preset.encoder, preset.sampling, preset.augment, preset.train, ReportConfig())
    return call(Arguments, "train", words, default=Arguments(tyro.MISSING, tyro.MISSING, *parts))


def _check_segmentation(arguments: Arguments, preset: RunConfig) -> None:
    along_segments = all(volume.segmentation for volume in preset.volumes)
    if arguments.volume is not None and along_segments and not arguments.segmentation:
        raise ConfigError(
            f"the preset {arguments.config} draws pairs along the segments of its volumes: name "
            "the segment ids of --volume with --segmentation"
        )


def _start(arguments: Arguments, preset: RunConfig | None) -> TrainedEncoder | None:
    """The encoder to start from, made for the voxels of the volume, or else of a preset."""
    if arguments.init is None:
        return None
    if arguments.volume is None and preset is None:
        raise ConfigError("--init starts from an encoder; name what to train it on with --volume")

    def size_near(wanted: ZyxFloat) -> ZyxFloat:
        if not (volumes := _volumes(arguments)):
            assert preset is not None
            return preset.encoder.voxel_size_nm
        (config,) = volumes
        return open_nearest(config, wanted).frame.voxel_size_nm

    encoder = find_encoder(Path(arguments.init), size_near)
    size = size_near(encoder.voxel_size_nm)
    shape = dataclasses.replace(encoder.config, voxel_size_nm=size)
    return dataclasses.replace(encoder, config=shape)


def train(
    config: RunConfig,
    run: Path,
    report: ReportConfig | None = None,
    init: TrainedEncoder | None = None,
) -> tuple[TrainedEncoder, Path] | None:
    """Trains with progress.

    Returns:
        The encoder, and the report of the run as a page; None on all hosts but the first.

    Raises:
        Stopped: Ctrl-C or SIGTERM asked to stop; the run is saved.
    """
    volumes = open_training_volumes(config)
    steps, done, saved = config.train.steps, 0, 0
    shown = progress("training" if steps else "calibrating", steps, "steps", rated=False)
    told = shown if hosts.leads() else contextlib.nullcontext(lambda *_: None)
    with arrivals() as arrived, told as advance:

        def tell(now: Progress) -> None:
            nonlocal done, saved
            done, saved = now.step, now.saved
            advance(done, f"loss {now.loss:.3f} · {now.places_per_s:,.0f} places/s")

        advance(0, "compiling")
        encoder = fit(config, volumes, run, init=init, report=report, progress=tell)
        signals = arrived()
    if encoder is None and 0 < done < steps:
        number = signal.SIGTERM if signal.SIGTERM in signals else signal.SIGINT
        said = f"stopped and saved at step {done} of {steps}"
        if saved != done:
            said = f"stopped at step {done} of {steps}, whose embeddings had collapsed and were not"
            said += f" saved; the last good state is of step {saved}"
        raise Stopped(number, f"{said}; give the same command again to go on")
    if encoder is None:
        return None
    if steps and not done:
        note(f"all {steps} steps were done before")
    return encoder, run / PAGE


def _summary(encoder: TrainedEncoder, run: Path) -> str:
    named = main_figures(read_figures(run), encoder.embedding_dim)
    return " · ".join(f"{name} {value}" for name, value in named.items())


def _report(encoder: TrainedEncoder, run: Path, page: Path) -> dict[str, object]:
    last = read_figures(run).last
    return {
        "run": str(run),
        "encoder": encoder.fingerprint,
        "steps": encoder.step,
        "fov_voxels": dict(zip("xyz", reversed(encoder.fov), strict=True)),
        "embedding_dim": encoder.embedding_dim,
        "report": str(page),
        "figures": {name: value for name, value in last.items() if name != "step"},
    }


def _volumes(arguments: Arguments) -> tuple[VolumeConfig, ...]:
    if arguments.volume is None:
        if any((arguments.voxel_size, arguments.axes, arguments.box, arguments.segmentation)):
            raise ConfigError(
                "--voxel-size, --axes, --box and --segmentation describe --volume, which is missing"
            )
        return ()
    ranges = None
    if arguments.box:
        box = parse_box(arguments.box, "--box")
        z, y, x = zip(box.start, box.stop, strict=True)
        ranges = (x, y, z)
    size = parse_voxel_size(arguments.voxel_size)
    source, segments = arguments.volume, arguments.segmentation
    return (VolumeConfig(source, size, arguments.axes, ranges, segmentation=segments),)
