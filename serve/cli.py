"""The `voxkin` command: a table from verb to function, and how errors end it."""

import importlib
import logging
import os
import sys
from collections.abc import Sequence

from embed.errors import VoxkinError

# In the order of the flow. A verb's module is imported when it is called, so that `--help` is
# quick: neither jax nor umap is needed to read about them.
VERBS: dict[str, tuple[str, str]] = {
    "demo": ("serve.demo", "train, embed, index, serve and search a real sample, in minutes"),
    "info": ("serve.verb_info", "what a volume is: format, axes, voxel size, levels, grey values"),
    "ingest": ("serve.verb_ingest", "turn a TIFF stack or HDF5 file into OME-Zarr"),
    "train": ("serve.verb_train", "learn an encoder from a volume, without labels"),
    "embed": ("serve.verb_embed", "write an embedding at every location of a volume: an atlas"),
    "index": ("serve.verb_index", "make an atlas searchable"),
    "serve": ("serve.verb_serve", "answer gRPC clients and show the page"),
    "find": ("serve.verb_find", "places like this one"),
    "probe": ("serve.verb_probe", "teach a structure from a few labels, and map it"),
    "project": ("serve.verb_project", "a UMAP of the atlas, as a picture and a table"),
    "evaluate": ("serve.verb_evaluate", "score an encoder on a fixed protocol, beside controls"),
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
130 or 143 stopped on request after saving.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        width = max(map(len, VERBS))
        rows = (f"  {verb:{width}}  {summary}" for verb, (_, summary) in VERBS.items())
        sys.stdout.write(USAGE.format(verbs="\n".join(rows)))
        return 0
    if words[0] in ("-V", "--version"):
        from importlib.metadata import version

        sys.stdout.write(f"voxkin {version('voxkin')}\n")
        return 0
    if words[0] not in VERBS:
        sys.stderr.write(f"voxkin: no verb {words[0]!r}; there are {', '.join(VERBS)}\n")
        return 2
    return _run(words[0], words[1:])


def _run(verb: str, words: list[str]) -> int:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # Kept compiled programs save the first 20 s of every later run.
    cache = os.path.join(os.path.expanduser("~"), ".cache", "voxkin", "jax")
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", cache)
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "1")
    module = importlib.import_module(VERBS[verb][0])
    try:
        code: int | None = module.main(words)
        return code or 0
    except VoxkinError as error:
        sys.stderr.write(f"voxkin {verb}: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"voxkin {verb}: interrupted\n")
        return 130
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        sys.stderr.close()
        return 0
    except SystemExit as end:  # of the argument parser, which has said why
        return end.code if isinstance(end.code, int) else 2


if __name__ == "__main__":
    sys.exit(main())
