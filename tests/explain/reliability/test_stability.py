from dataclasses import replace

import pytest
import torch
from torch import nn

from histoxplain.explain import Explanation, change_map, quantised
from histoxplain.explain.reliability.stability import as_jpeg, check_stable, disturbed

STEP = 1 / 127.5


class Edge(nn.Module):
    """Says "b" where a statistic of the image exceeds a limit; by 20 for each unit, so that nothing is unsure."""

    class_names, channels = ("a", "b"), 3

    def __init__(self, statistic, limit):
        super().__init__()
        self.statistic, self.limit = statistic, limit

    def probabilities(self, x):
        sure = 2000 * (self.statistic(x) - self.limit)
        return torch.stack([-sure, sure], 1).softmax(1)


def checkerboard(x):
    """How strongly neighbouring pixels alternate: the finest pattern there is, which JPEG and shifts disturb most."""
    rows, columns = torch.meshgrid(*map(torch.arange, x.shape[-2:]), indexing="ij")
    sign = 1 - 2.0 * ((rows + columns) % 2)
    return (x * sign).mean((1, 2, 3))


def brightness(x):
    return x.mean((1, 2, 3))


def explained(original, changed, valid):
    images = torch.stack(changed)
    count = len(images)
    return Explanation(
        method="toy",
        case_id="1",
        original=original,
        counterfactuals=images,
        class_names=("a", "b"),
        source_class=0,
        target_class=1,
        probabilities_before=torch.tensor([1.0, 0.0]),
        probabilities_after=torch.tensor([[0.0, 1.0]]).repeat(count, 1),
        valid=torch.tensor(valid),
        change=change_map(original[None], images),
    )


@pytest.fixture
def grey():
    return quantised(torch.zeros(3, 32, 32))


def test_a_pattern_at_the_edge_is_flagged_and_a_real_change_is_not(grey):
    """One grey level of checkerboard flips this classifier, and does not survive JPEG or a shift; brightness does."""
    sign = 1 - 2.0 * ((torch.arange(32)[:, None] + torch.arange(32)) % 2)
    fragile = quantised(grey + 1.1 * STEP * sign)
    firm = quantised(grey + 0.5)
    both = Edge(lambda x: torch.maximum(checkerboard(x), brightness(x) - 0.2), 0.5 * STEP)
    check = check_stable(explained(grey, [fragile, firm], [True, True]), both)
    assert list(check.doubtful) == [0]
    assert "JPEG, quality 90" in check.doubtful[0]
    assert "shifted 1 pixel left, right, up and down" in check.doubtful[0].replace(" or ", " and ")
    entries = check.figures["counterfactuals"]
    assert entries[0]["kept"] == 1
    assert entries[0]["lost"][0] == "JPEG, quality 90"
    assert entries[1] == {"kept": 6, "lost": [], "lowest": 1.0}
    assert not check.doubts


def test_a_change_below_one_grey_level_is_lost_on_saving(grey):
    """Valid as the numbers it was found with, not as the file that is saved."""
    below = grey + 0.3 * STEP
    classifier = Edge(brightness, float(grey.mean()) + 0.2 * STEP)
    assert classifier.probabilities(below[None])[0, 1] > 0.5
    check = check_stable(explained(grey, [below], [True]), classifier)
    assert check.doubtful[0].startswith("the classifier is no longer convinced once it is saved with 8 bits")
    assert check.figures["counterfactuals"][0]["kept"] == 0


def test_an_original_on_the_edge_is_told(grey):
    sign = 1 - 2.0 * ((torch.arange(32)[:, None] + torch.arange(32)) % 2)
    original = quantised(grey - 1.1 * STEP * sign)  # "a" by its pattern alone
    classifier = Edge(checkerboard, -0.5 * STEP)
    check = check_stable(explained(original, [quantised(grey + 0.5 * sign)], [True]), classifier)
    assert check.doubts[0].startswith("the classifier takes the original for another class once it is saved as JPEG")


def test_not_convinced_is_not_the_same_as_unstable(grey):
    check = check_stable(explained(grey, [grey], [False]), Edge(brightness, 0.5))
    assert check.doubtful == {0: "the classifier itself is not convinced of b"}


def test_the_threshold_counts(grey):
    firm = quantised(grey + 0.5)
    unsure = Edge(lambda x: (brightness(x) - 0.05) / 2000, 0.0)  # sigmoid(2 * 0.45) = .71
    told = explained(grey, [firm], [True])
    assert check_stable(told, unsure).fine
    assert not check_stable(replace(told, threshold=0.8), unsure).fine


def test_nothing_found_is_no_reason_to_fail(grey):
    e = explained(grey, [grey], [True])
    empty = {n: getattr(e, n)[:0] for n in ("counterfactuals", "probabilities_after", "valid", "change")}
    assert check_stable(replace(e, **empty), Edge(brightness, 0.5)).fine


@pytest.mark.parametrize("channels", [1, 3])
def test_disturbances_do_what_they_say(rng, channels):
    x = quantised(torch.rand(2, channels, 16, 16, generator=rng) * 2 - 1)
    views = disturbed(x)
    assert list(views)[:2] == ["saved with 8 bits", "JPEG, quality 90"]
    assert views["saved with 8 bits"].equal(x)
    assert views["shifted 1 pixel left"][..., :-1].equal(x[..., 1:])
    assert views["shifted 1 pixel down"][..., 1:, :].equal(x[..., :-1, :])
    smooth = torch.linspace(-1, 1, 16).expand(2, channels, 16, 16)
    assert 0 < (as_jpeg(smooth) - smooth).abs().max() < 0.1
    assert views["JPEG, quality 90"].equal(quantised(views["JPEG, quality 90"]))
