"""A walk through the latent space: from a place to what is seen there. No browser needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from threading import RLock
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from histoxplain._checks import check, check_between, check_one_of
from histoxplain.explain import (
    Directions,
    Film,
    LatentMap,
    boundary_directions,
    find_directions,
    invert,
    map_latents,
    quantised,
)
from histoxplain.explain.reliability.confidence import opinions_of
from histoxplain.explain.reliability.opinions import device_of
from histoxplain.models.bundle import check_part
from histoxplain.widgets.place import Place, Sight

if TYPE_CHECKING:
    from torch import Tensor

    from histoxplain.models import Bundle
    from histoxplain.widgets.specimen import Specimen


class ExploreSession:
    """A walk through the latent space of a bundle.

    Args:
        bundle: generator and classifier.
        latents: the map to walk on, as `hx.explain.map_latents` made it.
        directions: name -> direction (w_dim,) whose length is one step of its slider; a mapping or `Directions`.
        images: specimens to walk from, besides the points of the map; `opened` reads yours, `generated` draws some.

    Attributes:
        recipe: the arguments of `start` that made it, None if it was made otherwise.

    Raises:
        InputError: if there is no generator, or a direction has another size than the generator's w.
    """

    def __init__(
        self,
        bundle: Bundle,
        latents: LatentMap,
        directions: Mapping[str, Tensor] | Directions,
        images: Sequence[Specimen] = (),
    ) -> None:
        check_part(bundle, "generator", "a walk through latent space")
        self.bundle, self.latents, self.directions = bundle, latents, dict(directions)
        self.class_names, self.images = tuple(bundle.class_names), list(images)
        self.drawn = bundle.generator.interactive()
        self.recipe: dict[str, int] | None = None
        known = isinstance(bundle.classifier, nn.Module)
        self.classifier: Any = deepcopy(bundle.classifier) if known else bundle.classifier  # searches listen to theirs
        self.searching, self._drawing = RLock(), RLock()
        self._found: dict[int, tuple[Tensor, Tensor | None]] = {}
        for name, direction in self.directions.items():
            ok = tuple(direction.shape) == (bundle.generator.w_dim,)
            check(ok, "directions", f"have shape ({bundle.generator.w_dim},)", f"{tuple(direction.shape)} for {name!r}")

    @classmethod
    def start(
        cls, bundle: Bundle, count: int = 450, axes: int = 3, seed: int = 0, images: Sequence[Specimen] = ()
    ) -> ExploreSession:
        """Draw a map and find directions: towards every class, and the `axes` along which tissue varies most.

        Takes some tens of seconds on a CPU; `count` images are drawn and classified.
        """
        latents = map_latents(bundle, count, seed=seed)
        towards = boundary_directions(latents.w, latents.logits, bundle.class_names)
        varied = list(find_directions(bundle, "principal", seed=seed))[:axes]
        session = cls(bundle, latents, dict(towards) | dict(varied), images)
        session.recipe = {"count": count, "axes": axes, "seed": seed}
        return session

    def place(self, point: int) -> Place:
        """The sliders that give a point of the map: its noise, its class alone, its truncation, no steps.

        Raises:
            InputError: if there is no such point.
        """
        check_between("point", point, 0, len(self.latents) - 1)
        label = int(self.latents.labels[point])
        mix = tuple(float(i == label) for i in range(len(self.class_names)))
        return Place(point, mix, self.latents.truncation, (0.0,) * len(self.directions))

    def at_image(self, image: int) -> Place:
        """The sliders that give an opened image as the generator redraws it.

        Raises:
            InputError: if there is no such image.
        """
        check_between("image", image, 0, len(self.images) - 1)
        return replace(self.place(0), image=image)

    def name(self, place: Place) -> str:
        """What to call a place: the name of its image, or its point."""
        return f"point-{place.point}" if place.image is None else self.images[place.image].name

    def home(self, place: Place) -> Place:
        """The same point or image, with every slider where it was at first."""
        return self.place(place.point) if place.image is None else self.at_image(place.image)

    @torch.no_grad()
    def at(self, place: Place, interval: bool = False) -> Sight:
        """What is seen from a place: one pass through the generator and the classifier.

        The first look at an opened image takes longer, since its place in latent space is found.

        Args:
            place: where to look from.
            interval: ask for further opinions, too; see `interval`.

        Raises:
            InputError: if there is no such point, image or channel, or a share is missing or negative.
        """
        images, probabilities, w = self._see([place])
        low, high = self.interval(images[0], probabilities[0]) if interval else (None, None)
        return Sight(images[0], probabilities[0], w[0], low, high)

    @torch.no_grad()
    def interval(self, image: Tensor, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """Least and highest probability of each class over several opinions, (K,) each.

        The opinions are the classifier's and the independent oracle's, or, without an oracle, those of `opinions_of`:
        of the classifier's members, with its dropout left on, or of several views of the image.

        Args:
            image: (C, H, W).
            probabilities: the classifier's opinion of it, (K,).
        """
        oracle = getattr(self.bundle, "oracle", None)
        if oracle is None:
            found = opinions_of(self.classifier, image[None].to(device_of(self.classifier)))
            low, high = found.low[0].cpu().float(), found.high[0].cpu().float()
        else:
            low = high = oracle.probabilities(image[None].to(device_of(oracle)))[0].float().cpu()
        return torch.minimum(low, probabilities), torch.maximum(high, probabilities)

    def _see(self, places: Sequence[Place]) -> tuple[Tensor, Tensor, Tensor]:
        """Images, probabilities and w of several places of one point or image, in one go."""
        ws = torch.cat([self.latent(place) for place in places])  # waits for searches, so before drawing is locked
        detail = None if places[0].image is None else self.found(places[0].image)[1]
        extra = {} if detail is None else {"detail": detail.expand(len(ws), -1, -1, -1)}
        with self._drawing:
            styles = self.drawn.styles(ws)
            for row, place in enumerate(places):
                for layer, channel, by in place.channels:
                    styles[layer][row, channel] += by * self.deviation(layer, channel)
            images = quantised(self.drawn.synthesis_from_styles(styles, noise_mode="const", **extra))
            probabilities = self.classifier.probabilities(images.to(device_of(self.classifier))).float()
        return images.cpu(), probabilities.cpu(), ws[:, 0].float().cpu()

    @torch.no_grad()
    def latent(self, place: Place) -> Tensor:
        """The latent of a place, (1, num_ws, w_dim), single style channels left as they are."""
        self._check(place)
        G, mix = self.bundle.generator, torch.tensor([place.mix])
        mix = mix / mix.sum().clamp_min(1) + (1 - mix.sum()).clamp_min(0) / mix.shape[1]
        if place.image is None:
            label, z = mix if G.c_dim else None, self.latents.z[place.point][None]
            ws = G.mapping(z, label, truncation_psi=place.truncation)
        else:
            ws = self.found(place.image)[0]
        for step, direction in zip(place.steps, self.directions.values()):
            ws = ws + step * direction.to(ws)
        return ws

    def found(self, image: int) -> tuple[Tensor, Tensor | None]:
        """Where an opened image lies: w (1, num_ws, w_dim), and what that does not say of it; remembered."""
        if image not in self._found:
            specimen = self.images[image]
            if specimen.ws is not None:
                self._found[image] = specimen.ws[None], None
            else:
                with self.searching, torch.enable_grad():
                    inversion = invert(self.bundle, specimen.image[None])
                detail = inversion.detail
                self._found[image] = inversion.ws.detach(), None if detail is None else detail.detach()
        return self._found[image]

    def deviation(self, layer: str, channel: int) -> float:
        """The standard deviation of a style channel over the map.

        Raises:
            InputError: if there is no such layer or channel.
        """
        check_one_of("layer", layer, self.deviations)
        check_between("channel", channel, 0, len(self.deviations[layer]) - 1)
        return float(self.deviations[layer][channel])

    @property
    @torch.no_grad()
    def deviations(self) -> dict[str, Tensor]:
        """The standard deviation of every style channel over the map: layer -> (channels,); remembered."""
        if not hasattr(self, "_deviations"):
            G = self.bundle.generator
            ws = self.latents.w[:, None].expand(-1, G.num_ws, -1).to(next(G.parameters()))
            self._deviations = {name: rows.float().std(0).cpu() for name, rows in G.styles(ws).items()}
        return self._deviations

    def _check(self, place: Place) -> None:
        check_between("point", place.point, 0, len(self.latents) - 1)
        if place.image is not None:
            check_between("image", place.image, 0, len(self.images) - 1)
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
        places = [replace(place, steps=(*before, s, *after)) for s in steps]
        images, p, _ = self._see(places)
        alphas, ends = torch.tensor(steps, dtype=torch.float32), p[[0, -1]].argmax(1).tolist()
        return Film(images, alphas, p, self.class_names, *ends)
