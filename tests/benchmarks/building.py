"""What building an index takes: CPU of a location, and the memory of a process that does it alone.

    python -m tests.benchmarks.building ATLAS

builds the index that is advised, and prints its CPU seconds, recall and the peak of its memory in
bytes.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from embed.atlas import Atlas
from serve.index import build_index
from tests.benchmarks.processes import peak_memory_bytes


def built(atlas: Atlas) -> dict[str, Any]:
    """The index of an atlas, built in a process of its own; the atlas has it afterwards."""
    words = [sys.executable, "-m", "tests.benchmarks.building", str(atlas.path)]
    found = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    return {
        "build_us_per_vector": 1e6 * found["cpu_s"] / found["count"],
        "build_memory_gb": found["peak_bytes"] / 1e9,
        "build_recall": found["recall"],
    }


def main() -> None:
    """Builds one."""
    atlas = Atlas.open(Path(sys.argv[1]))
    began = time.process_time()
    manifest = build_index(atlas, rebuild=True)
    cpu_s = time.process_time() - began
    figures = {"cpu_s": cpu_s, "count": manifest.count, "recall": manifest.recall}
    print(json.dumps(figures | {"peak_bytes": peak_memory_bytes()}))


if __name__ == "__main__":
    main()
