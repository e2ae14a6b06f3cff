from dataclasses import replace
from html.parser import HTMLParser

import pytest
import torch

from histoxplain._checks import InputError
from histoxplain.explain import Film, change_map
from histoxplain.viz import report_html, write_report


@pytest.fixture
def explanation(explanation):
    """With names that HTML must not take for its own."""
    names = {"case_id": "tile <7>", "class_names": ("benign", "squamous & co")}
    return replace(explanation, **names, settings={"moves": ["label", "gradient"]}, seconds=2.0)


class Page(HTMLParser):
    """Counts tags and collects addresses; every tag that is opened must be closed."""

    def __init__(self, text):
        super().__init__()
        self.count, self.links, self.open, self.text = {}, [], [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.count[tag] = self.count.get(tag, 0) + 1
        self.links += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_page_needs_nothing_from_elsewhere(explanation):
    page = Page(report_html([explanation, replace(explanation, case_id="b")]))
    assert all(link.startswith(("data:image/webp;base64,", "#case-")) for link in page.links)
    assert page.count["section"] == 2
    assert "http" not in page.text
    assert "url(" not in page.text


def test_page_says_what_matters(explanation):
    text = " ".join(Page(report_html([explanation])).text.split())
    assert "The classifier says benign. What would make it say squamous & co?" in text
    assert "1 of 2 different changes do: the probability of squamous & co rises from 10% to as much as 75%." in text
    assert "For research use only" in text
    assert "not convinced" in text
    assert "tile <7>" in text
    assert "label; gradient" in text
    assert "darker (more stain)" in text


def test_page_says_what_was_measured(explanation):
    grey = torch.full((1, 16, 16), 0.5)
    images = torch.stack([grey - 0.5, grey])
    change = change_map(grey, images)
    plain = replace(explanation, original=grey, reconstruction=None, counterfactuals=images, change=change)
    text = " ".join(Page(report_html([plain])).text.split())
    assert "Image 33 % darker." in text  # 0.75 to 0.5
    assert "Nothing measured here changed" in text
    small = {n: getattr(plain, n)[..., :8, :8] for n in ("original", "counterfactuals", "change")}
    assert "measured" not in Page(report_html([replace(plain, **small)])).text


def test_page_says_how_far_to_trust_it(explanation):
    sure = {"question": "Is it sure?", "answer": "yes & no", "fine": True}
    content = {"sentence": "Do not trust change 2: <so>.", "trusted": [True, False]}
    doubtful = content | {"checks": [sure, sure | {"fine": False}, sure | {"fine": None}]}
    measurements = [{"sentence": "Nuclei 31 % fewer."}, {"sentence": "Nothing clear."}]
    told = replace(explanation, reliability=doubtful, measurements=measurements)
    html = report_html([told])
    text = " ".join(Page(html).text.split())
    assert '<p class="trust no">' in html
    assert "Do not trust change 2: <so>." in text
    assert "Is it sure? fine yes & no Is it sure? doubtful yes & no Is it sure? open yes & no" in " ".join(
        Page(html.replace("</t", " </t")).text.split()
    )
    assert "Nuclei 31 % fewer." in text
    assert '<p class="trust yes">' in report_html([replace(told, reliability=content | {"checks": [sure]})])
    assert "How far to trust it" not in report_html([explanation])


def test_pictures_are_described_for_those_who_do_not_see_them(explanation):
    grey = torch.zeros(1, 16, 16)
    after = grey.clone()
    after[:, :4], after[:, 4:6] = 0.5, -0.5
    change = change_map(grey[None], after[None])
    one = {"probabilities_after": torch.tensor([[0.25, 0.75]]), "valid": torch.tensor([True])}
    changed = {"original": grey, "reconstruction": None, "counterfactuals": after[None], "change": change}
    html = report_html([replace(explanation, **changed, **one)])
    assert 'alt="the original image, to the classifier benign with a probability of 90%"' in html
    assert 'alt="change 1, to the classifier squamous &amp; co with a probability of 75%"' in html
    assert 'alt="map of change 1: darker in 12 % of the image, lighter in 25 %"' in html
    assert "What would this image have to look like" in html
    assert "stain" not in html


def test_nothing_reached_and_nothing_found(explanation):
    none = replace(explanation, valid=torch.tensor([False, False]))
    assert "No change was found" in report_html([none])
    empty = {n: getattr(explanation, n)[:0] for n in ("counterfactuals", "probabilities_after", "valid", "change")}
    assert "No change was found" in report_html([replace(explanation, **empty)])


def test_film_strip_is_embedded(explanation):
    p = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    film = Film(torch.zeros(2, 3, 8, 8), torch.linspace(0, 1, 2), p, explanation.class_names, 0, 1)
    with_film, without = (report_html([explanation], films) for films in ({"tile <7>": film}, None))
    assert Page(with_film).count["img"] == Page(without).count["img"] + 2


def test_written_whole_or_not_at_all(explanation, tmp_path):
    path = write_report([explanation], tmp_path / "new" / "report.html")
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    with pytest.raises(InputError, match="explanations"):
        write_report([], tmp_path / "other.html")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new"]
