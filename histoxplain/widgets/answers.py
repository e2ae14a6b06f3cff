"""What would it take? Answers to questions, and the ways there; remembered. No browser needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from histoxplain._checks import check, check_between, check_one_of
from histoxplain.explain import METHODS, Explanation, Film, film_of
from histoxplain.explain.counterfactual import make_explainer
from histoxplain.explain.options import options_of
from histoxplain.widgets.place import Sight
from histoxplain.widgets.state import Question, Walk

if TYPE_CHECKING:
    from torch import Tensor

    from histoxplain.widgets.explore_session import ExploreSession

FRAMES = 21
"""Of a walk, both ends included."""
MOST = 12
"""Answers to a question."""


class Answers:
    """Counterfactuals of what is seen from places.

    Args:
        session: draws and classifies.
        seed: fixes every search.
    """

    def __init__(self, session: ExploreSession, seed: int = 0) -> None:
        self.session, self.seed = session, seed
        self._known: dict[Question, Explanation] = {}
        self._films: dict[tuple[Question, int], Film] = {}

    @property
    def methods(self) -> list[str]:
        """What can look for an answer with the networks of the bundle."""
        parts = vars(self.session.bundle)
        return [name for name, one in METHODS.items() if all(parts.get(part) is not None for part in one.needs)]

    def check(self, question: Question) -> None:
        """Whether a question can be asked.

        Raises:
            InputError: if its class, count, method or mask is not what was expected, or the method keeps to no region.
        """
        side = self.session.bundle.resolution
        check_one_of("target", question.target, self.session.class_names)
        check_between("count", question.count, 1, MOST)
        check_one_of("method", question.method, self.methods)
        mask = question.mask
        check(len(mask) in (0, side**2), "mask", f"hold {side**2} bytes, one a pixel, or none", len(mask))
        able = not mask or "mask" in options_of(METHODS[question.method])
        check(able, "method", "be one that keeps to a region", question.method, "clear the region, or ask with latent")

    def explain(self, question: Question) -> Explanation:
        """Look for answers; remembered. Takes seconds; may run in another thread than everything else.

        Raises:
            InputError: if it cannot be asked, or the classifier is already of that opinion.
        """
        self.check(question)
        if question not in self._known:
            with self.session.searching:
                self._known[question] = self._explained(question)
        return self._known[question]

    def _explained(self, question: Question) -> Explanation:
        place, session = question.place, self.session
        options = {"mask": mask_tensor(question.mask, session.bundle.resolution)} if question.mask else {}
        explainer = make_explainer(question.method, session.bundle, **options)
        asked = (question.target, question.count, self.seed)
        ids, z = [session.name(place)], None
        moved = bool(place.channels) or any(place.steps)
        specimen = None if place.image is None else session.images[place.image]
        if specimen is None:
            z = session.latents.z[place.point][None]
        elif specimen.z is not None:
            z = specimen.z[None]
        drawn = specimen is None or specimen.ws is not None
        if drawn and not place.channels and hasattr(explainer, "explain_latents"):
            return explainer.explain_latents(session.latent(place), *asked, z=z, ids=ids)[0]
        image = specimen.image if specimen is not None and not moved else session.at(place).image
        return explainer.explain(image, *asked, ids=ids)[0]

    def film(self, question: Question, which: int = 0) -> Film:
        """The way to an answer, frame by frame; remembered."""
        key = (question, which)
        if key not in self._films:
            explanation = self.explain(question)
            with self.session.searching:
                self._films[key] = film_of(self.session.bundle, explanation, which, FRAMES)
        return self._films[key]

    def sight(self, walk: Walk) -> Sight:
        """What is seen on the way to an answer; at its end, exactly the counterfactual."""
        film, explanation = self.film(walk.question, walk.which), self.explain(walk.question)
        at = round(walk.at * (len(film) - 1))
        image, p = film.frames[at], film.probabilities[at]
        if at == len(film) - 1:
            image, p = explanation.counterfactuals[walk.which], explanation.probabilities_after[walk.which]
        return Sight(image, p, self._where(explanation, walk), *self.session.interval(image, p))

    def _where(self, explanation: Explanation, walk: Walk) -> Tensor:
        """The mean latent of a walk, (w_dim,); that of its start where the method has none to walk through."""
        ends = explanation.latents
        if not {"start", "end"} <= set(ends):
            return self.session.latent(walk.question.place)[0, 0].float().cpu()
        return torch.lerp(ends["start"], ends["end"][walk.which], walk.at).mean(0).float()


def mask_tensor(mask: bytes, side: int) -> Tensor:
    """Bytes of a `Question.mask` as (side, side) in [0, 1].

    Example:
        >>> mask_tensor(bytes([0, 255, 255, 0]), 2).tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    return torch.from_numpy(np.frombuffer(mask, dtype=np.uint8).reshape(side, side) / np.float32(255))
