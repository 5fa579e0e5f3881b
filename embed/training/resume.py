"""Everything a training run needs to go on exactly where it stopped, kept by Orbax."""

import logging
import shutil
import sys
from pathlib import Path
from types import TracebackType

import jax
import orbax.checkpoint as ocp
from jaxtyping import Array, PyTree

from embed.errors import DataError, StorageError
from embed.storage import reports_storage

# Orbax tells of every save at INFO, of its defaults at WARNING, and at ERROR, with a traceback per
# thread, what it raises as well; the run has its own progress and its own errors.
logging.getLogger("absl").setLevel(logging.CRITICAL)

# Once an array cannot be written or read, Orbax lets the others fail unseen; each of them prints a
# traceback, now or a little later, which says nothing that the error does not.
_ASYNCIO = logging.getLogger("asyncio")
_ECHOES = ("Event loop is closed", "while reading array index")


class TrainingStates:
    """The last few states of a run, in `RUN/states`. Use as a context manager."""

    def __init__(self, run: Path, keep: int = 2):
        self._path = (run / "states").resolve()
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            create=False,
            enable_async_checkpointing=False,
            # The first host keeps them by itself; the others are not to be waited for.
            multiprocessing_options=ocp.options.MultiprocessingOptions(
                primary_host=0, active_processes={0}, barrier_sync_key_prefix="states"
            )
            if jax.process_count() > 1
            else ocp.options.MultiprocessingOptions(),
        )
        # What a killed run left. Orbax's own clean-up deletes nested folders side by side and now
        # and then stumbles over one that is already gone.
        for leftover in self._path.glob("*.orbax-checkpoint-tmp*"):
            shutil.rmtree(leftover, ignore_errors=True)
        with reports_storage(f"keep training states at {self._path}"):
            self._path.mkdir(parents=True, exist_ok=True)
            self._manager = ocp.CheckpointManager(self._path, options=options)
        self._hook, self._level = sys.unraisablehook, _ASYNCIO.level

    def __enter__(self) -> "TrainingStates":
        self._hook, sys.unraisablehook = sys.unraisablehook, self._hear
        self._level = _ASYNCIO.level
        _ASYNCIO.setLevel(logging.CRITICAL)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._manager.close()
        if error is None:  # or else the echoes are still to come, and the program ends
            sys.unraisablehook = self._hook
            _ASYNCIO.setLevel(self._level)

    def _hear(self, what: "sys.UnraisableHookArgs") -> None:
        """Passes on what no one can catch, but for the echoes of a save or restore that failed."""
        if not any(words in str(what.exc_value) for words in _ECHOES):
            self._hook(what)

    @property
    def latest(self) -> int | None:
        """The step of the newest whole state, if there is any."""
        return self._manager.latest_step()

    def save(self, step: int, state: PyTree[Array]) -> None:
        """Writes a state; one that is cut short is never taken for whole.

        Raises:
            StorageError: the disk refuses.
        """
        action = f"save the training state of step {step} at {self._path}"
        needed = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
        free = shutil.disk_usage(self._path).free
        if free < 2 * needed:  # it is written beside the last one before it counts
            raise StorageError(
                f"cannot {action}: it takes {needed:,} bytes and {free:,} are left; free some and "
                "run the same command again"
            )
        with reports_storage(action):
            self._manager.save(step, args=ocp.args.StandardSave(state))
            self._manager.wait_until_finished()

    def restore(self, step: int, like: PyTree[Array]) -> PyTree[Array]:
        """Reads a state with the structure, shapes and types of `like`.

        Raises:
            DataError: it is damaged or of another network.
        """
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        try:
            return self._manager.restore(step, args=ocp.args.StandardRestore(abstract))
        except Exception as error:  # Orbax has no narrower type for an array it cannot read
            reason = str(error).split("\n")[0].split(" See full")[0] or type(error).__name__
            raise DataError(
                f"the training state {self._path / str(step)} cannot be read ({reason}); remove "
                "that directory to go on from the one before it"
            ) from error
