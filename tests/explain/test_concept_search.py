"""The fewest concepts to change, where the right answer is known on paper.

The classifier gives an image to red from r > 0.25 and to dark from r < -0.25, by 20 times the distance; at a confidence
of 0.9 that is 0.36 and -0.36, and for medium |r| < 0.14. Of the generator's samples those that are rich in a concept
are clearly of its class: they have at least 0.6 of it.
"""

import math
from dataclasses import replace

import pytest
import torch

from histoxplain import InputError
from histoxplain.explain import METHODS, ConceptSearch, Explanation, counterfactual, film_of
from histoxplain.explain.concept_moves import ConceptStart, rich_maps
from tests.explain.known_concepts import KnownConcepts

EDGE = 0.25 + math.log(9) / 20


def with_concepts(bundle, **how):
    made = replace(bundle)
    object.__setattr__(made, "concepts", KnownConcepts(bundle, **how))
    return made


def test_one_concept_where_one_is_enough(bundle, colour):
    (found,) = ConceptSearch(with_concepts(bundle)).explain([colour(-0.5, 0.3)], "red", ids=["one"])
    assert METHODS["concepts"] is ConceptSearch
    assert (found.method, found.valid.tolist(), found.settings["concepts"]) == ("concepts", [True], [1])
    (changed,) = found.settings["changed"][0]
    # without its darkness the image would be medium: only added redness makes it red
    assert (changed["name"], changed["concept"], changed["from"]) == ("redness", 0, 0.0)
    assert changed["to"] == pytest.approx(0.5 + EDGE, abs=0.03)  # no more of it than needed
    means = found.counterfactuals[0].mean((1, 2))
    assert means[0] == pytest.approx(EDGE, abs=0.03)
    assert means[1] == pytest.approx(0.3, abs=0.01)
    assert (found.reconstruction - found.original).abs().max() < 0.01
    assert found.settings["reconstruction_agrees"]


def test_two_where_one_is_not_enough(bundle, colour):
    """Added redness moves red by at most 0.3 x 1.5 x what rich images have; from -0.5 it takes the darkness, too."""
    known = with_concepts(bundle, gains=(0.3, -1.0, 0.0, 0.0))
    most = 0.3 * 1.5 * float(rich_maps(known)[0].mean())
    assert -0.5 + most < 0.25 < most
    (found,) = ConceptSearch(known).explain([colour(-0.5)], "red")
    assert (found.valid.tolist(), found.settings["concepts"]) == ([True], [2])
    assert {one["name"] for one in found.settings["changed"][0]} == {"redness", "darkness"}
    (alone,) = ConceptSearch(known, most=1).explain([colour(-0.5)], "red")
    assert not alone.valid.any()


def test_no_concept_that_can_be_left_out(bundle, colour):
    """Sets are pruned: of removed darkness, added redness and added green the image needs the redness alone."""
    known = with_concepts(bundle)
    start = ConceptStart(known, known.concepts.concepts(colour(-0.5)[None]), 2, rich_maps(known))
    seen = start.look(torch.tensor([[1.0, -1.0, 1.0, 0.0]]))
    assert seen.reach(0.8).all()
    assert (ConceptSearch(known).pruned(start, seen, 0.8).amounts != 0).tolist() == [[True, False, False, False]]


def test_what_the_concepts_alone_promise(bundle, colour):
    known = with_concepts(bundle)
    start = ConceptStart(known, known.concepts.concepts(colour(-0.5)[None]), 2, rich_maps(known))
    rich = float(rich_maps(known)[0].max())
    # Theta gives dark 2 x 0.5 of darkness, red -1 x 0.5 of it and 3 x the redness; dark -1 x that; medium nothing
    found = start.promise(torch.tensor([[0.0, 0, 0, 0], [0.0, -1, 0, 0], [1.0, -1, 0, 0]]))
    assert found.tolist() == pytest.approx([-0.5 - 1.0, 0.0, 3 * rich], abs=0.02)


def test_what_cannot_be_reached_is_said(bundle, colour):
    (found,) = ConceptSearch(with_concepts(bundle), reach=0).explain([colour(-0.5)], "red", count=3)
    assert (found.valid.tolist(), found.settings["count"]) == ([False], 3)
    (changed,) = found.settings["changed"][0]  # the nearest that can be had: without any darkness
    assert (changed["name"], changed["to"]) == ("darkness", 0)
    assert found.counterfactuals[0, 0].mean() == pytest.approx(0, abs=0.01)
    assert found.probabilities_after[0, 2] < 0.5


def test_several_have_no_concept_in_common(bundle, colour):
    (found,) = ConceptSearch(with_concepts(bundle)).explain([colour(-0.5)], "medium", count=3)
    assert found.valid.tolist() == [True, True]  # less darkness, more redness; nothing else moves red
    names = [{one["name"] for one in some} for some in found.settings["changed"]]
    assert sorted(map(sorted, names)) == [["darkness"], ["redness"]]
    for image in found.counterfactuals:
        assert image[0].mean() == pytest.approx(EDGE - 0.5, abs=0.03)


def test_what_redrawing_changes_is_not_called_an_explanation(bundle, colour):
    (found,) = ConceptSearch(with_concepts(bundle, lost=0.5)).explain([colour(0.5)], "medium")
    assert (len(found), found.settings["count"]) == (0, 1)
    assert not found.settings["reconstruction_agrees"]
    assert found.settings["reconstruction_l1"] == pytest.approx(0.5 / 3, abs=0.01)
    assert "concepts explain nothing" in found.settings["note"]


def test_a_lower_probability_where_confidence_cannot_be_had(bundle, colour):
    """Removing all darkness gives medium with 1 / (1 + 2 exp(-5)) = .9867 and no more."""
    known = with_concepts(bundle)
    (found,) = ConceptSearch(known, reach=0, confidence=0.99).explain([colour(-0.5)], "medium")
    assert found.valid.all()
    halfway = (0.99 + 0.5) / 2  # as little as this asks for
    edge = -0.25 + math.log(halfway / (1 - halfway)) / 20
    assert found.counterfactuals[0, 0].mean() == pytest.approx(edge, abs=0.015)
    (found,) = ConceptSearch(known, reach=0, threshold=0.99).explain([colour(-0.5)], "medium")
    assert not found.valid.any()


def test_the_way_there_and_the_record(bundle, colour, tmp_path):
    known = with_concepts(bundle)
    found = counterfactual(known, colour(-0.5), "red", method="concepts")
    film = film_of(known, found, 0, 5)
    assert torch.equal(film.frames[-1], found.counterfactuals[0])
    assert film.probabilities[:, 2].diff().min() >= 0
    again = Explanation.load(found.save(tmp_path / "one"))
    assert again.settings["changed"] == found.settings["changed"]
    predicted = found.settings["concept_probability"][0]
    after = torch.tensor([found.settings["changed"][0][0]["to"], 0.5])
    right = torch.stack([2 * after[1] - after[0], torch.zeros(()), 3 * after[0] - after[1]]).softmax(0)[2]
    assert predicted == pytest.approx(float(right), abs=0.01)


def test_wrong_options(bundle):
    with pytest.raises(InputError, match="concept model for the method concepts, got paint without"):
        ConceptSearch(bundle)
    for wrong in ({"most": 0}, {"reach": -1}, {"confidence": 1.0}):
        with pytest.raises(InputError, match=f"`{next(iter(wrong))}`"):
            ConceptSearch(with_concepts(bundle), **wrong)
