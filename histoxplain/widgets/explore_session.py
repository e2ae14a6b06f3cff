"""What the sliders of the latent space mean: a place in it, and what is seen from there. No browser needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from histoxplain._checks import check, check_between, check_one_of
from histoxplain.explain import (
    Directions,
    Film,
    LatentMap,
    boundary_directions,
    find_directions,
    map_latents,
    quantised,
)

if TYPE_CHECKING:
    from torch import Tensor

    from histoxplain.models import Bundle


@dataclass(frozen=True)
class Place:
    """Where the sliders stand.

    Attributes:
        point: the latent on the map whose noise is used; it decides the arrangement of the tissue.
        mix: how much of each class, one share a class. What is missing to 1 is shared equally among all classes; shares
            that add up to more are scaled down.
        truncation: psi; 0 is the average image, 1 the full variety of the training images.
        steps: how far along each direction, in standard deviations of the latent space.
    """

    point: int
    mix: tuple[float, ...]
    truncation: float = 1.0
    steps: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Sight:
    """What is seen from a place: the image (C, H, W) in [-1, 1], 8-bit exact; its probabilities (K,); w (w_dim,)."""

    image: Tensor
    probabilities: Tensor
    w: Tensor


class ExploreSession:
    """A walk through the latent space of a bundle.

    Args:
        bundle: generator and classifier.
        latents: the map to walk on, as `hx.explain.map_latents` made it.
        directions: name -> direction (w_dim,) whose length is one step of its slider; a mapping or `Directions`.

    Raises:
        InputError: if a direction has another size than the generator's w.
    """

    def __init__(self, bundle: Bundle, latents: LatentMap, directions: Mapping[str, Tensor] | Directions) -> None:
        self.bundle, self.latents, self.directions = bundle, latents, dict(directions)
        self.class_names = tuple(bundle.class_names)
        self.drawn = bundle.generator.interactive()
        for name, direction in self.directions.items():
            ok = tuple(direction.shape) == (bundle.generator.w_dim,)
            check(ok, "directions", f"have shape ({bundle.generator.w_dim},)", f"{tuple(direction.shape)} for {name!r}")

    @classmethod
    def start(cls, bundle: Bundle, count: int = 450, axes: int = 3, seed: int = 0) -> ExploreSession:
        """Draw a map and find directions: towards every class, and the `axes` along which tissue varies most.

        Takes some tens of seconds on a CPU; `count` images are drawn and classified.
        """
        latents = map_latents(bundle, count, seed=seed)
        towards = boundary_directions(latents.w, latents.logits, bundle.class_names)
        varied = list(find_directions(bundle, "principal", seed=seed))[:axes]
        return cls(bundle, latents, dict(towards) | dict(varied))

    def place(self, point: int) -> Place:
        """The sliders that give a point of the map: its noise, its class alone, its truncation, no steps.

        Raises:
            InputError: if there is no such point.
        """
        check_between("point", point, 0, len(self.latents) - 1)
        label = int(self.latents.labels[point])
        mix = tuple(float(i == label) for i in range(len(self.class_names)))
        return Place(point, mix, self.latents.truncation, (0.0,) * len(self.directions))

    @torch.no_grad()
    def at(self, place: Place) -> Sight:
        """What is seen from a place: one pass through the generator and the classifier.

        Raises:
            InputError: if there is no such point, or a share is missing or negative.
        """
        images, probabilities, w = self._see([place])
        return Sight(images[0], probabilities[0], w[0])

    def _see(self, places: Sequence[Place]) -> tuple[Tensor, Tensor, Tensor]:
        """Images, probabilities and w of several places, in one go."""
        ws = torch.cat([self._latent(place) for place in places])
        images = quantised(self.drawn.synthesis(ws, noise_mode="const"))
        return images, self.bundle.classifier.probabilities(images), ws[:, 0]

    def _latent(self, place: Place) -> Tensor:
        self._check(place)
        G, mix = self.bundle.generator, torch.tensor([place.mix])
        mix = mix / mix.sum().clamp_min(1) + (1 - mix.sum()).clamp_min(0) / mix.shape[1]
        ws = G.mapping(self.latents.z[place.point][None], mix if G.c_dim else None, truncation_psi=place.truncation)
        for step, direction in zip(place.steps, self.directions.values()):
            ws = ws + step * direction
        return ws

    def _check(self, place: Place) -> None:
        check_between("point", place.point, 0, len(self.latents) - 1)
        ok = len(place.mix) == len(self.class_names) and min(place.mix) >= 0
        check(ok, "mix", f"hold {len(self.class_names)} shares of at least 0", place.mix, "give one share a class")
        ok = len(place.steps) in (0, len(self.directions))
        check(ok, "steps", f"hold {len(self.directions)} numbers", place.steps, "give one step a direction")

    @torch.no_grad()
    def strip(self, place: Place, direction: str, steps: Sequence[float] = (-3, -2, -1, 0, 1, 2, 3)) -> Film:
        """What is seen on the way along one direction, everything else staying as it is; its `alphas` are the steps.

        Raises:
            InputError: if there is no such direction.
        """
        check_one_of("direction", direction, self.directions)
        which = list(self.directions).index(direction)
        before, after = place.steps[:which], place.steps[which + 1 :]
        places = [Place(place.point, place.mix, place.truncation, (*before, s, *after)) for s in steps]
        images, p, _ = self._see(places)
        alphas, ends = torch.tensor(steps, dtype=torch.float32), p[[0, -1]].argmax(1).tolist()
        return Film(images, alphas, p, self.class_names, *ends)
