"""A real image's place in latent space: what an encoder says, refined so that it keeps the classifier's opinion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from histoxplain._checks import check, check_at_least, check_images
from histoxplain.data import to_unit
from histoxplain.explain.detail import detail_scale, detail_site, detailed
from histoxplain.explain.explainer import evaluating
from histoxplain.explain.images import quantised
from histoxplain.explain.latent_space import BATCH, LatentSpace, device_of, draw, latent_space
from histoxplain.explain.taps import Taps, feature_distance
from histoxplain.models.detail_encoder import encode

if TYPE_CHECKING:
    from histoxplain.models import Bundle, DetailEncoder, Encoder, Generator

Start: TypeAlias = "tuple[Tensor, Tensor | None]"
SCALES = (1, 2, 4, 8)
STEPS, DETAIL_STEPS = 60, 30
"""Gradient steps in W+, and then for the detail, without an encoder."""
RATE = 0.1
"""Their size at first, in standard deviations."""
REFINED, REFINED_RATE = 8, 0.03
"""Gradient steps, and their size, for both from where an encoder that gives detail begins, if that is not enough."""


@dataclass(frozen=True, eq=False)
class Inversion:
    """Where images lie in latent space."""

    ws: Tensor
    """`(N, num_ws, w_dim)`."""
    images: Tensor
    """What the generator draws there, 8-bit exact, `(N, C, H, W)` in `[-1, 1]`."""
    l1: Tensor
    """Mean absolute difference to the originals, `(N,)`, in parts of the full range."""
    agrees: Tensor
    """Whether the classifier's opinion of the reconstruction is that of the original, `(N,)` bool."""
    detail: Tensor | None = None
    """What `ws` does not say, `(N, C, h, w)`; see `detail.detailed`."""

    def replaced(self, rows: Tensor, others: Inversion) -> Inversion:
        """The same with some rows taken from elsewhere."""
        fields = {}
        for name, mine in vars(self).items():
            fields[name] = mine if mine is None else mine.index_copy(0, rows, getattr(others, name))
        return Inversion(**fields)


@dataclass(frozen=True)
class Weights:
    """How much each part of the inversion loss counts."""

    pixels: float = 1.0
    """Mean absolute difference, over the image as it is and shrunk 2, 4 and 8 times."""
    features: float = 1.0
    """Difference of the classifier's feature maps."""
    opinion: float = 0.1
    """Kullback-Leibler divergence of the classifier's probabilities."""
    pull: float = 0.002
    """Squared distance to the class mean, in standard deviations of W: near it, later edits still look like tissue."""
    detail: float = 0.02
    """Squared detail, in standard deviations of the feature maps."""


