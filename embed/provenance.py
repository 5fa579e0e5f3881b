"""Where an atlas comes from, and what of that decides what its embeddings are."""

import dataclasses
from typing import Any

from pydantic import TypeAdapter, ValidationError

from embed.errors import DataError
from embed.geometry import Frame, Grid, Zyx
from embed.normaliser import Normaliser
from embed.quantiser import Quantiser
from embed.regions import Region
from embed.storage import digest_json
from embed.volume import VolumeSource

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class AtlasInfo:
    """Where an atlas comes from: enough to make it again, and to refuse what does not fit it.

    Attributes:
        volume: the source that was embedded, with its level, voxel size and axes.
        attribution: the licence and source that the volume states of itself.
        frame: voxel size and origin of the volume in nm, ZYX.
        grid: where the locations are.
        embedding_dim: length of an embedding.
        shard: locations per shard, ZYX.
        encoder: fingerprint of the architecture, parameters and input normalisation rule.
        run: the run directory and step that the encoder came from; for people, never compared.
        normaliser: of the grey values of the volume.
        backend: what computes the embeddings, where, and in which precision, as in
            `openvino-cpu-float32`.
        block: cells that the network is run over at once, ZYX: it decides the last bits.
        region: what was to be embedded at first; None is everything.
        quantiser: makes the int8 codes that are stored; None where float16 is.
        points: digest of the given places that take the place of the grid, which is then one row
            of them; None where the grid is one.
        segmentation: what fields of view are masked with; None where they are seen whole.
        versions: of the libraries; for people, never compared.
        created: time in UTC; never compared.
    """

    volume: VolumeSource
    attribution: dict[str, str]
    frame: Frame
    grid: Grid
    embedding_dim: int
    shard: Zyx
    encoder: str
    run: str
    normaliser: Normaliser
    backend: str
    versions: dict[str, str]
    created: str
    block: Zyx = (16, 16, 16)
    region: Region | None = None
    quantiser: Quantiser | None = None
    points: str | None = None
    segmentation: VolumeSource | None = None
    format: int = FORMAT

    @property
    def fingerprint(self) -> str:
        """The digest of everything that decides what the embeddings are."""
        known = ((k, v) for k, v in self.to_json().items() if v is not None)
        return digest_json({k: v for k, v in known if k not in _NOT_DECISIVE})

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        value: dict[str, Any] = _INFO.dump_python(self, mode="json")
        return value

    @classmethod
    def from_json(cls, value: object, where: object) -> "AtlasInfo":
        """The inverse of `to_json`.

        Args:
            value: what was read.
            where: the file that it was read from.

        Raises:
            DataError: it is damaged or of another format version.
        """
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            raise DataError(f"{where} is not of atlas format {FORMAT}")
        try:
            return _INFO.validate_python(value)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise DataError(f"{where} is damaged: {place}: {first['msg']}") from None

    def differences(self, asked: "AtlasInfo") -> str:
        """What it is and what was asked for, as far as that decides what the embeddings are."""
        a, b = self.to_json(), asked.to_json()
        keys = [k for k in a if k not in _NOT_DECISIVE and a[k] != b[k]]
        return "; ".join(f"its {k} is {a[k]}, not {b[k]}" for k in keys)

    @property
    def store(self) -> str:
        """In which type the embeddings are stored."""
        return "float16" if self.quantiser is None else "int8"

    @property
    def kind_and_precision(self) -> tuple[str, str]:
        """Which software computes the embeddings, and in which precision."""
        kind, _, precision = self.backend.split("-")
        return kind, precision


_FOR_PEOPLE = ("run", "versions", "created", "attribution")
# What only the last bits of the embeddings, or how many there are, depend on.
_NOT_DECISIVE = (*_FOR_PEOPLE, "backend", "block", "region")
_INFO = TypeAdapter(AtlasInfo)
