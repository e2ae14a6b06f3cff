"""Draw the pictures of these pages again: `python docs/pictures.py [report] [nuclei] [page]`; needs Chromium.

They show images that the bundled generator drew, so that they may be shown anywhere.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Page, sync_playwright

import histoxplain as hx

PICTURES = Path(__file__).parent / "pictures"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
BUNDLE = "lung-histology"
PATIENCE = 600_000
"""Milliseconds that a page may take."""


@contextmanager
def tab(width: int, height: int) -> Iterator[Page]:
    """A page in a fresh browser."""
    with sync_playwright() as driver:
        found = next(filter(None, map(which, CHROMIUM)))
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(PATIENCE)
        yield page
        browser.close()


def keep(png: bytes, name: str, width: int = 1100) -> None:
    """Write a screenshot as a small JPEG."""
    with Image.open(BytesIO(png)) as picture:
        picture = picture.convert("RGB")
        picture.thumbnail((width, 10_000), Image.Resampling.LANCZOS)
        PICTURES.mkdir(exist_ok=True)
        picture.save(PICTURES / f"{name}.jpg", quality=82, optimize=True)


def explained(count: int) -> tuple[hx.models.Bundle, hx.explain.Explanation]:
    """A generated adenocarcinoma, and what would make it benign."""
    bundle = hx.load_bundle(BUNDLE)
    samples = hx.explain.generate_pairs(bundle, 1, 0, "benign")
    (found,) = hx.explain.explain_latents(bundle, samples.ws[:1], ["benign"], count, z=samples.z[:1])
    return bundle, found


def report() -> None:
    """The report of three changes, down to how far to trust them."""
    bundle, found = explained(3)
    with TemporaryDirectory() as folder, tab(1060, 1000) as page:
        made = hx.viz.provenance_of(bundle, "histoxplain explain tile.png --target benign --count 3", 0)
        path = hx.viz.write_report([found], Path(folder) / "report.html", provenance=made)
        page.goto(path.as_uri())
        end = page.locator("table.checks").bounding_box()
        whole = {"x": 0, "y": 0, "width": 1060, "height": end["y"] + end["height"] + 20}
        keep(page.screenshot(full_page=True, clip=whole), "report")


def nuclei() -> None:
    """Nuclei of an image and of its counterfactual."""
    figure = hx.viz.outlined_nuclei(explained(1)[1])
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    keep(buffer.getvalue(), "nuclei", 900)


def page() -> None:
    """The web page with its answer about an example."""
    options = ["--no-browser", "--port", "0", "--bundle", BUNDLE, "--seconds", "600"]
    command = [sys.executable, "-m", "histoxplain", "app", *options]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        address = server.stdout.readline().split()[-1]
        with tab(1280, 900) as page:
            page.goto(address)
            page.get_by_role("button", name="Show an example").click()
            page.get_by_role("button", name="Show me").click()
            page.locator(".hx-answer iframe").wait_for()
            page.wait_for_timeout(2000)
            keep(page.screenshot(clip={"x": 0, "y": 0, "width": 1280, "height": 1150}, full_page=True), "page")
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    for name in sys.argv[1:] or ("report", "nuclei", "page"):
        {"report": report, "nuclei": nuclei, "page": page}[name]()
