"""The terms of COIN's objective (Shvetsov et al., 2024), as formulas.

f is what the classifier says of an image: the probability that it is abnormal, in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from histoxplain._checks import check_one_of

HALF = 0.5
"""An image is predicted abnormal from this probability on."""


def log_probabilities(logits: Tensor, normal: int) -> Tensor:
    """Log-probabilities of normal and of abnormal, which is every other class together: `(N, K)` to `(N, 2)`.

    Example:
        >>> log_probabilities(torch.zeros(1, 4), normal=1).exp().tolist()
        [[0.25, 0.75]]
    """
    known = logits.float().log_softmax(1)
    others = torch.cat([known[:, :normal], known[:, normal + 1 :]], 1)
    return torch.stack([known[:, normal], others.logsumexp(1)], 1)


def desired_of(f: Tensor, rule: str = "normal") -> Tensor:
    """What the classifier should say of the counterfactual, `(N,)` in [0, 1].

    Args:
        f: what it says of the image, `(N,)`.
        rule: "normal", COIN's: 0 where the image is predicted abnormal, else unchanged; "opposite", Singla's: 1 - f.

    Example:
        >>> f = torch.tensor([0.125, 0.5, 0.75])
        >>> desired_of(f).tolist(), desired_of(f, "opposite").tolist()
        ([0.125, 0.0, 0.0], [0.875, 0.5, 0.25])
    """
    check_one_of("rule", rule, ("normal", "opposite"))
    return 1 - f if rule == "opposite" else torch.where(f >= HALF, torch.zeros_like(f), f)


def divergence(desired: Tensor, log_p: Tensor) -> Tensor:
    """Kullback and Leibler's divergence of the classifier's answer from the desired one, the mean over a batch.

    Args:
        desired: probability of abnormal, `(N,)`.
        log_p: log-probabilities of normal and abnormal, `(N, 2)`, of `log_probabilities`.

    Example:
        >>> log_p = torch.tensor([[0.5, 0.5]]).log()
        >>> divergence(torch.tensor([0.5]), log_p).item(), round(divergence(torch.tensor([0.0]), log_p).item(), 4)
        (0.0, 0.6931)
    """
    p = torch.stack([1 - desired, desired], 1)
    return (torch.xlogy(p, p) - p * log_p).sum(1).mean()


def total_variation(size: Tensor) -> Tensor:
    """Mean absolute difference between neighbours, across plus down: a patch costs its outline, noise all of itself.

    Args:
        size: how much each pixel changed, `(N, C, H, W)`.

    Example:
        >>> step = torch.tensor([[0.0, 1.0], [0.0, 1.0]])[None, None]
        >>> total_variation(step).item()
        1.0
    """
    return (size.diff(dim=3)).abs().mean() + (size.diff(dim=2)).abs().mean()


def _bce(logits: Tensor, real: bool) -> Tensor:
    return F.softplus(-logits if real else logits).mean()


def _mse(logits: Tensor, real: bool) -> Tensor:
    return (logits - float(real)).square().mean()


def _hinge(logits: Tensor, real: bool) -> Tensor:
    return F.relu(1 - logits if real else 1 + logits).mean()


KINDS: dict[str, Callable[[Tensor, bool], Tensor]] = {"bce": _bce, "mse": _mse, "hinge": _hinge}


def critic_loss(kind: str, real: Tensor, fake: Tensor) -> Tensor:
    """What the discriminator makes small: the mean of both halves.

    Args:
        kind: "bce", cross-entropy; "mse", squared distance to 1 (real) and 0; "hinge".
        real, fake: its logits of real images and of counterfactuals.

    Example:
        >>> real, fake = torch.tensor([2.0]), torch.tensor([0.0])
        >>> [round(critic_loss(kind, real, fake).item(), 4) for kind in ("bce", "mse", "hinge")]
        [0.41, 0.5, 0.5]
    """
    check_one_of("adversarial", kind, KINDS)
    return (KINDS[kind](real, True) + KINDS[kind](fake, False)) / 2


def generator_loss(kind: str, fake: Tensor) -> Tensor:
    """What the generator makes small, of the discriminator's logits of counterfactuals.

    Example:
        >>> [round(generator_loss(kind, torch.tensor([2.0])).item(), 4) for kind in ("bce", "mse", "hinge")]
        [0.1269, 1.0, -2.0]
    """
    check_one_of("adversarial", kind, KINDS)
    return -fake.mean() if kind == "hinge" else KINDS[kind](fake, True)
