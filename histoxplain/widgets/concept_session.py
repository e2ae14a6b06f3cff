"""Images, their concepts, and what they look like with more or less of some. No browser needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from histoxplain._checks import check, check_at_least, check_between
from histoxplain.explain import concept_maps, quantised
from histoxplain.explain.concept_moves import rich_maps
from histoxplain.explain.concepts import concept_model
from histoxplain.explain.explainer import evaluating

if TYPE_CHECKING:
    from torch import Tensor

    from histoxplain.models import Bundle
    from histoxplain.models.viscoin import Concepts
    from histoxplain.widgets.specimen import Specimen

HARDLY = 0.02
"""Of what rich images have: a concept of which there is less is added as they have it, not multiplied."""


@dataclass(frozen=True)
class ConceptBar:
    """One concept of one image, for a slider."""

    number: int
    name: str
    amount: float
    """How much of it the image has."""
    most: float
    """How much of it may be had: four times as much as the image has, or half as much again as rich images have."""
    rich: float
    """How much of it images have that are rich in it; more than that is seldom seen."""
    target: str
    """The class that it speaks for most, or most against."""
    weight: float
    """Theta's, of that class."""


@dataclass(frozen=True, eq=False)
class ConceptSight:
    """What is seen: the image (C, H, W) in [-1, 1], 8-bit exact; the classifier's probabilities of it (classes,); and
    what the concepts alone say (classes,).
    """

    image: Tensor
    probabilities: Tensor
    predicted: Tensor


class ConceptSession:
    """Specimens whose concepts can be changed.

    A specimen is read once; after that a change costs one pass through the generator and one through the classifier.
    Where a generated image's latents are known, they take the place of what an encoder would find.

    Args:
        bundle: with a concept model.
        specimens: the images to choose from; at least one. `generated` draws some, `opened` reads yours.

    Raises:
        InputError: if the bundle has no concepts, or there is no specimen.
    """

    def __init__(self, bundle: Bundle, specimens: Sequence[Specimen]) -> None:
        check(len(specimens) > 0, "specimens", "hold at least one image", "none", "draw some with `generated`")
        self.bundle, self.specimens, self.model = bundle, list(specimens), concept_model(bundle)
        self.class_names = tuple(bundle.class_names)
        self.drawn = bundle.generator.interactive()
        self.rich = rich_maps(bundle)
        self._read: dict[int, Concepts] = {}

    @torch.no_grad()
    def concepts(self, index: int) -> Concepts:
        """What the model reads in a specimen; remembered.

        Raises:
            InputError: if there is no such specimen.
        """
        check_between("index", index, 0, len(self.specimens) - 1)
        if index not in self._read:
            specimen = self.specimens[index]
            with evaluating(self.bundle.classifier, self.bundle.generator, self.model):
                found = self.model.concepts(specimen.image[None])
                if specimen.ws is not None and found.support is not None and found.support.ndim == 3:
                    found = found._replace(support=self.model.omega.left_out(specimen.ws[None], found.phi), detail=None)
            self._read[index] = found
        return self._read[index]

    def bars(self, index: int, count: int = 8) -> list[ConceptBar]:
        """The concepts to move: those that matter most for the image's class, then those that could change it most.

        Args:
            index: the specimen.
            count: how many of each kind at most, together.
        """
        check_at_least("count", count, 1)
        weights = self.model.theta.weight.detach().float()
        amount, rich = self.concepts(index).phi[0].amax((1, 2)), self.rich.amax((1, 2))
        own = int(self.specimens[index].probabilities.argmax())
        here = (amount * weights[own]).argsort(descending=True).tolist()
        others = torch.cat([weights[:own], weights[own + 1 :]])
        missing = ((rich - amount).clamp_min(0) * (others - weights[own]).amax(0)).argsort(descending=True).tolist()
        first = here[: count - count // 2]
        which = list(dict.fromkeys(first + [k for k in missing if k not in first]))[:count]
        return [self._bar(k, float(amount[k]), float(rich[k]), weights[:, k]) for k in which]

    def _bar(self, k: int, amount: float, rich: float, weights: Tensor) -> ConceptBar:
        label = int(weights.abs().argmax())
        most = max(4 * amount, 1.5 * rich, 1e-6)
        name, target = self.model.names[k], self.class_names[label]
        return ConceptBar(k, name, amount, most, rich, target, float(weights[label]))

    @torch.no_grad()
    def at(self, index: int, amounts: Mapping[int, float]) -> ConceptSight:
        """A specimen with other amounts of some concepts; all others stay.

        Args:
            index: the specimen.
            amounts: concept, by number, to how much of it there shall be, 0 or more.

        Raises:
            InputError: if there is no such specimen or concept, or an amount is negative.
        """
        found = self.concepts(index)
        phi = found.phi.clone()
        for k, amount in amounts.items():
            check_between("concept", k, 0, phi.shape[1] - 1)
            check(amount >= 0, "amounts", "be 0 or more", f"{amount} for concept {k}")
            have, rich = float(phi[0, k].max()), self.rich[k]
            hardly = have <= HARDLY * float(rich.max())
            shape = rich / rich.max().clamp_min(1e-12) if hardly else phi[0, k] / have
            phi[0, k] = amount * shape
        ws = self.model.latents(phi, found.support)
        with evaluating(self.bundle.classifier):
            detail = {} if found.detail is None else {"detail": found.detail}
            image = quantised(self.drawn.synthesis(ws, noise_mode="const", **detail))
            p = self.bundle.classifier.probabilities(image)[0].float()
        return ConceptSight(image[0], p, self.model.predict(phi)[0].softmax(0).float())

    def where(self, index: int, concept: int) -> Tensor:
        """Where a concept is in a specimen, (H, W), 0 or more."""
        check_between("index", index, 0, len(self.specimens) - 1)
        return concept_maps(self.bundle, self.specimens[index].image[None], [concept])[0, 0]
