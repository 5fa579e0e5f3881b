"""A run as one page of HTML that needs nothing but itself."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from embed.reporting.chart import Curve, draw_chart
from embed.reporting.figures import PANELS, Figures, Panel, main_figures, read_figures
from embed.storage import write_bytes

FILE = "report.html"
SHEETS = "sheets"

# Sheets in the page; the others lie beside it. Enough to see what changed.
_SHEETS = 4
_JPEG = 82


def write_page(
    run: Path, trained_on: Sequence[Mapping[str, Any]], outcome: str, *, good: bool = True
) -> Path:
    """Draws a run, as its files have it, into `RUN/report.html`.

    Args:
        run: with config.json, metrics.jsonl, scores.jsonl and sheets/.
        trained_on: per volume its name, source, voxel size, box and attributes.
        outcome: how the run stands, in a sentence.
        good: whether that is as it should be.

    Raises:
        StorageError: the disk refuses.
    """
    settings = json.loads((run / "config.json").read_text())
    figures = read_figures(run)
    name = escape(run.resolve().name)
    parts = (
        f"<h1>{name}</h1>",
        f'<p class="outcome {"good" if good else "bad"}">{escape(outcome)}</p>',
        _cost(figures),
        _tiles(main_figures(figures, settings["encoder"]["embedding_dim"])),
        _curves(figures),
        _sheets(sorted((run / SHEETS).glob("step-*.png"))),
        "<h2>Trained on</h2>",
        _volumes(trained_on),
        "<h2>Settings</h2>",
        f"<details><summary>config.json</summary>{_table(_flat(settings))}</details>",
    )
    style = Path(__file__).with_name("report.css").read_text()
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}</title><style>{style}</style></head><body>{''.join(parts)}</body></html>\n"
    )
    write_bytes(run / FILE, page.encode())
    return run / FILE


def _cost(figures: Figures) -> str:
    if figures.cost is None:
        return ""
    share = f"{figures.cost:.1%}"
    return f'<p class="faint">Figures, sheets and this page took {share} of the run\'s time.</p>'


def _curves(figures: Figures) -> str:
    if not figures.metrics:  # an encoder that was calibrated, not trained
        return ""
    charts = "".join(_chart(panel, figures) for panel in PANELS)
    return f'<h2>Curves</h2><div class="charts">{charts}</div>'


def _tiles(named: Mapping[str, str]) -> str:
    tiles = []
    for name, value in named.items():
        number, _, rest = value.partition(" ")
        words = " · ".join(filter(None, (name, rest.strip("()"))))
        tiles.append(
            f'<div class="tile"><b>{escape(number)}</b>'
            f'<span class="faint">{escape(words)}</span></div>'
        )
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _chart(panel: Panel, figures: Figures) -> str:
    curves = {
        key: Curve(name, figures.of(key), name == "chance") for key, name in panel.curves.items()
    }
    if not any(curve.points for curve in curves.values() if not curve.level):
        return ""
    return draw_chart(panel.title, [*curves.values()], panel.note)


def _sheets(files: Sequence[Path]) -> str:
    if not files:
        return ""
    last = len(files) - 1
    count = min(_SHEETS, len(files))
    chosen = sorted({round(i * last / max(count - 1, 1)) for i in range(count)}, reverse=True)
    pictures = []
    for file in (files[i] for i in chosen):
        step = f"{int(file.stem.removeprefix('step-')):,}"
        pictures.append(
            f'<details class="sheet" {"open" if file == files[-1] else ""}><summary>Step {step}'
            f'</summary><img alt="neighbours at step {step}" src="{_data(file)}"></details>'
        )
    return (
        "<h2>Nearest neighbours</h2>"
        '<p class="faint">Random places of the volumes, the same in every sheet, and what the '
        "state finds most like each of them, with the cosine of their embeddings. All sheets are "
        f"in {SHEETS}/.</p>{''.join(pictures)}"
    )


def _data(file: Path) -> str:
    with Image.open(file) as picture, io.BytesIO() as jpeg:
        picture.convert("RGB").save(jpeg, "JPEG", quality=_JPEG)
        return f"data:image/jpeg;base64,{base64.b64encode(jpeg.getvalue()).decode()}"


def _volumes(trained_on: Sequence[Mapping[str, Any]]) -> str:
    parts = []
    for entry in trained_on:
        ranges = (
            f"{name} {a:,} to {b:,}" for name, (a, b) in zip("zyx", entry["box_zyx"], strict=True)
        )
        size = " x ".join(f"{n:g}" for n in reversed(entry["voxel_size_nm"]))
        rows = {
            "source": entry["source"],
            "voxels trained on": ", ".join(reversed([*ranges])),
            "voxel size (XYZ)": f"{size} nm",
            **_flat(entry["attributes"]),
        }
        parts.append(f"<h3>{escape(str(entry['name']))}</h3>{_table(rows)}")
    return "".join(parts)


def _table(rows: Mapping[str, Any]) -> str:
    lines = (
        f'<tr><td class="name">{escape(str(name))}</td><td>{escape(str(value))}</td></tr>'
        for name, value in rows.items()
    )
    return f"<table>{''.join(lines)}</table>"


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """A tree of settings as lines; lists of plain values stay together."""
    plain = isinstance(value, list) and not any(isinstance(v, dict | list) for v in value)
    if plain or not isinstance(value, dict | list):
        return {name: ", ".join(map(str, value)) if isinstance(value, list) else value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    flat: dict[str, Any] = {}
    for key, inner in items:
        flat |= _flat(inner, f"{name}.{key}" if name else str(key))
    return flat
