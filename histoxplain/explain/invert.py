"""A real image's place in latent space: optimisation in W+ that keeps the classifier's opinion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from histoxplain._checks import check, check_at_least, check_images
from histoxplain.data import to_unit
from histoxplain.explain.explainer import evaluating
from histoxplain.explain.images import quantised
from histoxplain.explain.latent_space import LatentSpace, device_of, draw, latent_space
from histoxplain.explain.taps import Taps, feature_distance

if TYPE_CHECKING:
    from histoxplain.models import Bundle

SCALES = (1, 2, 4, 8)


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
    steps: int = 80,
    lr: float = 0.1,
    weights: Weights | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Inversion:
    """Find latents whose images look like the given ones, to the eye and to the classifier.

    Adam on W+ in whitened coordinates, started from the most similar of the class means and a gallery of samples;
    after Abdal et al., Image2StyleGAN (2019), with the classifier-consistency term of StylEx (Lang et al., 2021).
    Where the classifier disagrees with the result, the search goes on with a tenfold weight on its opinion.

    Args:
        bundle: the generator and the classifier.
        images: `(N, C, R, R)` in `[-1, 1]`.
        labels: the classes to pull towards, `(N,)`; by default the classifier's opinion.
        steps: gradient steps; more of them is closer and slower.
        lr: step size, in standard deviations of W.
        weights: of the parts of the loss.
        seed: fixes the gallery.
        progress: show a progress bar.

    Raises:
        InputError: if the images are not of the generator's size.
    """
    G, classifier = bundle.generator, bundle.classifier
    check_images("images", images, G.img_channels)
    side = G.img_resolution
    check(tuple(images.shape[-2:]) == (side, side), "images", f"be {side} x {side}", tuple(images.shape))
    check_at_least("steps", steps, 1)
    images = images.to(device_of(G))
    with evaluating(G, classifier):
        task = _Inverter(bundle, latent_space(bundle, seed=seed), images, labels, weights or Weights())
        with tqdm(total=steps, desc="inverting", unit="step", disable=not progress, leave=False) as bar:
            ws = task.run(task.start(), steps, lr, bar)
            result = task.result(ws)
            stray = torch.nonzero(~result.agrees).flatten()
            if len(stray):
                ws[stray] = task.part(stray).run(ws[stray], max(steps // 2, 8), lr / 2, bar)
                result = task.result(ws)
    return result


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
        heavier = Weights(w.pixels, w.features, 10 * w.opinion, w.pull)
        return _Inverter(self.bundle, self.space, self.images[rows], self.labels[rows], heavier)

    @torch.no_grad()
    def start(self) -> Tensor:
        """The most similar of the class mean and the gallery, for every image: `(N, num_ws, w_dim)`."""
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

    def loss(self, ws: Tensor) -> Tensor:
        """One value an image, `(N,)`."""
        x = self.bundle.generator.synthesis(ws, noise_mode="const").float()
        with self.taps.open():
            logits = self.bundle.classifier(x)
            features = feature_distance(self.taps.features(), self.features)
        opinion = F.kl_div(logits.log_softmax(1), self.logits.log_softmax(1), log_target=True, reduction="none").sum(1)
        pull = self.space.whiten(ws - self.space.means[self.labels][:, None]).square().mean((1, 2))
        w = self.weights
        return w.pixels * pixel_distance(x, self.images) + w.features * features + w.opinion * opinion + w.pull * pull

    def run(self, start: Tensor, steps: int, lr: float, bar: tqdm) -> Tensor:
        """Adam from `start`, warming up over a twentieth and cooling over the last half of the steps."""
        u = torch.zeros_like(start, requires_grad=True)
        optimiser = torch.optim.Adam([u], lr=lr, betas=(0.9, 0.98))
        for step in range(steps):
            warm, cool = min(1.0, (step + 1) / (0.05 * steps)), min(1.0, 2 * (1 - step / steps))
            optimiser.param_groups[0]["lr"] = lr * warm * cool
            optimiser.zero_grad(set_to_none=True)
            loss = self.loss(start + self.space.unwhiten(u))
            loss.sum().backward()
            optimiser.step()
            bar.update()
            bar.set_postfix(loss=f"{float(loss.detach().mean()):.3f}", refresh=False)
        return (start + self.space.unwhiten(u)).detach()

    @torch.no_grad()
    def result(self, ws: Tensor) -> Inversion:
        """Draw and judge where the search arrived."""
        x = quantised(draw(self.bundle.generator, ws))
        agrees = self.bundle.classifier(x).argmax(1) == self.logits.argmax(1)
        return Inversion(ws, x, (x - self.images).abs().mean((1, 2, 3)) / 2, agrees)
