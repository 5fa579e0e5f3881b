"""Keeps imports pointing down: a module may import only modules of a lower rank."""

import ast
from pathlib import Path

from tests.layer_ranks import RANK

ROOT = Path(__file__).parents[1]


def _modules() -> dict[str, Path]:
    files = [*(ROOT / "embed").rglob("*.py"), *(ROOT / "serve").rglob("*.py")]
    own = (f for f in files if f.stem != "__init__" and "pb" not in f.parts)
    return {".".join(f.relative_to(ROOT).with_suffix("").parts): f for f in own}


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & RANK.keys()


def test_every_import_points_down():
    upward = [
        f"{module} imports {target}"
        for module, path in _modules().items()
        for target in _imports(path)
        if RANK[target] >= RANK[module]
    ]

    assert not upward


def test_every_module_has_a_layer():
    assert _modules().keys() == RANK.keys()


def test_embed_never_imports_serve():
    embed = {module: path for module, path in _modules().items() if module.startswith("embed.")}

    offenders = [
        f"{module} imports {target}"
        for module, path in embed.items()
        for target in _imports(path)
        if target.startswith("serve.")
    ]

    assert not offenders
