"""The spaces that searches move in: W+ and StyleSpace, each point one row of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from histoxplain.explain.detail import detailed
from histoxplain.explain.latent_space import BATCH, latent_space
from histoxplain.explain.quick import quick_generator

if TYPE_CHECKING:
    from histoxplain.models import Bundle, Generator
    from histoxplain.models.stylegan2.interactive import InteractiveGenerator


class Space(Protocol):
    """Where a search moves."""

    generator: Generator

    def image(self, points: Tensor, drawn: InteractiveGenerator | None = None, detail: Tensor | None = None) -> Tensor:
        """What the generator draws at points `(n, P)`: `(n, C, H, W)`, with gradients if `points` has them.

        With `drawn`, that draws them, without gradients, and takes `detail` `(n, C, h, w)`.
        """

    def deviations(self, steps: Tensor) -> Tensor:
        """Steps `(n, P)` in standard deviations of the generator's samples, `(n, P)`."""

    def parts(self, steps: Tensor) -> Tensor:
        """How many of the things that this space tells apart take part in each step, `(n,)`."""


class Flat:
    """Latents of W+ laid out in one row.

    Args:
        generator: what to draw with.
    """

    def __init__(self, generator: Generator) -> None:
        self.generator = generator

    def image(self, points: Tensor, drawn: InteractiveGenerator | None = None, detail: Tensor | None = None) -> Tensor:
        """See `Space.image`."""
        ws = points.unflatten(1, (self.generator.num_ws, self.generator.w_dim))
        if drawn is not None:
            return drawn.synthesis(ws, detail=detail)
        return self.generator.synthesis(ws, noise_mode="const").float()


class WPlus(Flat):
    """W+: a latent for every layer, `(num_ws, w_dim)`, laid out in one row; its parts are the layers' latents.

    Args:
        bundle: the networks.
    """

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle.generator)
        self.known = latent_space(bundle)

    def deviations(self, steps: Tensor) -> Tensor:
        """See `Space.deviations`; along the principal axes."""
        return self.known.whiten(steps.unflatten(1, (-1, self.generator.w_dim))).flatten(1)

    def parts(self, steps: Tensor) -> Tensor:
        """See `Space.parts`."""
        return (steps.unflatten(1, (-1, self.generator.w_dim)) != 0).any(2).sum(1)


class StyleSpace:
    """StyleSpace: the styles of all layers in one row (Wu et al., 2021); its parts are single coordinates.

    Args:
        generator: with `styles` and `synthesis_from_styles`.
        among: latents whose styles tell how far each coordinate goes, `(M, num_ws, w_dim)`.

    Attributes:
        layers: names of the layers, in order of use.
        low: the lowest value of each coordinate, `(S,)`.
        high: the highest, `(S,)`.
        deviation: the standard deviation of each, `(S,)`; zero where it never changes.
    """

    @torch.no_grad()
    def __init__(self, generator: Generator, among: Tensor) -> None:
        self.generator = generator
        styles = generator.styles(among)
        self.layers, self.widths = tuple(styles), [rows.shape[1] for rows in styles.values()]
        rows = torch.cat(list(styles.values()), 1).float()
        self.low, self.high, self.deviation = rows.amin(0), rows.amax(0), rows.std(0, correction=0)

    def __len__(self) -> int:
        return sum(self.widths)

    def of(self, ws: Tensor) -> Tensor:
        """Latents `(n, num_ws, w_dim)` as points, `(n, S)`."""
        return torch.cat(list(self.generator.styles(ws).values()), 1).float()

    def image(self, points: Tensor, drawn: InteractiveGenerator | None = None, detail: Tensor | None = None) -> Tensor:
        """See `Space.image`."""
        styles = dict(zip(self.layers, points.split(self.widths, 1)))
        if drawn is not None:
            return drawn.synthesis_from_styles(styles, detail=detail)
        return self.generator.synthesis_from_styles(styles).float()

    def deviations(self, steps: Tensor) -> Tensor:
        """See `Space.deviations`; of each coordinate by itself."""
        return torch.where(self.deviation > 0, steps / self.deviation.clamp_min(1e-12), 0)

    def parts(self, steps: Tensor) -> Tensor:
        """See `Space.parts`."""
        return (steps != 0).sum(1)

    def places(self, which: Sequence[int]) -> list[tuple[str, int]]:
        """Layer and channel of coordinates given by their place in the row."""
        ends = torch.tensor(self.widths).cumsum(0)
        found = []
        for place in which:
            layer = int(torch.searchsorted(ends, place, right=True))
            found.append((self.layers[layer], int(place) - int(ends[layer]) + self.widths[layer]))
        return found

    def place(self, layer: str, channel: int) -> int:
        """The place in the row of a layer's channel; the inverse of `places`."""
        return sum(self.widths[: self.layers.index(layer)]) + channel


@torch.no_grad()
def paint(space: Space, points: Tensor, detail: Tensor | None = None, quick: bool = False) -> Tensor:
    """Images at points, in small batches.

    Args:
        space: the space of the points.
        points: `(n, P)`.
        detail: offset of the feature maps, `(n, C, h, w)`; see `detail.detailed`.
        quick: draw with `quick.quick_generator`, where there is one: rounding differs.

    Returns:
        `(n, C, H, W)`, unclamped, float32.
    """
    G, drawn = space.generator, quick_generator(space.generator) if quick else None
    batch = max(1, min(BATCH, BATCH * 256**2 // G.img_resolution**2))
    images = []
    for rows in torch.arange(len(points)).split(batch):
        some = None if detail is None else detail[rows]
        if drawn is not None:
            images.append(space.image(points[rows], drawn, some))
            continue
        with detailed(G, some):
            images.append(space.image(points[rows]))
    return torch.cat(images) if images else points.new_zeros(0, G.img_channels, *(G.img_resolution,) * 2)


def only_where(mask: Tensor | None, x: Tensor, originals: Tensor | None) -> Tensor:
    """Images where the mask is 1, the originals where it is 0, a mixture where it lies between.

    Args:
        mask: `(H, W)` in `[0, 1]`; None takes the images as they are.
        x: `(n, C, H, W)`.
        originals: `(n, C, H, W)`.

    Example:
        >>> only_where(torch.tensor([[0.0, 0.5, 1.0]]), torch.ones(1, 1, 1, 3), torch.zeros(1, 1, 1, 3)).tolist()
        [[[[0.0, 0.5, 1.0]]]]
    """
    return x if mask is None else mask * x + (1 - mask) * originals


def pad_rows(rows: Sequence[Tensor], most: int) -> Tensor:
    """Tables of `(m_i, ...)` numbers, filled up with zeros to `most` rows each: `(len(rows), most, ...)`."""
    return torch.stack([F.pad(row, (0, 0) * (row.ndim - 1) + (0, most - len(row))) for row in rows])
