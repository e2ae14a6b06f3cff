"""Film strips: what lies between two latents, two classes, or an image and its counterfactual."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from histoxplain._checks import check, check_at_least
from histoxplain.explain.explainer import class_index, evaluating
from histoxplain.explain.images import quantised
from histoxplain.explain.latent_space import BATCH, device_of, draw, latent_space, one_hot, sample_z
from histoxplain.explain.reliability import opinions
from histoxplain.explain.spaces import Flat, StyleSpace, only_where, paint

if TYPE_CHECKING:
    from histoxplain.explain.record import Explanation
    from histoxplain.models import Bundle


@dataclass(frozen=True, eq=False)
class Film:
    """Images along a path, with the classifier's opinion of each."""

    frames: Tensor
    """`(T, C, H, W)` in `[-1, 1]`, 8-bit exact."""
    alphas: Tensor
    """Where on the path each frame lies, `(T,)`; 0 is the start."""
    probabilities: Tensor
    """`(T, K)`."""
    class_names: tuple[str, ...]
    """K names."""
    source: int
    """The class it begins with."""
    target: int
    """The class it leads to."""

    def __len__(self) -> int:
        return len(self.frames)


def latent_path(ws: Tensor, steps: int) -> Tensor:
    """Latents on the straight way from each to the next.

    Args:
        ws: `(N, num_ws, w_dim)`, at least two.
        steps: how many from each to the next, at least 1.

    Returns:
        `((N - 1) * steps + 1, num_ws, w_dim)`; every `steps`-th is one of `ws`. `draw` shows them.

    Raises:
        InputError: if there is no way to go.

    Example:
        >>> latent_path(torch.tensor([0.0, 1.0, 3.0])[:, None, None], 2).flatten().tolist()
        [0.0, 0.5, 1.0, 2.0, 3.0]
    """
    check_at_least("steps", steps, 1)
    check(ws.ndim == 3 and len(ws) > 1, "ws", "have shape (2 or more, num_ws, w_dim)", tuple(ws.shape))
    along = torch.arange(steps, device=ws.device)[:, None, None] / steps
    return torch.cat([*(torch.lerp(a, b, along.to(ws)) for a, b in pairwise(ws)), ws[-1:]])


@torch.no_grad()
def film_between(
    bundle: Bundle,
    start: Tensor,
    end: Tensor,
    steps: int = 8,
    source: int | None = None,
    target: int | None = None,
    detail: Tensor | None = None,
    gain: float = 1.0,
) -> Film:
    """The straight path between two latents.

    Args:
        bundle: the networks.
        start: `(num_ws, w_dim)`.
        end: the same shape.
        steps: frames, at least 2.
        source: the class it begins with; by default the classifier's opinion of the first frame.
        target: the class it leads to; by default the classifier's opinion of the last frame.
        detail: of a real image, `(C, h, w)`; see `detail.detailed`.
        gain: how much of it is left at the end.
    """
    check_at_least("steps", steps, 2)
    check(
        start.shape == end.shape and start.ndim == 2,
        "end",
        "match `start`",
        f"{tuple(start.shape)}, {tuple(end.shape)}",
    )
    start, end = start.to(device_of(bundle.generator)), end.to(device_of(bundle.generator))
    alphas = torch.linspace(0, 1, steps)
    at = alphas[:, None, None].to(start)
    if detail is not None:
        detail = (1 + (gain - 1) * at[..., None]) * detail.to(start)
    with evaluating(bundle.generator, bundle.classifier):
        return _film(bundle, draw(bundle.generator, torch.lerp(start, end, at), detail), alphas, source, target)


@torch.no_grad()
def _film(bundle: Bundle, frames: Tensor, alphas: Tensor, source: int | None, target: int | None) -> Film:
    """Frames as they are once saved, with the classifier's opinion."""
    frames = quantised(frames).to(opinions.device_of(bundle.classifier))
    p = torch.cat([bundle.classifier.probabilities(x).float() for x in frames.split(BATCH)])
    source = int(p[0].argmax()) if source is None else source
    target = int(p[-1].argmax()) if target is None else target
    return Film(frames.cpu(), alphas, p.cpu(), tuple(bundle.class_names), source, target)


def _blend(bundle: Bundle, explanation: Explanation, which: int, at: Tensor) -> Film:
    """The original and a counterfactual, more and more of it."""
    frames = torch.lerp(explanation.original, explanation.counterfactuals[which], at[:, None, None, None])
    with evaluating(bundle.classifier):
        return _film(bundle, frames, at, explanation.source_class, explanation.target_class)


def interpolate_classes(bundle: Bundle, source: int | str, target: int | str, steps: int = 8, seed: int = 0) -> Film:
    """One sample turned from one class into another: the same noise, its label's latent exchanged step by step.

    Without labels in the generator it leads from one class mean to the other.

    Args:
        bundle: the networks.
        source: class by name or number.
        target: class by name or number.
        steps: frames.
        seed: draws the noise.
    """
    a, b = (class_index(k, bundle.class_names, n) for k, n in ((source, "source"), (target, "target")))
    check(a != b, "target", "be another class than `source`", repr(target), "choose two different classes")
    G = bundle.generator
    with evaluating(G, bundle.classifier), torch.no_grad():
        if G.c_dim:
            start, end = G.mapping(sample_z(G, 1, seed).expand(2, -1), one_hot([a, b], G))
        else:
            start, end = latent_space(bundle).means[[a, b], None].expand(-1, G.num_ws, -1)
    return film_between(bundle, start, end, steps, a, b)


def film_of(bundle: Bundle, explanation: Explanation, which: int = 0, steps: int = 8) -> Film:
    """The way from an explanation's start to one of its counterfactuals: straight through latent space.

    A method that has none, such as a translation, is shown as a blend of the two images.

    Args:
        bundle: the networks it was made with.
        explanation: the record.
        which: number of the counterfactual.
        steps: frames.

    Raises:
        InputError: if there is no such counterfactual, or `steps` is below 2.
    """
    latents, G = explanation.latents, bundle.generator
    ways = [pair for pair in (("start", "end"), ("start_style", "end_style")) if set(pair) <= set(latents)]
    check(0 <= which < len(explanation), "which", f"be below {len(explanation)}", which)
    check_at_least("steps", steps, 2)
    if not ways:
        return _blend(bundle, explanation, which, torch.linspace(0, 1, steps))
    start, end = (latents[name].to(device_of(G)) for name in ways[0])
    space = Flat(G) if ways[0][1] == "end" else StyleSpace(G, latents["start"][None].to(start))
    at = torch.linspace(0, 1, steps)
    points = torch.lerp(start.flatten(), end[which].flatten(), at[:, None].to(start))
    gain = float(latents["gain"][which]) if "gain" in latents else 1.0
    detail = (
        latents["detail"].to(start) * (1 + (gain - 1) * at[:, None, None, None].to(start))
        if "detail" in latents
        else None
    )
    with evaluating(G, bundle.classifier):
        frames = only_where(latents.get("mask"), paint(space, points, detail).cpu(), explanation.original)
        return _film(bundle, frames, at, explanation.source_class, explanation.target_class)
