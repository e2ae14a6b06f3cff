"""How sure a classifier is: what several opinions about the same image agree on, and where they differ.

Opinions come from the members of an ensemble (Lakshminarayanan et al., 2017) or from one network that is asked
repeatedly with its dropout left on (Gal & Ghahramani, 2016).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from histoxplain._checks import InputError, check, check_at_least, check_images


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """What `P` opinions about `N` images of `K` classes say together. Entropies are in nats, at most `log(K)`."""

    probabilities: Tensor
    """Mean opinion `(N, K)`."""
    entropy: Tensor
    """Entropy of the mean opinion `(N,)`: all the doubt there is."""
    mutual_information: Tensor
    """Part of it that comes from opinions differing `(N,)`: doubt that more training images would lessen."""
    low: Tensor
    """Lower end of the interval that holds `level` of the opinions `(N, K)`."""
    high: Tensor
    """Its upper end `(N, K)`."""
    opinions: Tensor
    """All of them `(P, N, K)`."""
    level: float = 0.9
    """Share of the opinions inside the interval."""
    source: str = "given"
    """Where opinions came from: "ensemble", "dropout" or "given"."""

    @property
    def expected_entropy(self) -> Tensor:
        """Mean entropy of the single opinions `(N,)`: doubt that the image itself leaves."""
        return self.entropy - self.mutual_information

    @property
    def agreement(self) -> Tensor:
        """Share of the opinions `(N,)` whose first choice is that of the mean."""
        return (self.opinions.argmax(dim=2) == self.probabilities.argmax(dim=1)).double().mean(dim=0)


def summarise(opinions: Tensor, level: float = 0.9, source: str = "given") -> Uncertainty:
    """Mean, entropies and interval of opinions.

    The mutual information of image and opinion is the entropy of the mean minus the mean of the entropies (Depeweg et
    al., 2018). The interval runs between quantiles `(1 - level) / 2` and `(1 + level) / 2`, interpolated linearly.

    Args:
        opinions: probabilities `(P, N, K)`, rows sum to 1.
        level: share of the opinions that the interval holds, in (0, 1].
        source: what to call where they come from.

    Raises:
        InputError: if the shape or the level is wrong.

    Example:
        >>> two = summarise(torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]]))            # certain, and contrary
        >>> round(two.entropy.item(), 4), round(two.mutual_information.item(), 4)  # log 2, all of it disagreement
        (0.6931, 0.6931)
    """
    shape = tuple(opinions.shape)
    check(opinions.ndim == 3 and shape[0] > 0, "opinions", "have shape (P, N, K) with P of at least 1", shape)
    check(0 < level <= 1, "level", "lie in (0, 1]", level, "nearest valid is 0.9")
    opinions = opinions.double()
    mean = opinions.mean(dim=0)
    entropy = _entropy(mean)
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.double, device=opinions.device)
    low, high = torch.quantile(opinions, ends, dim=0)
    shared = (entropy - _entropy(opinions).mean(dim=0)).clamp(min=0)
    return Uncertainty(mean, entropy, shared, low, high, opinions, level, source)


def _entropy(probabilities: Tensor) -> Tensor:
    return torch.special.entr(probabilities).sum(dim=-1)


def uncertainty_of(
    classifier: Any, x: Tensor, passes: int = 20, level: float = 0.9, seed: int = 0, batch: int = 32
) -> Uncertainty:
    """How sure a classifier, or several together, is about images.

    Args:
        classifier: several classifiers in a list, or a `Vote`: each member is one opinion, and `passes` is ignored;
            or one classifier with dropout.
        x: images `(N, C, H, W)` in `[-1, 1]`.
        passes: opinions to ask of one classifier, 2 or more.
        level: share of the opinions that the interval holds.
        seed: of the dropout.
        batch: images at once.

    Raises:
        InputError: if a single classifier has no dropout, or an argument is out of range.
    """
    members = list(classifier) if isinstance(classifier, Sequence) else list(getattr(classifier, "members", ()))
    check_images("x", x)
    if members or isinstance(classifier, Sequence):
        return summarise(ensemble_opinions(members, x, batch), level, "ensemble")
    return summarise(dropout_opinions(classifier, x, passes, seed, batch), level, "dropout")


@torch.no_grad()
def ensemble_opinions(members: Sequence[Any], x: Tensor, batch: int = 32) -> Tensor:
    """Probabilities `(P, N, K)` of each of `P` classifiers of the same classes.

    Raises:
        InputError: if there are fewer than 2, or their classes differ.
    """
    check(len(members) >= 2, "members", "be 2 classifiers or more", len(members), "ask one with dropout for `passes`")
    names = {tuple(member.class_names) for member in members}
    check(len(names) == 1, "members", "know the same classes in the same order", sorted(names))
    return torch.stack([torch.cat([member.probabilities(part) for part in x.split(batch)]) for member in members])


@torch.no_grad()
def dropout_opinions(classifier: nn.Module, x: Tensor, passes: int = 20, seed: int = 0, batch: int = 32) -> Tensor:
    """Probabilities `(passes, N, K)` of one classifier with its dropout left on, all else as in evaluation.

    Where the first dropout comes after the last pooling, everything before it is computed once for all passes.

    Args:
        classifier: a `Classifier` whose network has dropout.
        x: images `(N, C, H, W)` in `[-1, 1]`.
        passes: how often to ask, 2 or more.
        seed: of the dropout; the caller's random numbers are left alone.
        batch: images at once.

    Raises:
        InputError: if the network has no dropout.
    """
    check_at_least("passes", passes, 2)
    layers = _dropout_layers(classifier) if isinstance(classifier, nn.Module) else []
    if not layers:
        name = getattr(getattr(classifier, "config", None), "architecture", type(classifier).__name__)
        raise InputError(
            f"`classifier` must have dropout, got {name} without any; give several classifiers in a list, "
            "or one such as mobilenet_v2, efficientnet_b1 or an ensemble (a+b)."
        )
    device = x.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []), _dropout_left_on(classifier, layers):
        torch.manual_seed(seed)
        parts = [_ask(classifier, part, layers, passes) for part in x.split(batch)]
    return torch.cat(parts, dim=1)


def _dropout_layers(module: nn.Module) -> list[nn.Module]:
    return [layer for layer in module.modules() if isinstance(layer, _DropoutNd) and layer.p > 0]


@contextmanager
def _dropout_left_on(module: nn.Module, layers: Sequence[nn.Module]) -> Iterator[None]:
    """Evaluation mode, but for some layers; every mode is restored afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        for part, _ in modes:
            part.training = False
        for layer in layers:
            layer.training = True
        yield
    finally:
        for part, mode in modes:
            part.training = mode


class _RepeatOnce:
    """Hook before dropout layers: the first that is reached repeats pooled features once per pass."""

    def __init__(self, passes: int) -> None:
        self.passes, self.reached, self.repeated = passes, False, False

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        first, self.reached = not self.reached, True
        pooled = inputs[0].ndim == 2 or (inputs[0].ndim == 4 and inputs[0].shape[-2:] == (1, 1))
        if not (first and pooled):
            return None
        self.repeated = True
        return (inputs[0].repeat(self.passes, *[1] * (inputs[0].ndim - 1)), *inputs[1:])


def _ask(classifier: nn.Module, x: Tensor, layers: Sequence[nn.Module], passes: int) -> Tensor:
    """All opinions `(passes, N, K)` about a batch."""
    repeat = _RepeatOnce(passes)
    hooks = [layer.register_forward_pre_hook(repeat) for layer in layers]
    try:
        found = classifier.probabilities(x)
    finally:
        for hook in hooks:
            hook.remove()
    if repeat.repeated:
        return found.unflatten(0, (passes, len(x)))
    return torch.stack([found, *(classifier.probabilities(x) for _ in range(passes - 1))])
