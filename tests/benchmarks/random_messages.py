"""Random requests of every method, made from the schema: valid, nearly valid, and hostile.

A message is filled field by field from its descriptor. Half of them are tame: their values are
what a caller may ask for, but for one in thirty, so that they get past the first checks.
"""

import random
import struct
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from serve.pb.voxkin.v1 import atlas_pb2, label_pb2, probe_pb2, search_pb2

METHODS: tuple[MethodDescriptor, ...] = tuple(
    method
    for module in (search_pb2, probe_pb2, atlas_pb2, label_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
)

DOUBLES = (0.0, -0.0, -1.0, 0.5, 1.0, 1e-320, 1e300, -1e300, float("nan"), float("inf"), 2.0**63)
WHOLE = (0, 1, 2, 3, 16, 255, 1000, 10_000, 10_001, 2**31 - 1, 2**31, 2**32 - 1)
STRINGS = (
    *("", "small", "p", "q", "a", "b", "mask", "../../etc/passwd", "/etc/passwd", "small/../small"),
    *("\x00", "%s%n", "{0.__class__}", "é" * 64, "x" * 5000, "<script>", "a\nb", "\u202e"),
)
# What may be asked for, by the name of the field.
TAME: dict[str, tuple[Any, ...]] = {
    "k": (1, 5, 10, 100),
    "min_separation_nm": (0.0, 60.0, 150.0),
    "per_segment": (1, 2),
    "at_least": (0.2, 0.5, 0.9),
    "unlike_weight": (0.0, 0.5),
    "typical_weight": (0.0, 0.5),
    "mode": (0, 1, 2, 3),
    "map_type": (0, 1, 2),
    "probe": ("p",),
    "probe_class": ("a", "b"),
    "name": ("p", "q"),
    "label": ("a", "b"),
    "set": ("s",),
    "label_set": ("s",),
    "author": ("ana", "bob"),
    "source": ("", "a test"),
    "colour": ("#e69f00",),
    "key": ("", "x"),
    "limit": (1, 100),
    "masks": ("m",),
    "segments": (0, 1, 112),
    "not_segments": (1, 111),
}
_HOSTILE_IN_TAME = 1 / 30
_FLOATS = (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT)
# Of repeated fields, how many: mostly few, sometimes more than is taken.
_COUNTS = (0, 0, 0, 1, 1, 1, 2, 3, 5, 40, 1200)


class RandomMessages:
    """Makes messages; the same seed makes the same ones."""

    def __init__(
        self,
        seed: int,
        low_nm_xyz: tuple[float, float, float],
        high_nm_xyz: tuple[float, float, float],
        dim: int,
    ) -> None:
        """Prepares to make them.

        Args:
            seed: of all that is random.
            low_nm_xyz: of the atlas that is asked, the lowest location.
            high_nm_xyz: and the highest.
            dim: length of its embeddings.
        """
        self.rng = random.Random(seed)
        self._low, self._high, self._dim = low_nm_xyz, high_nm_xyz, dim
        self._tame = False
        self._special: dict[str, Callable[[Any], None]] = {
            "PositionNm": self._position,
            "BoxNm": self._box,
            "Vector": self._vector,
            "Vectors": self._vectors,
            "CutOut": self._cut_out,
            "NewLabel": self._new_label,
        }

    def request(self) -> tuple[MethodDescriptor, Message]:
        """A method, and a request for it."""
        while True:
            method = self.rng.choice(METHODS)
            # Jobs take a thousand times as long as refusals.
            if method.name not in ("Train", "Apply") or self.rng.random() < 0.1:
                self._tame = self.rng.random() < 0.5
                return method, self.message(method.input_type)

    def message(self, descriptor: Any, depth: int = 0) -> Message:
        """A message of a type."""
        made = GetMessageClass(descriptor)()
        special = self._special.get(descriptor.name)
        if special is not None and not self._hostile(0.2):
            special(made)
            return made
        fill = self.rng.choice((0.2, 0.5) if self._tame and depth else (0.2, 0.5, 0.9))
        for field in descriptor.fields:
            if self.rng.random() < fill:
                self._fill(made, field, depth)
        if "atlas" in descriptor.fields_by_name and not self._hostile(0.1):
            made.atlas = self.rng.choice(("", "small"))
        if self._tame and "query" in descriptor.oneofs_by_name and not made.WhichOneof("query"):
            self._position(made.position_nm)
        if self._tame and descriptor.name == "Query":
            self._settle(made)
        return made

    def broken(self) -> tuple[MethodDescriptor, bytes]:
        """A method, and bytes that are hardly a message of it."""
        method, message = self.request()
        content = bytearray(message.SerializeToString()[:100_000])
        kind = self.rng.randrange(3)
        if kind == 0 or not content:
            return method, self.rng.randbytes(self.rng.choice((1, 7, 100, 5000)))
        if kind == 1:
            return method, bytes(content[: self.rng.randrange(len(content))])
        for _ in range(self.rng.choice((1, 3, 30))):
            content[self.rng.randrange(len(content))] = self.rng.randrange(256)
        return method, bytes(content)

    def _fill(self, made: Any, field: FieldDescriptor, depth: int) -> None:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            return
        if not field.is_repeated:
            if field.message_type is None:
                setattr(made, field.name, self._scalar(field))
            elif depth < 4:
                getattr(made, field.name).CopyFrom(self.message(field.message_type, depth + 1))
            return
        counts = _COUNTS[3:7] if self._tame else _COUNTS if depth < 2 else _COUNTS[:-2]
        count = 8 if self._tame and field.name == "places" else self.rng.choice(counts)
        for _ in range(count):
            if field.message_type is None:
                getattr(made, field.name).append(self._scalar(field))
            elif depth < 4:
                getattr(made, field.name).append(self.message(field.message_type, depth + 1))

    def _hostile(self, chance: float) -> bool:
        return self.rng.random() < (_HOSTILE_IN_TAME if self._tame else chance)

    def _settle(self, made: Any) -> None:
        """Makes a query that is either of examples or of a probe."""
        likes = len(made.like_nm) + len(made.like) + made.HasField("cut_out")
        if made.probe and self.rng.random() < 0.3:
            for name in ("like_nm", "unlike_nm", "like", "unlike", "cut_out", "mode"):
                made.ClearField(name)
            return
        made.ClearField("probe")
        made.ClearField("probe_class")
        if not likes:
            self._position(made.like_nm.add())
        if made.mode == search_pb2.QUERY_MODE_LINEAR and not made.unlike:
            self._position(made.unlike_nm.add())

    def _scalar(self, field: FieldDescriptor) -> Any:
        if self._tame and field.name in TAME and not self._hostile(0):
            return self.rng.choice(TAME[field.name])
        if self._tame and field.name == "page_token":
            return b""
        if field.type in _FLOATS:
            return self.rng.choice((*DOUBLES, self.rng.uniform(-1, 1), self.rng.uniform(0, 1000)))
        if field.type == FieldDescriptor.TYPE_STRING:
            return self.rng.choice(STRINGS)
        if field.type == FieldDescriptor.TYPE_BYTES:
            return self.rng.randbytes(self.rng.choice((0, 1, 32, 64, 40, 1000)))
        if field.type == FieldDescriptor.TYPE_ENUM:
            return self.rng.choice((0, 1, 2, 3, 4, 77, -1, 2**31 - 1))
        if field.type == FieldDescriptor.TYPE_BOOL:
            return self.rng.random() < 0.5
        if field.type == FieldDescriptor.TYPE_UINT64:
            return self.rng.choice((*WHOLE, 2**60, 2**64 - 1))
        return self.rng.choice((*WHOLE, *range(1, 20)))

    def _position(self, made: Any) -> None:
        for axis, low, high in zip("xyz", self._low, self._high, strict=True):
            setattr(made, axis, self.rng.uniform(low, high))
        if self._hostile(0.1):
            setattr(made, self.rng.choice("xyz"), self.rng.choice(DOUBLES))

    def _new_label(self, made: Any) -> None:
        self._position(made.position_nm)
        made.label = self.rng.choice(STRINGS if self._hostile(0.3) else TAME["label"])

    def _box(self, made: Any) -> None:
        self._position(made.start)
        self._position(made.stop)
        for axis in "xyz":
            ends = sorted((getattr(made.start, axis), getattr(made.stop, axis)))
            setattr(made.start, axis, ends[0])
            setattr(made.stop, axis, ends[1])

    def _vector(self, made: Any) -> None:
        made.dim = self.rng.choice((0, 1, 2**32 - 1)) if self._hostile(0.3) else self._dim
        made.values = self._floats(min(made.dim, 100))

    def _vectors(self, made: Any) -> None:
        made.dim = 1 if self._hostile(0.3) else self._dim
        made.count = (
            self.rng.choice((0, 1025)) if self._hostile(0.2) else self.rng.choice((1, 2, 40))
        )
        made.values = self._floats(made.dim * made.count)

    def _floats(self, count: int) -> bytes:
        values = [self.rng.gauss(0, 1) for _ in range(count)]
        if values and self._hostile(0.1):
            values[self.rng.randrange(count)] = self.rng.choice((float("nan"), float("inf"), 3e38))
        return struct.pack(f"<{count}f", *values)

    def _cut_out(self, made: Any) -> None:
        shape = [self.rng.choice((17, 20, 33)) for _ in "xyz"]
        if self._hostile(0.3):
            shape[self.rng.randrange(3)] = self.rng.choice((1, 5))
        if self._hostile(0.1):
            shape[self.rng.randrange(3)] = self.rng.choice((0, 900, 2**31))
        made.shape.x, made.shape.y, made.shape.z = shape
        made.voxel_type = self.rng.choice((0, 4, 77) if self._hostile(0.2) else (1, 2, 3))
        size = (1, 1, 2, 2, 4)[made.voxel_type] if made.voxel_type < 5 else 1
        made.voxels = self.rng.randbytes(min(size * shape[0] * shape[1] * shape[2], 100_000))
