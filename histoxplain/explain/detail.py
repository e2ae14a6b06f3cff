"""How large an offset of the generator's feature maps may reasonably be; see `models.detail`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from histoxplain.models.detail import SHRINK, detail_site, detailed

if TYPE_CHECKING:
    from histoxplain.models import Generator

__all__ = ["SHRINK", "detail_scale", "detail_site", "detailed"]


@torch.no_grad()
def detail_scale(G: Generator, ws: Tensor) -> Tensor:
    """The standard deviation of each image's feature maps where detail is added, in their shape: `(N, C, h, w)`."""
    seen: list[Tensor] = []
    hook = detail_site(G).register_forward_hook(lambda _, __, output: seen.append(output[0].float()))
    try:
        for some in ws.split(8):
            G.synthesis(some, noise_mode="const")
    finally:
        hook.remove()
    features = torch.cat(seen)
    return features.std((1, 2, 3), keepdim=True).expand_as(features)
