"""The system's Chromium for tests, driven by Playwright; absent, the tests that need it are skipped and say so."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
OPTIONS += ["--enable-unsafe-swiftshader"]  # maps are drawn with WebGL, in software here
PATIENCE = 120_000
"""Milliseconds that a page may take; machines are shared."""


def executable():
    """Where the browser is."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    return found


@contextmanager
def browser():
    """A fresh one, without a past."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")
    path = executable()
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path, args=OPTIONS, timeout=PATIENCE)
        try:
            yield opened
        finally:
            opened.close()


def complaints(page):
    """What a page will have complained about, and whom it will have asked besides its own server: a list that grows."""
    found = []
    page.set_default_timeout(PATIENCE)
    page.on("console", lambda said: found.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    own = ("http://localhost", "http://127.0.0.1", "data:", "blob:", "about:", "file:", "ws://localhost")
    page.on("request", lambda sent: found.append(sent.url) if not sent.url.startswith(own) else None)
    return found


def photograph(page, name):
    """Keep a screenshot under `outputs/screenshots`, or where `SCREENSHOTS` says."""
    folder = Path(os.environ.get("SCREENSHOTS", Path(__file__).parents[1] / "outputs" / "screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{name}.png", full_page=True)
