"""What a FAISS factory string says of an index before it is built."""

import dataclasses
import math
import re
from functools import cached_property

from embed.errors import ConfigError

ID_BYTES = 8
"""FAISS keeps an id of 64 bits beside every code."""

_FORM = re.compile(
    r"Flat|(?:(?:PCAR?|OPQ\d+_|RR)(?P<kept>\d+),|OPQ\d+,)?"
    r"IVF(?P<lists>\d+)(?P<graph>_HNSW\d+)?,"
    r"(?:Flat|(?P<kind>SQ|PQ)(?P<size>\d+|fp16|bf16)?(?:x(?P<bits>\d+))?(?P<scan>fsr?)?\w*)"
)
_BLOCK = 32
"""Codes of a block of a fast scan: each list is filled up to whole blocks."""

_LINK_BYTES = 4 * 2 * 32


@dataclasses.dataclass(frozen=True)
class Factory:
    """A kind of index: "Flat", or a FAISS factory string of the IVF family.

    `Flat` is built as a single inverted list that is always read: the same comparison with
    everything, but, unlike FAISS's own flat index, it takes ids of our choice.

    Raises:
        ConfigError: it is of another family, or none.
    """

    text: str

    def __post_init__(self) -> None:
        if not _FORM.fullmatch(self.text):
            raise ConfigError(
                f"cannot build {self.text!r}: it takes Flat, or [PCARn,|OPQn,|RRn,]IVFn,(Flat|SQ…|"
                "PQ…) as in 'IVF1024,Flat' or 'PCAR32,IVF65536,PQ32x4fs'"
            )

    @cached_property
    def _parts(self) -> dict[str, str | None]:
        found = _FORM.fullmatch(self.text)
        assert found is not None
        return found.groupdict()

    @property
    def spelled(self) -> str:
        """As FAISS is told it."""
        return "IVF1,Flat" if self.text == "Flat" else self.text

    @property
    def lists(self) -> int:
        """Inverted lists."""
        return int(self._parts["lists"] or 1)

    @property
    def holds_vectors(self) -> bool:
        """Whether it holds whole vectors rather than codes of them."""
        return self.text == "Flat" or (self.text.startswith("IVF") and self.text.endswith(",Flat"))

    def dims(self, dim: int) -> int:
        """Numbers of a vector that are left when its codes are made."""
        return int(self._parts["kept"] or dim)

    def code_bytes(self, dim: int) -> float:
        """Bytes of the code of a vector of so many numbers."""
        kind, size, bits = (self._parts[name] for name in ("kind", "size", "bits"))
        if kind is None:
            return 4.0 * self.dims(dim)
        if kind == "PQ":
            return int(size or 0) * int(bits or 8) / 8
        bits_each = 16 if size in ("fp16", "bf16") else int(size or 8)
        return self.dims(dim) * bits_each / 8

    def size_bytes(self, count: int, dim: int) -> int:
        """About what an index of so many vectors takes, as a file and in memory."""
        code = self.code_bytes(dim)
        entries = count * (code + ID_BYTES)
        of_list = 4.0 * self.dims(dim) + 16
        if self._parts["scan"]:
            of_list += code * _BLOCK / 2
        if self._parts["graph"]:
            of_list += _LINK_BYTES
        return math.ceil(entries + self.lists * of_list)
