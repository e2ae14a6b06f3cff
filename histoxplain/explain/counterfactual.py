"""Classifier-guided search in a generator's latent space: the smallest move that changes the classifier's mind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from histoxplain._checks import check, check_at_least, check_between, check_one_of
from histoxplain.explain.arrival import Arrival, arrivals, last_resort
from histoxplain.explain.diverse import mean_pairwise_distance, select_diverse
from histoxplain.explain.explainer import THRESHOLD, Explainer, Found
from histoxplain.explain.images import quantised
from histoxplain.explain.invert import invert
from histoxplain.explain.latent_space import device_of, draw, latent_space
from histoxplain.explain.moves import Descent, Start, anchor_moves, blended_moves, class_moves, layer_variants
from histoxplain.explain.pixels import PixelAscent
from histoxplain.explain.record import Explanation
from histoxplain.explain.search import Move

if TYPE_CHECKING:
    from histoxplain.explain.explainer import AnyImage, Target
    from histoxplain.models import Bundle

CONFIDENCE = 0.96
"""Mean probability over views at which the latent search is content; see `LatentSearch`."""


class LatentSearch(Explainer):
    """The smallest move in W+ whose saved image the classifier gives to the target, without leaving real tissue.

    Candidates are straight paths from the image's latent: towards the same noise under the other label (generated
    images), along the difference of class means, towards samples of the target class, and along a blend of these found
    by gradient descent on the classifier's margin. Paths are bracketed and bisected, the best ones again with only some
    layers moving, and the one that changes the image least wins.

    Three things keep adversarial patterns out: latents stay between those of the image and of real samples; the
    classifier must be convinced of turned, shifted, grainy, faded and softened views as well; and by `confidence`, not
    just by `threshold`.

    Args:
        bundle: the generator and the classifier.
        confidence: mean probability over views at which the search stops; at least `threshold`.
        inversion_steps: gradient steps for the latent of a real image.
        detail_steps: gradient steps for what W+ cannot say of it; 0 does without.
        gradient_steps: steps of the gradient descent; 0 leaves it out.
        anchors: how many samples of the target class to move towards.
        threshold: see `Explainer`.
        batch_size: see `Explainer`.
        fit: see `Explainer`.
    """

    method: ClassVar[str] = "latent"

    def __init__(
        self,
        bundle: Bundle,
        *,
        confidence: float = CONFIDENCE,
        inversion_steps: int = 60,
        detail_steps: int = 30,
        gradient_steps: int = 12,
        anchors: int = 4,
        threshold: float = THRESHOLD,
        batch_size: int = 4,
        fit: bool = False,
    ) -> None:
        super().__init__(bundle, threshold=threshold, batch_size=batch_size, fit=fit)
        check_between("confidence", confidence, 0.0, 0.999)
        check_at_least("inversion_steps", inversion_steps, 1)
        check_at_least("gradient_steps", gradient_steps, 0)
        check_at_least("anchors", anchors, 1)
        check_at_least("detail_steps", detail_steps, 0)
        self.confidence, self.inversion_steps = max(confidence, threshold), inversion_steps
        self.detail_steps = detail_steps
        self.gradient_steps, self.anchors = gradient_steps, anchors

    def search(self, x: Tensor, sources: Tensor, targets: Tensor, count: int, seed: int) -> list[Found]:
        """Invert the images, then move; see `Explainer.search`."""
        inversion = invert(self.bundle, x, sources, steps=self.inversion_steps, detail_steps=self.detail_steps)
        details = [None] * len(x) if inversion.detail is None else list(inversion.detail)
        rows = zip(inversion.ws, inversion.images, sources.tolist(), targets.tolist(), [None] * len(x), details)
        found = self.move([Start(*row) for row in rows], count, seed)
        measured = zip(inversion.images, inversion.l1.tolist(), inversion.agrees.tolist())
        return [
            Found(
                one.counterfactuals,
                image,
                one.latents,
                one.settings | {"reconstruction_l1": round(l1, 4), "reconstruction_agrees": agrees},
            )
            for one, (image, l1, agrees) in zip(found, measured)
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
            parts = zip(ws[rows], x[rows], sources.tolist(), targets.tolist(), noise)
            return self.move([Start(*part) for part in parts], count, seed)

        return self._explain(x, target, names, {"count": count, "seed": seed}, search)

    def move(self, starts: list[Start], count: int, seed: int) -> list[Found]:
        """Search from known latents, all images at once."""
        space, G, several = latent_space(self.bundle), self.bundle.generator, count > 1
        anchors = self.anchors + (2 * count if several else 0)
        with torch.no_grad():
            moves = [class_moves(s, space, G) + anchor_moves(s, space, anchors) for s in starts]
        pools, sure = self.first(starts, moves, keep=2 * count if several else 2)
        if self.gradient_steps:
            self.extend(pools, starts, self.refined(starts, moves, pools, seed), 1, sure)
        best = [[v for arrival in pool[: count + 1] for v in layer_variants(arrival.move)] for pool in pools]
        self.extend(pools, starts, best, 3 * count, sure)
        return [self.found(start, pool, count, c) for start, pool, c in zip(starts, pools, sure)]

    def first(self, starts: list[Start], moves: list[list[Move]], keep: int) -> tuple[list[list[Arrival]], list[float]]:
        """Follow the first moves; where none gets the full confidence, ask for less of it, never below the threshold.

        Returns:
            The arrivals of each image, at least one, and the confidence asked of each.
        """
        sure = [self.confidence] * len(starts)
        pools = arrivals(self.bundle, starts, moves, keep, self.threshold, sure)
        for less in ((self.confidence + self.threshold) / 2, self.threshold):
            for i in [i for i, pool in enumerate(pools) if not pool]:
                sure[i] = less
                pools[i] = arrivals(self.bundle, [starts[i]], [moves[i]], keep, self.threshold, [less])[0]
        for i in [i for i, pool in enumerate(pools) if not pool]:
            pools[i] = [last_resort(self.bundle, starts[i], moves[i])]
        return pools, sure

    def extend(
        self, pools: list[list[Arrival]], starts: list[Start], moves: list[list[Move]], keep: int, sure: list[float]
    ) -> None:
        """Follow more moves and sort them into the pools."""
        for pool, more in zip(pools, arrivals(self.bundle, starts, moves, keep, self.threshold, sure)):
            pool += more
            pool.sort(key=lambda arrival: (not arrival.reached, arrival.cost))

    def refined(
        self, starts: list[Start], moves: list[list[Move]], pools: list[list[Arrival]], seed: int
    ) -> list[list[Move]]:
        """Blends of each image's moves that begin at its best arrival."""
        first = [(pool[0].move, pool[0].alpha) for pool in pools]
        how = Descent(steps=self.gradient_steps)
        return [[move] for move in blended_moves(starts, moves, first, self.bundle, how, seed)]

    def found(self, start: Start, pool: list[Arrival], count: int, sure: float) -> Found:
        """The best of the pool, or `count` that differ; with what was measured."""
        images, cost = torch.stack([a.image for a in pool]), torch.tensor([a.cost for a in pool])
        reached = [i for i, arrival in enumerate(pool) if arrival.reached] or [0]
        chosen = [pool[reached[i]] for i in select_diverse(images[reached], cost[reached], count)]
        shown = torch.stack([arrival.image for arrival in chosen])
        ends = torch.stack([start.ws + arrival.step for arrival in chosen])
        settings = {
            "confidence": round(sure, 4),
            "moves": [arrival.move.name for arrival in chosen],
            "alpha": [round(arrival.alpha, 4) for arrival in chosen],
            "change": [round(arrival.cost, 4) for arrival in chosen],
            "candidates": len(pool),
            "mean_pairwise_distance": round(mean_pairwise_distance(shown), 4),
        }
        latents = {"start": start.ws.clone(), "end": ends}
        if start.detail is not None:
            latents |= {"detail": start.detail.clone(), "gain": torch.tensor([arrival.gain for arrival in chosen])}
        return Found(shown, None, latents, settings)


