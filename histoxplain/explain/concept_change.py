"""More or less of a concept, and what image and class probabilities make of it; where in an image a concept is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from histoxplain._checks import check, check_images
from histoxplain.explain.concepts import concept_model, concept_number
from histoxplain.explain.explainer import evaluating
from histoxplain.explain.images import quantised
from histoxplain.explain.interpolate import Film
from histoxplain.explain.quick import quick_classifier, quick_generator

if TYPE_CHECKING:
    from histoxplain.models import Bundle
    from histoxplain.models.viscoin import ConceptModel, Concepts

FACTORS = (0.0, 1.0, 2.0, 4.0)
"""Multipliers of a concept that are looked at, as published: none of it, as it is, twice and four times as much."""
BATCH = 32
"""Images drawn at once."""


@dataclass(frozen=True, eq=False)
class ConceptChange:
    """Images with more or less of some concepts."""

    images: Tensor
    """As saved: `(N, C, H, W)` in `[-1, 1]`, 8-bit exact."""
    probabilities: Tensor
    """The classifier's opinion of these images, `(N, classes)`."""
    predicted: Tensor
    """What the changed concepts alone say, Theta's probabilities, `(N, classes)`."""


@torch.no_grad()
def change_concepts(bundle: Bundle, x: Tensor, factors: Mapping[int | str, float]) -> ConceptChange:
    """Images redrawn with concepts amplified (factor above 1), dampened (below) or removed (0).

    With no factor the images come out as the concept model reconstructs them, which is what to compare with.

    Args:
        bundle: with a concept model.
        x: `(N, C, H, W)` in `[-1, 1]`.
        factors: concept, by name or number, to factor, 0 or more.

    Raises:
        InputError: if there is no such concept, or a factor is negative.
    """
    model = concept_model(bundle)
    check_images("x", x)
    with evaluating(bundle.classifier, bundle.generator, model):
        return drawn(bundle, model.concepts(x.to(model.theta.weight.device)).scaled(numbered(model, factors)))


def numbered(model: ConceptModel, factors: Mapping[int | str, float]) -> dict[int, float]:
    """Factors by number of the concept.

    Raises:
        InputError: if there is no such concept, or a factor is negative.
    """
    for concept, factor in factors.items():
        check(factor >= 0, "factors", "be 0 or more", f"{factor} for {concept}", "0 removes a concept")
    return {concept_number(model, concept): float(factor) for concept, factor in factors.items()}


@torch.no_grad()
def drawn(bundle: Bundle, concepts: Concepts, quick: bool = False) -> ConceptChange:
    """What concepts look like, as saved, and what is thought of that; by quick networks rounding differs."""
    model = concept_model(bundle)
    painter = quick_generator(bundle.generator) if quick else None
    classifier = quick_classifier(bundle.classifier) if quick else bundle.classifier
    images = []
    for some in torch.arange(len(concepts.phi)).split(BATCH):
        one = rows(concepts, some)
        if painter is None:
            images.append(quantised(model.draw(one)))
        else:
            detail = {} if one.detail is None else {"detail": one.detail}
            images.append(quantised(painter.synthesis(model.latents(one.phi, one.support), **detail)))
    p = torch.cat([classifier.probabilities(some).float() for some in images])
    return ConceptChange(torch.cat(images), p, model.predict(concepts.phi).softmax(1).float())


def rows(concepts: Concepts, some: Tensor | Sequence[int]) -> Concepts:
    """The concepts of some images; an image may be asked for several times."""
    some = torch.as_tensor(some, dtype=torch.long)
    return type(concepts)(*(None if part is None else part[some.to(part.device)] for part in concepts))


@torch.no_grad()
def concept_film(
    bundle: Bundle, image: Tensor, concept: int | str, factors: Sequence[float] = FACTORS, target: int | None = None
) -> Film:
    """One image with a concept turned down and up; the film's `alphas` are the factors.

    Args:
        bundle: with a concept model.
        image: `(C, H, W)` in `[-1, 1]`.
        concept: by name or number.
        factors: to multiply it by, 0 or more each.
        target: the class the film is about; by default the one the classifier gives to the last frame.

    Raises:
        InputError: if there is no such concept, or a factor is negative.
    """
    check(len(factors) > 0, "factors", "hold at least one", "none")
    model = concept_model(bundle)
    number = [numbered(model, {concept: factor}) for factor in factors]
    scale = torch.ones(len(factors), len(model.names))
    for row, one in zip(scale, number):
        for k, factor in one.items():
            row[k] = factor
    with evaluating(bundle.classifier, bundle.generator, model):
        found = model.concepts(image[None].to(model.theta.weight.device))
        seen = drawn(bundle, rows(found, [0] * len(factors)).scaled(scale))
    source = int(seen.probabilities[torch.tensor(factors).sub(1).abs().argmin()].argmax())
    end = int(seen.probabilities[-1].argmax()) if target is None else target
    alphas = torch.tensor(factors, dtype=torch.float32)
    return Film(seen.images, alphas, seen.probabilities, tuple(bundle.class_names), source, end)


@torch.no_grad()
def concept_maps(bundle: Bundle, x: Tensor, concepts: Sequence[int | str] | None = None) -> Tensor:
    """Where concepts are in images: their maps, enlarged to the images' size by bilinear interpolation.

    Args:
        bundle: with a concept model.
        x: `(N, C, H, W)` in `[-1, 1]`.
        concepts: which, by name or number; None is all.

    Returns:
        `(N, K, H, W)`, 0 or more, in units of activation: maps of one concept compare between images.

    Raises:
        InputError: if there is no such concept.
    """
    model = concept_model(bundle)
    check_images("x", x)
    which = range(len(model.names)) if concepts is None else [concept_number(model, one) for one in concepts]
    with evaluating(bundle.classifier, model):
        maps = [model.maps(some.to(model.theta.weight.device))[:, list(which)] for some in x.split(BATCH)]
    return F.interpolate(torch.cat(maps).float(), size=x.shape[-2:], mode="bilinear", align_corners=False)
