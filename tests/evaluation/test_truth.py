"""The true counterfactual must score perfectly, and anything else must not."""

import pytest
import torch

from histoxplain._checks import InputError
from histoxplain.data.synthetic import CLASS_NAMES, repaint, tissue
from histoxplain.evaluation import hold_against_truth, true_values
from histoxplain.evaluation.factors import twin


@pytest.fixture(scope="module")
def cases():
    return tissue(1, 128, seed=7, share=1) + tissue(1, 128, seed=8, share=0)


@pytest.fixture
def answer(explain):
    """Explain cases by a function of theirs."""

    def write(cases, function):
        return [explain(c.image, [function(c)], [True], CLASS_NAMES, c.label, 1 - c.label, case_id=c.id) for c in cases]

    return write


def values(known):
    return {name: figure.value for name, figure in known.figures.items()}


def test_the_true_counterfactual_is_perfect(cases, answer):
    known = hold_against_truth(answer(cases, lambda c: twin(c).image), cases)
    found = values(known)
    assert found["overlap"] > 0.95  # a few pixels of the diseased part look the same healthy
    del found["overlap"]
    assert found == {"pointing_game": 1, "outside_share": 0, "excess": 1, "causal_direction": 1, "causal_share": 1}
    assert all(row["wrong"] == 0 < row["right"] == row["images"] for row in known.factors)
    assert {row["towards"] for row in known.factors} == {"to diseased", "to healthy"}
    for row in known.factors:
        assert row["measured"] == pytest.approx(row["true"], rel=0.35)


def test_noise_is_not(cases, answer):
    """Grain all over the image, as strong as the true change: it points nowhere and moves causes either way."""
    rng = torch.Generator().manual_seed(0)
    noisy = lambda c: (c.image + 0.3 * torch.randn(c.image.shape, generator=rng)).clamp(-1, 1)  # noqa: E731
    found = values(hold_against_truth(answer(cases, noisy), cases))
    share = torch.stack([c.mask.double().mean() for c in cases if c.label]).mean().item()
    assert found["outside_share"] == pytest.approx(1 - share, abs=0.1)
    assert found["overlap"] < share + 0.05  # no better than marking everything
    assert found["causal_share"] < 0.5
    assert found["causal_direction"] < 0.8


def test_a_change_of_stain_is_seen_to_be_beside_the_point(cases, answer):
    """Everything paler: haematoxylin moves the right way for healing, but all over the image."""
    sick = [c for c in cases if c.label]
    found = values(hold_against_truth(answer(sick, lambda c: repaint(c, stain=-1.0).image), sick))
    assert found["outside_share"] > 0.3
    assert found["causal_share"] < 1


def test_the_opposite_moves_the_wrong_way(cases, answer):
    """Asked to heal, a method makes the diseased part worse: the right place, and every cause the wrong way."""
    sick = [c for c in cases if c.label]
    worse = lambda c: repaint(c, nuclear_size=2.3, nuclear_darkness=1.0, crowding=1.0).image  # noqa: E731
    found = values(hold_against_truth(answer(sick, worse), sick))
    assert found["outside_share"] == 0
    assert found["causal_direction"] < 0.35


def test_small_images_are_not_blamed_for_what_cannot_be_measured(answer):
    """At 64 px nuclei cannot be told apart: only stain counts, and it moves the right way."""
    small = tissue(2, 64, seed=7, share=1)
    known = hold_against_truth(answer(small, lambda c: twin(c).image), small)
    assert {row["name"] for row in known.factors} == {"haematoxylin"}
    assert known.figures["causal_share"].value == 1


def test_true_values_are_those_of_what_was_drawn():
    sick = tissue(1, 64, seed=3, share=1)[0]
    before, after = true_values(sick), true_values(repaint(sick, extent=0))
    assert before["nuclear_size"] > 1.2 * after["nuclear_size"]
    assert before["darkness"] > 1.2 * after["darkness"]
    stained = true_values(repaint(sick, stain=min(sick.meta["stain"] + 0.5, 1.0)))
    assert stained["nuclei"] == before["nuclei"]
    assert stained["haematoxylin"] > before["haematoxylin"]


def test_wrong_questions(cases, answer):
    done = answer(cases, lambda c: c.image)
    with pytest.raises(InputError, match="`cases` must be one for each of 2 explanations, got 1"):
        hold_against_truth(done, cases[:1])
    with pytest.raises(InputError, match="at least one counterfactual of the other class"):
        hold_against_truth(done, cases[::-1])
