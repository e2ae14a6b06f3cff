"""Notebooks as people meet them: JupyterLab and Voila in a real browser. Each draws few points, to be quick."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.util import module_from_spec, spec_from_file_location
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

pytest.importorskip("jupyterlab")
playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")

_spec = spec_from_file_location("browser_of_the_notebooks", Path(__file__).parents[1] / "browser.py")
_browser = module_from_spec(_spec)
_spec.loader.exec_module(_browser)
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SMALLER = {"POINTS": "60", "STEPS": "(-2, 0, 2)", "COUNT": "1"}
"""Parameters that take less time than the notebooks' own."""
STILLS = ("direction_strips", "film_strip", "photograph", "probability_bars")
"""What cells without anything to move mention; nbval runs them."""
RUNNING = 4 * _browser.PATIENCE
"""Milliseconds that all cells may take."""


@pytest.fixture(scope="module")
def chromium():
    with _browser.browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Copies of the first two notebooks with smaller parameters, without outputs and without some of the stills."""
    folder = tmp_path_factory.mktemp("notebooks")
    shutil.copytree(NOTEBOOKS / "openings", folder / "openings")
    for path in sorted(NOTEBOOKS.glob("0[12]*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        texts = {id(cell): "".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"}
        still = {name for name, text in texts.items() if any(word in text for word in STILLS)}
        notebook["cells"] = [cell for cell in notebook["cells"] if id(cell) not in still]
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell |= {"outputs": [], "execution_count": None}
            if "parameters" in cell["metadata"].get("tags", []):
                cell["source"] = smaller("".join(cell["source"]))
        (folder / path.name).write_text(json.dumps(notebook), encoding="utf-8")
    return folder


def smaller(source):
    for name, value in SMALLER.items():
        source = re.sub(rf"^{name} = .*$", f"{name} = {value}", source, flags=re.MULTILINE)
    return source


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """Start a server in a process of its own, with nobody's settings; gives its address once it answers."""
    home, running = tmp_path_factory.mktemp("home"), []
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR", "IPYTHONDIR")
    places = {name: str(home / name.lower()) for name in (*names, "JUPYTERLAB_WORKSPACES_DIR")}
    quiet = home / "jupyterlab_settings_dir/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True)
    quiet.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    environment = os.environ | places | {"JUPYTER_TOKEN": "test", "HISTOXPLAIN_CHECKPOINTS": str(CHECKPOINTS)}

    def start(*command, answers):
        port = free_port()
        log = (home / f"{port}.log").open("w")
        words = [sys.executable, "-m", *map(str, command), f"--port={port}"]
        server = subprocess.Popen(words, env=environment, stdout=log, stderr=log, start_new_session=True)
        running.append((server, log))
        wait_for(f"http://localhost:{port}{answers}", server, home / f"{port}.log")
        return f"http://localhost:{port}"

    yield start
    for server, log in running:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()
        log.close()


CHECKPOINTS = NOTEBOOKS.parent / "checkpoints"


def free_port():
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return one.getsockname()[1]


def wait_for(address, server, log):
    """Until it answers, or ends."""
    end = time.monotonic() + _browser.PATIENCE / 1000
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=10).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"no answer from {address}:\n{log.read_text()}")


@pytest.fixture
def visit(chromium):
    """Open an address as a new visitor; nothing may have been complained about in the end."""
    seen = []

    def open_page(address, **options):
        context = chromium.new_context(viewport={"width": 1440, "height": 1000}, **options)
        page = context.new_page()
        seen.append((context, _browser.complaints(page)))
        page.goto(address, wait_until="commit")  # a page of Voila is there when its cells have run
        return page

    yield open_page
    for context, complaints in seen:
        _browser.photograph(context.pages[0], "notebook-last")
        context.close()
        assert complaints == []


def pixels_of(canvas):
    return canvas.evaluate("canvas => canvas.toDataURL()")


def wait_for_another(page, canvas, before, timeout=_browser.PATIENCE):
    """Until a canvas shows something else than it did."""
    page.wait_for_function("([canvas, before]) => canvas.toDataURL() !== before", arg=[canvas, before], timeout=timeout)


