"""What W+ cannot say of a real image: an offset of the generator's feature maps, which puts nuclei in their places."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from histoxplain.models.stylegan2 import Generator

SHRINK = 4
"""The offset is added where maps are this many times smaller than the image."""


def detail_site(G: Generator) -> nn.Module | None:
    """The block of a generator whose features take the offset: a quarter of the resolution, at least 8 x 8.

    None for a generator without blocks or too small to have one below its last.
    """
    blocks = getattr(getattr(G, "synthesis", None), "blocks", None) or []
    wanted = max(G.img_resolution // SHRINK, 8)
    return next((block for block in blocks if block.resolution == wanted < G.img_resolution), None)


@contextmanager
def detailed(G: Generator, detail: Tensor | Callable[[Tensor], Tensor] | None) -> Iterator[None]:
    """Within the block, every image that `G` draws gets its row of `detail` `(N, C, h, w)`; None adds nothing.

    A function is given the features, float32, and returns their offset.

    After Kang et al., GAN Inversion for Out-of-Range Images with Geometric Transformations (2021).
    """
    if detail is None:
        yield
        return

    def add(_: nn.Module, __: object, output: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
        x, image = output
        offset = detail(x.float()) if callable(detail) else detail
        return x + offset.to(x.dtype), image

    hook = detail_site(G).register_forward_hook(add)
    try:
        yield
    finally:
        hook.remove()
