"""The `voxkin` command: a table from verb to function, and how errors and signals end it."""

import contextlib
import difflib
import importlib
import logging
import os
import sys
import warnings
from collections.abc import Sequence

from embed.errors import VoxkinError
from serve.stopping import Stopped, held, stoppable

# In the order of the flow. A verb's module is imported when it is called, so that `--help` is
# quick: neither jax nor umap is needed to read about them.
VERBS: dict[str, tuple[str, str]] = {
    "demo": ("serve.verbs.demo", "train, embed, index, serve and search a real sample, in minutes"),
    "info": ("serve.verbs.info", "what a volume is: format, axes, voxel size, levels, grey values"),
    "ingest": ("serve.verbs.ingest", "turn a TIFF stack or HDF5 file into OME-Zarr"),
    "train": ("serve.verbs.train", "learn an encoder from a volume, without labels"),
    "embed": ("serve.verbs.embed", "write an embedding at every location of a volume: an atlas"),
    "index": ("serve.verbs.index", "make an atlas searchable"),
    "serve": ("serve.verbs.serve", "answer gRPC clients and show the page"),
    "find": ("serve.verbs.find", "places like this one"),
    "labels": (
        "serve.verbs.labels",
        "what places are labelled as: list, import, export, undo, convert",
    ),
    "probe": ("serve.verbs.probe", "teach a structure from a few labels, and map it"),
    "project": ("serve.verbs.project", "a UMAP of the atlas, as a picture and a table"),
    "evaluate": ("serve.verbs.evaluate", "score an encoder on a fixed protocol, beside controls"),
}

USAGE = """\
voxkin: self-supervised search over 3D electron-microscopy volumes

usage: voxkin VERB [ARGUMENTS]        voxkin VERB --help explains one verb

{verbs}

A first session:
  voxkin demo                                         everything below, on a bundled sample
  voxkin info em.ome.zarr                             is this my volume?
  voxkin train fibsem --volume em.ome.zarr --out run  learn an encoder
  voxkin embed run --volume em.ome.zarr --out atlas   an embedding everywhere
  voxkin index atlas
  voxkin find atlas --at 4200,3800,1600 -k 20         places like the one at x, y, z nm
  voxkin serve atlas                                  the same by gRPC and in a browser

Exit codes: 0 done, 1 a bug (please report it), 2 something to mend, which is said in one line,
130 or 143 stopped by Ctrl-C or SIGTERM: what is done is kept, the same command goes on.
"""

# Kept compiled programs save the first 20 s of every later run; gRPC's own log says in its words
# what our errors say in ours.
_ENVIRONMENT = {
    "JAX_COMPILATION_CACHE_DIR": os.path.join(os.path.expanduser("~"), ".cache", "voxkin", "jax"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1",
    "GRPC_VERBOSITY": "NONE",
}
_MEND = 2
# What a shell reports of a program that SIGPIPE ended; Python makes an error of it.
_NO_READER = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = "voxkin " + words[0] if words and words[0] in VERBS else "voxkin"
    try:
        with stoppable():
            return _run(words)
    except VoxkinError as error:
        sys.stderr.write(f"{name}: {error}\n")
        _forget_unwritten()
        return _MEND
    except Stopped as request:
        sys.stderr.write(f"{name}: {request}\n")
        return request.exit_code
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        _forget_unwritten()
        return _NO_READER
    except SystemExit as end:  # of the argument parser, which has said why
        return end.code if isinstance(end.code, int) else _MEND


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        width = max(map(len, VERBS))
        rows = (f"  {verb:{width}}  {summary}" for verb, (_, summary) in VERBS.items())
        sys.stdout.write(USAGE.format(verbs="\n".join(rows)))
    elif words[0] in ("-V", "--version"):
        from importlib.metadata import version

        sys.stdout.write(f"voxkin {version('voxkin')}\n")
    elif words[0] in VERBS:
        logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
        # What tifffile logs of broken files we raise; it must still be logged to be heard.
        tiff = logging.getLogger("tifffile")
        tiff.propagate = False
        tiff.addHandler(logging.NullHandler())
        # Where the cache cannot be written, programs are compiled anew, which works as well.
        warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        with held():
            module = importlib.import_module(VERBS[words[0]][0])
        code: int | None = module.main(words[1:])
        sys.stdout.flush()
        return code or 0
    else:
        sys.stderr.write(f"voxkin: no verb {words[0]!r}; {_suggestion(words[0])}\n")
        return _MEND
    sys.stdout.flush()
    return 0


def _suggestion(word: str) -> str:
    near = difflib.get_close_matches(word, VERBS, n=1)
    return f"perhaps you meant {near[0]}" if near else f"there are {', '.join(VERBS)}"


def _forget_unwritten() -> None:
    """Drops what stdout could not take, which Python would try to write again at exit."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        return
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
