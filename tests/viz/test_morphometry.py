import pytest
import torch
from matplotlib.colors import to_rgb

from histoxplain.data.synthetic import repaint, tissue
from histoxplain.explain import Explanation, change_map, compare_explanation, segment_nuclei
from histoxplain.viz import outlined_nuclei
from histoxplain.viz.morphometry import OUTLINE


@pytest.fixture(scope="module")
def explanation():
    case = tissue(1, 96, seed=3, share=1)[0]
    images = repaint(case, extent=0).image[None]
    return Explanation(
        method="true",
        case_id="a",
        original=case.image,
        counterfactuals=images,
        class_names=("diseased", "healthy"),
        source_class=0,
        target_class=1,
        probabilities_before=torch.tensor([0.9, 0.1]),
        probabilities_after=torch.tensor([[0.2, 0.8]]),
        valid=torch.tensor([True]),
        change=change_map(case.image, images),
    )


def test_outlines_and_words(explanation):
    figure = outlined_nuclei(explanation, microns=0.5)
    before, after = figure.axes
    (found,) = compare_explanation(explanation, microns=0.5)
    rule = found.before.yardstick
    for axes, image in ((before, explanation.original), (after, explanation.counterfactuals[0])):
        lines = axes.images[1].get_array()
        outlined = lines[..., 3] > 0
        inside = segment_nuclei(image, rule).labels > 0
        factor = len(lines) // len(inside)
        assert outlined.any()
        assert inside.repeat(factor, 0).repeat(factor, 1)[outlined].all()
        assert tuple(lines[outlined][0][:3]) == pytest.approx(to_rgb(OUTLINE))
    assert " ".join(after.get_xlabel().split()).endswith(found.sentence())
    assert f"nuclei {found['nuclei'].before:.3g}" in before.get_xlabel()
    assert before.get_title() == "original"


def test_no_outlines_where_it_is_not_tissue(explanation):
    figure = outlined_nuclei(explanation, kind="generic")
    assert [len(axes.images) for axes in figure.axes] == [1, 1]
    assert "brightness" in figure.axes[0].get_xlabel()
