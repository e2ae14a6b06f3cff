"""Images to choose from, explanations of them, and the walk from one to the other. No browser needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from histoxplain._checks import check, check_between
from histoxplain.explain import Explanation, Film, LatentSearch, film_of, judge
from histoxplain.explain.explainer import class_index

if TYPE_CHECKING:
    from histoxplain.models import Bundle
    from histoxplain.widgets.specimen import Specimen


class CounterfactualSession:
    """Specimens, and what they would have to look like.

    Args:
        bundle: classifier and generator.
        specimens: the images to choose from; at least one.
        steps: of a walk, both ends included.
        seed: fixes every search.
    """

    def __init__(self, bundle: Bundle, specimens: Sequence[Specimen], steps: int = 21, seed: int = 0) -> None:
        check(len(specimens) > 0, "specimens", "hold at least one image", "none", "draw some with `generated`")
        check_between("steps", steps, 2, 200)
        self.bundle, self.specimens, self.steps, self.seed = bundle, list(specimens), steps, seed
        self.class_names = tuple(bundle.class_names)
        self._search = LatentSearch(bundle)
        self._known: dict[tuple[int, int, int], Explanation] = {}
        self._walks: dict[tuple[int, int], Film] = {}

    def targets(self, index: int) -> list[str]:
        """The classes a specimen can be asked to become: all but the classifier's opinion, the most probable first."""
        order = self.specimens[index].probabilities.argsort(descending=True).tolist()
        return [self.class_names[k] for k in order[1:]]

    def opinion(self, index: int) -> str:
        """What the classifier thinks of a specimen, in words: "benign 97%"."""
        p = self.specimens[index].probabilities
        return f"{self.class_names[int(p.argmax())]} {float(p.max()):.0%}"

    def explain(self, index: int, target: str | int, count: int = 1) -> Explanation:
        """Look for `count` counterfactuals of a specimen; what was found before is remembered.

        Raises:
            InputError: if there is no such specimen or class, or the classifier is already of that opinion.
        """
        check_between("index", index, 0, len(self.specimens) - 1)
        key = (index, class_index(target, self.class_names), count)
        if key not in self._known:
            self._known[key] = self._explain(self.specimens[index], target, count)
        return self._known[key]

    def _explain(self, specimen: Specimen, target: str | int, count: int) -> Explanation:
        name = [specimen.name]
        if specimen.ws is None:
            return self._search.explain(specimen.image, target, count, self.seed, ids=name)[0]
        z = None if specimen.z is None else specimen.z[None]
        return self._search.explain_latents(specimen.ws[None], target, count, self.seed, z, ids=name)[0]

    def walk(self, explanation: Explanation, which: int = 0) -> Film:
        """The way to one of the counterfactuals, straight through latent space; remembered.

        Raises:
            InputError: if there is no such counterfactual.
        """
        key = (id(explanation), which)
        if key not in self._walks:
            self._walks[key] = film_of(self.bundle, explanation, which, self.steps)
        return self._walks[key]

    @torch.no_grad()
    def second_opinion(self, explanation: Explanation) -> Explanation:
        """The same explanation with the probabilities, and the verdict, of the bundle's independent classifier.

        Raises:
            InputError: if the bundle brings none.
        """
        oracle = self.bundle.oracle
        check(oracle is not None, "bundle", "bring an oracle", "none", "train a second classifier, or leave this out")
        _, before, _ = judge(oracle, explanation.original[None], explanation.target_class, explanation.threshold)
        _, after, valid = judge(oracle, explanation.counterfactuals, explanation.target_class, explanation.threshold)
        return replace(explanation, probabilities_before=before[0], probabilities_after=after, valid=valid)
