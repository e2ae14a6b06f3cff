"""Augmentations that a discriminator may see without the generator learning them (ADA; Karras et al., 2020)."""

from __future__ import annotations

from collections.abc import Callable
from math import pi

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from histoxplain._checks import check_images
from histoxplain.ops import downsample2d, setup_filter, upsample2d
from histoxplain.train.affine import matrix, rotate2d, rotate3d, scale2d, scale3d, translate2d, translate3d

SYM2 = (-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025)
SYM6 = (
    *(0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633),
    *(0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252),
    *(-0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148),
)
"""Daubechies' least asymmetric wavelets with 2 and 6 vanishing moments."""

GEOMETRY = ("xflip", "rotate90", "xint", "scale", "rotate", "aniso", "xfrac")
COLOUR = ("brightness", "contrast", "lumaflip", "hue", "saturation")
EXPECTED_POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)
"""Share of a natural image's power in the four bands of `filter_bank`."""


def filter_bank() -> Tensor:
    """Four band-pass filters that sum to the identity, shape `(4, 43)`, from low to high frequencies.

    Example:
        >>> filter_bank().sum(0).round(decimals=6).nonzero().flatten().tolist(), filter_bank().shape
        ([21], torch.Size([4, 43]))
    """
    low = np.array(SYM2)
    high = low * (-1) ** np.arange(len(low))
    low, high = np.convolve(low, low[::-1]) / 2, np.convolve(high, high[::-1]) / 2
    bank = np.eye(4, 1)
    for band in range(1, 4):
        spread = np.zeros((4, 2 * bank.shape[1] - 1))
        spread[:, ::2] = bank
        bank = np.stack([np.convolve(row, low) for row in spread])
        middle, reach = bank.shape[1] // 2, len(high) // 2
        bank[band, middle - reach : middle + reach + 1] += high
    return torch.as_tensor(bank, dtype=torch.float32)


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
        draw = _Draw(images, self.p, self.settings, debug_percentile, generator)
        if any(self.settings[name] for name in GEOMETRY):
            images = _resample(images, _geometry(draw), self.geometry_filter)
        if any(self.settings[name] for name in COLOUR):
            images = _recolour(images, _colour(draw))
        if self.settings["imgfilter"]:
            images = _filter(images, _band_gains(draw) @ self.bank)
        if self.settings["noise"]:
            images = images + _noise(draw)
        if self.settings["cutout"]:
            images = images * _cutout(draw)
        return images


class _Draw:
    """Random numbers of one batch, or one percentile of their distributions."""

    def __init__(
        self,
        images: Tensor,
        p: Tensor,
        settings: dict[str, float],
        percentile: float | None,
        generator: torch.Generator | None,
    ) -> None:
        self.n, self.channels, self.height, self.width = images.shape
        self.p, self.settings, self.device, self.generator = p, settings, images.device, generator
        self.percentile = None if percentile is None else torch.tensor(float(percentile), device=images.device)

    def __getitem__(self, name: str) -> float:
        return self.settings[name]

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand([self.n, *shape], device=self.device, generator=self.generator)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn([self.n, *shape], device=self.device, generator=self.generator)

    def pick(
        self, name: str | float | Tensor, drawn: Tensor, neutral: float, at: Callable[[Tensor], Tensor | float]
    ) -> Tensor:
        """`drawn` where the augmentation happens, else `neutral`; under a percentile `at(percentile)` everywhere.

        Args:
            name: the augmentation, or its probability.
            drawn: `(N, ...)`; trailing axes share one decision.
            neutral: the value that changes nothing.
            at: percentile -> value.
        """
        chance = self.settings[name] * self.p if isinstance(name, str) else name
        happens = self.uniform(*[1] * (drawn.ndim - 1)) < chance
        if self.percentile is None:
            return torch.where(happens, drawn, neutral)
        return torch.as_tensor(at(self.percentile), dtype=drawn.dtype, device=self.device).expand_as(drawn)


def _gaussian(percentile: Tensor) -> Tensor:
    return torch.erfinv(2 * percentile - 1)


def _symmetric(percentile: Tensor) -> Tensor:
    return 2 * percentile - 1


