"""The curves of a training run as a picture."""

import io
import json
from pathlib import Path

from embed.errors import DataError, NotFoundError
from embed.storage import write_bytes

_PANELS = (
    ("loss", "contrastive loss"),
    ("accuracy", "partner found first (share)"),
    ("alignment", "alignment (0: views agree)"),
    ("uniformity", "uniformity (0: collapse)"),
)


def write_report(run: Path) -> Path:
    """Draws `RUN/metrics.jsonl` into `RUN/report.png`.

    Raises:
        NotFoundError: the run has no metrics.
        DataError: they are damaged.
    """
    file = run / "metrics.jsonl"
    if not file.is_file() or not file.stat().st_size:
        raise NotFoundError(f"no metrics at {file}")
    try:
        lines = [json.loads(line) for line in file.read_text().splitlines()]
    except ValueError as error:
        raise DataError(f"{file} holds a line that is not JSON ({error})") from None

    from matplotlib.figure import Figure  # not pyplot, which keeps figures and picks a window

    figure = Figure(figsize=(10, 6), layout="constrained", dpi=120)
    steps = [line["step"] for line in lines]
    for panel, (name, title) in zip(figure.subplots(2, 2).flat, _PANELS, strict=True):
        panel.plot(steps, [line[name] for line in lines], color="#2b6cb0", linewidth=1.2)
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("step")
        panel.grid(alpha=0.25)
    figure.suptitle(f"{run.resolve().name}: {steps[-1]:,} steps", fontsize=11)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    write_bytes(run / "report.png", buffer.getvalue())
    return run / "report.png"
