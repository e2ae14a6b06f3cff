"""The direction of W in which a classifier's opinion rises fastest, averaged over images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from histoxplain._checks import check
from histoxplain.explain.directions import Directions, one_deviation
from histoxplain.explain.explainer import evaluating
from histoxplain.explain.latent_space import BATCH
from histoxplain.explain.opinion import check_fit, lead, logits_of

if TYPE_CHECKING:
    from histoxplain.models import Bundle


def gradient_directions(bundle: Bundle, w: Tensor) -> Directions:
    """Towards each class: the mean over images of the gradient, with respect to w, of the class's log-odds.

    A gradient says what would change the classifier's mind soonest, which need not be tissue: compare with
    `boundary_directions`. The score tells how well images agree, from 0 to 1: the length of the mean of their
    gradients, each taken at unit length.

    Args:
        bundle: the networks; the classifier must have gradients.
        w: latents, `(N, w_dim)`.

    Raises:
        InputError: if the classifier has no gradients, does not fit the generator, or gives NaN.
    """
    check_fit(bundle)
    ok = w.ndim == 2 and w.shape[1] == bundle.generator.w_dim and len(w) > 1
    check(ok, "w", f"have shape (2 or more, {bundle.generator.w_dim})", tuple(w.shape))
    with evaluating(bundle.generator, bundle.classifier):
        found = torch.cat([_gradients(bundle, some) for some in w.split(BATCH)], 1)
    agreement = torch.nn.functional.normalize(found, dim=2).mean(1).norm(dim=1)
    vectors = torch.stack([one_deviation(gradient, w.cpu()) for gradient in found.mean(1)])
    return Directions(tuple(f"towards {name}" for name in bundle.class_names), vectors, agreement, "gradient")


@torch.enable_grad()
def _gradients(bundle: Bundle, w: Tensor) -> Tensor:
    """Of every class and image, `(K, N, w_dim)`."""
    w = w.detach().clone().requires_grad_(True)
    x = bundle.generator.synthesis(w[:, None].expand(-1, bundle.generator.num_ws, -1)).float().clamp(-1, 1)
    logits = logits_of(bundle.classifier, x)
    check(logits.requires_grad, "classifier", "have gradients", "a black box", "ask for kind 'boundary'")
    leads = [lead(logits, k).sum() for k in range(logits.shape[1])]
    return torch.stack([torch.autograd.grad(one, w, retain_graph=True)[0] for one in leads]).float().cpu()
