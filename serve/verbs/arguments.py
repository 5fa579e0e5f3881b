"""How the verbs take their arguments: flags and help from signatures, numbers and boxes as text."""

import inspect
import re
import shutil
import sys
import textwrap
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from embed.errors import ConfigError
from embed.geometry import Box, XyzFloat, Zyx

T = TypeVar("T")

HELP = ("-h", "--help")


def left_out(kind: type, metavar: str) -> Any:
    """A flag that may be left out and otherwise is one `kind`; tyro alone would say {None}|…."""
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda words: kind(words[0]),
        is_instance=lambda value: value is None or isinstance(value, kind),
        str_from_instance=lambda value: ["none" if value is None else str(value)],
    )


# The same for settings, which know nothing of the command line.
_REGISTRY = ConstructorRegistry()


@_REGISTRY.primitive_rule
def _may_beleft_out(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    kinds = {int | None: left_out(int, "N"), str | None: left_out(str, "TEXT")}
    return kinds.get(info.type) if isinstance(info.type, types.UnionType) else None


_UNSAID = tyro.conf.arg(help_behavior_hint="")  # instead of (default: None)

AtlasPath = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="ATLAS")]
Run = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
Out = Annotated[Path, tyro.conf.arg(name="out", metavar="PATH")]
Source = Annotated[str, tyro.conf.arg(metavar="VOLUME")]
Name = Annotated[str, tyro.conf.arg(metavar="NAME")]
Address = Annotated[str, tyro.conf.arg(metavar="HOST:PORT")]
Flag = Annotated[bool, _UNSAID]
Verify = Annotated[bool, tyro.conf.arg(name="verify", help_behavior_hint="")]
Count = Annotated[int, tyro.conf.arg(metavar="N")]
Size = Annotated[str | None, left_out(str, "X,Y,Z"), _UNSAID]
Region = Annotated[str | None, left_out(str, "X0:X1,Y0:Y1,Z0:Z1"), _UNSAID]
Axes = Annotated[str | None, left_out(str, "LETTERS"), _UNSAID]
Whole = Annotated[int | None, left_out(int, "N"), _UNSAID]
Number = Annotated[float | None, left_out(float, "NM"), _UNSAID]
Word = Annotated[str | None, left_out(str, "TEXT"), _UNSAID]
Server = Annotated[str | None, left_out(str, "HOST:PORT"), _UNSAID]
Folder = Annotated[Path | None, left_out(Path, "PATH"), _UNSAID]

_CONFIG = (tyro.conf.FlagCreatePairsOff,)
# A column wider than this is hard to read; that of the flags is as wide.
_COLUMN = 80


def call(function: Callable[..., T], verb: str, words: list[str], **options: Any) -> T:
    """Parses `words` by the signature and docstring of `function`, and calls it.

    Args:
        function: of a verb; its docstring up to `Args:` is what `--help` says first.
        verb: as it is typed after `voxkin`.
        words: the arguments.
        options: for `tyro.cli`, such as a default.
    """
    if set(HELP) & set(words):
        words = ["--help"]  # alone, as tyro leaves out of the help what it was given before
        sys.stdout.write(describe(function) + "\n\n")
    _join_lines(function)
    return tyro.cli(
        function,
        prog=f"voxkin {verb}",
        description="",
        args=words,
        config=_CONFIG,
        registry=_REGISTRY,
        **options,
    )


def call_one_of(
    functions: dict[str, Callable[..., None]], verb: str, description: str, words: list[str]
) -> None:
    """The same for a verb of several words, such as `probe train`.

    Raises:
        ConfigError: the second word is missing or none of those.
    """
    if words and words[0] in functions:
        call(functions[words[0]], f"{verb} {words[0]}", words[1:])
    elif words and words[0] in HELP:
        width = max(map(len, functions))
        rows = (f"  {k:{width}}  {describe(f).splitlines()[0]}" for k, f in functions.items())
        usage = f"usage: voxkin {verb} {'|'.join(functions)} …"
        more = f"voxkin {verb} {next(iter(functions))} --help, and so on, explains one of them."
        sys.stdout.write("\n".join((description, "", usage, "", *rows, "", more)) + "\n")
    else:
        got = f"; got {words[0]!r}" if words else ""
        things = verb if verb.endswith("s") else f"{verb}s"
        raise ConfigError(f"say what to do with {things}: {', '.join(functions)}{got}")


