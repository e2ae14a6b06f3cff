"""Which layers of a network have a map of the image, and which of them its opinion rests on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import inf, isqrt, log
from typing import Any

import torch
from torch import Tensor, nn

from histoxplain._checks import check
from histoxplain.explain.attribution.scores import Scores
from histoxplain.explain.explainer import evaluating


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer whose output is a map."""

    name: str
    """As `classifier.named_modules()` says it."""
    module: nn.Module
    shape: tuple[int, int, int]
    """Of the map: channels, height, width."""


def as_maps(output: Any, height: int, width: int) -> Tensor | None:
    """A layer's output as maps `(N, C, h, w)`, or None where it is no map of the image.

    Understands `(N, C, h, w)`, `(N, h, w, C)` as in Swin transformers, and `(N, tokens, C)` as in vision transformers,
    of which a class token at the front is left out.

    Args:
        output: what the layer gave.
        height: of the image.
        width: of the image; together they tell which axes are places.

    Example:
        >>> as_maps(torch.zeros(1, 7, 7, 768), 224, 224).shape, as_maps(torch.zeros(1, 197, 64), 224, 224).shape
        (torch.Size([1, 768, 7, 7]), torch.Size([1, 64, 14, 14]))
    """
    if not isinstance(output, Tensor) or not output.is_floating_point() or output.ndim not in (3, 4):
        return None
    if output.ndim == 4:
        _, a, b, c = output.shape
        maps = output.movedim(3, 1) if _misfit(a, b, height / width) < _misfit(b, c, height / width) else output
    else:
        side = isqrt(output.shape[1])
        extra = output.shape[1] - side * side
        if extra not in (0, 1):
            side = isqrt(output.shape[1] - 1)
            extra = output.shape[1] - side * side
        if extra not in (0, 1):
            return None
        maps = output[:, extra:].movedim(2, 1).unflatten(2, (side, side))
    return maps if maps.shape[2] * maps.shape[3] > 1 else None


def _misfit(h: int, w: int, ratio: float) -> float:
    """How far h:w is from the image's ratio of sides, or from the square that many classifiers shrink it to."""
    return min(abs(log(h / w)), abs(log(h / w / ratio))) if h * w else inf


def _watch(scores: Scores, x: Tensor) -> tuple[Tensor, dict[str, tuple[nn.Module, Tensor]]]:
    """Scores of `x`, and each layer with a map, in the order in which they finish (the last call of each)."""
    seen: dict[str, tuple[nn.Module, Tensor]] = {}
    height, width = x.shape[-2:]

    def noting(name: str) -> Callable[..., None]:
        def note(module: nn.Module, _: object, output: object) -> None:
            if as_maps(output, height, width) is not None and len(output) == len(x):
                seen.pop(name, None)
                seen[name] = module, output

        return note

    parts = scores.classifier.named_modules() if isinstance(scores.classifier, nn.Module) else ()
    hooks = [part.register_forward_hook(noting(name)) for name, part in parts if name]
    try:
        with torch.enable_grad():
            return scores(x.detach().clone().requires_grad_()), seen
    finally:
        for hook in hooks:
            hook.remove()


def spatial_layers(classifier: nn.Module, x: Tensor) -> dict[str, tuple[int, int, int]]:
    """The layers that `attribute(..., layer=NAME)` takes.

    Args:
        classifier: a network.
        x: an image to try it with, `(C, H, W)` or `(N, C, H, W)` in `[-1, 1]`.

    Returns:
        Name -> channels, height and width of its map, in the order in which the network computes them.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(3, 5, 2, stride=2), nn.Flatten(), nn.Linear(80, 2))
        >>> spatial_layers(network, torch.zeros(3, 8, 8))
        {'0': (5, 4, 4)}
    """
    x = x[None] if x.ndim == 3 else x
    with evaluating(classifier):
        _, seen = _watch(Scores(classifier), x[:1])
    return {name: _shape(output, x) for name, (_, output) in seen.items()}


def _shape(output: Tensor, x: Tensor) -> tuple[int, int, int]:
    return tuple(as_maps(output, *x.shape[-2:]).shape[1:])


def choose_layers(scores: Scores, x: Tensor, target: int, names: str | Sequence[str] | None) -> list[Layer]:
    """The layers asked for; else the last one with a map on which the score depends, of every trunk of an ensemble.

    Args:
        scores: what the map explains.
        x: one image `(1, C, H, W)`.
        target: the class.
        names: of layers, or None.

    Raises:
        InputError: if a name is none of a layer with a map, or the network has no such layer.
    """
    found, seen = _watch(scores, x)
    way_out = "choose a method that needs no layer, such as occlusion"
    check(bool(seen), "classifier", "have a layer with a map of the image", "none", way_out)
    if names is None:
        chosen = _last_of_every_trunk(found[0, target], seen, x)
    else:
        chosen = [_named(name, seen) for name in ([names] if isinstance(names, str) else names)]
    return [Layer(name, seen[name][0], _shape(seen[name][1], x)) for name in chosen]


def _named(name: str, seen: dict[str, Any]) -> str:
    """The full name of a layer; its end is enough where only one layer ends so."""
    if name in seen:
        return name
    ends = [full for full in seen if full.endswith(f".{name}")]
    if len(ends) == 1:
        return ends[0]
    near = get_close_matches(str(name), seen, n=1, cutoff=0.0)[0]
    rule = "name one layer with a map of the image"
    check(False, "layer", rule, repr(name), f"nearest valid is {near!r}, and `spatial_layers` lists all")
    raise AssertionError


def _last_of_every_trunk(score: Tensor, seen: dict[str, Any], x: Tensor) -> list[str]:
    left = {name: output for name, (_, output) in seen.items() if output.requires_grad}
    pull = _gradients(score, left)
    moving = [name for name in left if pull[name] is not None and _moves(pull[name], x)]
    if not moving:  # the class is out of reach of any change; show at least where it is decided
        return [list(seen)[-1]]
    chosen: list[str] = []
    while moving:
        chosen.insert(0, moving[-1])
        upstream = _gradients(left[moving[-1]].sum(), {name: left[name] for name in moving})
        moving = [name for name in moving if upstream[name] is None]
    return chosen


def _gradients(y: Tensor, outputs: dict[str, Tensor]) -> dict[str, Tensor | None]:
    if not outputs or not y.requires_grad:
        return dict.fromkeys(outputs)
    found = torch.autograd.grad(y, list(outputs.values()), retain_graph=True, allow_unused=True)
    return dict(zip(outputs, found))


def _moves(gradient: Tensor, x: Tensor) -> bool:
    return bool((as_maps(gradient, *x.shape[-2:]) != 0).any())
