"""The page as people meet it, in a real browser."""

import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

pytest.importorskip("gradio")

_spec = spec_from_file_location("browser_of_the_app", Path(__file__).parents[1] / "browser.py")
_browser = module_from_spec(_spec)
_spec.loader.exec_module(_browser)
ANSWER = ".hx-answer iframe"


@pytest.fixture(scope="module")
def chromium():
    with _browser.browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def address(chromium, tmp_path_factory):
    """Of a server with stand-in networks, in a process of its own, whose temporary files lie in a known folder."""
    command = [sys.executable, str(Path(__file__).with_name("painting_server.py")), "7871"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


@pytest.fixture
def visit(chromium, address):
    """Open the page as a new visitor; nothing may have been complained about in the end."""
    seen = []

    def open_page(strict=True, **options):
        context = chromium.new_context(viewport={"width": 1360, "height": 900}, **options)
        page = context.new_page()
        found = _browser.complaints(page)
        seen.append((context, found if strict else []))
        page.goto(address)
        page.get_by_role("button", name="Show me").wait_for()
        return page

    yield open_page
    for context, complaints in seen:
        context.close()
        assert complaints == []


def sure(locator):
    """What is asserted of it is waited for, as long as for everything else."""
    from playwright.sync_api import expect

    expect.set_options(timeout=_browser.PATIENCE)
    return expect(locator)


def hand_in(page, path):
    page.locator("input[type=file]").first.set_input_files(path)


def answered(page):
    """The report in the page, once it is there."""
    page.get_by_role("button", name="Show me").click()
    page.locator(ANSWER).wait_for()
    return page.frame_locator(ANSWER)


def test_a_visitor_takes_a_report_away(visit, picture_file, tmp_path):
    page = visit()
    sure(page.get_by_role("button", name="Show me")).to_be_disabled()
    hand_in(page, picture_file("my tile.png"))
    page.get_by_text("my tile.png").wait_for()
    sure(page.get_by_test_id("label-output-value")).to_have_text("red")
    page.get_by_label("What should it say instead?").click()
    page.get_by_role("option", name="medium").click()
    report = answered(page)
    report.get_by_text("The classifier says red. What would make it say medium?").wait_for()
    assert report.locator("img").count() > 4
    assert report.get_by_text("For research use only").count() > 0
    assert report.get_by_text("How far to trust it").count() > 0
    page.wait_for_function("document.querySelector('.hx-answer iframe').offsetHeight > 900")
    _browser.photograph(page, "page-answer")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the report").click()
    download.value.save_as(tmp_path / "report.html")
    saved = (tmp_path / "report.html").read_text(encoding="utf-8")
    command = "histoxplain explain &#x27;my tile.png&#x27; --bundle paint --target medium"
    assert saved.startswith("<!doctype html>")
    assert command in saved
    assert not re.search(r"(src|href)=.(http|/)", saved)


def test_an_example_needs_no_file(visit):
    page = visit(color_scheme="dark")
    page.get_by_role("button", name="Show an example").click()
    page.get_by_text("no such patient exists").wait_for()
    sure(page.get_by_test_id("label-output-value")).to_have_text("dark")
    answered(page).get_by_text("The classifier says dark. What would make it say medium?").wait_for()
    _browser.photograph(page, "page-example-dark")
    page.get_by_role("button", name="Show an example").click()
    page.get_by_text("generated-dark-1").wait_for()
    page.locator(ANSWER).wait_for(state="detached")  # it was about another image
    sure(page.get_by_role("button", name="Save the report")).to_be_hidden()


def test_wrong_and_huge_files_are_told_in_words(visit, tmp_path, picture_file):
    (tmp_path / "letter.png").write_text("Dear doctor")
    (tmp_path / "huge.png").write_bytes(bytes(1_500_000))
    page = visit()
    hand_in(page, tmp_path / "letter.png")
    page.get_by_text("The image must be a readable image, got letter.png").wait_for()
    sure(page.get_by_role("button", name="Show me")).to_be_disabled()
    _browser.photograph(page, "page-wrong-file")
    page = visit(strict=False)  # gradio looks for the progress of an upload that it has refused
    hand_in(page, tmp_path / "huge.png")
    page.get_by_text("exceed the maximum allowed size").first.wait_for()
    sure(page.get_by_role("button", name="Show me")).to_be_disabled()
    _browser.photograph(page, "page-huge-file")


def test_two_visitors_get_their_own_answers(visit, picture_file):
    pages = [visit(), visit()]
    for page, (name, red) in zip(pages, [("bright.png", 230), ("dim.png", 20)]):
        hand_in(page, picture_file(name, red=red))
    for page, name in zip(pages, ["bright.png", "dim.png"]):
        page.get_by_text(name).wait_for()
    for page in pages:
        page.get_by_role("button", name="Show me").click()
    for page, said in zip(pages, ["red", "dark"]):
        page.locator(ANSWER).wait_for()
        page.frame_locator(ANSWER).get_by_text(f"The classifier says {said}. What would make it say medium?").wait_for()


def test_another_bundle_offers_what_it_can_do(visit, picture_file):
    page = visit()
    page.get_by_label("What does your image show?").click()
    page.get_by_role("option", name="Colours of undrawn").click()
    page.get_by_role("button", name="Show an example").wait_for(state="hidden")
    hand_in(page, picture_file("other.png"))
    page.get_by_text("other.png").wait_for()
    page.get_by_text("More choices").click()
    sure(page.get_by_role("radio")).to_have_count(1)
    answered(page).get_by_text("The classifier says red. What would make it say").wait_for()
