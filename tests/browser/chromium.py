"""A real Chromium for tests of the page, which talks to nobody but the server under test."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Playwright, sync_playwright

MISSING = "no Chromium here; `make browser` installs one"

# WebGL 2 is drawn by the CPU. Other names are not even looked up.
_ARGUMENTS = [
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--no-sandbox",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def find_chromium(playwright: Playwright) -> str | None:
    """The program: the one that is named, playwright's own, or the system's; None without any."""
    named = os.environ.get("VOXKIN_CHROMIUM")
    own = playwright.chromium.executable_path
    found = (shutil.which(name) for name in _NAMES)
    return named or (own if Path(own).exists() else None) or next(filter(None, found), None)


@contextmanager
def opened(width: int, height: int) -> Iterator[BrowserContext]:
    """A fresh browser of a size, without a memory; skips the test where there is none."""
    with sync_playwright() as playwright:
        program = find_chromium(playwright)
        if program is None:
            pytest.skip(MISSING)
        browser = playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        try:
            yield browser.new_context(viewport={"width": width, "height": height})
        finally:
            browser.close()
