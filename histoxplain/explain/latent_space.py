"""What is worth knowing about a generator's W space before searching in it: class means, axes, a small gallery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histoxplain.data import to_uint8, to_unit
from histoxplain.explain.detail import detailed

if TYPE_CHECKING:
    from histoxplain.models import Bundle, Classifier, Generator

BATCH = 32
"""Images drawn at once, up to 256 x 256 pixels; larger ones are fewer."""
_known: WeakKeyDictionary = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class LatentSpace:
    """The W space of a generator, seen through a classifier.

    `basis` and `scale` whiten W: the principal axes of samples about their class mean, and the standard deviation
    along each.
    """

    means: Tensor
    """Mean of each class, `(K, w_dim)`."""
    basis: Tensor
    """Principal axes as rows, `(w_dim, w_dim)`, orthonormal."""
    scale: Tensor
    """Standard deviation along each axis, `(w_dim,)`, bounded away from zero."""
    w: Tensor
    """Latents of the gallery, `(n, w_dim)`."""
    pictures: Tensor
    """Images of the gallery, `(n, C, H, W)` uint8."""
    logits: Tensor
    """The classifier's opinion of the gallery, `(n, K)`."""

    def whiten(self, step: Tensor) -> Tensor:
        """A step in W, `(..., w_dim)`, in standard deviations along the principal axes."""
        return step @ self.basis.T / self.scale

    def unwhiten(self, u: Tensor) -> Tensor:
        """The inverse of `whiten`."""
        return (u * self.scale) @ self.basis

    def anchors(self, target: int, w: Tensor, count: int, confidence: float = 0.9) -> Tensor:
        """Gallery latents that are clearly of a class, nearest to `w` first: `(<= count, w_dim)`."""
        p = self.logits.softmax(1)[:, target]
        sure = torch.nonzero(p >= min(confidence, float(p.max()))).flatten()
        distance = self.whiten(self.w[sure] - w).square().sum(1)
        return self.w[sure[distance.argsort()[:count]]]


def one_hot(labels: Tensor | Sequence[int], generator: Generator) -> Tensor | None:
    """Class numbers as the label input of a generator, `(N, c_dim)`; None for one without labels."""
    labels = torch.as_tensor(labels, device=device_of(generator))
    return F.one_hot(labels, generator.c_dim).float() if generator.c_dim else None


def sample_z(generator: Generator, count: int, seed: int) -> Tensor:
    """Noise for `count` images, `(count, z_dim)`, drawn on the CPU so that a seed means the same everywhere."""
    z = torch.randn(count, generator.z_dim, generator=torch.Generator().manual_seed(seed))
    return z.to(device_of(generator))


def device_of(network: nn.Module) -> torch.device:
    """Where a network's weights are."""
    return next(network.parameters()).device


@torch.no_grad()
def draw(generator: Generator, ws: Tensor, detail: Tensor | None = None, noise_mode: str = "const") -> Tensor:
    """Images of latents, in small batches.

    Args:
        generator: the generator.
        ws: `(N, num_ws, w_dim)`.
        detail: offset of the feature maps, `(N, C, h, w)`; see `detail.detailed`.
        noise_mode: "const", "none", or "random", whose noise is the same for the same number of latents.

    Returns:
        Images `(N, C, H, W)`, unclamped, float32.
    """
    if not len(ws):
        return ws.new_zeros(0, generator.img_channels, *(generator.img_resolution,) * 2)
    how: dict[str, Any] = {"noise_mode": noise_mode}
    if noise_mode == "random":
        how["generator"] = torch.Generator(ws.device).manual_seed(0)
    batch = max(1, min(BATCH, BATCH * 256**2 // generator.img_resolution**2))
    images = []
    for rows in torch.arange(len(ws)).split(batch):
        with detailed(generator, None if detail is None else detail[rows]):
            images.append(generator.synthesis(ws[rows], **how).float())
    return torch.cat(images)


def latent_space(bundle: Bundle, samples: int = 4096, pictures: int = 48, seed: int = 0) -> LatentSpace:
    """Measure a bundle's W space; done once for a generator and remembered.

    Args:
        bundle: the generator and the classifier.
        samples: latents a class for means and axes.
        pictures: images a class for the gallery.
        seed: fixes the draw.
    """
    kept = _known.setdefault(bundle.generator, {})
    key = (id(bundle.classifier), samples, pictures, seed)
    if key not in kept:
        kept[key] = _measure(bundle.generator, bundle.classifier, samples, pictures, seed)
    return kept[key]


@torch.no_grad()
def _measure(G: Generator, classifier: Classifier, samples: int, pictures: int, seed: int) -> LatentSpace:
    classes = len(classifier.class_names)
    labels = torch.arange(classes, device=device_of(G)).repeat_interleave(samples)
    w = G.mapping(sample_z(G, len(labels), seed), one_hot(labels, G))[:, 0]
    first = torch.arange(samples, device=w.device) < pictures
    shown = w[first.repeat(classes)]
    images = to_uint8(draw(G, shown[:, None].expand(-1, G.num_ws, -1)))
    logits = torch.cat([classifier(to_unit(some)).float() for some in images.split(BATCH)])
    if not G.c_dim:  # without labels, the classifier's opinion of the gallery tells the classes apart
        w, labels = shown, logits.argmax(1)
    present = [w[labels == k] if (labels == k).any() else w for k in range(classes)]
    means = torch.stack([some.mean(0) for some in present])
    basis, scale = principal_axes(w - means[labels])
    return LatentSpace(means, basis, scale, shown, images, logits)


def principal_axes(centred: Tensor) -> tuple[Tensor, Tensor]:
    """Principal axes and standard deviations of centred rows.

    Args:
        centred: `(N, D)`.

    Returns:
        Orthonormal axes as rows `(D, D)`, largest first, and deviations `(D,)`, none below 2 % of the largest.

    Example:
        >>> axes, scale = principal_axes(torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
        >>> axes.abs().tolist(), [round(float(s), 2) for s in scale]
        ([[1.0, 0.0], [0.0, 1.0]], [2.12, 0.71])
    """
    covariance = centred.double().T @ centred.double() / len(centred)
    values, vectors = torch.linalg.eigh(covariance)
    scale = values.flip(0).clamp_min(0).sqrt()
    return vectors.flip(1).T.contiguous().float(), scale.clamp_min(0.02 * float(scale[0]) + 1e-8).float()
