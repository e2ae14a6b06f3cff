"""Steps in the space of concepts: how much less or more of each, and what the classifier says to that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn import functional as F

from histoxplain.data import to_unit
from histoxplain.explain.concept_change import drawn, rows
from histoxplain.explain.concepts import BATCH, concept_model
from histoxplain.explain.latent_space import latent_space
from histoxplain.models.viscoin.config import POOLED

if TYPE_CHECKING:
    from histoxplain.models import Bundle
    from histoxplain.models.viscoin import Concepts

RICH = 0.1
"""Share of the generator's samples that count as rich in a concept: those with most of it."""
STRENGTHS = (1.0, 0.4)
"""Of the steps that are tried; the whole step may go too far."""
_known: WeakKeyDictionary = WeakKeyDictionary()


@torch.no_grad()
def rich_maps(bundle: Bundle) -> Tensor:
    """Every concept as images have it that are rich in it: the mean of its maps in them, `(K, 3, 3)`.

    The images are samples of the bundle's generator, of all classes; measured once for a concept model.
    """
    model = concept_model(bundle)
    if model not in _known:
        pictures = latent_space(bundle).pictures
        phi = torch.cat([F.adaptive_avg_pool2d(model.maps(to_unit(some)), POOLED) for some in pictures.split(BATCH)])
        most = phi.amax((2, 3)).argsort(0, descending=True)[: max(1, round(RICH * len(phi)))]
        _known[model] = torch.stack([phi[most[:, k], k].mean(0) for k in range(phi.shape[1])])
    return _known[model]


@dataclass(frozen=True, eq=False)
class Seen:
    """Steps that were looked at, n of them, from one image."""

    amounts: Tensor
    """`(n, K)`, from -1 (none of the concept is left) over 0 (as it is) to 1 (as much is added as the limit says)."""
    images: Tensor
    """As saved, `(n, C, H, W)`."""
    probability: Tensor
    """Of the target, `(n,)`."""
    lead: Tensor
    """Of the target's log-probability over the best other class's, `(n,)`."""
    l1: Tensor
    """Mean absolute difference to the reconstruction, `(n,)`."""

    def reach(self, probability: float) -> Tensor:
        """Which steps give the image to the target with at least this probability, `(n,)` bool."""
        return (self.lead > 0) & (self.probability >= probability)

    def __getitem__(self, some: Tensor) -> Seen:
        return Seen(*(part[some] for part in vars(self).values()))


class ConceptStart:
    """One image, its concepts, and the steps that can be taken from there.

    Args:
        bundle: with a concept model.
        concepts: of one image, as `ConceptModel.concepts` gives them.
        target: the class asked for.
        more: what is added to each concept at most, `(K, 3, 3)`.
    """

    def __init__(self, bundle: Bundle, concepts: Concepts, target: int, more: Tensor) -> None:
        self.bundle, self.concepts, self.target, self.more = bundle, concepts, target, more
        self.reconstruction = drawn(bundle, concepts)
        self.activation = concepts.phi[0].amax((1, 2))

    def moved(self, amounts: Tensor) -> Concepts:
        """The concepts after steps `(n, K)`."""
        found = rows(self.concepts, [0] * len(amounts))
        a = amounts.to(found.phi)[..., None, None]
        return found._replace(phi=found.phi * (1 + a.clamp(max=0)) + a.clamp(min=0) * self.more)

    def look(self, amounts: Tensor, quick: bool = False) -> Seen:
        """What images and the classifier make of steps `(n, K)`; quick networks are enough to choose among steps."""
        seen = drawn(self.bundle, self.moved(amounts), quick)
        p = seen.probabilities
        others = p.clone()
        others[:, self.target] = 0
        lead = p[:, self.target].clamp_min(1e-12).log() - others.amax(1).clamp_min(1e-12).log()
        l1 = (seen.images - self.reconstruction.images).abs().mean((1, 2, 3))
        return Seen(amounts, seen.images, p[:, self.target], lead, l1)

    def promise(self, amounts: Tensor) -> Tensor:
        """By how much the target's logit would lead after steps `(n, K)`, going by the concepts alone: `(n,)`."""
        logits = concept_model(self.bundle).predict(self.moved(amounts).phi).float()
        others = logits.clone()
        others[:, self.target] = -torch.inf
        return (logits[:, self.target] - others.amax(1)).cpu()

    def single(self, free: Tensor) -> Tensor:
        """Steps of one concept each, down and up, `(n, K)`; only those of `free` `(K,)` that do anything."""
        count = len(free)
        down = -torch.eye(count)[free & (self.activation.cpu() > 0)]
        up = torch.eye(count)[free & (self.more.amax((1, 2)).cpu() > 0)]
        return torch.cat([share * steps for share in STRENGTHS for steps in (down, up)])
