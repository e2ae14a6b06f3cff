"""Synthetic tissue as cases: the image, its true causes, and the pixels of its diseased part."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from torch import Tensor

from histoxplain._checks import check, check_at_least, check_between
from histoxplain.data.case import Case
from histoxplain.data.synthetic.causes import EXTENT, Causes, draw_causes
from histoxplain.data.synthetic.fields import Field
from histoxplain.data.synthetic.layout import Layout, Nuclei, draw_layout, epithelial_nuclei
from histoxplain.data.synthetic.paint import amounts, develop, make_plan, stromal_nuclei
from histoxplain.data.transforms import to_unit

CLASS_NAMES = ("healthy", "diseased")


def tissue(
    n: int,
    resolution: int = 64,
    seed: int = 0,
    *,
    share: float = 0.5,
    causes: Causes | None = None,
    extent: tuple[float, float] = EXTENT,
) -> list[Case]:
    """Draw H&E-like tissue with known causes.

    Args:
        n: how many images.
        resolution: side of the images, in pixels; the same seed shows the same tissue at any resolution.
        seed: image `i` depends on `(seed, i)` only.
        share: share of diseased images, 0 to 1.
        causes: the same causes for all images, instead of drawing them; `share` and `extent` are ignored then.
        extent: the least and the largest share of a diseased image that is diseased; a small one is a local finding.

    Returns:
        Cases with label 0 (healthy) or 1 (diseased), boolean mask of the diseased part, and in `meta` the true causes
        and the "seed" of the image.

    Raises:
        InputError: if an argument is out of range.

    Example:
        >>> case = tissue(1, resolution=32, share=1)[0]
        >>> case.image.shape, case.label, case.meta["crowding"] > 0.6
        (torch.Size([3, 32, 32]), 1, True)
    """
    check_at_least("n", n, 0)
    check_at_least("resolution", resolution, 8)
    check_between("share", share, 0, 1)
    check(0 < extent[0] <= extent[1] <= 1, "extent", "be two shares in (0, 1], the smaller first", tuple(extent))
    seeds = [(seed, i) for i in range(n)]
    return [paint_case(causes or causes_of(own, share, extent), resolution, own) for own in seeds]


def causes_of(seed: tuple[int, int], share: float, extent: tuple[float, float] = EXTENT) -> Causes:
    """The causes of one case, diseased with probability `share`."""
    rng = np.random.default_rng((*seed, 0))
    return draw_causes(bool(rng.uniform() < share), rng, extent)


def name_of(seed: tuple[int, int]) -> str:
    """The id of a case.

    Example:
        >>> name_of((0, 17))
        'tissue-0-000017'
    """
    return f"tissue-{seed[0]}-{seed[1]:06d}"


def repaint(case: Case, **changes: float) -> Case:
    """The same synthetic tissue with other causes: a true counterfactual.

    Outside the diseased part nothing changes, unless `stain` does.

    Args:
        case: made by `tissue`.
        changes: fields of `Causes`; `extent=0` heals.

    Example:
        >>> sick = tissue(1, resolution=32, share=1)[0]
        >>> healed = repaint(sick, extent=0)
        >>> healed.label, bool((healed.image == sick.image)[:, ~sick.mask].all())
        (0, True)
    """
    causes, seed = origin(case)
    return paint_case(replace(causes, **changes), case.image.shape[-1], seed)


def origin(case: Case) -> tuple[Causes, tuple[int, int]]:
    """Causes and seed of a case that `tissue` made; any other is refused."""
    check("seed" in case.meta, "case", "be synthetic tissue", repr(case.id), "make it with `synthetic.tissue`")
    known = {name: value for name, value in case.meta.items() if name != "seed"}
    return Causes(**known), tuple(case.meta["seed"])


def paint_case(causes: Causes, resolution: int, seed: tuple[int, int]) -> Case:
    """One case from its causes and its seed."""
    pixels, mask = paint(causes, resolution, seed)
    meta = {**asdict(causes), "seed": seed}
    return Case(to_unit(pixels), int(causes.extent > 0), name_of(seed), mask=mask, meta=meta)


@dataclass(frozen=True)
class Ingredients:
    """All that an image is painted from."""

    layout: Layout
    nuclei: Nuclei
    flow: Field
    texture: np.random.Generator
    camera: np.random.Generator


def ingredients(causes: Causes, seed: tuple[int, int]) -> Ingredients:
    """Draw all that has no pixels yet; every ingredient has its own random numbers."""
    place, glands, rest, texture, camera = (np.random.default_rng((*seed, k)) for k in range(1, 6))
    layout = draw_layout(causes, place)
    flow = Field.draw(4, rest)
    nuclei = Nuclei.join(stromal_nuclei(layout, flow, rest), epithelial_nuclei(layout, glands))
    return Ingredients(layout, nuclei, flow, texture, camera)


def paint(causes: Causes, resolution: int, seed: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Pixels uint8 (3, R, R) and diseased part bool (R, R)."""
    drawn = ingredients(causes, seed)
    finer = 2 if resolution <= 64 else 1
    plan = make_plan(drawn.layout, finer * resolution)
    stains = amounts(drawn.layout, plan, drawn.nuclei, drawn.flow, drawn.texture)
    light = develop(stains, causes.stain, drawn.camera)
    blocks = light.reshape(resolution, finer, resolution, finer, 3).mean((1, 3))
    pixels = torch.from_numpy(np.rint(blocks * 255).astype(np.uint8)).permute(2, 0, 1).contiguous()
    sick = drawn.layout.diseased[plan.territory].reshape(resolution, finer, resolution, finer).any((1, 3))
    return pixels, torch.from_numpy(sick)
