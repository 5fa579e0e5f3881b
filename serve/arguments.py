"""How the verbs take their arguments: help from docstrings, examples kept, plain flags."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

T = TypeVar("T")

AtlasPath = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="ATLAS")]
Out = Annotated[Path, tyro.conf.arg(name="out", metavar="PATH")]
Size = Annotated[str | None, tyro.conf.arg(metavar="X,Y,Z")]
Region = Annotated[str | None, tyro.conf.arg(metavar="X0:X1,Y0:Y1,Z0:Z1")]
Axes = Annotated[str | None, tyro.conf.arg(metavar="LETTERS")]
Whole = Annotated[int | None, tyro.conf.arg(metavar="INT")]
Number = Annotated[float | None, tyro.conf.arg(metavar="NM")]
Word = Annotated[str | None, tyro.conf.arg(metavar="TEXT")]
Address = Annotated[str, tyro.conf.arg(metavar="HOST:PORT")]
Folder = Annotated[Path | None, tyro.conf.arg(metavar="PATH")]

_CONFIG = (tyro.conf.FlagCreatePairsOff,)


def call(function: Callable[..., T], verb: str, words: list[str], **options: Any) -> T:
    """Parses `words` by the signature and docstring of `function`, and calls it.

    Args:
        function: of a verb; its docstring up to `Args:` is what `--help` says first.
        verb: as it is typed after `voxkin`.
        words: the arguments.
        options: for `tyro.cli`, such as a default.
    """
    return tyro.cli(
        function,
        prog=f"voxkin {verb}",
        description=describe(function),
        args=words,
        config=_CONFIG,
        **options,
    )


def call_one_of(
    functions: dict[str, Callable[..., Any]], verb: str, description: str, words: list[str]
) -> None:
    """The same for a verb of several words, such as `probe train`."""
    if words and words[0] in functions:
        call(functions[words[0]], f"{verb} {words[0]}", words[1:])
        return
    tyro.extras.subcommand_cli_from_dict(
        functions, prog=f"voxkin {verb}", description=description, args=words, config=_CONFIG
    )


def describe(function: Callable[..., Any]) -> str:
    """The docstring of a verb without its `Args:` or `Attributes:`."""
    text = inspect.cleandoc(function.__doc__ or "")
    for section in ("\nArgs:", "\nAttributes:"):
        text = text.split(section)[0]
    return text.strip()