METHODS: dict[str, type[Explainer]] = {LatentSearch.method: LatentSearch, PixelAscent.method: PixelAscent}


def make_explainer(method: str, bundle: Bundle, **options: Any) -> Explainer:
    """The explainer of that name.

    Raises:
        InputError: if there is no such method.
    """
    check_one_of("method", method, METHODS)
    return METHODS[method](bundle, **options)


def counterfactual(
    bundle: Bundle,
    image: AnyImage,
    target: int | str | None = None,
    count: int = 1,
    method: str = "latent",
    seed: int = 0,
    **options: Any,
) -> Explanation:
    """What this image would have to look like for the classifier to say `target`.

    Args:
        bundle: the classifier to explain and the generator to draw with; see `hx.load_bundle`.
        image: a tensor `(C, H, W)` or `(1, C, H, W)` in `[-1, 1]`, a file, a `Case` or a PIL image.
        target: a class by name or number; None takes the runner-up.
        count: how many different answers.
        method: a name in `METHODS`: "latent", or for comparison "pixels".
        seed: fixes every draw.
        options: of the method's explainer, for instance `threshold=0.8` or `fit=True`.

    Raises:
        InputError: if the image, target, count or method is not what was expected.
    """
    check(not isinstance(image, list | tuple), "image", "be one image", "several", "use `Explainer.explain`")
    return make_explainer(method, bundle, **options).explain([image], target, count, seed)[0]


def explain_latents(
    bundle: Bundle,
    ws: Tensor,
    target: Target = None,
    count: int = 1,
    seed: int = 0,
    z: Tensor | None = None,
    **options: Any,
) -> list[Explanation]:
    """Counterfactuals of generated images, whose latents `(N, num_ws, w_dim)` are known; see `LatentSearch`."""
    return LatentSearch(bundle, **options).explain_latents(ws, target, count, seed, z)
