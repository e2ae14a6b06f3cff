"""A generator for sliders: buffers kept, and only what a change touches is computed again."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor

from histoxplain._checks import check, check_one_of
from histoxplain._device import resolve_precision
from histoxplain.models.detail import detail_site
from histoxplain.models.stylegan2.generator import NOISE_MODES, Generator, Styles
from histoxplain.models.stylegan2.packed import PackedLayers
from histoxplain.models.stylegan2.plain import PlainLayers

CHUNK = 2**24
"""Bytes of the largest activation, where a batch is drawn in parts to save memory."""


class InteractiveGenerator:
    """Draws what a `Generator` draws, without gradients, as fast as the machine allows.

    On a CPU, native kernels read the network's weights where they lie and transform them on the way to the
    multiplications (bfloat16 where the CPU multiplies it), so that nothing but activations takes memory; elsewhere, and
    where they cannot be built, the network's own layers run. Both keep every layer's output: when a style changes, the
    layers before it are not computed again. After training on, ask the generator anew.

    Args:
        generator: what to draw with; its mapping network is used as it is.
        precision: "float32", "bfloat16" or "auto", see `resolve_precision`; the generator's own if None.
        keep: keep every layer's output. Without, a pass takes less memory and always computes everything.

    Attributes:
        native: whether native kernels run.
        computed: names of the layers that the last call computed, in order.
    """

    def __init__(self, generator: Generator, precision: str | None = None, keep: bool = True) -> None:
        device = next(generator.parameters()).device
        self.generator, self.keep = generator, keep
        own = generator.synthesis.blocks[-1].dtype
        self.dtype = own if precision is None else resolve_precision(precision, device)
        self.native = PackedLayers.can_run(generator, self.dtype)
        self.layers = (PackedLayers if self.native else PlainLayers)(generator, self.dtype, keep)
        self.computed: list[str] = []
        self._before: _Pass | None = None
        widest = max(r * r * generator.config.width(r) for r in generator.config.resolutions)
        self.chunk = max(1, CHUNK // (widest * self.dtype.itemsize))
        block = detail_site(generator)
        self.site = None if block is None else f"b{2 * block.resolution}.conv0"  # the first layer to see a detail

    def __getattr__(self, name: str) -> object:
        if name.startswith("_") or name == "generator":
            raise AttributeError(name)
        return getattr(self.generator, name)

    @torch.no_grad()
    def __call__(
        self,
        z: Tensor,
        c: Tensor | None = None,
        truncation_psi: float = 1,
        truncation_cutoff: int | None = None,
        noise_mode: str = "const",
    ) -> Tensor:
        """Noise `(N, z_dim)` and labels `(N, c_dim)` to images, as `Generator` does."""
        return self.synthesis(self.mapping(z, c, truncation_psi, truncation_cutoff), noise_mode)

    def synthesis(
        self,
        ws: Tensor,
        noise_mode: str = "const",
        generator: torch.Generator | None = None,
        detail: Tensor | None = None,
    ) -> Tensor:
        """`ws` `(N, num_ws, w_dim)` to images `(N, img_channels, R, R)`, float32; see `SynthesisNetwork.forward`."""
        return self.synthesis_from_styles(self.styles(ws), noise_mode, generator, detail)

    @torch.no_grad()
    def styles(self, ws: Tensor) -> OrderedDict[str, Tensor]:
        """`ws` `(N, num_ws, w_dim)` to StyleSpace, as `Generator.styles` does."""
        return self.layers.styles(ws)

    @torch.no_grad()
    def synthesis_from_styles(
        self,
        s: Styles,
        noise_mode: str = "const",
        generator: torch.Generator | None = None,
        detail: Tensor | None = None,
    ) -> Tensor:
        """Images `(N, img_channels, R, R)` from the styles of `styles`, edited or not.

        Args:
            s: layer name -> `(N, channels)`.
            noise_mode: see `SynthesisNetwork.forward`.
            generator: see `SynthesisNetwork.forward`.
            detail: offset of the feature maps, `(N, C, h, w)`, added where `models.detail.detailed` adds it.

        Raises:
            InputError: if a layer's style is missing or of another shape, if there is a detail and no place for it, or
                on an unknown noise mode.
        """
        check_one_of("noise_mode", noise_mode, NOISE_MODES)
        s = {name: self._checked(name, s) for name in self.layers.names}
        batch = len(s[self.layers.names[0]])
        check(all(len(rows) == batch for rows in s.values()), "s", f"hold {batch} rows for every layer", "other counts")
        ok = detail is None or (self.site is not None and len(detail) == batch)
        check(ok, "detail", f"hold {batch} offsets, and the generator have a place for them", "others, or no place")
        if self.keep:
            return self._draw(s, noise_mode, generator, detail).clone()
        images = []
        for i in range(0, max(batch, 1), self.chunk):
            part = {name: rows[i : i + self.chunk] for name, rows in s.items()}
            some = None if detail is None else detail[i : i + self.chunk]
            images.append(self._draw(part, noise_mode, generator, some))
        return torch.cat(images)

    def _draw(
        self, s: dict[str, Tensor], noise_mode: str, rng: torch.Generator | None, detail: Tensor | None
    ) -> Tensor:
        before, self._before, self.computed = self._before, None, []  # a pass that breaks off leaves nothing to rely on
        fresh = before is None or before.noise_mode != noise_mode or noise_mode == "random"
        x = image = None
        new_x = new_image = fresh
        images = {}
        for name in self.layers.names:
            edited = fresh or not torch.equal(s[name], before.styles[name])
            if name.endswith("torgb"):
                new_image = new_image or new_x or edited
                if new_image:
                    image = self.layers.colours(name, x, s[name], image)
                    self.computed.append(name)
                else:
                    image = before.images[name]
                images[name] = image
            else:
                new_x = new_x or edited
                if name == self.site:
                    new_x = new_x or not _same(detail, before.detail)
                    x = x if detail is None or not new_x else self.layers.shifted(x, detail)
                if new_x:
                    x = self.layers.features(name, x, s[name], noise_mode, rng)
                    self.computed.append(name)
                else:
                    x = self.layers.kept(name)
        if self.keep:
            kept = None if detail is None else detail.clone()
            self._before = _Pass(noise_mode, {name: rows.clone() for name, rows in s.items()}, images, kept)
        return image

    def _checked(self, name: str, s: Styles) -> Tensor:
        width = self.layers.widths[name]
        got = tuple(s[name].shape) if name in s else None
        check(got is not None and len(got) == 2 and got[1] == width, f"s[{name!r}]", f"have shape (N, {width})", got)
        return s[name].detach().float()


@dataclass
class _Pass:
    """What the last pass was made of."""

    noise_mode: str
    styles: dict[str, Tensor]
    images: dict[str, Tensor]
    detail: Tensor | None


def _same(a: Tensor | None, b: Tensor | None) -> bool:
    return a is b or (a is not None and b is not None and torch.equal(a, b))
