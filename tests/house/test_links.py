"""Links of the README and of docs/ lead somewhere: to files of the checkout, and to headings in them."""

from __future__ import annotations

import re

import pytest

LINK = re.compile(r"\]\(([^)\s]+)\)")


def headings(text):
    """The anchors of a Markdown text, as web pages of repositories make them."""
    titles = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken(page):
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        anchored = bool(anchor) and target.suffix == ".md"
        if not target.exists() or (anchored and anchor not in headings(target.read_text(encoding="utf-8"))):
            yield link


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs"])
def test_every_link_leads_somewhere(root, name):
    place = root / name
    pages = sorted(place.glob("*.md")) if place.is_dir() else [place]
    assert pages
    assert {page.name: found for page in pages if (found := list(broken(page)))} == {}
