"""A trained encoder in one file: architecture, parameters and where they come from."""

import dataclasses
import functools
import io
import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32, PyTree
from pydantic import TypeAdapter

from embed.encoder import Encoder, EncoderConfig
from embed.errors import DataError, NotFoundError
from embed.geometry import Zyx, ZyxFloat
from embed.storage import digest, write_bytes

FILE = "encoder.npz"
# Of an encoder that was shown voxels of one size; what it sees is then a little larger or smaller.
TOLERANCE = 1.15
_FORMAT = 1
_ABOUT = "about.json"
_CONFIG = TypeAdapter(EncoderConfig)
# Of its attributes, those that older encoders do not have.
_LATER = ("filters", "tones", "statistics")


@dataclasses.dataclass(frozen=True)
class TrainedEncoder:
    """An encoder and its parameters.

    Attributes:
        config: its shape.
        params: the parameters of `Encoder`.
        step: training steps behind them.
        trained_on: one entry per training volume: name, source, box, attribution.
        tolerance: factor by which the edges of voxels may differ from those it is made for.
        masked: whether it was trained on fields of view that show one segment, and 0 around it,
            and is to be given such.
    """

    config: EncoderConfig
    params: PyTree[Array]
    step: int = 0
    trained_on: tuple[dict[str, Any], ...] = ()
    tolerance: float = TOLERANCE
    masked: bool = False

    @property
    def fov(self) -> Zyx:
        """Voxels that one embedding sees, ZYX."""
        return self.config.fov

    @property
    def stride(self) -> Zyx:
        """Voxels between the embeddings of a dense run, ZYX."""
        return self.config.stride

    @property
    def embedding_dim(self) -> int:
        """Length of an embedding."""
        return self.config.embedding_dim

    @property
    def voxel_size_nm(self) -> ZyxFloat:
        """Edge lengths of the voxels it is made for, ZYX."""
        return self.config.voxel_size_nm

    def takes(self, voxel_size_nm: ZyxFloat) -> bool:
        """Whether voxels of this size, ZYX, are like enough to those it is made for."""
        pairs = zip(voxel_size_nm, self.voxel_size_nm, strict=True)
        return all(1 / self.tolerance <= a / b <= self.tolerance for a, b in pairs)

    @cached_property
    def fingerprint(self) -> str:
        """The digest of shape, parameters and kind of input: one fingerprint, one encoder."""
        # What older encoders do not say leaves their fingerprints as they are.
        unsaid = {name for name in _LATER if not getattr(self.config, name)}
        shape = _CONFIG.dump_json(self.config, exclude=unsaid)
        arrays = _named(self.params)
        parts = (part for k in sorted(arrays) for part in _bytes(k, arrays[k]))
        return digest(shape, *parts, *([b"masked"] if self.masked else []))

    @property
    def run(self) -> Callable[[PyTree[Array], Array], Float[Array, "batch cz cy cx dim"]]:
        """The compiled network: parameters and normalised blocks [batch, z, y, x] to embeddings."""
        return _network(self.config)

    def apply(
        self, blocks: Float[Array, "batch z y x"] | Float[np.ndarray, "batch z y x"]
    ) -> Float[Array, "batch cz cy cx dim"]:
        """Normalised blocks to embeddings, by its own parameters."""
        return self.run(self.params, jax.numpy.asarray(blocks))


def random_encoder(config: EncoderConfig, seed: int = 0) -> TrainedEncoder:
    """An encoder before training: the control of every evaluation."""
    encoder = Encoder(config, rngs=nnx.Rngs(seed))
    return TrainedEncoder(config, nnx.state(encoder, nnx.Param))


def random_like(encoder: TrainedEncoder, seed: int = 0) -> TrainedEncoder:
    """The same architecture, for the same kind of input, with random parameters."""
    return dataclasses.replace(
        random_encoder(encoder.config, seed), tolerance=encoder.tolerance, masked=encoder.masked
    )


