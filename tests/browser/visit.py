"""A visit to the page: what it looks like, what went wrong, and whom it asked."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Page, Route

PATIENCE = 60_000
"""Milliseconds that anything may take where two cores draw what a graphics card should."""

_POSITION = """() => {
  const { viewer } = document.getElementById("neuroglancer").contentWindow;
  return [...viewer.position.value];
}"""
_LAYERS = """() => {
  const { viewer } = document.getElementById("neuroglancer").contentWindow;
  const layers = viewer.layerManager.managedLayers;
  return Object.fromEntries(layers.map((layer) => [layer.name, layer.visible]));
}"""


class Visit:
    """A page that is open, with everything that it was refused or asked of others written down."""

    def __init__(self, context: BrowserContext, url: str, pictures: Path) -> None:
        """Opens the page and waits until the volume is drawn.

        Args:
            pictures: folder for screenshots.
        """
        self.errors: list[str] = []
        self.elsewhere: list[str] = []
        self._host = urlsplit(url).netloc
        self._pictures = pictures
        pictures.mkdir(parents=True, exist_ok=True)
        context.set_default_timeout(PATIENCE)
        context.route("**/*", self._pass)
        self.page: Page = context.new_page()
        self.page.on("console", lambda said: said.type == "error" and self.errors.append(said.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(url)
        self.wait(
            "() => document.getElementById('neuroglancer').contentWindow?.viewer?.position"
            "?.value.length === 3"
        )

    def wait(self, condition: str) -> None:
        """Waits until a function of the page is true."""
        self.page.wait_for_function(condition)

    def layers(self) -> dict[str, bool]:
        """Neuroglancer's layers, each with whether it is shown."""
        return self.page.evaluate(_LAYERS)

    def position(self) -> list[float]:
        """The voxel in the middle of Neuroglancer, XYZ."""
        return self.page.evaluate(_POSITION)

    def wait_until_drawn(self) -> None:
        """Waits until every chunk that Neuroglancer wants to show is there."""
        self.wait("() => document.getElementById('neuroglancer').contentWindow.viewer.isReady()")

    def shift_click(self, across: float, down: float) -> None:
        """Clicks in Neuroglancer's frame, at shares of its width and height."""
        box = self.page.locator("#neuroglancer").bounding_box()
        assert box is not None
        self.page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
        self.page.keyboard.down("Shift")
        self.page.mouse.down()
        self.page.mouse.up()
        self.page.keyboard.up("Shift")

    def lasso(self) -> None:
        """Draws around everything on the map of embeddings."""
        box = self.page.frame_locator("#plot").locator(".nsewdrag").bounding_box()
        assert box is not None
        corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98), (0.02, 0.04)]
        points = [(box["x"] + a * box["width"], box["y"] + d * box["height"]) for a, d in corners]
        self.page.mouse.move(*points[0])
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*point, steps=4)
        self.page.mouse.up()

    def saved(self, selector: str) -> str:
        """The text of the file that a click saves."""
        with self.page.expect_download() as download:
            self.page.click(selector)
        return Path(download.value.path()).read_text()

    def picture(self, name: str) -> None:
        """Keeps a screenshot."""
        assert re.fullmatch(r"[a-z-]+", name)
        self.page.screenshot(path=self._pictures / f"{name}.png")

    def _pass(self, route: Route) -> None:
        url = urlsplit(route.request.url)
        if url.scheme in ("data", "blob") or url.netloc == self._host:
            route.continue_()
        else:
            self.elsewhere.append(route.request.url)
            route.abort()