def _geometry(draw: _Draw) -> Tensor:
    """The inverse of all geometric changes, `(N, 3, 3)`, in pixels about the image's centre."""
    inverse = torch.eye(3, device=draw.device).expand(draw.n, 3, 3)
    sides = torch.tensor([draw.width, draw.height], device=draw.device)
    if draw["xflip"]:
        i = draw.pick("xflip", (draw.uniform() * 2).floor(), 0, lambda q: (q * 2).floor())
        inverse = inverse @ scale2d(1 / (1 - 2 * i), 1)
    if draw["rotate90"]:
        i = draw.pick("rotate90", (draw.uniform() * 4).floor(), 0, lambda q: (q * 4).floor())
        inverse = inverse @ rotate2d(pi / 2 * i)
    if draw["xint"]:
        reach = draw["xint_max"]
        t = draw.pick("xint", (draw.uniform(2) * 2 - 1) * reach, 0, lambda q: _symmetric(q) * reach)
        inverse = inverse @ translate2d(*(-(t * sides).round()).unbind(1))
    if draw["scale"]:
        std = draw["scale_std"]
        s = draw.pick("scale", torch.exp2(draw.normal() * std), 1, lambda q: torch.exp2(_gaussian(q) * std))
        inverse = inverse @ scale2d(1 / s, 1 / s)
    turn_chance = 1 - (1 - (draw["rotate"] * draw.p).clamp(0, 1)).sqrt()
    half_turn = pi * draw["rotate_max"]
    if draw["rotate"]:
        angle = (draw.uniform() * 2 - 1) * half_turn
        inverse = inverse @ rotate2d(draw.pick(turn_chance, angle, 0, lambda q: _symmetric(q) * half_turn))
    if draw["aniso"]:
        std = draw["aniso_std"]
        s = draw.pick("aniso", torch.exp2(draw.normal() * std), 1, lambda q: torch.exp2(_gaussian(q) * std))
        inverse = inverse @ scale2d(1 / s, s)
    if draw["rotate"]:
        angle = (draw.uniform() * 2 - 1) * half_turn
        inverse = inverse @ rotate2d(draw.pick(turn_chance, angle, 0, lambda _: 0.0))
    if draw["xfrac"]:
        std = draw["xfrac_std"]
        t = draw.pick("xfrac", draw.normal(2) * std, 0, lambda q: _gaussian(q) * std)
        inverse = inverse @ translate2d(*(-(t * sides)).unbind(1))
    return inverse


def _resample(images: Tensor, inverse: Tensor, f: Tensor) -> Tensor:
    """Apply a geometric change with little aliasing: reflect, enlarge twofold, sample, shrink twofold."""
    channels, height, width = images.shape[1:]
    device, reach = images.device, len(f) // 4
    left, top, right, bottom = _margin(inverse, height, width, reach)
    images = F.pad(images, (left, right, top, bottom), mode="reflect")
    inverse = translate2d((left - right) / 2, (top - bottom) / 2, device=device) @ inverse
    images = upsample2d(images, f)
    inverse = scale2d(2, 2, device=device) @ inverse @ scale2d(0.5, 0.5, device=device)
    half = translate2d(-0.5, -0.5, device=device), translate2d(0.5, 0.5, device=device)
    inverse = half[0] @ inverse @ half[1]
    tall, wide = 2 * (height + 2 * reach), 2 * (width + 2 * reach)
    inverse = scale2d(2 / images.shape[3], 2 / images.shape[2], device=device) @ inverse
    inverse = inverse @ scale2d(wide / 2, tall / 2, device=device)
    grid = F.affine_grid(inverse[:, :2], [len(images), channels, tall, wide], align_corners=False)
    images = F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return downsample2d(images, f, padding=-2 * reach, flip_filter=True)


def _margin(inverse: Tensor, height: int, width: int, reach: int) -> tuple[int, int, int, int]:
    """How far beyond its borders (left, top, right, bottom) the batch looks, at most one side less a pixel."""
    cx, cy = (width - 1) / 2, (height - 1) / 2
    corners = matrix([[-cx, cx, cx, -cx], [-cy, -cy, cy, cy], [1, 1, 1, 1]], device=inverse.device)
    points = (inverse @ corners)[:, :2].permute(1, 0, 2).flatten(1)
    margin = torch.cat([-points, points]).amax(1)
    margin = margin + torch.tensor([2 * reach - cx, 2 * reach - cy] * 2, device=inverse.device)
    limit = torch.tensor([width - 1, height - 1] * 2, device=inverse.device)
    return tuple(int(side) for side in margin.clamp_min(0).minimum(limit).ceil())


