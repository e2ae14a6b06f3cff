"""Directions of a bundle's generator, by whatever method."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from histoxplain._checks import check_at_least, check_one_of
from histoxplain.explain.boundary import boundary_directions, difference_directions
from histoxplain.explain.directions import KINDS, Directions
from histoxplain.explain.eigenfind import eigen_directions, style_weights
from histoxplain.explain.explainer import evaluating
from histoxplain.explain.ganspace import principal_directions
from histoxplain.explain.latent_space import BATCH, device_of, draw, latent_space, one_hot, sample_z
from histoxplain.explain.mean_gradient import gradient_directions
from histoxplain.models.bundle import check_part

if TYPE_CHECKING:
    from histoxplain.models import Bundle


def find_directions(bundle: Bundle, kind: str = "boundary", samples: int = 512, seed: int = 0) -> Directions:
    """Directions of a bundle's generator.

    Args:
        bundle: the generator and the classifier.
        kind: "boundary" (draws and classifies `samples` images), "difference", "gradient" (takes a gradient of 64 of
            them), "principal" (GANSpace) or "eigen" (SeFa).
        samples: how many latents, over all classes.
        seed: draws the latents.
    """
    check_part(bundle, "generator", "directions")
    check_one_of("kind", kind, KINDS)
    check_at_least("samples", samples, 10)
    G, names = bundle.generator, bundle.class_names
    labels = torch.arange(samples, device=device_of(G)) % len(names)
    with evaluating(G, bundle.classifier), torch.no_grad():
        w = G.mapping(sample_z(G, samples, seed), one_hot(labels, G))[:, 0]
        if kind == "principal":
            return principal_directions(w)
        if kind == "eigen":
            return eigen_directions(style_weights(G), w)
        if kind == "gradient":
            return gradient_directions(bundle, w[:64])
        if kind == "difference" and G.c_dim:
            return difference_directions(w, labels, names)
        space = latent_space(bundle)
        shown = w[: max(samples - len(space.w), 0)]
        images = draw(G, shown[:, None].expand(-1, G.num_ws, -1))
        logits = torch.cat([space.logits, *(bundle.classifier(x).float() for x in images.split(BATCH))])
    w = torch.cat([space.w, shown])
    return (
        boundary_directions(w, logits, names)
        if kind == "boundary"
        else difference_directions(w, logits.argmax(1), names)
    )
