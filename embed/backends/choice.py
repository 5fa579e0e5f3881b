"""Which backend runs an encoder here."""

import jax

from embed.backends import openvino
from embed.backends.backend import KINDS, PRECISIONS, Backend, Kind, Precision
from embed.backends.openvino import OpenVinoBackend
from embed.backends.xla import XlaBackend
from embed.checkpoint import TrainedEncoder
from embed.errors import ConfigError


def choose(kind: str | None = None, precision: str | None = None) -> tuple[Kind, Precision]:
    """The fastest that is installed, or what was asked for.

    Without a wish that is XLA in bfloat16 on a GPU or TPU; on a CPU OpenVINO in float32, or XLA
    where OpenVINO is not installed.

    Raises:
        ConfigError: there is no such kind or precision, or OpenVINO is asked for with bfloat16
            where the processor has no instructions for it.
        MissingExtraError: OpenVINO is asked for and not installed.
    """
    on_cpu = jax.default_backend() == "cpu"
    fastest: Kind = "openvino" if on_cpu and openvino.is_installed() else "xla"
    chosen = next((k for k in KINDS if k == (kind or fastest)), None)
    if chosen is None:
        raise ConfigError(f"--backend is one of {', '.join(KINDS)}; got {kind!r}")
    usual = "float32" if on_cpu or chosen == "openvino" else "bfloat16"
    exact = next((p for p in PRECISIONS if p == (precision or usual)), None)
    if exact is None:
        raise ConfigError(f"--precision is one of {', '.join(PRECISIONS)}; got {precision!r}")
    return chosen, exact


def open_backend(
    encoder: TrainedEncoder, kind: str | None = None, precision: str | None = None
) -> Backend:
    """Makes an encoder ready to run; see `choose`.

    Raises:
        ConfigError: that backend or precision does not exist or not here.
        MissingExtraError: OpenVINO is asked for and not installed.
    """
    chosen, exact = choose(kind, precision)
    return XlaBackend(encoder, exact) if chosen == "xla" else OpenVinoBackend(encoder, exact)