def _colour(draw: _Draw) -> Tensor:
    """All colour changes as `(N, 4, 4)`."""
    eye = torch.eye(4, device=draw.device)
    axis = torch.tensor([1.0, 1.0, 1.0, 0.0], device=draw.device) / 3**0.5
    along = torch.outer(axis, axis)
    change = eye.expand(draw.n, 4, 4)
    if draw["brightness"]:
        std = draw["brightness_std"]
        b = draw.pick("brightness", draw.normal() * std, 0, lambda q: _gaussian(q) * std)
        change = translate3d(b) @ change
    if draw["contrast"]:
        std = draw["contrast_std"]
        s = draw.pick("contrast", torch.exp2(draw.normal() * std), 1, lambda q: torch.exp2(_gaussian(q) * std))
        change = scale3d(s) @ change
    if draw["lumaflip"]:
        i = draw.pick("lumaflip", (draw.uniform(1, 1) * 2).floor(), 0, lambda q: (q * 2).floor())
        change = (eye - 2 * along * i) @ change
    if draw["hue"] and draw.channels > 1:
        most = pi * draw["hue_max"]
        angle = draw.pick("hue", (draw.uniform() * 2 - 1) * most, 0, lambda q: _symmetric(q) * most)
        change = rotate3d(axis[:3], angle) @ change
    if draw["saturation"] and draw.channels > 1:
        std = draw["saturation_std"]
        drawn = torch.exp2(draw.normal(1, 1) * std)
        s = draw.pick("saturation", drawn, 1, lambda q: torch.exp2(_gaussian(q) * std))
        change = (along + (eye - along) * s) @ change
    return change


def _recolour(images: Tensor, change: Tensor) -> Tensor:
    flat = images.flatten(2)
    if images.shape[1] == 1:
        change = change[:, :3].mean(1, keepdim=True)
        flat = flat * change[:, :, :3].sum(2, keepdim=True) + change[:, :, 3:]
    else:
        flat = change[:, :3, :3] @ flat + change[:, :3, 3:]
    return flat.reshape(images.shape)


def _band_gains(draw: _Draw) -> Tensor:
    """Gain of each of the four bands, `(N, 4)`, with the expected power kept."""
    gains = torch.ones(draw.n, 4, device=draw.device)
    power = torch.tensor(EXPECTED_POWER, device=draw.device)
    std = draw["imgfilter_std"]
    for band, strength in enumerate(draw["imgfilter_bands"]):
        chance = draw["imgfilter"] * draw.p * strength
        drawn = torch.exp2(draw.normal() * std)
        t = torch.ones(draw.n, 4, device=draw.device)
        t[:, band] = draw.pick(chance, drawn, 1, lambda q, s=strength: torch.exp2(_gaussian(q) * std) if s else 1.0)
        gains = gains * t / (power * t.square()).sum(1, keepdim=True).sqrt()
    return gains


def _filter(images: Tensor, taps: Tensor) -> Tensor:
    """Filter each image `(N, C, H, W)` with its own symmetric taps `(N, T)` along both axes."""
    n, channels, height, width = images.shape
    reach, groups = taps.shape[1] // 2, n * channels
    weight = taps.repeat_interleave(channels, 0)[:, None, None]
    flat = F.pad(images.reshape(1, groups, height, width), (reach,) * 4, mode="reflect")
    flat = F.conv2d(F.conv2d(flat, weight, groups=groups), weight.transpose(2, 3), groups=groups)
    return flat.reshape(images.shape)


def _noise(draw: _Draw) -> Tensor:
    std = draw["noise_std"]
    drawn = draw.normal(1, 1, 1).abs() * std
    sigma = draw.pick("noise", drawn, 0, lambda q: torch.erfinv(q).abs() * std)
    return draw.normal(draw.channels, draw.height, draw.width) * sigma


def _cutout(draw: _Draw) -> Tensor:
    """1 outside, 0 inside a square of each image."""
    full = torch.full([draw.n, 2, 1, 1], float(draw["cutout_size"]), device=draw.device)
    size = draw.pick("cutout", full, 0, lambda _: draw["cutout_size"])
    centre = draw.uniform(2, 1, 1)
    centre = centre if draw.percentile is None else torch.full_like(centre, draw.percentile)
    y, x = (torch.arange(side, device=draw.device).add(0.5) / side for side in (draw.height, draw.width))
    far_x = (x[None, None] - centre[:, 0, :, None]).abs() >= size[:, 0, :, None] / 2
    far_y = (y[None, :, None] - centre[:, 1, :, None]).abs() >= size[:, 1, :, None] / 2
    return (far_x.reshape(draw.n, 1, 1, -1) | far_y.reshape(draw.n, 1, -1, 1)).float()
