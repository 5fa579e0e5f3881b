"""The volume that comes with voxkin, which stands for itself under the name `sample`."""

from pathlib import Path

NAME = "sample"
PATH = Path(__file__).parent / "sample" / "fib25.zarr"


def locate(source: str) -> str:
    """The path of the sample for its name; any other source as it is."""
    return str(PATH) if source == NAME else source
