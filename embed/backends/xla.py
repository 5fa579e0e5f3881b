"""The encoder as JAX runs it: the reference on CPUs, the fast path on GPUs and TPUs."""

import functools
import itertools
import threading

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, PyTree

from embed.backends.backend import Kind, Precision
from embed.checkpoint import TrainedEncoder

# Calls in flight for each GPU or TPU: while one is computed others are copied there and back, and
# threads that read and normalise for them take longer than it does.
_CALLS = 4


class XlaBackend:
    """See `Backend`. Calls take the devices of this process in turn."""

    kind: Kind = "xla"
    fill = 4

    def __init__(self, encoder: TrainedEncoder, precision: Precision):
        self.encoder = encoder
        self.precision = precision
        self.platform = jax.default_backend()
        self._devices = jax.local_devices()
        self._turn = itertools.cycle(range(len(self._devices)))
        self._lock = threading.Lock()
        # However many threads call, the memory of a device holds so many blocks and no more.
        self._room = threading.BoundedSemaphore(self.parallel)
        self._params = functools.cache(self._params_on)

    @property
    def parallel(self) -> int:
        """How many calls keep every device busy."""
        return len(self._devices) * (1 if self.platform == "cpu" else _CALLS)

    def __call__(
        self, blocks: Float32[np.ndarray, "batch z y x"], half: bool = False
    ) -> Float[np.ndarray, "batch cz cy cx dim"]:
        """Embeds every field of view of a batch of normalised blocks."""
        with self._lock:
            turn = next(self._turn)
        with self._room:
            # Rounded here, and straight to its device: JAX would take whole numbers by the first.
            rounded = np.asarray(blocks, jnp.dtype(self.precision))
            placed = jax.device_put(rounded, self._devices[turn])
            found = self.encoder.run(self._params(turn), placed)
            # Rounded where it is: half as much is copied from the device.
            return np.asarray(found.astype(jnp.float16) if half else found)

    def _params_on(self, turn: int) -> PyTree[Array]:
        return jax.device_put(self.encoder.params, self._devices[turn])
