"""`voxkin train`: an encoder from a volume, without labels."""

import contextlib
import dataclasses
import signal
import socket
import threading
from collections.abc import Callable, Iterator
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
from serve.arguments import Axes, Flag, Region, Size, Word, call, parse_box, parse_voxel_size
from serve.console import note, print_json, progress, say


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


def main(words: list[str]) -> int:
    """Parses and runs."""
    # The preset gives the flags their defaults, so it is read before they are.
    name = words[0] if words and not words[0].startswith("-") else "demo"
    preset = load_preset(name)
    parts = (preset.encoder, preset.sampling, preset.augment, preset.train)
    default = Arguments(tyro.MISSING, tyro.MISSING, *parts)
    arguments = call(Arguments, "train", words, default=default)
    if arguments.config != name:
        raise ConfigError("CONFIG comes first, as in: voxkin train fibsem --out RUN")
    config = RunConfig(
        _volumes(arguments) or preset.volumes,
        arguments.encoder,
        arguments.sampling,
        arguments.augment,
        arguments.train,
    )
    return train(config, arguments.out, json=arguments.json)


def train(config: RunConfig, run: Path, *, json: bool = False) -> int:
    """Trains until the last step or a request to stop, which saves first.

    Returns:
        The exit code: 130 where it was stopped by Ctrl-C, 143 where by SIGTERM.
    """
    volumes = open_training_volumes(config)
    steps = config.train.steps
    with (
        _arrivals() as arrived,
        progress("training", steps, "steps", rated=False) as advance,
    ):
        done = 0

        def tell(now: Progress) -> None:
            nonlocal done
            done = now.step
            advance(done, f"loss {now.loss:.3f} · {now.places_per_s:,.0f} places/s")

        advance(0, "compiling")
        encoder = fit(config, volumes, run, progress=tell)
        stopped = signal.SIGTERM if signal.SIGTERM in arrived() else signal.SIGINT
    picture = write_report(run)
    if encoder is None:
        note(f"stopped and saved at step {done} of {steps}; give the same command again to go on")
        return 128 + stopped
    if not done:
        note(f"all {steps} steps were done before")
    _tell_result(encoder, run, picture, json)
    return 0


def _tell_result(encoder: TrainedEncoder, run: Path, picture: Path, json: bool) -> None:
    if not json:
        say(
            f"encoder {encoder.fingerprint[:12]} is in {run}, its curves are {picture}; next: "
            f"voxkin embed {run} --volume VOLUME --out ATLAS"
        )
        return
    report = {
        "run": str(run),
        "encoder": encoder.fingerprint,
        "steps": encoder.step,
        "fov_voxels": dict(zip("zyx", encoder.fov, strict=True)),
        "embedding_dim": encoder.embedding_dim,
        "report": str(picture),
    }
    print_json(report)


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


@contextlib.contextmanager
def _arrivals() -> Iterator[Callable[[], bytes]]:
    """The numbers of the signals that arrive in the block; training handles them, untold which."""
    if threading.current_thread() is not threading.main_thread():
        yield bytes
        return
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno())

        def arrived() -> bytes:
            with contextlib.suppress(BlockingIOError):
                return reader.recv(64)
            return b""

        try:
            yield arrived
        finally:
            signal.set_wakeup_fd(before)
