import pytest
import torch

from histoxplain._checks import InputError
from histoxplain.data import Case
from histoxplain.evaluation import ask, spread, synthetic_tissue
from histoxplain.evaluation.questions import Cases
from histoxplain.explain import make_explainer


def test_spread_takes_classes_in_turn():
    assert spread([1, 1, 1, 0, 2, 2], 4) == [0, 1, 3, 4]
    assert spread([0], 9) == [0]


@pytest.fixture
def explainer(bundle):
    return make_explainer("pixels", bundle)


def source(bundle, *reds):
    cases = [Case(torch.tensor([r, 0, 0])[:, None, None].expand(3, 16, 16).clone(), 0, f"c{r}") for r in reds]
    return Cases(cases, bundle.class_names)


def test_a_single_class_is_asked_for_every_other(explainer, bundle):
    """Data of one class are no error: each image has somewhere to go."""
    questions = ask(explainer, source(bundle, 0.5, 0.6, 0.7, 0.8), 4)
    assert questions.targets == (0, 1, 0, 1)
    assert questions.ids == ("c0.5", "c0.6", "c0.7", "c0.8")


def test_images_that_are_the_target_already_are_passed_over(explainer, bundle):
    questions = ask(explainer, source(bundle, 0.5, -0.5, 0.6, 0.0), 2, "red")
    assert questions.ids == ("c-0.5", "c0.0")
    with pytest.raises(InputError, match="got 'red' for all data"):
        ask(explainer, source(bundle, 0.5, 0.6), 2, "red")
    with pytest.raises(InputError, match="hold at least one image"):
        ask(explainer, Cases([], bundle.class_names), 2)


def test_synthetic_tissue_comes_in_halves(bundle):
    known = type(bundle)(bundle.generator, bundle.classifier, class_names=("diseased", "healthy"), resolution=32)
    cases = synthetic_tissue(known, 5)
    assert cases.labels.tolist() == [0, 1, 0, 1, 0]
    assert cases.class_names == ("healthy", "diseased")
    assert len(set(cases.ids)) == 5
    assert cases.resolution == 32
    with pytest.raises(InputError, match="know the classes healthy and diseased, got dark, medium, red"):
        synthetic_tissue(bundle, 5)