def pixel_distance(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference over several scales: `(N, C, H, W)` twice to `(N,)`, in parts of the full range.

    Example:
        >>> pixel_distance(torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8)).item()
        0.5
    """
    parts = []
    for k in SCALES:
        if k <= a.shape[-1]:
            parts.append(F.avg_pool2d(a - b, k).abs().mean((1, 2, 3)) / 2)
    return torch.stack(parts).mean(0)


def invert(
    bundle: Bundle,
    images: Tensor,
    labels: Tensor | None = None,
    *,
    steps: int | None = None,
    detail_steps: int | None = None,
    lr: float | None = None,
    weights: Weights | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Inversion:
    """Find latents whose images look like the given ones, to the eye and to the classifier.

    With an encoder in the bundle, it says where to begin; if it gives detail, that is all where the classifier agrees,
    unless steps are asked for, which refine latents and detail together. Without one, Adam moves on W+ in whitened
    coordinates, started from the most similar of the class means and a gallery of samples; after Abdal et al.,
    Image2StyleGAN (2019), with the classifier-consistency term of StylEx (Lang et al., 2021). What W+ cannot say, the
    place of each nucleus, is then added as an offset of feature maps (see `detail.detailed`). Where the classifier
    disagrees with the result, the search goes on with a tenfold weight on its opinion.

    Args:
        bundle: the generator, the classifier, and the encoder if there is one.
        images: `(N, C, R, R)` in `[-1, 1]`.
        labels: the classes to pull towards, `(N,)`; by default the classifier's opinion.
        steps: gradient steps; more of them is closer and slower. With an encoder, 0 takes what it says as it is. None
            is 60 without an encoder that gives detail, and with one 8 where the classifier disagrees, 0 elsewhere.
        detail_steps: gradient steps for the detail alone; None is 0 with an encoder that gives it and 30 without. 0
            without such an encoder stays within W+.
        lr: step size, in standard deviations of W; None is 0.03 with an encoder that gives detail and 0.1 without.
        weights: of the parts of the loss.
        seed: fixes the gallery.
        progress: show a progress bar.

    Raises:
        InputError: if the images are not of the generator's size, or no step is left and there is no encoder.
    """
    G, classifier = bundle.generator, bundle.classifier
    check_images("images", images, G.img_channels)
    side = G.img_resolution
    check(tuple(images.shape[-2:]) == (side, side), "images", f"be {side} x {side}", tuple(images.shape))
    E = encoder_of(bundle)
    whole = E is not None and gives_detail(E, G)
    lr = (REFINED_RATE if whole else RATE) if lr is None else lr
    mended = steps != 0 or bool(detail_steps)
    steps = (0 if whole else STEPS) if steps is None else steps
    detail_steps = (0 if whole else DETAIL_STEPS) if detail_steps is None else detail_steps
    check_at_least("steps", steps, 1 if E is None else 0)
    images = images.to(device_of(G))
    with evaluating(G, classifier, *([] if E is None else [E])):
        task = _Inverter(bundle, latent_space(bundle, seed=seed), images, labels, weights or Weights())
        total = steps + (detail_steps if detail_site(G) is not None else 0)
        with tqdm(total=total, desc="inverting", unit="step", disable=not progress, leave=False) as bar:
            result = task.run(task.start(), steps, detail_steps, lr, bar)
            stray = torch.nonzero(~result.agrees).flatten() if mended else []
            if len(stray):
                begin = result.ws[stray], None if result.detail is None else result.detail[stray]
                again = task.part(stray).run(begin, max(steps // 2, REFINED), detail_steps, lr / 2, bar)
                result = result.replaced(stray, again)
    return result


def encoder_of(bundle: Bundle) -> Encoder | DetailEncoder | None:
    """The bundle's encoder, where it is one for its generator as that is used; None without."""
    E, G = getattr(bundle, "encoder", None), bundle.generator
    if E is None or E.w_dim != G.w_dim or E.img_resolution != G.img_resolution or G.num_ws not in (1, E.num_ws):
        return None
    return E


def gives_detail(E: Encoder | DetailEncoder, G: Generator) -> bool:
    """Whether an encoder says what W+ cannot, and the generator takes it."""
    return detail_site(G) is not None and bool(getattr(E.config, "detail_channels", 0))


