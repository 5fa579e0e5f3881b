"""Keeps imports pointing down: a module may import only modules of a lower rank."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]

LAYERS = [
    {"embed.errors", "embed.geometry"},
    {"embed.formats.source"},
    {"embed.formats.metadata"},
    {"embed.volume"},
]
RANK = {module: rank for rank, layer in enumerate(LAYERS) for module in layer}


def _modules() -> dict[str, Path]:
    files = [*(ROOT / "embed").glob("*.py"), *(ROOT / "serve").glob("*.py")]
    return {f"{f.parent.name}.{f.stem}": f for f in files if f.stem != "__init__"}


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
    offenders = [
        m
        for m, p in _modules().items()
        if m.startswith("embed.") and "serve" in {t.split(".")[0] for t in _imports(p)}
    ]

    assert not offenders
