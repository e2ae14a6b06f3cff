"""Where to go from an image's latent: candidate paths towards another class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from histoxplain.explain.detail import detailed
from histoxplain.explain.invert import pixel_distance
from histoxplain.explain.latent_space import LatentSpace, one_hot
from histoxplain.explain.search import Move, descend
from histoxplain.explain.views import random_view

if TYPE_CHECKING:
    from histoxplain.models import Bundle, Generator

GROUPS = ("coarse", "middle", "fine")
SUBSETS = (("coarse", "middle"), ("middle", "fine"), ("coarse", "fine"), ("coarse",), ("middle",), ("fine",))


@dataclass(frozen=True, eq=False)
class Start:
    """One image as the search sees it."""

    ws: Tensor
    """`(num_ws, w_dim)`."""
    image: Tensor
    """What the generator draws there, 8-bit exact, `(C, H, W)`."""
    source: int
    """The classifier's opinion."""
    target: int
    """The class asked for."""
    z: Tensor | None = None
    """The noise behind it, `(z_dim,)`, if known."""
    detail: Tensor | None = None
    """What W+ does not say of it, `(C, h, w)`; see `detail.detailed`."""


def layer_groups(num_ws: int) -> Tensor:
    """The group of every layer, `(num_ws,)`: 0 coarse (architecture), 1 middle, 2 fine (colour, nuclear detail).

    Example:
        >>> layer_groups(6).tolist()
        [0, 0, 1, 1, 2, 2]
    """
    return torch.arange(num_ws) * len(GROUPS) // num_ws


def class_moves(start: Start, space: LatentSpace, G: Generator) -> list[Move]:
    """Towards the target class as a whole: the same noise under the other label, and the difference of class means."""
    moves = []
    if start.z is not None and G.c_dim:
        other = G.mapping(start.z[None], one_hot([start.target], G))[0]
        moves.append(Move(start.ws, other - start.ws, "label"))
    difference = space.means[start.target] - space.means[start.source]
    moves.append(Move(start.ws, 1.5 * difference.expand_as(start.ws), "difference"))
    return moves


def anchor_moves(start: Start, space: LatentSpace, count: int) -> list[Move]:
    """Towards samples that are clearly of the target class, the nearest first; these arrive by construction.

    Every other one leaves the image's detail behind on the way, all of it by the time it arrives.
    """
    anchors = space.anchors(start.target, start.ws.mean(0), count)
    fade = [0.0 if start.detail is None else float(i % 2) for i in range(len(anchors))]
    return [Move(start.ws, w - start.ws, f"towards sample {i + 1}", fade[i]) for i, w in enumerate(anchors)]


def layer_variants(move: Move) -> list[Move]:
    """The same move with only some of the layers taking part."""
    groups = layer_groups(len(move.start))
    variants = []
    for names in SUBSETS:
        mask = torch.isin(groups, torch.tensor([GROUPS.index(name) for name in names]))
        step = move.step * mask[:, None].to(move.step)
        variants.append(Move(move.start, step, f"{move.name}, {' and '.join(names)} layers", move.fade))
    return variants


@dataclass(frozen=True)
class Descent:
    """How the gradient search weighs its aims."""

    steps: int = 12
    """Gradient steps."""
    lr: float = 0.1
    """Step size, in standard deviations of W."""
    margin: float = 4.0
    """By how much the target's logit should lead."""
    image: float = 15.0
    """Weight of the change of the image, `pixel_distance`."""
    latent: float = 0.05
    """Weight of the squared step, in standard deviations of W."""
    stray: float = 1.0
    """Weight of lying further from the target's mean than the generator's own samples do (squared, standardised)."""


def gradient_moves(
    starts: list[Start], first: Tensor, space: LatentSpace, bundle: Bundle, how: Descent, seed: int
) -> list[Move]:
    """One refined move an image: gradient descent on the classifier's margin, near the start and near real latents.

    One step for each group of layers, in whitened coordinates; every gradient sees the images turned, mirrored, shifted
    and grainy in another way, so that no fixed pattern of pixels can win.

    Args:
        starts: N images.
        first: the steps to begin with, `(N, num_ws, w_dim)`.
        space: of the bundle.
        bundle: the networks.
        how: weights.
        seed: draws the views.
    """
    G, draws = bundle.generator, torch.Generator().manual_seed(seed)
    groups = layer_groups(G.num_ws)
    ws, images = torch.stack([s.ws for s in starts]), torch.stack([s.image for s in starts])
    detail = None if starts[0].detail is None else torch.stack([s.detail for s in starts])
    targets = torch.tensor([s.target for s in starts], device=ws.device)
    rest = F.one_hot(targets, len(bundle.class_names)).bool()
    means = space.means[targets][:, None]

    def step_of(u: Tensor) -> Tensor:
        return space.unwhiten(u)[:, groups]

    def loss(u: Tensor, _: int) -> Tensor:
        end = ws + step_of(u)
        x = G.synthesis(end, noise_mode="const").float()
        logits = bundle.classifier(random_view(x, draws))
        lead = logits[rest] - logits.masked_fill(rest, -torch.inf).amax(1)
        stray = F.relu(space.whiten(end - means).square().mean((1, 2)) - 1)
        cost = how.image * pixel_distance(x, images) + how.latent * u.square().mean((1, 2)) + how.stray * stray
        return (F.relu(how.margin - lead) + cost).sum()

    begin = torch.stack([first[:, groups == g].mean(1) for g in range(len(GROUPS))], 1)
    with detailed(G, detail):
        u = descend(loss, space.whiten(begin), how.steps, how.lr)
    return [Move(w, step, "gradient") for w, step in zip(ws, 1.25 * step_of(u))]
