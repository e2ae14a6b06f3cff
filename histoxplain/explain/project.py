"""The latents that draw images, of any generator: with or without labels, in W or W+, with or without a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log10
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from histoxplain._checks import check, check_at_least, check_images, check_one_of
from histoxplain.data import to_unit
from histoxplain.explain.explainer import class_index
from histoxplain.explain.invert import invert, pixel_distance
from histoxplain.explain.latent_space import device_of, latent_space
from histoxplain.explain.unjudged import Unjudged, as_bundle

if TYPE_CHECKING:
    from histoxplain.models import Bundle, Generator

SPACES = ("w+", "w")


@dataclass(frozen=True, eq=False)
class Projection:
    """Where images lie in a generator's space."""

    ws: Tensor
    """`(N, num_ws, w_dim)`; the same row for every layer in space "w"."""
    images: Tensor
    """What the generator draws there, 8-bit exact, `(N, C, H, W)` in [-1, 1]."""
    l1: tuple[float, ...]
    """Mean absolute differences to the originals, in parts of the full range."""
    psnr: tuple[float, ...]
    """Peak signal-to-noise ratios, in dB."""
    classes: tuple[str | None, ...]
    """Classes the search kept near; None without labels."""


class Projector:
    """Finds the latents that draw images, with the search of `invert`; what it measures of the generator is kept.

    A bundle's classifier is asked to see the same in both images. A generator that comes without one is helped by the
    feature maps of `eyes`, and without a label by the class of the most similar sample.

    Args:
        network: a bundle, or a generator alone.
        space: "w+", one latent for each layer, which is closer; or "w", one for all, which is easier to edit.
        steps: gradient steps; more of them is closer and slower.
        eyes: for a generator alone, a network that looks at images `(N, C, R, R)` in [-1, 1] and whose feature maps
            are compared beside the pixels, such as `hx.metrics.FeatureNet(256)`; without it, only pixels are.
        seed: fixes the draws.

    Raises:
        InputError: on an unknown space or too few steps.
    """

    def __init__(
        self,
        network: Bundle | Generator,
        *,
        space: str = "w+",
        steps: int = 200,
        eyes: nn.Module | None = None,
        seed: int = 0,
    ) -> None:
        check_one_of("space", space, SPACES)
        check_at_least("steps", steps, 1)
        bundle = as_bundle(network) if isinstance(network, nn.Module) else network
        classifier = bundle.classifier
        if isinstance(classifier, Unjudged) and eyes is not None:
            classifier = Unjudged(classifier.class_names, eyes.to(device_of(bundle.generator)))
        view = _View(bundle.generator, space, len(classifier.class_names))
        self.bundle, self.steps, self.seed = bundle, steps, seed
        self.seen = replace(bundle, generator=view, classifier=classifier)

    def __call__(
        self, images: Tensor, label: int | str | Sequence[int | str] | None = None, progress: bool = False
    ) -> Projection:
        """Search for all images at the same time.

        Args:
            images: `(N, C, R, R)` in [-1, 1].
            label: the class of the images by name or number, or one for each, for generators with labels; by default
                the classifier's opinion, or the class of the most similar sample.
            progress: show a progress bar.

        Raises:
            InputError: if the images are not of the generator's size, or there is no such class.
        """
        G = self.bundle.generator
        check_images("images", images, G.img_channels)
        images = images.to(device_of(G))
        labels = self._labels(images, label)
        how = {"steps": self.steps, "detail_steps": 0, "seed": self.seed, "progress": progress}
        found = invert(self.seen, images, labels, **how)
        errors = (found.images - images).square().mean((1, 2, 3)).clamp_min(1e-12).tolist()
        names = self.bundle.class_names
        return Projection(
            ws=found.ws.expand(-1, G.num_ws, -1).contiguous(),
            images=found.images,
            l1=tuple(found.l1.tolist()),
            psnr=tuple(10 * log10(4 / error) for error in errors),
            classes=tuple(names[k] if G.c_dim else None for k in labels.tolist()),
        )

    def _labels(self, images: Tensor, label: int | str | Sequence[int | str] | None) -> Tensor:
        """The class of each image, `(N,)`; 0 without labels."""
        if label is not None:
            check(bool(self.bundle.generator.c_dim), "label", "be left out for a generator without labels", repr(label))
            listed = [label] * len(images) if isinstance(label, int | str) else list(label)
            check(len(listed) == len(images), "label", f"name one class for each of {len(images)} images", len(listed))
            known = [class_index(one, self.bundle.class_names, "label") for one in listed]
            return torch.tensor(known, device=images.device)
        if len(self.bundle.class_names) == 1:
            return torch.zeros(len(images), dtype=torch.long, device=images.device)
        if isinstance(self.seen.classifier, Unjudged):
            return self._nearest(images)
        with torch.no_grad():
            return self.bundle.classifier(images).argmax(1)

    def _nearest(self, images: Tensor) -> Tensor:
        """For each image, the class of the most similar sample, `(N,)`."""
        samples = to_unit(latent_space(self.seen, seed=self.seed).pictures)
        side, each = samples.shape[-1], len(samples) // len(self.seen.class_names)
        check(tuple(images.shape[-2:]) == (side, side), "images", f"be {side} x {side}", tuple(images.shape))
        best = [int(pixel_distance(samples, image[None].expand_as(samples)).argmin()) // each for image in images]
        return torch.tensor(best, device=images.device)


def project(
    network: Bundle | Generator,
    images: Tensor,
    label: int | str | Sequence[int | str] | None = None,
    *,
    space: str = "w+",
    steps: int = 200,
    eyes: nn.Module | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Projection:
    """Find the latents that draw images; see `Projector`, which also takes them one after the other.

    Example:
        >>> from histoxplain.models import Generator, GeneratorConfig
        >>> config = GeneratorConfig(
        ...     resolution=8, channel_base=64, channel_max=8, z_dim=4, w_dim=4, c_dim=2, mapping_layers=2
        ... )
        >>> found = project(Generator(config), torch.zeros(1, 3, 8, 8), label=1, steps=2)
        >>> found.ws.shape, found.classes
        (torch.Size([1, 4, 4]), ('1',))
    """
    return Projector(network, space=space, steps=steps, eyes=eyes, seed=seed)(images, label, progress)


class _View(nn.Module):
    """A generator as a search for latents should see it.

    Args:
        generator: the generator.
        space: "w+" (a latent for each layer) or "w" (one for all, so that there is but one to find).
        classes: how many the search tells apart; a generator without labels takes the only one there is.
    """

    def __init__(self, generator: Generator, space: str, classes: int) -> None:
        super().__init__()
        self.generator = G = generator
        self.num_ws = 1 if space == "w" else G.num_ws
        self.c_dim = G.c_dim or int(classes == 1)
        self.z_dim, self.w_dim = G.z_dim, G.w_dim
        self.img_resolution, self.img_channels = G.img_resolution, G.img_channels

    def mapping(self, z: Tensor, c: Tensor | None) -> Tensor:
        """Noise `(N, z_dim)` and labels to `(N, num_ws, w_dim)`."""
        return self.generator.mapping(z, c if self.generator.c_dim else None)[:, : self.num_ws]

    def synthesis(self, ws: Tensor, noise_mode: str = "const") -> Tensor:
        """`(N, num_ws, w_dim)` to images."""
        return self.generator.synthesis(ws.expand(-1, self.generator.num_ws, -1), noise_mode)
