"""What all searches with a generator share: where images lie in it, what may change, and what counts as arriving."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from histoxplain._checks import check, check_at_least, check_between, check_one_of
from histoxplain.explain.arrival import confirmed
from histoxplain.explain.criteria import CRITERIA
from histoxplain.explain.diverse import SELECTIONS, choose, mean_pairwise_distance
from histoxplain.explain.explainer import THRESHOLD, Explainer, Found
from histoxplain.explain.images import quantised
from histoxplain.explain.invert import invert
from histoxplain.explain.latent_space import device_of, draw
from histoxplain.explain.lock import STAIN, Lock
from histoxplain.explain.mask import mask_of
from histoxplain.explain.moves import Start
from histoxplain.explain.record import Explanation
from histoxplain.explain.spaces import StyleSpace, only_where
from histoxplain.explain.stain_change import stain_change
from histoxplain.models.bundle import check_part

if TYPE_CHECKING:
    from histoxplain.explain.arrival import Arrival, Terms
    from histoxplain.explain.explainer import Target
    from histoxplain.explain.mask import AnyMask
    from histoxplain.explain.spaces import Space
    from histoxplain.models import Bundle

CONFIDENCE = 0.96
"""Mean probability over views at which searches are content; see `GeneratorSearch`."""


class GeneratorSearch(Explainer):
    """Finds images' latents, or takes them, and hands them to `move`, which a method overrides.

    Three things keep adversarial patterns out: points stay within what the generator draws for real samples; the
    classifier must be convinced of turned, shifted, grainy, faded and softened views as well; and by `confidence`, not
    just by `threshold`.

    Args:
        bundle: the generator and the classifier.
        confidence: mean probability over views at which the search stops; at least `threshold`.
        criterion: what "smallest" means, one of `CRITERIA`; see `Criterion`.
        mask: where the images may change, see `mask_of`; pixels where it is 0 stay the original's to the bit. None is
            everywhere.
        selection: how several answers are chosen, "spread" or "determinant"; see `diverse.choose`.
        lock: what must not change, see `Lock`: "coarse", "middle", "fine", "stain", names of layers or channels.
        inversion_steps: gradient steps for the latent of a real image; None leaves it to `invert`.
        detail_steps: gradient steps for what W+ cannot say of it; 0 does without, None leaves it to `invert`.
        threshold: see `Explainer`.
        batch_size: see `Explainer`.
        fit: see `Explainer`.

    Raises:
        InputError: if an option, the mask or the lock is not what was expected.
    """

    criterion_unless_told = "l1"

    def __init__(
        self,
        bundle: Bundle,
        *,
        confidence: float = CONFIDENCE,
        criterion: str | None = None,
        mask: AnyMask | None = None,
        lock: str | Sequence[str] = (),
        selection: str = "spread",
        inversion_steps: int | None = None,
        detail_steps: int | None = None,
        threshold: float = THRESHOLD,
        batch_size: int | None = None,
        fit: bool = False,
    ) -> None:
        check_part(bundle, "generator", f"the method {self.method}")
        super().__init__(bundle, threshold=threshold, batch_size=batch_size, fit=fit)
        check_between("confidence", confidence, 0.0, 0.999)
        check_at_least("inversion_steps", inversion_steps or 1, 1)
        check_at_least("detail_steps", detail_steps or 0, 0)
        self.criterion = criterion or self.criterion_unless_told
        check_one_of("criterion", self.criterion, CRITERIA)
        check_one_of("selection", selection, SELECTIONS)
        self.selection = selection
        self.confidence = max(confidence, threshold)
        steps = {"steps": inversion_steps, "detail_steps": detail_steps}
        self.inversion = {name: value for name, value in steps.items() if value is not None}
        self.mask = None if mask is None else mask_of(mask, bundle.resolution).to(self.device)
        self.lock = Lock(bundle.generator, lock)

    @abstractmethod
    def move(self, starts: list[Start], count: int, seed: int) -> list[Found]:
        """Search from known latents, all images at once: one `Found` an image, see `Explainer.search`."""

    def search(self, x: Tensor, sources: Tensor, targets: Tensor, count: int, seed: int) -> list[Found]:
        """Invert the images, then move; see `Explainer.search`."""
        inversion = invert(self.bundle, x, sources, **self.inversion)
        images = quantised(only_where(self.mask, inversion.images, x))
        details = [None] * len(x) if inversion.detail is None else list(inversion.detail)
        none = [None] * len(x)
        rows = zip(inversion.ws, images, sources.tolist(), targets.tolist(), none, details, x)
        found = self._moved([Start(*row, mask=self.mask) for row in rows], count, seed)
        measured = zip(inversion.l1.tolist(), inversion.agrees.tolist())
        return [
            self._noted(one, image, {"reconstruction_l1": round(l1, 4), "reconstruction_agrees": agrees})
            for one, image, (l1, agrees) in zip(found, images, measured)
        ]

    def explain_latents(
        self,
        ws: Tensor,
        target: Target = None,
        count: int = 1,
        seed: int = 0,
        z: Tensor | None = None,
        ids: Sequence[str] | None = None,
    ) -> list[Explanation]:
        """Explain generated images, whose latents are known.

        Args:
            ws: `(N, num_ws, w_dim)`.
            target: see `Explainer.explain`.
            count: see `Explainer.explain`.
            seed: see `Explainer.explain`.
            z: the noise the latents came from, `(N, z_dim)`; with it the same noise under another label is tried too.
            ids: what to call the images.
        """
        G = self.bundle.generator
        shape = (G.num_ws, G.w_dim)
        check(ws.ndim == 3 and ws.shape[1:] == shape, "ws", f"have shape (N, {shape[0]}, {shape[1]})", tuple(ws.shape))
        check_at_least("count", count, 1)
        names = list(ids) if ids is not None else [f"generated-{i + 1}" for i in range(len(ws))]
        ws = ws.to(device_of(G))
        x = quantised(draw(G, ws))

        def search(rows: Tensor, sources: Tensor, targets: Tensor) -> list[Found]:
            noise = [None] * len(rows) if z is None else list(z.to(ws)[rows])
            none = [None] * len(rows)
            parts = zip(ws[rows], x[rows], sources.tolist(), targets.tolist(), noise, none, x[rows])
            return self._moved([Start(*part, mask=self.mask) for part in parts], count, seed)

        return self._explain(x, target, names, {"count": count, "seed": seed}, search)

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return device_of(self.bundle.generator)

    @torch.no_grad()
    def with_styles(self, starts: list[Start], space: Space) -> list[Start]:
        """The images with their places in StyleSpace, for searches there."""
        if not isinstance(space, StyleSpace):
            return starts
        styles = space.of(torch.stack([start.ws for start in starts]))
        return [replace(start, style=style) for start, style in zip(starts, styles)]

    def chosen(self, pool: list[Arrival], count: int) -> list[Arrival]:
        """The cheapest arrival, or `count` that differ; what did not arrive only where nothing did."""
        reached = [arrival for arrival in pool if arrival.reached] or pool[:1]
        images, cost = torch.stack([a.image for a in reached]), torch.tensor([a.cost for a in reached])
        return [reached[i] for i in choose(images, cost, count, self.selection)]

    def settled(
        self, terms: Terms, starts: list[Start], pools: list[list[Arrival]], count: int, sure: list[float]
    ) -> list[list[Arrival]]:
        """`chosen` of every pool, drawn and judged by the bundle's own networks; others where these do not agree."""
        chosen = [self.chosen(pool, count) for pool in pools]
        found = confirmed(terms, starts, chosen, sure)
        for confidences in (sure, [self.threshold] * len(sure)):
            rows = [i for i, some in enumerate(found) if len(some) < len(chosen[i]) and chosen[i][0].reached]
            again = confirmed(terms, *([some[i] for i in rows] for some in (starts, pools, confidences)))
            for i, pool in zip(rows, again):
                found[i] = self.chosen(pool, count) if pool else found[i]
        return [some or unconfirmed for some, unconfirmed in zip(found, chosen)]

    def answer(self, start: Start, chosen: list[Arrival], sure: float, settings: dict[str, Any]) -> Found:
        """Arrivals as what a search brings back, with what was measured."""
        shown = torch.stack([arrival.image for arrival in chosen])
        common = {
            "confidence": round(sure, 4),
            "moves": [arrival.move.name for arrival in chosen],
            "alpha": [round(arrival.alpha, 4) for arrival in chosen],
            "change": [round(arrival.cost, 4) for arrival in chosen],
            "mean_pairwise_distance": round(mean_pairwise_distance(shown), 4),
        }
        ends = torch.stack([arrival.move.start + arrival.step for arrival in chosen])
        latents = {"start": start.ws.clone()}
        latents |= {"end": ends} if start.style is None else {"start_style": start.style.clone(), "end_style": ends}
        if start.detail is not None:
            latents |= {"detail": start.detail.clone(), "gain": torch.tensor([arrival.gain for arrival in chosen])}
        return Found(shown, latents=latents, settings=common | settings)

    def _moved(self, starts: list[Start], count: int, seed: int) -> list[Found]:
        found = []
        for start, one in zip(starts, self.move(starts, count, seed)):
            settings = {"criterion": self.criterion}
            latents = dict(one.latents)
            if self.mask is not None:
                settings["mask"] = round(float(self.mask.mean()), 4)
                latents["mask"] = self.mask.clone()
            if self.lock.names:
                settings["lock"] = list(self.lock.names)
            if STAIN in self.lock.names and start.image.shape[0] == 3:
                settings["stain_change"] = [stain_change(start.image, image) for image in one.counterfactuals]
            found.append(replace(one, latents=latents, settings=one.settings | settings))
        return found

    @staticmethod
    def _noted(found: Found, image: Tensor, settings: dict[str, Any]) -> Found:
        return replace(found, reconstruction=image, settings=found.settings | settings)
