import pytest
import torch
from torch import nn
from torch.nn import functional as F

from histoxplain import InputError
from histoxplain.train.inpainting_losses import (
    critic_loss,
    desired_of,
    divergence,
    generator_loss,
    log_probabilities,
    total_variation,
)


def test_kinds_are_what_they_are_called(rng):
    """The published code has one kind in place of another: each is held against PyTorch's own."""
    real, fake = torch.randn(2, 5, 1, generator=rng)
    ones, zeros = torch.ones(5, 1), torch.zeros(5, 1)
    halves = {
        "bce": (F.binary_cross_entropy_with_logits(real, ones), F.binary_cross_entropy_with_logits(fake, zeros)),
        "mse": (F.mse_loss(real, ones), F.mse_loss(fake, zeros)),
        "hinge": ((1 - real).clamp(min=0).mean(), (1 + fake).clamp(min=0).mean()),
    }
    for kind, (of_real, of_fake) in halves.items():
        torch.testing.assert_close(critic_loss(kind, real, fake), (of_real + of_fake) / 2)
    made = {
        "bce": F.binary_cross_entropy_with_logits(fake, ones),
        "mse": F.mse_loss(fake, ones),
        "hinge": -fake.mean(),
    }
    for kind, expected in made.items():
        torch.testing.assert_close(generator_loss(kind, fake), expected)
    values = [critic_loss(kind, real, fake).item() for kind in made]
    assert len({round(value, 4) for value in values}) == 3
    with pytest.raises(InputError, match="`adversarial` must be one of bce, mse, hinge, got 'wgan'"):
        critic_loss("wgan", real, fake)


def test_the_divergence_is_kullback_and_leiblers(rng):
    logits, desired = torch.randn(6, 2, generator=rng), torch.rand(6, generator=rng)
    log_p = log_probabilities(logits, normal=0)
    expected = nn.KLDivLoss(reduction="batchmean")(log_p, torch.stack([1 - desired, desired], 1))
    torch.testing.assert_close(divergence(desired, log_p), expected)
    sure = torch.tensor([0.0, 1.0])
    torch.testing.assert_close(divergence(sure, log_p[:2]), F.nll_loss(log_p[:2], sure.long()))
    torch.testing.assert_close(divergence(log_p[:, 1].exp(), log_p), torch.tensor(0.0), atol=1e-6, rtol=0)


def test_abnormal_is_every_class_but_the_normal_one(rng):
    logits = torch.randn(4, 5, generator=rng)
    p = logits.softmax(1)
    found = log_probabilities(logits, normal=2).exp()
    torch.testing.assert_close(found[:, 0], p[:, 2])
    torch.testing.assert_close(found[:, 1], 1 - p[:, 2])


def test_what_is_desired():
    f = torch.tensor([0.0, 0.49, 0.5, 1.0])
    assert torch.equal(desired_of(f), torch.tensor([0.0, 0.49, 0.0, 0.0]))
    torch.testing.assert_close(desired_of(f, "opposite"), torch.tensor([1.0, 0.51, 0.5, 0.0]))


def test_total_variation_costs_outlines():
    """A square of height h costs its outline: 2 x side x h a direction, over the number of neighbours."""
    x = torch.zeros(1, 1, 10, 12)
    x[..., 3:7, 4:8] = 0.5
    expected = 2 * 4 * 0.5 / (10 * 11) + 2 * 4 * 0.5 / (9 * 12)
    torch.testing.assert_close(total_variation(x), torch.tensor(expected))
    assert total_variation(torch.full((1, 1, 4, 4), 0.7)) == 0
