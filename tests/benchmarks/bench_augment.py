"""Views of a training step on a CPU: what turns, grey values and artefacts cost.

    python -m tests.benchmarks.bench_augment

16 blocks of 57 voxels an edge; interleaved, best of five, ns of process CPU time per voxel.
The first call, which compiles, is given for the default views in CPU seconds.
"""

import dataclasses
import json
import math
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from embed.training.augment import AugmentConfig, change_grey
from embed.training.symmetry import symmetry_table, turn, turn_back

ROUNDS = 5
BLOCKS = 16
SHAPE = (57, 57, 57)
GRID = (4, 4, 4, 64)
NAMES = {
    "curve": 0.25,
    "contrast": 0.35,
    "brightness": 0.5,
    "section_jitter": 0.2,
    "section_contrast": 0.2,
    "blur": 0.4,
    "noise": 0.35,
    "shot_noise": 0.35,
    "missing": 0.05,
    "duplicated": 0.05,
    "misaligned": 0.3,
    "elastic": 2.0,
    "cut_out": 0.3,
}


def main() -> None:
    """Prints a line per change, and one JSON object at the end."""
    off = dataclasses.replace(AugmentConfig(), **dict.fromkeys(NAMES, 0.0))
    programs = {
        "turn": _turns(),
        "turn_back_grid": _turns_back(),
        **{name: _changes(dataclasses.replace(off, **{name: NAMES[name]})) for name in NAMES},
        "views_default": _views(AugmentConfig()),
        "views_everything": _views(AugmentConfig(**NAMES)),
    }
    compiling = _seconds(programs["views_default"])
    figures = {
        name: round(seconds * 1e9 / (BLOCKS * math.prod(SHAPE)), 2)
        for name, seconds in _interleaved(programs).items()
    }
    for name, figure in figures.items():
        print(f"{name:17s} {figure:6.2f} ns per voxel")
    print(json.dumps({"compile_s": round(compiling, 2), "ns_per_voxel": figures}))


def _blocks(shape: tuple[int, ...] = SHAPE) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).normal(size=(BLOCKS, *shape)), jnp.float32)


def _symmetries(key: jax.Array) -> jax.Array:
    table = symmetry_table((10.0, 10.0, 10.0))
    return table[jax.random.randint(key, (BLOCKS,), 0, len(table))]


def _turned(blocks: jax.Array, symmetries: jax.Array) -> jax.Array:
    return jax.lax.map(lambda pair: turn(*pair), (blocks, symmetries))


def _turns() -> Callable[[], object]:
    function, blocks, symmetries = jax.jit(_turned), _blocks(), _symmetries(jax.random.key(0))
    return lambda: function(blocks, symmetries)


def _turns_back() -> Callable[[], object]:
    """On the grid of embeddings, with the gradient; per voxel of the blocks, as all figures are."""
    function = jax.jit(jax.grad(lambda g, s: (jax.vmap(turn_back)(g, s) ** 2).sum()))
    grids, symmetries = _blocks(GRID), _symmetries(jax.random.key(0))
    return lambda: function(grids, symmetries)


def _changes(config: AugmentConfig) -> Callable[[], object]:
    function = jax.jit(jax.vmap(lambda key, block: change_grey(key, block, config)))
    keys, blocks = jax.random.split(jax.random.key(0), BLOCKS), _blocks()
    return lambda: function(keys, blocks)


def _views(config: AugmentConfig) -> Callable[[], object]:
    @jax.jit
    def function(key: jax.Array, blocks: jax.Array) -> jax.Array:
        choose, change = jax.random.split(key)
        turned = _turned(blocks, _symmetries(choose))
        grey = jax.vmap(lambda key, block: change_grey(key, block, config))
        return grey(jax.random.split(change, BLOCKS), turned)

    key, blocks = jax.random.key(0), _blocks()
    return lambda: function(key, blocks)


def _interleaved(programs: dict[str, Callable[[], object]]) -> dict[str, float]:
    best = dict.fromkeys(programs, math.inf)
    for program in programs.values():
        jax.block_until_ready(program())
    for _ in range(ROUNDS):
        for name, program in programs.items():
            best[name] = min(best[name], _seconds(program))
    return best


def _seconds(program: Callable[[], object]) -> float:
    began = time.process_time()
    jax.block_until_ready(program())
    return time.process_time() - began


if __name__ == "__main__":
    main()
