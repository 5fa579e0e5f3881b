"""A training run as data: the settings of every part together, presets, and JSON."""

import dataclasses
import importlib.util
import math
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from embed.encoder import EncoderConfig
from embed.errors import ConfigError, DataError, NotFoundError
from embed.storage import read_json, write_json
from embed.training.augment import AugmentConfig
from embed.training.sampling import SamplingConfig

XyzRange = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclasses.dataclass(frozen=True)
class VolumeConfig:
    """A volume to train on.

    Attributes:
        source: a path, a URL or a TensorStore spec.
        voxel_size_nm: XYZ, where the volume does not state it.
        axes: the order of its axes, as in "zyx", where the volume does not name them.
        box: voxels to train on, XYZ, each `(start, stop)`; all of them if not given.
        resample: whether a volume of other voxels than the encoder's is resampled to them.
        segmentation: a volume of integer segment ids on the same grid, 0 for none; pairs then lie
            along one segment. `voxel_size_nm` and `axes` are said of it too.
    """

    source: str
    voxel_size_nm: tuple[float, float, float] | None = None
    axes: str | None = None
    box: XyzRange | None = None
    resample: bool = False
    segmentation: str | None = None

    def __post_init__(self) -> None:
        if self.box is not None and any(start >= stop for start, stop in self.box):
            raise ConfigError(f"a box to train on has start < stop on x, y and z; got {self.box}")
        if self.resample and self.segmentation is not None:
            raise ConfigError(
                f"{self.source} is to be resampled, which its segmentation cannot be: use an "
                "encoder made for its voxels"
            )


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How the encoder is trained.

    Attributes:
        steps: of the optimiser; 0 takes the encoder to start from as it is and only makes its
            features of zero mean and unit deviation on the volumes of the run.
        learning_rate: at the peak, after warm-up; it then falls to zero along a cosine.
        warmup: share of the steps over which it rises.
        weight_decay: of AdamW, on kernels only.
        loss: what partners are to be: nearer to each other than to any negative ("nt_xent"), or
            the same ("invariance"), which takes `variance` beside it.
        variance: weight of the variance term of VICReg on the projections; 1, with 0.04 of
            covariance and `loss` "invariance", is VICReg.
        covariance: weight of its covariance term.
        temperature: of the contrastive loss.
        decoupled: leaves the positive out of the denominator of the loss.
        ignore_cells: places of one block nearer than this many grid cells are no negatives.
        filters: weight of predicting the responses of classical filters at each place, beside the
            contrastive loss; it keeps local detail that neighbours do not share.
        filter_scales: standard deviations of those filters, in edges of the shortest voxel axis.
        read_filters: weight in the embedding, once training ends, of what those filters answer
            beside what was learnt; 0 leaves them out. They tell more of thick sections than what
            was learnt does, and nothing new of isotropic volumes.
        tones: standard deviations of Gaussian means in the middle of the field of view that the
            embedding reads as angles, once training ends, in edges of the shortest voxel axis.
            Several tell more of thick sections, and one as much of isotropic volumes.
        read_tones: weight of those in the embedding, beside all else, which counts 1; 0 leaves them
            out. Probes standardise numbers, so any weight tells them as much.
        read_segment: the same of how bright and how rough the segment is that a field of view
            shows, where fields of view show one segment and no other.
        keep_length: a constant laid beside the features before they are scaled to length 1, by
            their mean length; probes read from it how long they were. 0 leaves it out; more than
            1 helps probes little and makes similar what is not.
        projection: widths of the head between embedding and loss; it is thrown away after
            training, because what comes before it keeps more.
        at_once: blocks embedded at once, on each device; the backward pass embeds them again, so
            that memory does not grow with the crops. All of them if not given.
        compute: type of the forward and backward pass; parameters are float32 either way.
        log_every: steps between lines of metrics.
        save_every: steps between saved states.
    """

    steps: int = 3000
    learning_rate: float = 1e-3
    warmup: float = 0.05
    weight_decay: float = 1e-2
    loss: Literal["nt_xent", "invariance"] = "nt_xent"
    variance: float = 0.0
    covariance: float = 0.0
    temperature: float = 0.2
    decoupled: bool = False
    ignore_cells: int = 3
    filters: float = 4.0
    filter_scales: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)
    read_filters: float = 0.0
    tones: tuple[float, ...] = (2.0,)
    read_tones: float = 0.1
    read_segment: float = 0.5
    keep_length: float = 1.0
    projection: tuple[int, ...] = (128, 64)
    at_once: int | None = None
    compute: Literal["float32", "bfloat16"] = "float32"
    log_every: int = 10
    save_every: int = 250

    def __post_init__(self) -> None:
        counts = (self.log_every, self.save_every, *self.projection)
        if min(counts) < 1 or not self.projection or min(self.steps, self.ignore_cells) < 0:
            raise ConfigError(
                "intervals and the one or more widths of the projection are at least 1, steps and "
                f"ignore_cells at least 0: {self}"
            )
        if self.at_once is not None and self.at_once < 1:
            raise ConfigError(f"at_once is at least 1 block; got {self.at_once}")
        if self.filters < 0 or min(self.filter_scales, default=0) <= 0:
            raise ConfigError(
                "filters is at least 0 and names one or more filter_scales above 0; got "
                f"{self.filters} and {self.filter_scales}"
            )
        if min(self.tones, default=1) <= 0:
            raise ConfigError(f"tones are scales above 0; got {self.tones}")
        for name in ("read_filters", "read_tones", "read_segment", "keep_length"):
            if not 0 <= (value := getattr(self, name)) < math.inf:
                raise ConfigError(f"{name} is a weight of at least 0; got {value}")
        if min(self.variance, self.covariance) < 0:
            raise ConfigError(f"variance and covariance are weights of at least 0: {self}")
        if self.loss == "invariance" and not self.variance:
            raise ConfigError(
                'with loss "invariance" and no variance all places would become one: set '
                "train.variance, to 1 as VICReg does"
            )
        if min(self.learning_rate, self.temperature) <= 0 or not 0 <= self.warmup < 1:
            raise ConfigError(f"learning_rate and temperature > 0, warmup in [0, 1): {self}")


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Everything that decides what a training run does.

    Attributes:
        volumes: what to train on; several take equal turns.
        encoder: the network.
        sampling: what is cut in a step.
        augment: how views are changed.
        train: how long and how.
        init: fingerprint of the encoder that training starts from; random if not given.
    """

    volumes: tuple[VolumeConfig, ...]
    encoder: EncoderConfig = dataclasses.field(default_factory=EncoderConfig)
    sampling: SamplingConfig = dataclasses.field(default_factory=SamplingConfig)
    augment: AugmentConfig = dataclasses.field(default_factory=AugmentConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    init: str | None = None

    def __post_init__(self) -> None:
        if not self.volumes:
            raise ConfigError("a run needs at least one volume; name one with --volume")
        if self.encoder != self.encoder.plain:
            raise ConfigError(
                "what an embedding reads beside its stages is laid there once training ends: set "
                "train.filter_scales with read_filters, read_tones and read_segment, not "
                "encoder.filters, encoder.tones and encoder.statistics"
            )
        blocks, part = 2 * self.sampling.crops, self.train.at_once
        if part is not None and part < blocks and blocks % part:
            raise ConfigError(
                f"at_once shares out the {blocks} blocks of a step evenly; got {part}"
            )
        near = max(1, self.train.ignore_cells)
        if self.sampling.crops == 1 and max(self.sampling.places) // 2 < near:
            raise ConfigError(
                f"one crop of {self.sampling.places} places (ZYX) leaves some of them without a "
                f"negative, because those nearer than {near} cells are none: use more crops, more "
                "places, or a smaller ignore_cells"
            )


_RUN = TypeAdapter(RunConfig)


def to_json(config: RunConfig) -> dict[str, Any]:
    """The settings as JSON values."""
    value: dict[str, Any] = _RUN.dump_python(config, mode="json")
    return value


def from_json(value: object, where: str) -> RunConfig:
    """The settings of `to_json`.

    Raises:
        DataError: a setting is missing, unknown or of the wrong type.
    """
    try:
        return _RUN.validate_python(value, extra="forbid")
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise DataError(
            f"{where} is not the configuration of a run: {name}: {first['msg']}"
        ) from None


def save_config(config: RunConfig, run: Path) -> None:
    """Writes `RUN/config.json`."""
    write_json(run / "config.json", to_json(config))


def read_config(run: Path) -> RunConfig:
    """Reads `RUN/config.json`."""
    file = run / "config.json"
    return from_json(read_json(file, "configuration of a training run"), str(file))


def presets() -> dict[str, Path]:
    """The presets that come with voxkin, by name."""
    inside = Path(__file__).parent / "configs"  # in a wheel; beside the package in a checkout
    folder = inside if inside.is_dir() else Path(__file__).parents[1] / "configs"
    return {file.stem: file for file in sorted(folder.glob("*.py"))}


def load_preset(name: str) -> RunConfig:
    """Runs a preset: a Python file whose `config` is a `RunConfig`.

    Args:
        name: of a preset that comes with voxkin, or a path that ends in `.py`.

    Raises:
        NotFoundError: no such preset or file.
        ConfigError: the file has no `config`, or fails.
    """
    file = Path(name) if name.endswith(".py") else presets().get(name)
    if file is None or not file.is_file():
        raise NotFoundError(
            f"no preset {name!r}; there are {', '.join(presets())}, or give a path to a .py file"
        )
    spec = importlib.util.spec_from_file_location(f"voxkin_preset_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"the preset {file} fails: {type(error).__name__}: {error}") from error
    config = getattr(module, "config", None)
    if not isinstance(config, RunConfig):
        raise ConfigError(f"the preset {file} has no `config = RunConfig(...)`")
    return config
