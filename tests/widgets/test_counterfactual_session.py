import pytest
import torch
from torch.testing import assert_close

from histoxplain import InputError
from histoxplain.widgets import CounterfactualSession, generated, opened


@pytest.fixture(scope="module")
def session(bundle):
    return CounterfactualSession(bundle, generated(bundle, each=2), steps=5)


def test_generated_specimens_are_named_by_class_and_repeat(bundle, session):
    assert [s.name for s in session.specimens] == ["pale 1", "pale 2", "medium 1", "medium 2", "red 1", "red 2"]
    again = generated(bundle, each=2)
    assert torch.equal(again[3].image, session.specimens[3].image)
    assert_close(bundle.generator.synthesis(again[3].ws[None])[0].clamp(-1, 1), again[3].image, atol=0.01, rtol=0)


def test_targets_are_the_other_classes_likeliest_first(session):
    p = session.specimens[0].probabilities
    targets = session.targets(0)
    assert len(targets) == 2
    assert session.class_names[int(p.argmax())] not in targets
    first, second = (p[session.class_names.index(name)] for name in targets)
    assert first >= second


def test_explains_and_remembers(session):
    target = session.targets(0)[0]
    explanation = session.explain(0, target, count=1)
    assert explanation.case_id == "pale 1"
    assert explanation.class_names[explanation.target_class] == target
    assert session.explain(0, target, count=1) is explanation


def test_a_walk_leads_from_the_image_to_the_counterfactual(session):
    explanation = session.explain(0, session.targets(0)[0])
    film = session.walk(explanation)
    assert len(film) == 5
    assert_close(film.frames[0], session.specimens[0].image, atol=0.02, rtol=0)
    assert_close(film.frames[-1], explanation.counterfactuals[0], atol=0.02, rtol=0)
    assert session.walk(explanation) is film


def test_real_images_are_opened_at_the_size_of_the_bundle(bundle):
    from histoxplain.data import Case

    specimens = opened(bundle, [Case(torch.zeros(3, 40, 30))], names=["grey"])
    assert specimens[0].image.shape == (3, 16, 16)
    assert specimens[0].ws is None


def test_says_what_is_wrong(bundle, session):
    with pytest.raises(InputError, match="`specimens` must hold at least one image"):
        CounterfactualSession(bundle, [])
    with pytest.raises(InputError, match="`index` must lie in"):
        session.explain(17, "red")
    with pytest.raises(InputError, match="`target`"):
        session.explain(0, "blue")
    with pytest.raises(InputError, match="`count`"):
        session.explain(0, session.targets(0)[0], count=0)


def test_files_keep_their_names(bundle, tmp_path):
    from PIL import Image

    Image.new("RGB", (20, 20), "pink").save(tmp_path / "biopsy.png")
    assert [one.name for one in opened(bundle, [str(tmp_path / "biopsy.png")])] == ["biopsy"]
    assert opened(bundle, []) == []
    translating = type(bundle)(**{**vars(bundle), "generator": None})
    assert opened(translating, [str(tmp_path / "biopsy.png")])[0].image.shape == (3, 16, 16)


def test_opinions_in_words(session):
    p = session.specimens[4].probabilities
    assert session.opinion(4) == f"{session.class_names[int(p.argmax())]} {float(p.max()):.0%}"


def test_a_second_opinion_is_that_of_the_oracle(bundle, session):
    from types import SimpleNamespace

    explanation = session.explain(0, session.targets(0)[0])
    with pytest.raises(InputError, match="`bundle` must bring an oracle"):
        session.second_opinion(explanation)
    contrary = SimpleNamespace(
        class_names=bundle.class_names, probabilities=lambda x: torch.eye(3)[[0]].expand(len(x), 3)
    )
    two = CounterfactualSession(SimpleNamespace(**vars(bundle) | {"oracle": contrary}), session.specimens)
    second = two.second_opinion(explanation)
    assert second.probabilities_after[:, 0].tolist() == [1.0] * len(explanation)
    assert second.valid.any().item() == (explanation.target_class == 0)
    assert torch.equal(second.counterfactuals, explanation.counterfactuals)
