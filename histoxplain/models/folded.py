"""Classifiers as fast as a CPU answers: batch norms within convolutions, and the CPU's fastest type of number."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise

import torch
from torch import Tensor, nn

from histoxplain._device import resolve_precision
from histoxplain.models.classifier import Classifier
from histoxplain.models.vote import Vote

NEAR = 0.02
"""By how much probabilities may differ from the classifier's own."""


def quick_copy(classifier: Classifier | Vote, precision: str = "auto") -> nn.Module:
    """A copy that answers nearly the same in less time, for questions whose last one is put to the classifier itself.

    On the CPU, batch norms are folded into the convolutions before them, and all but what remains of them is computed
    in `precision`. Where that changes a probability of grain by more than `NEAR`, float32 is kept.

    Args:
        classifier: in evaluation mode.
        precision: see `resolve_precision`.

    Returns:
        A network that takes and gives what the classifier does; on other devices, the classifier itself.

    Example:
        >>> from histoxplain.models import ClassifierConfig
        >>> config = ClassifierConfig(class_names=("a", "b"), architecture="resnet18", resolution=32)
        >>> classifier = Classifier(config).eval()
        >>> quick = quick_copy(classifier, "float32")
        >>> sum(isinstance(part, nn.BatchNorm2d) for part in quick.modules())
        0
        >>> x = torch.zeros(1, 3, 32, 32)
        >>> torch.allclose(quick.probabilities(x), classifier.probabilities(x), atol=1e-5)
        True
    """
    weight = next(classifier.parameters())
    if weight.device.type != "cpu" or classifier.training:
        return classifier
    side = classifier.resolution
    grain = torch.randn(2, classifier.channels, side, side, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    for dtype in dict.fromkeys((resolve_precision(precision, "cpu"), weight.dtype)):
        copy = deepcopy(classifier).requires_grad_(False)
        for one in copy.members if isinstance(copy, Vote) else [copy]:
            fold(one.network, one.preprocess(grain).to(weight))
            one.network = InType(one.network, dtype)
        if _answers_alike(copy, classifier, grain):
            return copy
    return classifier


@torch.no_grad()
def fold(network: nn.Module, x: Tensor) -> None:
    """Fold every batch norm that directly follows a convolution into that convolution's weights.

    Args:
        network: in evaluation mode; changed.
        x: an input, to see what follows what.
    """
    seen: list[tuple[nn.Module, Tensor, Tensor]] = []
    kinds = (nn.Conv2d, nn.BatchNorm2d)
    hooks = [
        part.register_forward_hook(lambda part, given, out: seen.append((part, given[0], out)))
        for part in network.modules()
        if isinstance(part, kinds)
    ]
    try:
        network(x)
    finally:
        for hook in hooks:
            hook.remove()
    names = {part: name for name, part in network.named_modules()}
    once = {part for part in names if sum(part is other for other, _, _ in seen) == 1}
    for (before, _, out), (after, given, _) in pairwise(seen):
        fits = isinstance(before, nn.Conv2d) and isinstance(after, nn.BatchNorm2d) and out is given
        if fits and {before, after} <= once and after.running_var is not None:
            fused = nn.utils.fuse_conv_bn_weights(
                before.weight, before.bias, after.running_mean, after.running_var, after.eps, after.weight, after.bias
            )
            before.weight, before.bias = fused
            network.set_submodule(names[after], nn.Identity())


class InType(nn.Module):
    """A network of which all but the batch norms is computed in another type.

    Args:
        network: changed to that type.
        dtype: the type.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network, self.dtype = network.to(dtype), dtype
        for part in network.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.float()

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits, float32."""
        return self.network(x.to(self.dtype, memory_format=torch.channels_last)).float()


@torch.no_grad()
def _answers_alike(copy: nn.Module, classifier: nn.Module, x: Tensor) -> bool:
    try:
        return bool((copy.probabilities(x) - classifier.probabilities(x)).abs().max() <= NEAR)
    except RuntimeError:  # an operation that the type does not have
        return False