def save_encoder(encoder: TrainedEncoder, path: Path) -> None:
    """Writes the file whole or not at all.

    Raises:
        StorageError: the disk refuses.
    """
    about = {
        "format": _FORMAT,
        "config": _CONFIG.dump_python(encoder.config, mode="json"),
        "step": encoder.step,
        "trained_on": encoder.trained_on,
        "tolerance": encoder.tolerance,
        "masked": encoder.masked,
        "fingerprint": encoder.fingerprint,
    }
    buffer = io.BytesIO()
    arrays = {_ABOUT: np.frombuffer(json.dumps(about).encode(), np.uint8), **_named(encoder.params)}
    np.savez(buffer, allow_pickle=False, **arrays)
    write_bytes(path, buffer.getvalue())


def load_encoder(path: Path) -> TrainedEncoder:
    """Reads an encoder from its file, or from the run or the atlas that holds one.

    Raises:
        NotFoundError: there is none.
        DataError: the file is damaged or of another format.
    """
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise NotFoundError(
            f"no encoder at {file}; train one with: voxkin train CONFIG --out {path}"
        )
    try:
        # Opened here: np.load leaves a file open that turns out to be no archive.
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as content:
            about = json.loads(content[_ABOUT].tobytes())
            arrays = {name: content[name] for name in content.files if name != _ABOUT}
        made_by, fingerprint = about["format"], about["fingerprint"]
        config = _CONFIG.validate_python(about["config"])
        params = _from_named(config, arrays)
        encoder = TrainedEncoder(
            config,
            params,
            about["step"],
            tuple(about["trained_on"]),
            float(about.get("tolerance", TOLERANCE)),
            bool(about.get("masked", False)),  # older files do not say
        )
    except (OSError, ValueError, LookupError, TypeError, EOFError, BadZipFile) as error:
        raise DataError(f"{file} is not an encoder of format {_FORMAT}: {error}") from error
    if made_by != _FORMAT or encoder.fingerprint != fingerprint:
        raise DataError(f"{file} is damaged: its contents do not match its fingerprint")
    return encoder


@functools.lru_cache(maxsize=8)
def _network(
    config: EncoderConfig,
) -> Callable[[PyTree[Array], Array], Float[Array, "batch cz cy cx dim"]]:
    """One per process and architecture, so that no job compiles it again."""
    graph = nnx.split(_abstract(config), nnx.Param)[0]
    return jax.jit(lambda params, blocks: nnx.merge(graph, params)(blocks))


@functools.lru_cache(maxsize=8)
def _abstract(config: EncoderConfig) -> Encoder:
    return nnx.eval_shape(lambda: Encoder(config, rngs=nnx.Rngs(0)))


def named_parameters(encoder: TrainedEncoder) -> dict[str, Float32[np.ndarray, "..."]]:
    """The parameters by their place in `Encoder`, as in `['head']['bias'].value`."""
    return _named(encoder.params)


def _named(params: PyTree[Array]) -> dict[str, Float32[np.ndarray, "..."]]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def _from_named(config: EncoderConfig, arrays: dict[str, np.ndarray]) -> PyTree[Array]:
    expected = nnx.state(_abstract(config), nnx.Param)
    leaves, structure = jax.tree_util.tree_flatten_with_path(expected)
    names = [jax.tree_util.keystr(path) for path, _ in leaves]
    if sorted(names) != sorted(arrays):
        raise ValueError("the names of the parameters are not those of its architecture")
    for name, (_, leaf) in zip(names, leaves, strict=True):
        if arrays[name].shape != leaf.shape:
            raise ValueError(f"{name} has shape {arrays[name].shape}, not {leaf.shape}")
    return jax.tree_util.tree_unflatten(structure, [jax.numpy.asarray(arrays[n]) for n in names])


def _bytes(name: str, array: np.ndarray) -> tuple[bytes, bytes]:
    return name.encode(), np.ascontiguousarray(array).tobytes()
