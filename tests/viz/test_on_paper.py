"""Reports in a real browser: on paper, in the dark, and without asking anybody for anything."""

import re
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

from histoxplain.explain import Explanation, Film, change_map
from histoxplain.viz import Provenance, write_report

_spec = spec_from_file_location("browser_of_reports", Path(__file__).parents[1] / "browser.py")
_browser = module_from_spec(_spec)
_spec.loader.exec_module(_browser)


@pytest.fixture
def report(tmp_path, rng):
    """One image and four changes of it, with everything that a report may hold."""
    images = torch.rand(4, 3, 64, 64, generator=rng) * 2 - 1
    original = torch.zeros(3, 64, 64)
    checks = [
        {"question": f"Is question {i} answered well enough?", "answer": "yes " * 9, "fine": True} for i in "abcde"
    ]
    e = Explanation(
        method="latent",
        case_id="tile",
        original=original,
        reconstruction=original + 0.1,
        counterfactuals=images,
        class_names=("adenocarcinoma", "benign", "squamous"),
        source_class=0,
        target_class=1,
        probabilities_before=torch.tensor([0.9, 0.1, 0.0]),
        probabilities_after=torch.tensor([[0.2, 0.8, 0.0]]).repeat(4, 1),
        valid=torch.ones(4, dtype=torch.bool),
        change=change_map(original[None], images),
        settings={f"setting {i}": 0.125 for i in range(16)},
        reliability={"sentence": "No doubt was found. " * 2, "trusted": [True] * 4, "checks": checks},
    )
    film = Film(images[[0] * 7], torch.linspace(0, 1, 7), torch.full((7, 3), 1 / 3), e.class_names, 0, 1)
    made = Provenance(
        command="histoxplain explain tile.png", licence="CC0", files={f"{i}.safetensors": "0" * 64 for i in "abcde"}
    )
    several = [replace(e, case_id=name) for name in ("one", "two", "three", "four")]
    write_report(several, tmp_path / "several.html", {one.case_id: film for one in several}, provenance=made)
    return write_report([e], tmp_path / "report.html", {"tile": film}, provenance=made)


def pages(printed):
    """How many pages a PDF has."""
    (count,) = {max(map(int, re.findall(rb"/Count (\d+)", printed))), len(re.findall(rb"/Type /Page\b", printed))}
    return count


def test_prints_on_two_pages_and_is_dark_where_that_is_wanted(report, tmp_path):
    with _browser.browser() as chromium:
        page = chromium.new_page(color_scheme="dark")
        complaints = _browser.complaints(page)
        page.goto(report.as_uri())
        ground = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(ground) == "rgb(22, 20, 26)"
        assert page.evaluate("[...document.images].every(one => one.complete && one.naturalWidth > 0)")
        _browser.photograph(page, "report-dark")
        printed = page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
        page.emulate_media(media="print")
        assert page.evaluate(ground) == "rgb(255, 255, 255)"
        page.goto(report.with_name("several.html").as_uri())
        of_four = page.pdf(path=tmp_path / "several.pdf", prefer_css_page_size=True)
        assert complaints == []
    assert pages(printed) == 2
    assert pages(of_four) <= 6  # a page an image, and one more each for what stands before and after them
