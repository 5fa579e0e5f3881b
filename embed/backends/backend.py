"""What every backend is: an encoder made ready to run on this machine."""

from typing import Literal, Protocol, get_args, runtime_checkable

from jaxtyping import Float, Float32
from numpy import ndarray

from embed.checkpoint import TrainedEncoder

Kind = Literal["xla", "openvino"]
Precision = Literal["float32", "bfloat16"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

AGREE: dict[Precision, float] = {"float32": 0.9999, "bfloat16": 0.999}
"""Least cosine between what two backends, or two machines, make of the same field of view."""


@runtime_checkable
class Backend(Protocol):
    """An encoder made ready to run. Safe to call from many threads.

    Equal batches give equal bits on one machine, whatever the number of threads; in another batch a
    block may differ in the last ones.

    Attributes:
        encoder: what it runs.
        kind: which software runs it.
        precision: of products and sums between the layers; parameters and results are float32.
        platform: cpu, gpu or tpu.
        fill: multiple of cells that the edges of blocks are best filled up to: more than 1 where a
            shape takes long to compile.
    """

    encoder: TrainedEncoder
    kind: Kind
    precision: Precision
    platform: str
    fill: int

    @property
    def parallel(self) -> int:
        """How many calls at once keep it busy."""
        ...

    def __call__(
        self, blocks: Float32[ndarray, "batch z y x"], half: bool = False
    ) -> Float[ndarray, "batch cz cy cx dim"]:
        """Embeds every field of view of a batch of normalised blocks, the encoder's stride apart.

        Args:
            blocks: normalised grey values.
            half: gives float16, rounded from the float32 that is given else; NumPy takes as long
                for it as a percent of the network.

        Returns:
            Vectors of length 1.
        """
        ...


def name(backend: Backend) -> str:
    """What provenance calls it, as in `openvino-cpu-float32`."""
    return f"{backend.kind}-{backend.platform}-{backend.precision}"
