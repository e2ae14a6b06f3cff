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
from histoxplain.explain.quick import quick_classifier
from histoxplain.explain.search import Move, descend
from histoxplain.explain.spaces import WPlus, only_where, pad_rows
from histoxplain.explain.views import random_view

if TYPE_CHECKING:
    from histoxplain.explain.spaces import Space
    from histoxplain.models import Bundle, Generator

GROUPS = ("coarse", "middle", "fine")
FADE = 0.5
"""How much of an image's detail is gone by the time it arrives: detail of one class over another looks painted on."""


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
    original: Tensor | None = None
    """The image itself, `(C, H, W)`, which stays where the mask is 0."""
    mask: Tensor | None = None
    """Where the image may change, `(H, W)` in `[0, 1]`, the same for all images; None is everywhere."""
    style: Tensor | None = None
    """The point of StyleSpace, `(S,)`, for searches there."""

    def point(self, space: Space) -> Tensor:
        """The image's place in the space of a search, `(P,)`."""
        return self.ws.flatten() if isinstance(space, WPlus) else self.style


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
    fade = 0.0 if start.detail is None else FADE
    moves.append(Move(start.ws, 1.5 * difference.expand_as(start.ws), "difference", fade))
    return moves


def anchor_moves(start: Start, space: LatentSpace, count: int) -> list[Move]:
    """Towards samples that are clearly of the target class, the nearest first; these arrive by construction.

    The image's detail is left behind on the way: by every other one half of it, by the others all.
    """
    anchors = space.anchors(start.target, start.ws.mean(0), count)
    fade = [0.0 if start.detail is None else (FADE, 1.0)[i % 2] for i in range(len(anchors))]
    return [Move(start.ws, w - start.ws, f"towards sample {i + 1}", fade[i]) for i, w in enumerate(anchors)]


@dataclass(frozen=True)
class Descent:
    """How the gradient search weighs its aims."""

    steps: int = 8
    """Gradient steps."""
    lr: float = 0.12
    """Step size, in shares of a move."""
    margin: float = 4.0
    """By how much the target's logit should lead."""
    image: float = 40.0
    """Weight of the change of the image, `pixel_distance`."""


def blended_moves(
    starts: list[Start],
    moves: list[list[Move]],
    first: list[tuple[Move, float]],
    bundle: Bundle,
    how: Descent,
    seed: int,
) -> list[Move]:
    """One refined move an image: gradient descent on the classifier's margin over blends of its moves.

    Each group of layers takes its own share of every move; shares are not negative and sum to at most one. The search
    thus stays between the image and real samples of the target class: gradients in all of W+ find adversarial
    patterns, which a second classifier does not believe. Every step sees another view of the images (see
    `views.random_view`).

    Args:
        starts: N images.
        moves: the moves of each.
        first: for each, the one of its moves to begin with and how far along it.
        bundle: the networks.
        how: weights.
        seed: draws the views.
    """
    G, classifier = bundle.generator, quick_classifier(bundle.classifier)
    draws = torch.Generator().manual_seed(seed)
    ws, images = torch.stack([s.ws for s in starts]), torch.stack([s.image for s in starts])
    detail = None if starts[0].detail is None else torch.stack([s.detail for s in starts])
    rest = F.one_hot(torch.tensor([s.target for s in starts], device=ws.device), len(bundle.class_names)).bool()
    most = max(map(len, moves))
    steps = pad_rows([torch.stack([m.step for m in some]) for some in moves], most)
    fades = pad_rows([torch.tensor([m.fade for m in some]) for some in moves], most).to(ws)
    space, mask = WPlus(bundle), starts[0].mask
    originals = None if mask is None else torch.stack([s.original for s in starts])
    groups = layer_groups(ws.shape[1])

    def blend(u: Tensor) -> tuple[Tensor, Tensor]:
        shares = F.relu(u) / F.relu(u).sum(1, keepdim=True).clamp_min(1.0)
        fade = (shares.mean(2) * fades).sum(1)
        return torch.einsum("nkl,nkld->nld", shares[:, :, groups], steps), fade

    def loss(u: Tensor, _: int) -> Tensor:
        step, fade = blend(u)
        with detailed(G, None if detail is None else (1 - fade)[:, None, None, None] * detail):
            x = only_where(mask, space.image((ws + step).flatten(1)), originals)
        view = random_view(x, draws).contiguous(memory_format=torch.channels_last)
        logits = classifier(view)
        lead = logits[rest] - logits.masked_fill(rest, -torch.inf).amax(1)
        return (F.relu(how.margin - lead) + how.image * pixel_distance(x, images)).sum()

    u = torch.full((len(starts), most, len(GROUPS)), 0.02, device=ws.device)
    for i, (move, alpha) in enumerate(first):
        u[i, moves[i].index(move)] = min(alpha, 1.0)
    step, fade = blend(descend(loss, u, how.steps, how.lr))
    rows = zip(starts, 1.25 * step.detach(), (1.25 * fade).tolist())
    return [Move(start.ws, one, "blend", gone) for start, one, gone in rows]