def describe(function: Callable[..., Any]) -> str:
    """The docstring of a verb without its `Args:` or `Attributes:`, as wide as the window."""
    text = inspect.cleandoc(function.__doc__ or "")
    text = re.split(r"\n(?:Args|Attributes):", text)[0].strip()
    width = min(_COLUMN, shutil.get_terminal_size().columns)
    paragraphs = text.split("\n\n")
    # Examples are indented, and stay as they are so that they can be copied.
    filled = (p if "\n  " in p else textwrap.fill(p, width) for p in paragraphs)
    return "\n\n".join(filled)


def _join_lines(function: Callable[..., Any]) -> None:
    """Puts every entry of the `Args:` of a function on one line, as tyro keeps their line ends."""
    text = inspect.cleandoc(function.__doc__ or "")
    function.__doc__ = re.sub(r"\n {8,}(?=\S)", " ", text)


def parse_position(text: str, flag: str) -> XyzFloat:
    """A place in nm, as in `--at 1200,860.5,600`.

    Raises:
        ConfigError: it is not three finite numbers.
    """
    return _three(text, flag, "1200,860,600")


def parse_voxel_size(text: str | None, flag: str = "--voxel-size") -> XyzFloat | None:
    """Edge lengths in nm, as in `--voxel-size 8,8,40`; None where the flag is not given.

    Raises:
        ConfigError: they are not three positive numbers.
    """
    if text is None:
        return None
    size = _three(text, flag, "8,8,40")
    if min(size) <= 0:
        raise ConfigError(f"{flag} takes three lengths X,Y,Z in nm above 0; got {text!r}")
    return size


def _three(text: str, flag: str, example: str) -> XyzFloat:
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(
            f"{flag} takes three numbers X,Y,Z in nm, as in {flag} {example}; got {text!r}"
        ) from None
    if not all(abs(v) < float("inf") for v in (x, y, z)):
        raise ConfigError(f"{flag} takes three finite numbers X,Y,Z in nm; got {text!r}")
    return x, y, z


def parse_steps(text: str, flag: str) -> Zyx:
    """Three whole numbers X,Y,Z of voxels, given back as ZYX.

    Raises:
        ConfigError: they are not three whole numbers of at least 1.
    """
    try:
        x, y, z = (int(part) for part in text.split(","))
    except ValueError:
        x = y = z = 0
    if min(x, y, z) < 1:
        raise ConfigError(
            f"{flag} takes three whole numbers X,Y,Z of voxels, as in {flag} 8,8,8; got {text!r}"
        )
    return z, y, x


def parse_box(text: str, flag: str) -> Box:
    """A box in voxels, as in `--box 0:250,0:250,0:120`: X, Y and Z, stops excluded.

    Raises:
        ConfigError: it is not three ranges that hold at least one voxel.
    """
    try:
        (x0, x1), (y0, y1), (z0, z1) = (
            tuple(int(n) for n in part.split(":")) for part in text.split(",")
        )
        return Box((z0, y0, x0), (z1, y1, x1))
    except ValueError:
        raise ConfigError(
            f"{flag} takes X, Y and Z ranges of voxels, stops excluded, as in {flag} "
            f"0:250,0:250,0:120; got {text!r}"
        ) from None


def xyz_text(zyx: tuple[int, int, int]) -> str:
    """Voxels of a ZYX tuple as people type them: `X,Y,Z`."""
    return ",".join(map(str, reversed(zyx)))


def box_text(box: Box) -> str:
    """A box as people type it: `X0:X1,Y0:Y1,Z0:Z1`."""
    return ",".join(f"{a}:{b}" for a, b in reversed([*zip(box.start, box.stop, strict=True)]))
