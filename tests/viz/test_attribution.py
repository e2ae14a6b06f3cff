import re

import matplotlib.image
import numpy as np
import pytest
import torch

from histoxplain import InputError
from histoxplain.explain import Attribution
from histoxplain.metrics import faithfulness
from histoxplain.viz import attribution_grid, attribution_sections, faithfulness_figure, write_attribution_report


def record(case_id="tile", method="occlusion", **changes):
    given = {
        "method": method,
        "case_id": case_id,
        "original": torch.zeros(3, 8, 8),
        "map": torch.linspace(-2, 2, 64).reshape(8, 8),
        "signed": True,
        "meaning": "fall of the logit when hidden",
        "class_names": ("benign", "<malignant>"),
        "target_class": 1,
        "probabilities": torch.tensor([0.25, 0.75]),
    }
    return Attribution(**given | changes)


UNSIGNED = {"method": "rise", "signed": False, "map": torch.linspace(0.981, 0.984, 64).reshape(8, 8)}


def words(figure):
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


def test_every_map_has_a_colour_bar_that_says_what_it_shows():
    figure = attribution_grid([record(), record(**UNSIGNED, meaning="mean probability while visible")])
    figure.draw_without_rendering()
    assert {"fall of the logit when hidden", "mean probability while visible", "tile"} <= set(words(figure))
    assert {"against\n-2", "0", "for\n2", "0.981", "0.984"} <= set(words(figure))
    assert "<malignant> 75%\nbenign 25%" in words(figure)


def test_images_stand_below_each_other_and_long_rows_are_broken():
    many = [record(method=name) for name in ("occlusion", "lime", "kernel-shap")] + [record("other")]
    pictures = [
        part
        for part in attribution_grid(many, columns=3).axes
        if part.get_visible() and any(image.get_array().shape[0] == 8 for image in part.images)
    ]
    assert len(pictures) == 4 + 2


def test_one_record_will_do_and_none_will_not():
    assert attribution_grid(record()).axes
    with pytest.raises(InputError, match="`attributions` must hold at least one"):
        attribution_grid([])


def test_the_overlay_is_drawn_in_its_colours():
    one = record()
    drawn = next(image for part in attribution_grid(one).axes[1:] for image in part.images)
    assert np.array_equal(drawn.get_array(), one.overlay())


def test_the_report_holds_everything_and_escapes_names(tmp_path):
    measured = {"deletion": 0.21, "insertion": 0.9, "random_deletion": 0.5, "random_insertion": 0.5}
    path = write_attribution_report(
        [record(), record(**UNSIGNED), record("b")], tmp_path / "r.html", [measured, None, None]
    )
    page = path.read_text()
    assert page.count("<section>") == 2
    assert len(re.findall('src="data:image/webp;base64,', page)) == 2 + 3
    assert "<malignant>" not in page
    assert (
        "hidden first, they leave a mean probability of 0.21 (in random order 0.50); shown first, 0.90 (0.50)" in page
    )
    assert page.count('<span class="badge open">') == 2
    assert "For research use only" in page
    assert not re.search(r"(src|href)=.http", page)


def test_maps_that_do_no_better_than_chance_are_not_trusted():
    good = {"deletion": 0.2, "insertion": 0.9, "random_deletion": 0.5, "random_insertion": 0.5}
    chance = {"deletion": 0.47, "insertion": 0.52, "random_deletion": 0.5, "random_insertion": 0.5}
    html = attribution_sections([record(), record(**UNSIGNED)], [good, chance])
    assert '<p class="trust no">Do not trust RISE: ' in html
    assert [html.count(f'<span class="badge {kind}">') for kind in ("yes", "no", "open")] == [1, 1, 0]
    assert '<p class="trust yes">No doubt found' in attribution_sections([record()], [good])
    assert '<p class="trust open">' in attribution_sections([record()])


def test_maps_are_described_for_those_who_do_not_see_them():
    html = attribution_sections([record()])
    assert 'alt="Occlusion: fall of the logit when hidden; largest at the bottom right"' in html
    assert 'alt="the original image, to the classifier &lt;malignant&gt;"' in html


def test_a_report_of_nothing_is_refused(tmp_path):
    with pytest.raises(InputError, match="`attributions` must hold at least one"):
        write_attribution_report([], tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_curves_stand_beside_chance():
    def score(x):
        return x[:, 0].mean((1, 2)) / 2 + 0.5

    found = faithfulness(score, torch.ones(3, 8, 8), torch.rand(8, 8), -torch.ones(3, 8, 8), steps=4)
    figure = faithfulness_figure([found, found], ["lime", "rise"])
    assert [len(part.lines) for part in figure.axes] == [3, 3]
    assert {"lime 0.50", "random 0.50"} <= set(words(figure))
    with pytest.raises(InputError, match="`names` must name 2 maps"):
        faithfulness_figure([found, found], ["lime"])
