"""The errors a caller can cause and mend.

Each says what was asked, which rule it broke, in which unit and order, and what would work. The
command line prints the message and exits with 2; the service maps the type to a status
(`serve/wire/status.py`). Anything else that is raised is a bug.
"""


class VoxkinError(Exception):
    """A mistake that the caller can mend; its message is meant to be read by them."""


class ConfigError(VoxkinError, ValueError):
    """A setting is missing, misspelt or out of its range."""


class VolumeError(VoxkinError, ValueError):
    """A source cannot be opened as a volume: format, axes, data type or voxel size."""


class DataError(VoxkinError, ValueError):
    """What was read cannot be used: a corrupt chunk, NaN, constant data, a malformed table."""


class OutOfBoundsError(VoxkinError, IndexError):
    """A place or box leaves the volume, the grid or the atlas."""


class AlignmentError(VoxkinError, ValueError):
    """A box splits chunks or shards that must be written whole."""


class MismatchError(VoxkinError, ValueError):
    """Two things that do not belong together: an encoder, a volume, an atlas, an index."""


class NotFoundError(VoxkinError, LookupError):
    """No such run, atlas, index, probe or projection."""


class IncompleteError(VoxkinError, RuntimeError):
    """A long job has not finished, so what it makes cannot be used yet."""


class StorageError(VoxkinError, OSError):
    """The disk is full, read-only or otherwise refuses; nothing half-written was kept."""


class RequestError(VoxkinError, ValueError):
    """An argument of a query is out of its range."""


class ConflictError(VoxkinError, RuntimeError):
    """What is stored stands against it: a class that is in use, nothing left to undo."""


class UnavailableError(VoxkinError, ConnectionError):
    """The server cannot be reached, or an address cannot be served on."""


class BusyError(UnavailableError):
    """A limited resource is taken for now; the same call can succeed later."""


class QuotaError(BusyError):
    """A token has used up what it may; `retry_after_s` tells in how many seconds it may again."""

    def __init__(self, message: str, retry_after_s: float = 0.0):
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UnauthenticatedError(VoxkinError, PermissionError):
    """A server that asks for a token was sent none, or one that it does not know."""


class ForbiddenError(VoxkinError, PermissionError):
    """The token that was sent does not allow this call."""


class MissingExtraError(VoxkinError, ImportError):
    """An optional dependency is not installed; the message names the extra."""
