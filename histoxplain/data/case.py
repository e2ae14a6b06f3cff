"""One image and what is known about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from histoxplain._checks import check


@dataclass(frozen=True, eq=False)
class Case:
    """One image and what is known about it.

    Example:
        >>> import torch
        >>> Case(torch.zeros(3, 8, 8), label=1, id="benign/a.png").resolution
        8
    """

    image: Tensor
    """Shape (C, H, W), floating point in [-1, 1], RGB or grey."""
    label: int | None = None
    """Index of the class, or None if unknown."""
    id: str = ""
    """What to call the case; for files the path inside their folder."""
    group: str | None = None
    """What must stay together in a split: the patient, the slide, the source tile."""
    mask: Tensor | None = None
    """Shape (H, W), boolean: the diseased part."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """Anything else; of synthetic tissue, the true causes."""

    def __post_init__(self) -> None:
        shape = tuple(self.image.shape)
        check(self.image.ndim == 3, "image", "have shape (C, H, W)", shape, "a Case holds one image")
        check(
            self.image.is_floating_point(), "image", "be floating point in [-1, 1]", self.image.dtype, "use `to_unit`"
        )
        if self.mask is not None:
            check(tuple(self.mask.shape) == shape[1:], "mask", f"have shape {shape[1:]}", tuple(self.mask.shape))

    @property
    def resolution(self) -> int:
        """The shorter side, in pixels."""
        return min(self.image.shape[-2:])
