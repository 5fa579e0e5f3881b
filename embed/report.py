"""The curves of a training run as a picture."""

import io
import json
from pathlib import Path

from embed.errors import NotFoundError
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
    """
    file = run / "metrics.jsonl"
    if not file.exists():
        raise NotFoundError(f"no metrics at {file}")
    lines = [json.loads(line) for line in file.read_text().splitlines()]

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