def points_of(map_):
    """Where the points of a map are on the page: centres of spots in any colour, those of usual size first.

    Larger ones are buttons, the legend, and points that touch each other.
    """
    picture, box = Image.open(BytesIO(map_.screenshot())).convert("HSV"), map_.bounding_box()  # the first may scroll
    spots, count = ndimage.label(np.asarray(picture)[..., 1] > 90)
    sizes = ndimage.sum_labels(spots > 0, spots, range(1, count + 1))
    centres = ndimage.center_of_mass(spots > 0, spots, range(1, count + 1))
    single = np.argsort(np.abs(sizes - np.median(sizes)), kind="stable").tolist()
    scale = box["width"] / picture.width
    return [(box["x"] + centres[i][1] * scale, box["y"] + centres[i][0] * scale) for i in single]


def drag(page, slider, share):
    """Take the handle of a slider to a share of its length."""
    slider.scroll_into_view_if_needed()
    handle, bar = (slider.locator(name).bounding_box() for name in (".noUi-handle", ".noUi-target"))
    page.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2)
    page.mouse.down()
    page.mouse.move(bar["x"] + share * bar["width"], bar["y"] + bar["height"] / 2, steps=5)
    page.mouse.up()


def play(page, name):
    """Use the explorer: click the map, drag a slider; each changes the picture. Gives both."""
    explorer = page.locator(".hx-explorer")
    explorer.scroll_into_view_if_needed()
    picture = explorer.locator(".hx-now canvas").element_handle()
    map_ = explorer.locator(".hx-map canvas").first
    map_.wait_for()
    _browser.photograph(page, f"{name}-explorer")
    seen = pixels_of(picture)
    for i in range(6):
        points = points_of(map_)  # anew, since a page that is not complete yet moves its map
        page.mouse.click(*points[i % len(points)])
        try:
            wait_for_another(page, picture, seen, 20_000)
        except playwright.TimeoutError:
            continue
        break
    else:
        pytest.fail("no click on the map changed the picture")
    _browser.photograph(page, f"{name}-clicked")
    explorer.get_by_role("tab", name="Sliders").click()
    seen = pixels_of(picture)
    drag(page, explorer.locator(".widget-hslider", has_text="axis 1"), 0.85)
    wait_for_another(page, picture, seen)
    _browser.photograph(page, f"{name}-dragged")
    assert explorer.locator(".hx-error").all_inner_texts() in ([], [""])
    return explorer, picture


def open_page_of(page, address, awaited):
    """Wait until a page of Voila has run; on a busy machine a kernel may never answer, and another one is started."""
    try:
        awaited.wait_for(timeout=RUNNING / 2)
    except playwright.TimeoutError:
        page.goto(address, wait_until="commit")
        awaited.wait_for(timeout=RUNNING)


def test_the_explorer_in_jupyterlab(serve, folder, visit):
    address = serve("histoxplain", "lab", "--folder", folder, "--no-browser", answers="/api")
    page = visit(f"{address}/lab/tree/01_explore_latent_space.ipynb?token=test")
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    page.locator(".lm-MenuBar-itemLabel").get_by_text("Run", exact=True).click()
    page.locator(".lm-Menu-itemLabel").get_by_text("Run All Cells", exact=True).click()
    page.locator(".hx-explorer").wait_for(timeout=RUNNING)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=RUNNING)
    explorer, picture = play(page, "lab")
    seen = pixels_of(picture)
    explorer.get_by_role("button", name="Explain").click()
    explorer.locator(".hx-strip .hx-thumb").nth(1).wait_for()
    explorer.locator(".hx-strip .hx-thumb").nth(1).click()
    wait_for_another(page, picture, seen)
    _browser.photograph(page, "lab-explained")
    assert explorer.locator(".hx-error").all_inner_texts() in ([], [""])
    assert page.locator(".jp-OutputArea-output[data-mime-type*=stderr]").count() == 0


def test_the_explorer_as_a_page(serve, folder, visit):
    address = serve("histoxplain", "lab", "--pages", "--folder", folder, "--no-browser", answers="/")
    page = visit(f"{address}/voila/render/01_explore_latent_space.ipynb")
    open_page_of(page, page.url, page.locator(".hx-explorer"))
    assert page.locator("pre", has_text="import histoxplain").count() == 0
    play(page, "page-of-01")


def test_counterfactuals_as_a_page(serve, folder, visit):
    address = serve("histoxplain", "lab", "--pages", "--folder", folder, "--no-browser", answers="/")
    page = visit(f"{address}/voila/render/02_counterfactuals.ipynb")
    open_page_of(page, page.url, page.locator(".hx-strip .hx-thumb").nth(1))
    picture = page.locator(".hx-now canvas").element_handle()
    seen = pixels_of(picture)
    drag(page, page.locator(".widget-hslider", has_text="walk"), 0.5)
    wait_for_another(page, picture, seen)
    _browser.photograph(page, "page-of-02")
