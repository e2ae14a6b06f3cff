import pytest
import torch

from histoxplain._checks import InputError
from histoxplain.explain import (
    Directions,
    boundary_directions,
    difference_directions,
    find_directions,
    principal_directions,
)


@pytest.fixture
def cloud(rng):
    return torch.randn(2000, 4, generator=rng) * torch.tensor([2.0, 1.0, 1.0, 0.1])


def test_boundary_is_the_gradient_of_the_logit(cloud):
    lead = cloud @ torch.tensor([0.0, 3.0, 4.0, 0.0])
    found = boundary_directions(cloud, torch.stack([lead, -lead], 1), ["a", "b"])
    step = found["towards a"]
    assert torch.nn.functional.cosine_similarity(step, torch.tensor([0.0, 0.6, 0.8, 0.0]), 0) > 0.999
    assert step.norm() == pytest.approx(1.0, rel=0.05)  # one deviation of the cloud along it
    assert torch.allclose(found["towards b"], -step, atol=1e-4)
    assert found.scores.tolist() == pytest.approx([1, 1], abs=1e-3)


def test_boundary_is_crossed_where_latents_are(cloud):
    """Coordinates that go together move together, by the closed form of a linear function of normal latents."""
    mixed = cloud @ torch.tensor(
        [[1.0, 0.9, 0.0, 0.0], [0.0, 0.5, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    )
    slope = torch.tensor([1.0, 0.0, 0.0, 0.0])
    step = boundary_directions(mixed, torch.stack([mixed @ slope, -mixed @ slope], 1), ["a", "b"])["towards a"]
    covariance = mixed.T.cov(correction=0)
    assert torch.allclose(step, covariance @ slope / (slope @ covariance @ slope).sqrt(), atol=1e-3)


def test_difference_leads_from_mean_to_mean(rng):
    labels = torch.arange(900) % 3
    w = torch.randn(900, 4, generator=rng) * 0.5
    w[:, 0] += labels.float() * 2
    found = difference_directions(w, labels, ["a", "b", "c"])
    assert found.names == ("a to b", "a to c", "b to a", "b to c", "c to a", "c to b")
    step = found["a to c"] / found["a to c"].norm()
    assert step[0] > 0.99
    assert found.scores[found.names.index("a to b")] == pytest.approx(4, rel=0.1)  # 2 apart, 0.5 wide


def test_principal_axes_in_order(cloud):
    found = principal_directions(cloud, 10)
    assert found.names == ("axis 1", "axis 2", "axis 3", "axis 4")
    assert found[0].abs()[0] == pytest.approx(2, rel=0.05)
    assert found.scores[0] == pytest.approx(4 / 6.01, rel=0.05)


@pytest.mark.parametrize("kind", ["boundary", "difference"])
def test_of_a_bundle_red_is_the_first_axis(bundle, kind):
    found = find_directions(bundle, kind, samples=200)
    step = found["towards red" if kind == "boundary" else "dark to red"]
    assert step[0] / step.norm() > 0.97


def test_comes_back_as_saved(cloud, tmp_path):
    found = principal_directions(cloud, 2)
    again = Directions.load(found.save(tmp_path / "d.safetensors"))
    assert (again.names, again.kind) == (found.names, found.kind)
    assert again.vectors.equal(found.vectors)
    assert dict(again).keys() == {"axis 1", "axis 2"}


def test_damaged_file_and_unknown_names(cloud, tmp_path):
    path = principal_directions(cloud, 2).save(tmp_path / "d.safetensors")
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(InputError, match="whole file of directions"):
        Directions.load(path)
    with pytest.raises(InputError, match="nearest valid is 'axis 1'"):
        principal_directions(cloud, 2)["axis1"]
    with pytest.raises(InputError, match="at least 2 classes"):
        difference_directions(cloud, torch.zeros(2000), ["a", "b"])


def test_some_of_them_alone(cloud):
    found = principal_directions(cloud, 3)
    some = found.only("axis 3", "axis 1")
    assert some.names == ("axis 3", "axis 1")
    assert torch.equal(some["axis 1"], found["axis 1"])
    assert torch.equal(some.scores, found.scores[[2, 0]])
    with pytest.raises(InputError, match="`direction` must be one of"):
        found.only("axis 4")
