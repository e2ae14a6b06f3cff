"""Counterfactuals in concepts: the fewest concepts of which there must be more or less."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from histoxplain._checks import check_at_least, check_between
from histoxplain.explain.concept_change import rows
from histoxplain.explain.concept_moves import ConceptStart, Seen, rich_maps
from histoxplain.explain.concepts import concept_model
from histoxplain.explain.explainer import THRESHOLD, Explainer, Found

if TYPE_CHECKING:
    from histoxplain.models import Bundle

CONFIDENCE = 0.9
"""Probability of the target at which the search is content, where it can be had."""
BEAM = 4
"""Sets of concepts that are kept of each size."""
PARTNERS = 8
"""Steps that each of them is tried with."""
FARTHER = (1.0, 1.03, 1.1, 1.3)
"""Parts of that change that are taken, one after the other, until the bundle's own networks see the target, too."""
HALVINGS = 6
"""How often the way to a counterfactual is halved in looking for the smallest change."""


class ConceptSearch(Explainer):
    """The fewest concepts to change until the classifier decides otherwise (VisCoIN, Parekh et al., 2024).

    A concept can be removed altogether, or as much of it added as images have that are rich in it (`reach` times as
    much), and everything between. Every single concept is tried, at two strengths; then sets of two, three and more:
    the best smaller sets with the best single steps (a beam search), and the set that does best going by the concepts
    alone. What can be left out of a set is left out. So one concept is found for certain where one is enough; larger
    sets are the smallest that were found, and none of their concepts can be done without. Of the sets of that size the
    one whose image changes least wins, after going back along its way as far as the classifier stays convinced.

    The image starts from what the concept model redraws of it. Where that already shows the class asked for, concepts
    explain nothing, and no counterfactual comes back. Several counterfactuals have no concept in common.

    `Explanation.settings`: `concepts`, how many changed in each counterfactual; `changed`, which, from which activation
    to which; `concept_probability`, what the concepts alone (Theta) then give to the target; `reconstruction_l1` and
    `reconstruction_agrees`, what redrawing did to the image and whether it kept its class.

    Args:
        bundle: with a concept model.
        most: how many concepts may change.
        reach: see above; 0 only removes.
        confidence: probability of the target at which the search is content; where it cannot be had, it is at
            less, and at `threshold` in the end.
        threshold: see `Explainer`.
        batch_size: see `Explainer`.
        fit: see `Explainer`.

    Raises:
        InputError: if the bundle has no concepts, or an option is not what was expected.
    """

    method: ClassVar[str] = "concepts"
    needs: ClassVar[tuple[str, ...]] = ("generator", "concepts")

    def __init__(
        self,
        bundle: Bundle,
        *,
        most: int = 6,
        reach: float = 1.5,
        confidence: float = CONFIDENCE,
        threshold: float = THRESHOLD,
        batch_size: int | None = None,
        fit: bool = False,
    ) -> None:
        super().__init__(bundle, threshold=threshold, batch_size=batch_size, fit=fit)
        check_at_least("most", most, 1)
        check_at_least("reach", reach, 0)
        check_between("confidence", confidence, 0, 0.999)
        self.most, self.reach, self.confidence = most, reach, max(confidence, threshold)

    @torch.no_grad()
    def search(self, x: Tensor, sources: Tensor, targets: Tensor, count: int, seed: int) -> list[Found]:
        """Read the images' concepts, then look for the fewest; see `Explainer.search`. Nothing is drawn by chance."""
        model, more = concept_model(self.bundle), self.reach * rich_maps(self.bundle)
        concepts, found = model.concepts(x), []
        for i, (image, source, target) in enumerate(zip(x, sources.tolist(), targets.tolist())):
            start = ConceptStart(self.bundle, rows(concepts, [i]), target, more)
            found.append(self.answer(start, image, source, count))
        return found

    def answer(self, start: ConceptStart, image: Tensor, source: int, count: int) -> Found:
        """Up to `count` counterfactuals of one image."""
        again = start.reconstruction
        settings = {
            "count": count,
            "reconstruction_l1": round(float((again.images[0] - image).abs().mean()), 4),
            "reconstruction_agrees": int(again.probabilities[0].argmax()) == source,
        }
        if int(again.probabilities[0].argmax()) == start.target:
            note = "redrawn, the image already shows the class asked for: concepts explain nothing here"
            return Found(image[None][:0], again.images[0], settings=settings | {"concepts": [], "note": note})
        free, answers = torch.ones(len(start.activation), dtype=torch.bool), []
        for _ in range(count):
            best, reached = self.fewest(start, free)
            if best is None or (answers and not reached):
                break
            answers.append(best)
            free = free & (best.amounts[0] == 0)
            if not reached:
                break
        return self.found(start, answers, settings)

    def fewest(self, start: ConceptStart, free: Tensor) -> tuple[Seen | None, bool]:
        """The smallest change with the fewest of the concepts `free` `(K,)`, and whether it reaches the target.

        None where no concept is left to change.
        """
        single = start.single(free)
        if not len(single):
            return None, False
        levels, promise = [start.look(single, quick=True)], start.promise(single)
        by_image, by_concepts = (lead.argsort(descending=True).cpu() for lead in (levels[0].lead, promise))
        partners = single[torch.cat([by_image[:PARTNERS], by_concepts[: PARTNERS // 2]]).unique()]
        for size in range(2, min(self.most, int(free.sum())) + 1):
            if levels[-1].reach(self.confidence).any():
                break
            best = levels[-1].amounts[levels[-1].lead.argsort(descending=True).cpu()[:BEAM]]
            sets = torch.cat([best[:, None].expand(-1, len(partners), -1).flatten(0, 1), partners.repeat(len(best), 1)])
            sets = torch.cat([combined(*sets.chunk(2), size), first_concepts(single[by_concepts], size)])
            if not len(sets):
                break
            levels.append(start.look(sets, quick=True))
        for sure in (self.confidence, (self.confidence + self.threshold) / 2, self.threshold):
            for level in levels:
                if level.reach(sure).any():
                    return self.smallest(start, self.pruned(start, level[level.reach(sure)], sure), sure), True
        ends = [(float(level.lead.max()), level) for level in levels]
        nearest = max(ends, key=lambda end: end[0])[1]
        return nearest[nearest.lead.argmax()[None]], False

    def pruned(self, start: ConceptStart, seen: Seen, sure: float) -> Seen:
        """Steps that arrive, without the concepts that can be left out."""
        while True:
            some = seen.amounts[seen.l1.argsort()[:BEAM].cpu()]
            places = [(row, k) for row in some for k in row.nonzero()[:, 0].tolist()]
            left = [row.masked_fill(torch.arange(len(row)) == k, 0) for row, k in places]
            fewer = [row for row in left if row.any()]
            if not fewer:
                return seen
            tried = start.look(torch.stack(fewer).unique(dim=0), quick=True)
            if not tried.reach(sure).any():
                return seen
            seen = tried[tried.reach(sure)]

    def smallest(self, start: ConceptStart, seen: Seen, sure: float) -> Seen:
        """Of steps that arrive, the one whose image changes least, taken no farther than it must be: one row."""
        seen = seen[seen.l1.argsort()[:BEAM]]
        low, high = torch.zeros(len(seen.amounts)), torch.ones(len(seen.amounts))
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            ok = start.look(middle[:, None] * seen.amounts, quick=True).reach(sure).cpu()
            low, high = torch.where(ok, low, middle), torch.where(ok, middle, high)
        for more in FARTHER:
            least = start.look((more * high).clamp(max=1.0)[:, None] * seen.amounts)
            if least.reach(sure).any():
                least = least[least.reach(sure)]
                return least[least.l1.argmin()[None]]
        return least[least.lead.argmax()[None]]

    def found(self, start: ConceptStart, answers: list[Seen], settings: dict[str, Any]) -> Found:
        """What was found, the smallest change first, with the names of what changed."""
        again = start.reconstruction.images[0]
        if not answers:
            return Found(again[None][:0], again, settings=settings | {"concepts": []})
        answers = sorted(answers, key=lambda one: (int((one.amounts != 0).sum()), float(one.l1)))
        amounts, images = (torch.cat([getattr(one, name) for one in answers]) for name in ("amounts", "images"))
        moved, model = start.moved(amounts), concept_model(self.bundle)
        ends = model.latents(moved.phi, moved.support)
        latents = {"start": model.latents(start.concepts.phi, start.concepts.support)[0], "end": ends}
        if start.concepts.detail is not None:
            latents |= {"detail": start.concepts.detail[0], "gain": torch.ones(len(ends))}
        predicted = model.predict(moved.phi).softmax(1)[:, start.target]
        settings = settings | {
            "concepts": (amounts != 0).sum(1).tolist(),
            "changed": [self.changed(start, row) for row in amounts],
            "concept_probability": [round(float(p), 4) for p in predicted],
        }
        return Found(images, again, latents=latents, settings=settings)

    def changed(self, start: ConceptStart, amounts: Tensor) -> list[dict[str, Any]]:
        """Which concepts changed, the largest step first: number, name, and activation before and after."""
        before, after = start.activation, start.moved(amounts[None]).phi[0].amax((1, 2))
        names = concept_model(self.bundle).names
        return [
            {"concept": k, "name": names[k], "from": round(float(before[k]), 4), "to": round(float(after[k]), 4)}
            for k in amounts.abs().argsort(descending=True, stable=True).tolist()
            if amounts[k] != 0
        ]


def first_concepts(steps: Tensor, size: int) -> Tensor:
    """The first steps `(n, K)` of so many different concepts, as one set `(1, K)`; none where there are not so many.

    Example:
        >>> first_concepts(torch.tensor([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0], [0.4, 0.0, 0.0]]), 2).tolist()
        [[0.4000000059604645, 1.0, 0.0]]
    """
    chosen = torch.zeros_like(steps[:1])
    for step in steps:
        if int((chosen != 0).sum()) < size and not ((chosen != 0) & (step != 0)).any():
            chosen = chosen + step
    return chosen[(chosen != 0).sum(1) == size]


def combined(sets: Tensor, steps: Tensor, size: int) -> Tensor:
    """Sets of steps `(n, K)`, each with one more step `(n, K)`; those of `size` concepts, each once.

    Example:
        >>> combined(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.0, -1.0], [-1.0, 0.0]]), 2).tolist()
        [[1.0, -1.0]]
    """
    both = sets + steps
    fine = ((both != 0).sum(1) == size) & ((sets != 0) & (steps != 0)).sum(1).eq(0)
    return both[fine].unique(dim=0)
