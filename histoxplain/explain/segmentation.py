"""From what a counterfactual changed to a mask: thresholds, and how the mask is tidied up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from histoxplain._checks import check, check_at_least, check_between, check_one_of

PUBLISHED = 0.25
"""The threshold of Shvetsov et al. (2024)."""
RULES = ("balanced", "quantile")
LEVELS = 200
HALVINGS = 10


def difference_map(x: Tensor, counterfactual: Tensor) -> Tensor:
    """How much each pixel changed, the mean over the channels: `(N, C, H, W)` in `[-1, 1]` to `(N, H, W)` in `[0, 1]`.

    Example:
        >>> difference_map(-torch.ones(1, 3, 1, 1), torch.ones(1, 3, 1, 1)).item()  # black turned white
        1.0
    """
    return (counterfactual - x).abs().mean(1) / 2


@dataclass(frozen=True, kw_only=True)
class MaskSettings:
    """How a mask is made of a map."""

    threshold: float = PUBLISHED
    """What is larger belongs to the mask, in the map's units."""
    smooth: float = 0.0
    """Deviation in pixels of the Gaussian that the map is smoothed by first; 0 leaves it as it is."""
    opening: int = 0
    """Then the radius in pixels of the disc that what is kept must have room for: specks go. 0 keeps all."""
    closing: int = 0
    """Then the radius of the disc that what is left out must have room for: holes and gaps are filled."""
    largest: bool = False
    """At last keep only the largest part that hangs together."""

    def __post_init__(self) -> None:
        check_between("threshold", self.threshold, 0, 1)
        check_at_least("smooth", self.smooth, 0)
        for name in ("opening", "closing"):
            check_at_least(name, getattr(self, name), 0)
            check(getattr(self, name) == int(getattr(self, name)), name, "be whole pixels", getattr(self, name))

    def __call__(self, maps: Tensor, abnormal: Tensor | None = None) -> Tensor:
        """Masks of maps.

        Args:
            maps: `(N, H, W)`.
            abnormal: boolean `(N,)`; the mask of an image that is not is empty. None: all are.

        Returns:
            Boolean `(N, H, W)`.

        Example:
            >>> grains = torch.tensor([[[0.9, 0.1, 0.9, 0.0, 0.0, 0.0, 0.9]]])
            >>> MaskSettings(threshold=0.5, largest=True, closing=1)(grains).int().tolist()
            [[[1, 1, 1, 0, 0, 0, 0]]]
        """
        found = self.smoothed(maps).numpy() > self.threshold
        masks = torch.from_numpy(np.stack([self._tidied(mask) for mask in found]) if len(found) else found)
        return masks if abnormal is None else masks & abnormal.cpu()[:, None, None]

    def smoothed(self, maps: Tensor) -> Tensor:
        """The maps that the threshold is held against, float32 on the CPU."""
        check(maps.ndim == 3, "maps", "have shape (N, H, W)", tuple(maps.shape))
        maps = maps.float().cpu()
        if not self.smooth:
            return maps
        from scipy.ndimage import gaussian_filter

        return torch.from_numpy(gaussian_filter(maps.numpy(), (0, self.smooth, self.smooth), mode="nearest"))

    def _tidied(self, mask: np.ndarray) -> np.ndarray:
        if self.opening or self.closing:
            from skimage.morphology import closing, opening

            mask = _framed(opening, mask, self.opening) if self.opening else mask
            mask = _framed(closing, mask, self.closing) if self.closing else mask
        return largest_part(mask) if self.largest else mask


def _framed(change: Callable[..., np.ndarray], mask: np.ndarray, radius: int) -> np.ndarray:
    """Morphology of a mask that goes on beyond the edge as it ends there."""
    from skimage.morphology import disk

    return change(np.pad(mask, radius, mode="edge"), disk(radius))[radius:-radius, radius:-radius]


def largest_part(mask: np.ndarray) -> np.ndarray:
    """The largest part of a boolean mask `(H, W)` that hangs together, also by corners.

    Example:
        >>> largest_part(np.array([[True, False, True, True]])).tolist()
        [[False, False, True, True]]
    """
    from skimage.measure import label

    parts = label(mask, connectivity=2)
    sizes = np.bincount(parts.ravel())[1:]
    return parts == 1 + sizes.argmax() if len(sizes) else mask


