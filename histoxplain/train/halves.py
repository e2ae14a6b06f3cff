"""Half of a batch real, half generated: what networks beside a frozen generator are trained on."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from histoxplain._checks import check
from histoxplain.data import to_unit
from histoxplain.models import Classifier, Generator
from histoxplain.train.sampler import endless


class Halves:
    """Real images in an endless order, turned about if wanted, and generated ones with their latents.

    Args:
        pixels: uint8 images `(N, C, R, R)`.
        generator: draws the others.
        mirror: flip real images left-right at random.
        quarter_turns: turn real images by quarter turns at random.
        seed: of the order and of everything drawn.
    """

    def __init__(
        self, pixels: Tensor, generator: Generator, mirror: bool = False, quarter_turns: bool = False, seed: int = 0
    ) -> None:
        self.pixels, self.G, self.mirror, self.quarter_turns, self.seed = pixels, generator, mirror, quarter_turns, seed
        self.device = next(generator.parameters()).device
        self.rng = torch.Generator(self.device).manual_seed(seed)
        self.order, self.shown = endless(len(pixels), seed), 0

    def real(self, count: int) -> Tensor:
        """The next real images, `(count, C, R, R)` in [-1, 1]."""
        index = torch.tensor([next(self.order) for _ in range(count)])
        self.shown += count
        real = to_unit(self.pixels[index].to(self.device))
        if self.mirror:
            flip = torch.rand(len(real), generator=self.rng, device=self.device) < 0.5
            real = torch.where(flip[:, None, None, None], real.flip(3), real)
        if self.quarter_turns:
            turns = torch.randint(4, (len(real),), generator=self.rng, device=self.device).tolist()
            real = torch.stack([image.rot90(turn, (1, 2)) for image, turn in zip(real, turns)])
        return real

    @torch.no_grad()
    def generated(self, count: int) -> tuple[Tensor, Tensor]:
        """Images of random latents of random classes, and the latents `(count, num_ws, w_dim)`."""
        G, c = self.G, None
        z = torch.randn(count, G.z_dim, generator=self.rng, device=self.device)
        if G.c_dim:
            c = F.one_hot(torch.randint(G.c_dim, (count,), generator=self.rng, device=self.device), G.c_dim).float()
        ws = G.mapping(z, c)
        if not count:
            return self.pixels.new_zeros(0, *self.pixels.shape[1:]).float().to(self.device), ws
        return G.synthesis(ws, noise_mode="const").float().clamp(-1, 1), ws

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes while drawing."""
        return {"shown": self.shown, "rng": self.rng.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.shown = state["shown"]
        self.rng.set_state(state["rng"])
        self.order = endless(len(self.pixels), self.seed, start=self.shown)


def check_networks_fit(pixels: Tensor, G: Generator, C: Classifier) -> None:
    """Images, generator and classifier must be of one kind.

    Raises:
        InputError: if they differ in size, channels or number of classes.
    """
    side, channels = G.img_resolution, G.img_channels
    fits = tuple(pixels.shape[1:]) == (channels, side, side)
    check(fits, "data", f"hold images of the generator's {channels} x {side} x {side}", tuple(pixels.shape[1:]))
    check(C.channels == channels, "classifier", f"take images of {channels} channels", C.channels)
    same = not G.c_dim or G.c_dim == len(C.class_names)
    check(same, "classifier", f"know the generator's {G.c_dim} classes", len(C.class_names))
