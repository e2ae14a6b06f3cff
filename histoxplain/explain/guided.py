"""What steps along directions do to a classifier's opinion, and which directions lead to a class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from histoxplain._checks import check, check_at_least, check_between
from histoxplain.explain.directions import Directions
from histoxplain.explain.effects import Effects
from histoxplain.explain.images import quantised
from histoxplain.explain.interpolate import Film
from histoxplain.explain.latent_space import BATCH, device_of
from histoxplain.explain.opinion import check_fit, class_pair, lead, logits_of, quiet
from histoxplain.explain.style_coordinates import StyleCoordinates

if TYPE_CHECKING:
    from histoxplain.models import Bundle

AnyDirections = Directions | StyleCoordinates


@torch.no_grad()
def measure_directions(
    bundle: Bundle,
    directions: AnyDirections,
    ws: Tensor,
    target: int | str,
    source: int | str | None = None,
    step: float = 1.0,
) -> Effects:
    """Take images one step along every direction and ask the classifier.

    Args:
        bundle: the networks; the classifier may be any callable to probabilities.
        directions: in W or in StyleSpace.
        ws: latents of the images, `(N, num_ws, w_dim)`.
        target: class by name or number.
        source: class it is compared with; None compares with all others.
        step: how far.

    Raises:
        InputError: if a class is unknown, the networks do not fit, or the classifier gives NaN.
    """
    check_fit(bundle)
    pair = class_pair(bundle, target, source)
    ws = ws.to(device_of(bundle.generator))
    with quiet(bundle):
        before = _opinions(bundle, directions, 0, ws, 0.0)
        after = [_opinions(bundle, directions, i, ws, step) for i in range(len(directions))]
    effects = torch.stack([lead(logits, *pair) - lead(before, *pair) for logits in after])
    said = torch.stack([logits.argmax(1) == pair[0] for logits in after])
    return Effects(directions.names, effects, said & (before.argmax(1) != pair[0]))


def guided_directions(
    bundle: Bundle,
    directions: Directions,
    ws: Tensor,
    target: int | str,
    source: int | str | None = None,
    step: float = 3.0,
    count: int = 5,
    agreement: float = 0.8,
) -> Directions:
    """Those directions, and that sense of each, that lead to a class: EigenFind, when they are `eigen_directions`.

    As in CheXplaining in Style (Atad et al., 2022), a direction is kept if it moves the classifier one way in nearly
    all images, and those with the largest mean effect come first; where both senses lead to the class, the stronger is
    kept. It takes two passes an image and direction.

    Args:
        bundle: see `measure_directions`.
        directions: of W.
        ws: latents of the images to look at, `(N, num_ws, w_dim)`.
        target: see `measure_directions`.
        source: see `measure_directions`.
        step: how far to go, in standard deviations.
        count: how many to keep.
        agreement: share of the images in which the effect must have the same sign.

    Returns:
        Directions that all lead to `target`, called "eigen 3 up" or "eigen 3 down", with mean effects as scores. None
        may be left.

    Raises:
        InputError: see `measure_directions`.
    """
    check_at_least("count", count, 1)
    check_between("agreement", agreement, 0.0, 1.0)
    senses = [measure_directions(bundle, directions, ws, target, source, sign * step).effects for sign in (1, -1)]
    both = torch.stack(senses)  # (2, D, N)
    means, agreed = both.mean(2), (both > 0).float().mean(2) >= agreement
    score, sense = means.masked_fill(~agreed, -torch.inf).max(0)
    order = [i for i in score.argsort(descending=True).tolist() if score[i] > 0][:count]
    names = tuple(f"{directions.names[i]} {'down' if sense[i] else 'up'}" for i in order)
    vectors = directions.vectors[order] * (1.0 - 2.0 * sense[order, None]).to(directions.vectors)
    return Directions(names, vectors, score[order], directions.kind)


@torch.no_grad()
def films_along(
    bundle: Bundle, directions: AnyDirections, ws: Tensor, steps: Sequence[float] = (0.0, 1.0)
) -> dict[str, list[Film]]:
    """Every image moved along every direction: name -> one film an image, whose `alphas` are the steps.

    `hx.viz.direction_strips` draws them. See `measure_directions` for the arguments.

    Raises:
        InputError: if there are no steps or no images.
    """
    check(len(steps) > 0 and len(ws) > 0, "steps", "hold at least one number, and `ws` one image", len(steps))
    ws, names, films = ws.to(device_of(bundle.generator)), tuple(bundle.class_names), {}
    with quiet(bundle):
        for which, name in enumerate(directions.names):
            frames = torch.stack([_drawn(bundle, directions, which, ws, step) for step in steps], 1)
            p = [logits_of(bundle.classifier, some).softmax(1).cpu() for some in frames]
            ends = [(int(one[0].argmax()), int(one[-1].argmax())) for one in p]
            alphas = torch.tensor(steps, dtype=torch.float32)
            films[name] = [Film(x.cpu(), alphas, one, names, *end) for x, one, end in zip(frames, p, ends)]
    return films


def _drawn(bundle: Bundle, directions: AnyDirections, which: int, ws: Tensor, step: float) -> Tensor:
    return torch.cat([quantised(directions.moved(bundle.generator, some, which, step)) for some in ws.split(BATCH)])


def _opinions(bundle: Bundle, directions: AnyDirections, which: int, ws: Tensor, step: float) -> Tensor:
    images = _drawn(bundle, directions, which, ws, step)
    return torch.cat([logits_of(bundle.classifier, some).cpu() for some in images.split(BATCH)])