def choose_threshold(
    maps: Tensor,
    abnormal: Tensor,
    rule: str = "quantile",
    *,
    quantile: float = 0.999,
    settings: MaskSettings | None = None,
) -> float:
    """A threshold from the labels of images alone, no true mask being known.

    Args:
        maps: of validation images, `(N, H, W)` in [0, 1].
        abnormal: their labels, boolean `(N,)`.
        rule: "quantile", what that share of the pixels of normal images stays below; "balanced", the least at which
            "the mask is not empty" tells abnormal images from normal ones best (balanced accuracy).
        quantile: of the former.
        settings: how maps are smoothed, and for the latter how masks are tidied up.

    Raises:
        InputError: if the labels are all alike.

    Example:
        >>> maps = torch.tensor([[[0.1, 0.2]], [[0.1, 0.8]]])
        >>> round(choose_threshold(maps, torch.tensor([False, True]), "balanced"), 3)
        0.2
    """
    check_one_of("rule", rule, RULES)
    check(abnormal.shape == maps.shape[:1], "abnormal", f"have shape ({len(maps)},)", tuple(abnormal.shape))
    check(bool(abnormal.any()), "data", "have abnormal images to choose a threshold by", "none")
    check(not bool(abnormal.all()), "data", "have normal images to choose a threshold by", "none")
    settings = settings or MaskSettings()
    if rule == "quantile":
        check_between("quantile", quantile, 0, 1)
        return float(np.quantile(settings.smoothed(maps)[~abnormal.cpu()].numpy(), quantile))
    return _most_telling(maps, abnormal.cpu(), settings)


@torch.no_grad()
def sufficient_threshold(
    x: Tensor,
    counterfactuals: Tensor,
    is_normal: Callable[[Tensor], Tensor],
    share: float = 0.95,
    *,
    settings: MaskSettings | None = None,
) -> float:
    """The highest threshold whose masks are enough: nothing but the masked part has to change to make images normal.

    It needs neither true masks nor labels, only the classifier's answers. Images whose counterfactuals do not convince
    it have no say.

    Args:
        x: images that the classifier finds abnormal, `(N, C, H, W)` in `[-1, 1]`.
        counterfactuals: how they look as normal, of the same shape.
        is_normal: whether the classifier finds images `(N, C, H, W)` normal, boolean `(N,)`.
        share: of the images that must become normal.
        settings: how maps are smoothed and masks are tidied up.

    Raises:
        InputError: if no counterfactual is found normal.

    Example:
        >>> x = torch.tensor([0.0, 0.8, 1.0]).reshape(1, 1, 1, 3)
        >>> is_normal = lambda images: images.sum((1, 2, 3)) < 0.9
        >>> round(sufficient_threshold(x, torch.zeros(1, 1, 1, 3), is_normal), 2)  # the last pixel is enough
        0.5
    """
    check_between("share", share, 0, 1)
    settings = settings or MaskSettings()
    convinced = is_normal(counterfactuals).cpu()
    check(bool(convinced.any()), "data", "have counterfactuals that the classifier finds normal", "none")
    x, counterfactuals = x[convinced], counterfactuals[convinced]
    maps = difference_map(x, counterfactuals)
    low, high = 0.0, float(maps.max())
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        masks = replace(settings, threshold=middle)(maps)[:, None].to(x.device)
        enough = is_normal(torch.where(masks, counterfactuals, x)).float().mean() >= share
        low, high = (middle, high) if enough else (low, middle)
    return low


def _most_telling(maps: Tensor, abnormal: Tensor, settings: MaskSettings) -> float:
    best, chosen = -1.0, settings.threshold
    for level in range(LEVELS):
        threshold = level / LEVELS * float(maps.max())
        marked = replace(settings, threshold=threshold, largest=False)(maps).flatten(1).any(1)
        figure = float(marked[abnormal].float().mean() + (~marked[~abnormal]).float().mean()) / 2
        if figure > best:
            best, chosen = figure, threshold
    return chosen