class _Inverter:
    def __init__(
        self, bundle: Bundle, space: LatentSpace, images: Tensor, labels: Tensor | None, weights: Weights
    ) -> None:
        self.bundle, self.space, self.images, self.weights = bundle, space, images, weights
        self.taps = Taps(bundle.classifier, images)
        with self.taps.open(), torch.no_grad():
            self.logits = bundle.classifier(images)
            self.features = self.taps.features()
        self.labels = self.logits.argmax(1) if labels is None else torch.as_tensor(labels)

    def part(self, rows: Tensor) -> _Inverter:
        """The same task for some of the images, with ten times the weight on the classifier's opinion."""
        w = self.weights
        heavier = replace(w, opinion=10 * w.opinion)
        return _Inverter(self.bundle, self.space, self.images[rows], self.labels[rows], heavier)

    @torch.no_grad()
    def start(self) -> Start:
        """What the encoder says, or the most similar of the class means and the gallery, for every image."""
        G, E = self.bundle.generator, encoder_of(self.bundle)
        if E is None:
            return self.similar(), None
        ws = torch.cat([E(some) for some in self.images.split(BATCH)])
        if G.num_ws != E.num_ws:
            ws = ws.mean(1, keepdim=True)
        if not gives_detail(E, G):
            return ws, None
        each = zip(self.images.split(BATCH), ws.split(BATCH))
        return ws, torch.cat([encode(G, E, some, where).detail for some, where in each])

    def similar(self) -> Tensor:
        """The most similar of the class means and the gallery, for every image: `(N, num_ws, w_dim)`."""
        G, space = self.bundle.generator, self.space
        mean_images = draw(G, space.means[:, None].expand(-1, G.num_ws, -1))
        known = torch.cat([mean_images, to_unit(space.pictures)])
        w = torch.cat([space.means, space.w])
        opinion = torch.cat([self.bundle.classifier(mean_images), space.logits]).log_softmax(1)
        best = []
        for i, image in enumerate(self.images):
            doubt = -opinion[:, self.labels[i]]
            cost = pixel_distance(known, image[None].expand_as(known)) + 0.02 * doubt.clamp_max(5)
            best.append(int(cost.argmin()))
        return w[best][:, None].expand(-1, G.num_ws, -1).clone()

    def loss(self, ws: Tensor, detail: Tensor | None = None) -> Tensor:
        """How unlike the images drawn at `ws` are, `(N,)`."""
        G = self.bundle.generator
        with detailed(G, detail):
            x = G.synthesis(ws, noise_mode="const").float()
        with self.taps.open():
            logits = self.bundle.classifier(x)
            features = feature_distance(self.taps.features(), self.features)
        opinion = F.kl_div(logits.log_softmax(1), self.logits.log_softmax(1), log_target=True, reduction="none").sum(1)
        w = self.weights
        return w.pixels * pixel_distance(x, self.images) + w.features * features + w.opinion * opinion

    def pull(self, ws: Tensor) -> Tensor:
        """The price of lying far from the class mean, `(N,)`."""
        away = self.space.whiten(ws - self.space.means[self.labels][:, None])
        return self.weights.pull * away.square().mean((1, 2))

    def strain(self, d: Tensor) -> Tensor:
        """The price of detail, in standard deviations, `(N,)`."""
        return self.weights.detail * d.square().mean((1, 2, 3))

    def descend(
        self, loss: Callable[..., Tensor], begin: list[Tensor], steps: int, lr: float, bar: tqdm
    ) -> list[Tensor]:
        """Adam from `begin`, warming up over a twentieth and cooling over the last half of the steps."""
        moving = [x.detach().clone().requires_grad_(True) for x in begin]
        optimiser = torch.optim.Adam(moving, lr=lr, betas=(0.9, 0.98))
        for step in range(steps):
            warm, cool = min(1.0, (step + 1) / (0.05 * steps)), min(1.0, 2 * (1 - step / steps))
            optimiser.param_groups[0]["lr"] = lr * warm * cool
            optimiser.zero_grad(set_to_none=True)
            value = loss(*moving)
            value.sum().backward()
            optimiser.step()
            bar.update()
            bar.set_postfix(loss=f"{float(value.detach().mean()):.3f}", refresh=False)
        return [x.detach() for x in moving]

    def run(self, start: Start, steps: int, detail_steps: int, lr: float, bar: tqdm) -> Inversion:
        """From `start`, first the latents, together with a detail that is already there; then the detail."""
        G, space, (begin, detail) = self.bundle.generator, self.space, start
        still = torch.zeros_like(begin)
        if detail is None:

            def of_latent(u: Tensor) -> Tensor:
                ws = begin + space.unwhiten(u)
                return self.loss(ws) + self.pull(ws)

            (u,) = self.descend(of_latent, [still], steps, lr, bar)
            ws = begin + space.unwhiten(u)
            if not detail_steps or detail_site(G) is None:
                return self.result(ws, None)
            scale = detail_scale(G, ws)
            d = torch.zeros_like(scale)
        else:
            scale = detail_scale(G, begin)

            def of_both(u: Tensor, d: Tensor) -> Tensor:
                ws = begin + space.unwhiten(u)
                return self.loss(ws, d * scale) + self.pull(ws) + self.strain(d)

            u, d = self.descend(of_both, [still, detail / scale], steps, lr, bar)
            ws = begin + space.unwhiten(u)

        def of_detail(d: Tensor) -> Tensor:
            return self.loss(ws, d * scale) + self.strain(d)

        (d,) = self.descend(of_detail, [d], detail_steps, lr, bar)
        return self.result(ws, scale * d)

    @torch.no_grad()
    def result(self, ws: Tensor, detail: Tensor | None) -> Inversion:
        """Draw and judge where the search arrived."""
        x = quantised(draw(self.bundle.generator, ws, detail))
        agrees = self.bundle.classifier(x).argmax(1) == self.logits.argmax(1)
        return Inversion(ws, x, (x - self.images).abs().mean((1, 2, 3)) / 2, agrees, detail)
