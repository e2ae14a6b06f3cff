"""Images with one style coordinate changed, many at a time, and what the classifier says to each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from histoxplain._checks import check, check_one_of
from histoxplain.explain.images import quantised
from histoxplain.explain.latent_space import BATCH
from histoxplain.explain.opinion import lead, logits_of

if TYPE_CHECKING:
    from histoxplain.models import Bundle


class StyleSweep:
    """A table of logits: one row for every style coordinate taken to its highest or lowest value, one column an image.

    It starts empty and is filled by `measure`. Of S coordinates (a channel of the style of one layer), row j < S takes
    coordinate j up to `high[j]`, and row S + j takes it down to `low[j]`. Images are classified as saved, in 8 bits.

    Args:
        bundle: generator and classifier.
        ws: the images' latents, `(N, num_ws, w_dim)`.
        among: latents whose styles give the range of each coordinate, `(M, num_ws, w_dim)`.
        layers: the layers whose styles are changed; None takes all convolutions but no torgb.
        shift: how much of the way to the end of the range a coordinate is taken.
        reuse: draw with `generator.interactive()`, which computes only from the changed layer on; without, the
            generator itself draws every image from the start.

    Attributes:
        before: logits of the unchanged images, `(N, K)`.
        logits: the table, `(2 S, N, K)`; NaN where nothing was measured yet.
        drawn: images that were drawn so far, the unchanged ones included.
    """

    def __init__(
        self,
        bundle: Bundle,
        ws: Tensor,
        among: Tensor,
        layers: Sequence[str] | None = None,
        shift: float = 1.0,
        reuse: bool = True,
    ) -> None:
        G = bundle.generator
        self.bundle, self.generator = bundle, G
        self.draw = (G.interactive() if reuse else G).synthesis_from_styles
        with torch.no_grad():
            self.styles, reach = G.styles(ws), G.styles(among)
        self.layers = searched_layers(self.styles, layers)
        widths = [self.styles[name].shape[1] for name in self.layers]
        self.layer = torch.arange(len(widths)).repeat_interleave(torch.tensor(widths))
        self.channel = torch.cat([torch.arange(width) for width in widths])
        reach = torch.cat([reach[name] for name in self.layers], 1)
        self.low, self.high = reach.amin(0), reach.amax(0)
        own = torch.cat([self.styles[name] for name in self.layers], 1).T
        up = (self.high[:, None] - own).clamp_min(0)
        down = (self.low[:, None] - own).clamp_max(0)
        self.steps = shift * torch.cat([up, down])
        self.drawn, self.batch = 0, max(1, min(BATCH, BATCH * 256**2 // G.img_resolution**2))
        every = torch.arange(len(ws))
        self.before = torch.cat([self._classified(self._rows(some)) for some in every.split(self.batch)])
        self.logits = torch.full((2 * len(own), *self.before.shape), torch.nan)

    def __len__(self) -> int:
        return len(self.logits)

    @torch.no_grad()
    def measure(self, rows: Tensor, images: Tensor) -> None:
        """Fill in the table where `rows` and `images`, both of numbers, meet; what is known is not drawn again.

        The layers nearest to the image come first: those below the changed one are as they were, and are kept.
        """
        for block in images.split(self.batch):
            unknown = rows[self.logits[rows][:, block, 0].isnan().any(1)]
            todo = unknown[self.layer[unknown % len(self.layer)].argsort(descending=True, stable=True)]
            if not len(todo):
                continue
            chunks = -(-len(todo) // max(1, self.batch // len(block)))
            copies = -(-len(todo) // chunks)
            base = self._rows(block.repeat(copies))
            for some in todo.split(copies):
                logits = self._classified(self._edited(base, some, block))
                self.logits[some[:, None], block] = logits.unflatten(0, (copies, -1))[: len(some)].cpu()

    def effects(self, rows: Tensor, images: Tensor, target: int, source: int | None) -> Tensor:
        """How much each row's change adds to the lead of `target`, `(rows, images)`; NaN where unmeasured."""
        return lead(self.logits[rows][:, images], target, source) - lead(self.before[images], target, source)

    def slopes(self, images: Tensor, target: int, source: int | None) -> Tensor:
        """First-order estimate of the effects of all rows, `(2 S, images)`: gradient times step, one backward pass.

        Raises:
            InputError: if the classifier has no gradients.
        """
        found = []
        for block in images.split(self.batch):
            s = {name: rows.requires_grad_(name in self.layers) for name, rows in self._rows(block).items()}
            leaves = [s[name] for name in self.layers]
            with torch.enable_grad():
                x = self.generator.synthesis_from_styles(s).float().clamp(-1, 1)
                leads = lead(logits_of(self.bundle.classifier, x), target, source)
            self.drawn += len(x)
            check(leads.requires_grad, "classifier", "have gradients", "a black box", "search with `gradients=False`")
            gradients = torch.cat(torch.autograd.grad(leads.sum(), leaves), 1).T.float()
            found.append(gradients.repeat(2, 1) * self.steps[:, block.to(self.steps.device)])
        return torch.cat(found, 1).cpu()

    def secants(self, images: Tensor, target: int, source: int | None) -> Tensor:
        """The same without gradients, from the effects of half the table: what goes up as measured, the rest alike."""
        half, where = len(self) // 2, images.to(self.steps.device)
        rows = torch.arange(half)
        self.measure(rows, images)
        effects = self.effects(rows, images, target, source)
        up, down = self.steps[:half, where].cpu(), self.steps[half:, where].cpu()
        return torch.cat([effects, torch.where(up > 0, effects / up.clamp_min(1e-12), 0) * down])

    def differentiable(self) -> bool:
        """Whether the classifier passes gradients on to its image."""
        side, channels = self.generator.img_resolution, self.generator.img_channels
        x = torch.zeros(1, channels, side, side, device=self.steps.device, requires_grad=True)
        with torch.enable_grad():
            return logits_of(self.bundle.classifier, x).requires_grad

    def _rows(self, images: Tensor) -> dict[str, Tensor]:
        return {name: rows[images.to(rows.device)] for name, rows in self.styles.items()}

    def _edited(self, base: dict[str, Tensor], rows: Tensor, block: Tensor) -> dict[str, Tensor]:
        """`base` holds the images of `block` over and over; the i-th copy gets the i-th row's change."""
        s = dict(base)
        where = block.to(self.steps.device)
        for copy, row in enumerate(rows.tolist()):
            coordinate = row % len(self.layer)
            name = self.layers[self.layer[coordinate]]
            if s[name] is base[name]:
                s[name] = base[name].clone()
            part = slice(copy * len(block), (copy + 1) * len(block))
            s[name][part, self.channel[coordinate]] += self.steps[row, where]
        return s

    @torch.no_grad()
    def _classified(self, s: dict[str, Tensor]) -> Tensor:
        x = quantised(self.draw(s))
        self.drawn += len(x)
        return logits_of(self.bundle.classifier, x).cpu()


def searched_layers(styles: dict[str, Tensor], layers: Sequence[str] | None) -> tuple[str, ...]:
    """The layers to change, in order of use.

    Raises:
        InputError: if one of them is not a layer, or there is none.
    """
    if layers is None:
        return tuple(name for name in styles if not name.endswith("torgb"))
    for name in layers:
        check_one_of("layers", name, styles)
    check(bool(layers), "layers", "name at least one layer", "none", "leave it out to take all convolutions")
    return tuple(name for name in styles if name in layers)
