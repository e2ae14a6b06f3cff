import pytest
import torch

from histoxplain._checks import InputError
from histoxplain.explain import Directions, DirectionSearch, StyleCoordinates
from histoxplain.explain.along_directions import read_directions


def along(*vectors, names=("one", "two", "three")):
    vectors = torch.tensor([[*vector, 0.0, 0.0, 0.0] for vector in vectors])
    return Directions(names[: len(vectors)], vectors, torch.ones(len(vectors)), "boundary")


def latents(red=0.0):
    return torch.tensor([red, 0, 0, 0, 0, 0.0]).expand(1, 6, -1)


def least_red(bundle, confidence=0.96):
    x = torch.zeros(20001, 3, 1, 1)
    x[:, 0, 0, 0] = torch.linspace(0, 1, 20001)
    return float(x[bundle.classifier.probabilities(x)[:, 2] >= confidence, 0].min())


def test_the_smallest_step_is_the_one_on_paper(bundle):
    """Along one direction that is red: one deviation is 0.1 of red."""
    search = DirectionSearch(bundle, directions=along((0.1, 0.0, 0.0)))
    (e,) = search.explain_latents(latents(), "red")
    steps = e.settings["alpha"][0] * search.reach
    assert e.settings["moves"] == ["one forward"]
    assert e.valid.all()
    assert least_red(bundle) - 0.005 <= 0.1 * steps <= least_red(bundle) + 0.1


def test_the_direction_that_changes_least_wins_and_its_sense_is_found(bundle):
    """The first also paints green and blue, the second is pure but points the wrong way."""
    found = along((0.1, 0.1, 0.1), (-0.1, 0.0, 0.0))
    (e,) = DirectionSearch(bundle, directions=found).explain_latents(latents(), "red")
    assert e.settings["moves"] == ["two back"]


def test_several_together_where_none_suffices_alone(bundle):
    found = along((0.062, 0.0, 0.0), (0.0, 0.1, 0.0), (0.065, 0.0, 0.0))
    (e,) = DirectionSearch(bundle, directions=found, reach=2.8).explain_latents(latents(), "red")
    assert e.settings["moves"] == ["three forward and one forward"]
    assert e.valid.all()
    (alone,) = DirectionSearch(bundle, directions=found, reach=2.8, few=1).explain_latents(latents(), "red")
    assert not alone.valid.any()


def test_style_coordinates_from_a_file(dials, tmp_path):
    ws = torch.zeros(4, 3, 6)
    zero = torch.zeros(2, 4)
    found = StyleCoordinates(
        layers=("b4.conv1", "b8.conv0"),
        channels=(0, 1),
        signs=(1, 1),
        ends=torch.tensor([1.0, 1.0]),
        effects=zero,
        flipped=zero.bool(),
        explained=zero.bool(),
        ws=ws,
        class_names=dials.class_names,
        target=2,
    )
    path = found.save(tmp_path / "found.safetensors")
    (e,) = DirectionSearch(dials, directions=path).explain_latents(ws[:1], "red")
    assert e.settings["moves"] == ["b4.conv1 0 up and b8.conv0 1 up"]
    moved = e.latents["end_style"][0] - e.latents["start_style"]
    assert torch.nonzero(moved).flatten().tolist() == [0, 5]
    assert e.valid.all()


def test_several_answers_are_different_directions(bundle):
    found = along((0.1, 0.0, 0.0), (0.1, 0.1, 0.0), (0.1, -0.1, 0.0))
    (e,) = DirectionSearch(bundle, directions=found).explain_latents(latents(), "red", count=3)
    assert len(set(e.settings["moves"])) == 3
    assert e.valid.all()


def test_by_default_the_boundaries_of_the_classifier(bundle):
    (e,) = DirectionSearch(bundle).explain_latents(latents(), "red")
    assert e.valid.all()


def test_what_are_no_directions(bundle, tmp_path):
    with pytest.raises(InputError, match="directions"):
        DirectionSearch(bundle, directions=3)
    with pytest.raises(InputError, match="path"):
        read_directions(tmp_path / "nothing.safetensors")
