"""The wire contract: the committed stubs are those of the .proto files, and import anywhere."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from serve.pb.voxkin.v1 import atlas_pb2, label_pb2, probe_pb2, search_pb2, types_pb2

ROOT = Path(__file__).parents[1]
PROTOS = sorted((ROOT / "proto").glob("voxkin/v1/*.proto"))
MODULES = {
    "atlas": atlas_pb2,
    "label": label_pb2,
    "probe": probe_pb2,
    "search": search_pb2,
    "types": types_pb2,
}
FIELD = re.compile(r"^\s*(?:repeated |optional )?(?:map<.*>|[\w.]+) (\w+) = (\d+);", re.MULTILINE)
BLOCK = re.compile(r"^(message|service|enum) (\w+) \{((?:\n.*?^)?)\}$", re.MULTILINE | re.DOTALL)


def _blocks(proto: Path) -> dict[str, tuple[str, str]]:
    return {name: (kind, body) for kind, name, body in BLOCK.findall(proto.read_text())}


def test_the_stubs_were_generated_from_these_files():
    made = json.loads((ROOT / "serve" / "pb" / "SOURCES.json").read_text())

    found = {
        f.relative_to(ROOT / "proto").as_posix(): hashlib.sha256(f.read_bytes()).hexdigest()
        for f in PROTOS
    }

    assert made["sha256"] == found, "run: make proto"


@pytest.mark.parametrize("proto", PROTOS, ids=lambda f: f.stem)
def test_descriptors_have_the_messages_and_fields_of_the_file(proto):
    descriptor = MODULES[proto.stem].DESCRIPTOR
    blocks = _blocks(proto)

    messages = {
        name: {field.name: field.number for field in message.fields}
        for name, message in descriptor.message_types_by_name.items()
    }

    assert descriptor.name == f"voxkin/v1/{proto.name}"
    assert messages == {
        name: {field: int(number) for field, number in FIELD.findall(body)}
        for name, (kind, body) in blocks.items()
        if kind == "message"
    }
    assert set(descriptor.services_by_name) == {n for n, (k, _) in blocks.items() if k == "service"}
    assert set(descriptor.enum_types_by_name) == {n for n, (k, _) in blocks.items() if k == "enum"}


@pytest.mark.parametrize("proto", PROTOS, ids=lambda f: f.stem)
def test_everything_in_the_contract_is_documented(proto):
    lines = proto.read_text().splitlines()
    declares = re.compile(r"\s*(message|service|rpc|enum|oneof) \w+|.* = \d+;$")

    bare = [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if declares.match(line) and not before.strip().startswith("//")
    ]

    assert not bare


def test_the_stubs_import_without_a_warning():
    names = ", ".join(
        f"serve.pb.voxkin.v1.{stem}_pb2{kind}" for stem in MODULES for kind in ("", "_grpc")
    )

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import {names}"], cwd=ROOT, capture_output=True
    )

    assert done.returncode == 0, done.stderr.decode()
