"""The pipe of all augmentations."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from histoxplain._checks import check_images
from histoxplain.ops import setup_filter
from histoxplain.train.augment.bands import band_gains, filter_bands, filter_bank
from histoxplain.train.augment.colour import COLOUR, colour_change, recolour
from histoxplain.train.augment.corruption import cutout, noise
from histoxplain.train.augment.draws import Draw
from histoxplain.train.augment.geometry import GEOMETRY, SYM6, geometric_change, resample


class AugmentPipe(nn.Module):
    """The whole list of ADA's augmentations, each applied with probability (its multiplier) x `p`.

    Args:
        xflip, rotate90, xint: multipliers of pixel blitting: mirror, quarter turns, whole-pixel shifts.
        xint_max: largest shift as a share of the side.
        scale, rotate, aniso, xfrac: multipliers of geometry: size, angle, aspect, sub-pixel shifts.
        scale_std, rotate_max, aniso_std, xfrac_std: their strengths (log2, share of half a turn, log2, share of side).
        brightness, contrast, lumaflip, hue, saturation: multipliers of colour changes.
        brightness_std, contrast_std, hue_max, saturation_std: their strengths.
        imgfilter, imgfilter_bands, imgfilter_std: frequency filtering: multiplier, per band, strength (log2).
        noise, noise_std, cutout, cutout_size: additive noise and a grey square.

    The buffer `p`, 1 at first, is the overall probability.

    Example:
        >>> AugmentPipe(xflip=1)(torch.zeros(2, 3, 16, 16)).shape
        torch.Size([2, 3, 16, 16])
    """

    def __init__(
        self,
        xflip: float = 0,
        rotate90: float = 0,
        xint: float = 0,
        xint_max: float = 0.125,
        scale: float = 0,
        rotate: float = 0,
        aniso: float = 0,
        xfrac: float = 0,
        scale_std: float = 0.2,
        rotate_max: float = 1,
        aniso_std: float = 0.2,
        xfrac_std: float = 0.125,
        brightness: float = 0,
        contrast: float = 0,
        lumaflip: float = 0,
        hue: float = 0,
        saturation: float = 0,
        brightness_std: float = 0.2,
        contrast_std: float = 0.5,
        hue_max: float = 1,
        saturation_std: float = 1,
        imgfilter: float = 0,
        imgfilter_bands: tuple[float, ...] = (1, 1, 1, 1),
        imgfilter_std: float = 1,
        noise: float = 0,
        cutout: float = 0,
        noise_std: float = 0.1,
        cutout_size: float = 0.5,
    ) -> None:
        settings = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        super().__init__()
        self.settings = settings
        self.register_buffer("p", torch.ones([]))
        self.register_buffer("geometry_filter", setup_filter(SYM6), persistent=False)
        self.register_buffer("bank", filter_bank(), persistent=False)

    def forward(
        self, images: Tensor, debug_percentile: float | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Augment images `(N, C, H, W)` in [-1, 1], grey or RGB.

        Args:
            images: the batch; gradients flow through.
            debug_percentile: use this percentile of every distribution instead of drawing; numbers are drawn all the
                same, so that what follows does not change.
            generator: source of random numbers; the global one if None.

        Raises:
            InputError: on anything but floating-point images.
        """
        check_images("images", images)
        draw = Draw(images, self.p, self.settings, debug_percentile, generator)
        if any(self.settings[name] for name in GEOMETRY):
            images = resample(images, geometric_change(draw), self.geometry_filter)
        if any(self.settings[name] for name in COLOUR):
            images = recolour(images, colour_change(draw))
        if self.settings["imgfilter"]:
            images = filter_bands(images, band_gains(draw) @ self.bank)
        if self.settings["noise"]:
            images = images + noise(draw)
        if self.settings["cutout"]:
            images = images * cutout(draw)
        return images
