"""Counterfactual inpainting: the abnormal image as it would look if it were normal, and the difference as a mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from histoxplain._checks import check, check_at_least
from histoxplain.explain.explainer import THRESHOLD, Explainer, Found, Target
from histoxplain.explain.images import quantised
from histoxplain.explain.segmentation import MaskSettings, difference_map

if TYPE_CHECKING:
    from histoxplain.models import Bundle

MASK = "mask"
"""Where a bundle's `info` says how its masks are best made, as `MaskSettings`."""


class Inpainting(Explainer):
    """What the bundle's inpainter makes of an abnormal image: COIN (Shvetsov et al., 2024).

    One pass through a network an image. The counterfactual is the image as normal; where it differs by more than a
    threshold, there the finding is (`Explanation.masks`). Nothing but labels of whole images has told the network where
    to look. There is one answer an image, however many are asked for, and none for images that are normal already.

    Args:
        bundle: with an inpainter.
        mask_threshold: the change of a pixel, in [0, 1] (black turned white), that counts; by default what the bundle
            recommends, or the paper's .25.
        smooth, opening, closing, largest: how masks are tidied up, see `MaskSettings`; by default as the bundle
            recommends, or not at all.
        threshold: see `Explainer`.
        batch_size: see `Explainer`.
        fit: see `Explainer`.
    """

    method: ClassVar[str] = "inpainting"
    needs: ClassVar[tuple[str, ...]] = ("inpainter",)

    def __init__(
        self,
        bundle: Bundle,
        *,
        mask_threshold: float | None = None,
        smooth: float | None = None,
        opening: int | None = None,
        closing: int | None = None,
        largest: bool | None = None,
        threshold: float = THRESHOLD,
        batch_size: int | None = None,
        fit: bool = False,
    ) -> None:
        super().__init__(bundle, threshold=threshold, batch_size=batch_size, fit=fit)
        asked = {"smooth": smooth, "opening": opening, "closing": closing, "largest": largest}
        asked["threshold"] = mask_threshold
        self.mask = mask_settings(bundle, **asked)

    @property
    def only(self) -> int:
        """The class that every image becomes: the normal one."""
        return self.bundle.inpainter.config.normal

    @torch.no_grad()
    def search(self, x: Tensor, sources: Tensor, targets: Tensor, count: int, seed: int) -> list[Found]:
        """Redraw as normal; see `Explainer.search`."""
        check_at_least("count", count, 1)
        made = quantised(self.bundle.inpainter(x))
        masks = self.mask(difference_map(x, made))
        settings = {"count": 1, "mask": asdict(self.mask)}
        return [Found(image[None], masks=mask[None], settings=settings) for image, mask in zip(made, masks)]

    def targets(self, before: Tensor, target: Target, ids: Sequence[str] = ()) -> Tensor:
        """The normal class, which is the only one that can be asked for.

        Raises:
            InputError: if another is asked for, or an image is normal already.
        """
        names, normal = self.bundle.class_names, self.only
        found = super().targets(before, names[normal] if target is None else target, ids)
        other = found[found != normal].tolist()
        check(
            not other, "target", f"be {names[normal]} for inpainting", names[other[0]] if other else "", "leave it out"
        )
        return found


def mask_settings(bundle: Bundle, **asked: Any) -> MaskSettings:
    """How a bundle's masks are made: as asked, else as its `info` recommends, else as published.

    Args:
        bundle: or anything with an `info`.
        asked: fields of `MaskSettings`; None leaves one to the bundle.
    """
    advice = getattr(bundle, "info", {}).get(MASK, {})
    known = {one.name: advice[one.name] for one in fields(MaskSettings) if one.name in advice}
    return MaskSettings(**known | {name: value for name, value in asked.items() if value is not None})
