"""AttFind: the style coordinates that change a classifier's mind most, by trying all of them or only the promising."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from histoxplain._checks import check, check_at_least, check_between, check_one_of
from histoxplain.explain.latent_space import device_of, one_hot, sample_z
from histoxplain.explain.opinion import check_fit, class_pair, quiet
from histoxplain.explain.style_coordinates import StyleCoordinates
from histoxplain.explain.style_search import FIRST, exhaustive_search, fast_search, one_by_one
from histoxplain.explain.style_sweep import StyleSweep

if TYPE_CHECKING:
    from histoxplain.explain.style_search import Pair, Search
    from histoxplain.models import Bundle

SELECTIONS = ("mean", "greedy")


class AttFind:
    """The style coordinates that change a classifier's logit for a class most (Lang et al., Explaining in Style, 2021).

    Every coordinate of StyleSpace is taken to its highest and to its lowest value in every image, one at a time; those
    that raise the target's log-odds most in the mean are the result. `find(exhaustive=True)` does just that: twice as
    many images as there are coordinates, for each image, all drawn from the start. The fast search

    - ranks all coordinates by a first-order estimate: one gradient an image or, for black boxes, each coordinate taken
      up in a few images;
    - tries only the most promising, in a race: after the first 6 images, 12, 24, ..., those that are clearly behind
      drop out, so that only the leaders are tried on all images;
    - draws many changes at once, and only the layers from the changed one on.

    What was measured is kept: asking for another pair of classes, or again, draws only what is missing.

    Args:
        bundle: the generator and the classifier; the classifier may be any callable from images `(N, C, H, W)` in
            `[-1, 1]` to probabilities `(N, K)`.
        ws: latents of the images to explain, `(N, num_ws, w_dim)`; None draws `images` of them, of all classes.
        images: how many to draw.
        among: how many latents give the range of each coordinate; 250 in the paper.
        layers: names of the layers whose styles may change (see `Generator.styles`); None takes all convolutions.
        shift: how much of the way to the end of its range a coordinate is taken.
        gradients: whether the classifier has gradients; None finds out.
        pool: how many coordinates the fast search tries; None tries them until no other can be expected to win
            or, of a black box, half of all ups and downs.
        seed: draws the latents.

    Raises:
        InputError: if generator and classifier do not fit, there is one class only, or the classifier gives NaN.
    """

    def __init__(
        self,
        bundle: Bundle,
        ws: Tensor | None = None,
        *,
        images: int = 64,
        among: int = 250,
        layers: Sequence[str] | None = None,
        shift: float = 1.0,
        gradients: bool | None = None,
        pool: int | None = None,
        seed: int = 0,
    ) -> None:
        check_fit(bundle)
        check_at_least("images", images, 1)
        check_at_least("among", among, 2)
        check_between("shift", shift, 0.01, 10.0)
        self.bundle, self.layers, self.shift, self.gradients, self.seed = bundle, layers, shift, gradients, seed
        with quiet(bundle):
            self.range = _latents(bundle, among, seed)
            self.ws = _latents(bundle, images, seed + 1) if ws is None else ws.to(device_of(bundle.generator))
        shape = (bundle.generator.num_ws, bundle.generator.w_dim)
        ok = self.ws.ndim == 3 and self.ws.shape[1:] == shape and len(self.ws) > 0
        check(ok, "ws", f"have shape (N, {shape[0]}, {shape[1]})", tuple(self.ws.shape))
        self.pool, self._sweeps, self._estimates = pool, {}, {}

    def find(
        self,
        target: int | str,
        source: int | str | None = None,
        count: int = 10,
        selection: str = "mean",
        exhaustive: bool = False,
    ) -> StyleCoordinates:
        """The coordinates that lead to a class.

        Args:
            target: class by name or number.
            source: class of the images to look at, which the target is compared with; None looks at all images that
                the classifier does not give to `target`, and compares with all other classes.
            count: how many coordinates.
            selection: "mean" takes those with the largest mean effect. "greedy" takes the largest, sets the images that
                it turns into the target aside, takes the largest for the others, and so on, as the paper does.
            exhaustive: try every coordinate on every image.

        Raises:
            InputError: if a class or selection is unknown, or the classifier gives no image to the source.
        """
        pair = class_pair(self.bundle, target, source)
        check_one_of("selection", selection, SELECTIONS)
        check_at_least("count", count, 1)
        began = time.perf_counter()
        with quiet(self.bundle):
            drawn = self._sweeps[not exhaustive].drawn if (not exhaustive) in self._sweeps else 0
            sweep = self._sweep(reuse=not exhaustive)
            images = self._asked(sweep, *pair)
            search = exhaustive_search(sweep, pair) if exhaustive else self._search(sweep, images, pair)
            if selection == "greedy":
                rows = one_by_one(sweep, images, count, search, pair)
            else:
                rows = search(torch.arange(len(sweep)), images, count)
        seconds = {"seconds": round(time.perf_counter() - began, 4), "images_drawn": sweep.drawn - drawn}
        how = {"selection": selection, "exhaustive": exhaustive, "seed": self.seed} | seconds
        return self._record(sweep, rows, images, *pair, how)

    def _sweep(self, reuse: bool) -> StyleSweep:
        if reuse not in self._sweeps:
            self._sweeps[reuse] = StyleSweep(self.bundle, self.ws, self.range, self.layers, self.shift, reuse)
        return self._sweeps[reuse]

    def _asked(self, sweep: StyleSweep, target: int, source: int | None) -> Tensor:
        said = sweep.before.argmax(1)
        images = torch.nonzero(said != target if source is None else said == source).flatten()
        names = self.bundle.class_names
        kind = f"another class than {names[target]}" if source is None else names[source]
        counts = ", ".join(f"{names[k]} {int((said == k).sum())}" for k in range(len(names)))
        check(len(images) > 0, "ws", f"hold images that the classifier gives to {kind}", counts, "give or draw others")
        return images

    def _search(self, sweep: StyleSweep, images: Tensor, pair: Pair) -> Search:
        """The fast search: which rows promise most is estimated once for a pair of classes."""
        if pair not in self._estimates:
            able = sweep.differentiable() if self.gradients is None else self.gradients
            some = images if able else images[:FIRST]
            estimates = torch.full(sweep.logits.shape[:2], torch.nan)
            estimates[:, some] = (sweep.slopes if able else sweep.secants)(some, *pair)
            self._estimates[pair] = estimates, self.pool or (None if able else max(96, len(sweep) // 2))
        return fast_search(sweep, pair, *self._estimates[pair])

    def _record(
        self, sweep: StyleSweep, rows: Tensor, images: Tensor, target: int, source: int | None, how: dict
    ) -> StyleCoordinates:
        half = len(sweep) // 2
        coordinates, up = rows % half, rows < half
        flipped = sweep.logits[rows][:, images].argmax(2) == target
        before = flipped.cumsum(0) - flipped.long() > 0
        ends = torch.where(up, sweep.high.cpu()[coordinates], sweep.low.cpu()[coordinates])
        return StyleCoordinates(
            layers=tuple(sweep.layers[i] for i in sweep.layer[coordinates].tolist()),
            channels=tuple(sweep.channel[coordinates].tolist()),
            signs=tuple(torch.where(up, 1, -1).tolist()),
            ends=ends,
            effects=sweep.effects(rows, images, target, source),
            flipped=flipped,
            explained=flipped & ~before if how["selection"] == "greedy" else flipped,
            ws=self.ws[images.to(self.ws.device)].cpu(),
            class_names=tuple(self.bundle.class_names),
            target=target,
            source=source,
            shift=self.shift,
            settings={"bundle": self.bundle.name, "coordinates": half} | how,
        )


def _latents(bundle: Bundle, count: int, seed: int) -> Tensor:
    """Latents of all classes in turn, `(count, num_ws, w_dim)`."""
    G = bundle.generator
    labels = torch.arange(count) % max(len(bundle.class_names), 1)
    with torch.no_grad():
        return G.mapping(sample_z(G, count, seed), one_hot(labels % max(G.c_dim, 1), G))
