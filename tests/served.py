"""A small served atlas for tests: real voxels, index and encoder, smooth random embeddings."""

import socket
from pathlib import Path

from embed.atlas import Atlas
from embed.checkpoint import FILE, random_encoder, save_encoder
from embed.encoder import EncoderConfig, Stage
from serve.index import build_index
from serve.labelling.label import Place
from serve.labelling.store import LabelStore
from serve.served import ServedAtlas
from tests.atlases import FOV, STRIDE, make_atlas

ENCODER = EncoderConfig(
    voxel_size_nm=(30.0, 8.0, 8.0),
    stages=(Stage(8, (3, 5, 5), (2, 4, 4)), Stage(16, (2, 4, 4))),
    read=(1,),
    embedding_dim=16,
)
"""An encoder whose field of view and stride are those of the atlas."""

INSIDE = (260.0, 260.0, 435.0)
"""A location with data, XYZ nm, far from every border: cell (6, 6, 6)."""


def label_places(atlas: Atlas, label: str, *places: tuple[float, float, float]) -> None:
    """Labels places (nm, XYZ) in the class set "s"."""
    named = [Place(place, label) for place in places]
    LabelStore.open(atlas).add("s", "ana", named, "a test", new_classes=True)


def make_served(path: Path) -> ServedAtlas:
    """An atlas at `path` with everything that serving needs, opened."""
    assert (ENCODER.fov, ENCODER.stride) == (FOV, STRIDE)
    encoder = random_encoder(ENCODER)
    atlas = make_atlas(path, encoder=encoder.fingerprint)
    save_encoder(encoder, path / FILE)
    build_index(atlas)
    return ServedAtlas.open(path)


def is_refused(address: str) -> bool:
    """Whether nobody listens at HOST:PORT."""
    host, port = address.rsplit(":", 1)
    with socket.socket() as plug:
        return plug.connect_ex((host, int(port))) != 0
