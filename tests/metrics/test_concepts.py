import pytest
import torch

from histoxplain import InputError
from histoxplain.metrics import (
    agreement,
    any_of_them,
    concept_consistency,
    concept_sparsity,
    conciseness,
    map_correlation,
    most_important,
    probability_drop,
    relevance,
    relevant,
)


def test_agreement_compares_each_image_with_itself(rng):
    """The published accuracy compared (B, 1) with (B,), which broadcasts to B x B."""
    labels = torch.randint(3, (60,), generator=rng)
    assert agreement(labels, labels) == 1
    everyone_with_everyone = (labels[:, None] == labels).double().mean()
    assert everyone_with_everyone < 0.5
    for shapes in ((labels[:, None], labels), (labels, labels[:, None])):
        with pytest.raises(InputError, match=r"have shape \(N,\), got \(60, 1\)"):
            agreement(*shapes)
    with pytest.raises(InputError, match="`reference` must be of 60 images, got 1"):
        agreement(labels, labels[:1])


def test_agreement_does_not_depend_on_the_batch(rng):
    predicted, labels = torch.randn(60, 3, generator=rng), torch.randint(3, (60,), generator=rng)
    parts = [agreement(p, y) for p, y in zip(predicted.split(20), labels.split(20))]
    assert agreement(predicted, labels) == pytest.approx(sum(parts) / 3)
    assert agreement(predicted, predicted.softmax(1)) == 1


def test_relevance_counts_what_speaks_for_a_class():
    importance = torch.tensor([[5.0, 1.0, 0.9, -4.0], [0.0, 0.0, 0.0, 0.0]])
    assert relevance(importance)[0].tolist() == pytest.approx([1, 0.2, 0.18, -0.8])
    assert relevant(importance, 0.19).tolist() == [[True, True, False, False], [False] * 4]
    assert conciseness(importance, 0.19) == 1


def test_sparsity_is_the_share_of_absent_concepts():
    phi = torch.zeros(2, 4, 3, 3)
    phi[0, 1, 2, 2] = 0.5
    assert concept_sparsity(phi) == 7 / 8


def test_chosen_concepts(rng):
    importance = torch.randn(500, 10, generator=rng)
    top, some = most_important(importance, 3), any_of_them(500, 10, 3, rng)
    assert top.sum(1).tolist() == some.sum(1).tolist() == [3] * 500
    assert importance[top].reshape(500, 3).amin(1).gt(importance.masked_fill(top, -9).amax(1)).all()
    assert some.float().mean(0).tolist() == pytest.approx([0.3] * 10, abs=0.08)
    with pytest.raises(InputError, match="`count` must lie in 0 to 10, got 11"):
        most_important(importance, 11)


def test_drop_is_of_each_images_own_class():
    before = torch.tensor([[0.7, 0.3], [0.2, 0.8]])
    after = torch.tensor([[0.1, 0.9], [0.2, 0.8]])
    assert probability_drop(before, after, torch.tensor([0, 1])).tolist() == pytest.approx([0.6, 0])
    with pytest.raises(InputError, match="`target` must have shape"):
        probability_drop(before, after, torch.tensor([[0], [1]]))


def test_consistency_tells_a_common_change_from_none(rng):
    x = torch.randn(200, 6, generator=rng)
    same, everyones_own = torch.zeros(6), 3 * torch.randn(200, 6, generator=rng)
    same[2] = 6
    assert concept_consistency(x + same, x) > 0.97
    assert concept_consistency(x + 0.0, x) == 0.5
    assert 0.3 < concept_consistency(x + everyones_own, x + 3 * torch.randn(200, 6, generator=rng)) < 0.7
    with pytest.raises(InputError, match="`present` must be at least 4"):
        concept_consistency(x[:3], x[:3])


def test_maps_that_go_with_what_they_show(rng):
    x = torch.rand(20, 1, 6, 6, generator=rng)
    in_its_place = torch.arange(6.0).expand(20, 1, 6, 6)
    maps, turned = (torch.cat([one, in_its_place, torch.ones(20, 1, 6, 6)], 1) for one in (x, x.rot90(2, (2, 3))))
    back = map_correlation(maps, turned.rot90(2, (2, 3)))
    assert back.tolist() == pytest.approx([1, -1, 0])  # what it shows, the place, nothing
    stayed = map_correlation(maps, turned)
    assert stayed[1:].tolist() == pytest.approx([1, 0])
    assert abs(stayed[0]) < 0.2
    brighter = map_correlation(maps, 3 * maps + torch.rand(20, 3, 1, 1, generator=rng))
    assert brighter.tolist() == pytest.approx([1, 1, 0], abs=1e-4)
    with pytest.raises(InputError, match="`others` must have shape"):
        map_correlation(maps, maps[:1])
