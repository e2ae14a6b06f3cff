"""Settings that others have found to work: the published configurations of StyleGAN2-ADA, and sets of augmentations.

Karras et al., Training Generative Adversarial Networks with Limited Data (2020), tables of appendices B and D.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from histoxplain._checks import check_one_of

Preset = Literal["auto", "stylegan2", "paper256", "paper512", "paper1024", "cifar"]
Augmentations = Literal["blit", "geom", "color", "filter", "noise", "cutout", "bg", "bgc", "bgcf", "bgcfn", "bgcfnc"]

COLUMNS = ("kimg", "batch", "mbstd_group", "channel_base", "lr", "gamma", "ema_kimg", "ema_rampup", "mapping_layers")
TABLE = {
    "stylegan2": (25000, 32, 4, 32768, 0.002, 10, 10, None, 8),
    "paper256": (25000, 64, 8, 16384, 0.0025, 1, 20, None, 8),
    "paper512": (25000, 64, 8, 32768, 0.0025, 0.5, 20, None, 8),
    "paper1024": (25000, 32, 4, 32768, 0.002, 2, 10, None, 8),
    "cifar": (100000, 64, 32, 32768, 0.0025, 0.01, 500, 0.05, 2),
}
SHARED = {"z_dim": 512, "w_dim": 512, "channel_max": 512, "conv_clamp": 256.0}
BESIDES = {"cifar": {"pl_weight": 0, "style_mixing": 0, "architecture_d": "orig"}}

GROUPS = {
    "blit": ("xflip", "rotate90", "xint"),
    "geom": ("scale", "rotate", "aniso", "xfrac"),
    "color": ("brightness", "contrast", "lumaflip", "hue", "saturation"),
    "filter": ("imgfilter",),
    "noise": ("noise",),
    "cutout": ("cutout",),
}
INITIALS = {"b": "blit", "g": "geom", "c": "color", "f": "filter", "n": "noise"}


def preset(name: str, resolution: int, devices: int = 1) -> dict[str, Any]:
    """Settings of `GANConfig` by the name of a published configuration.

    Args:
        name: "auto" (suits the resolution), "stylegan2", "paper256", "paper512", "paper1024" or "cifar".
        resolution: side of the images in pixels.
        devices: how many share the batch of "auto".

    Raises:
        InputError: if there is none of that name.

    Example:
        >>> settings = preset("auto", resolution=256)
        >>> settings["batch"], settings["channel_base"], round(settings["gamma"], 4), settings["ema_kimg"]
        (16, 16384, 0.8192, 5.0)
    """
    check_one_of("preset", name, get_args(Preset))
    row = auto(resolution, devices) if name == "auto" else TABLE[name]
    return dict(zip(COLUMNS, row)) | SHARED | BESIDES.get(name, {})


def auto(resolution: int, devices: int = 1) -> tuple[Any, ...]:
    """The row of the table that suits a resolution."""
    batch = max(min(devices * min(4096 // resolution, 32), 64), devices)
    width = 32768 if resolution >= 512 else 16384
    lr = 0.002 if resolution >= 1024 else 0.0025
    return 25000, batch, min(batch // devices, 4), width, lr, 0.0002 * resolution**2 / batch, batch * 10 / 32, 0.05, 2


def augmentations(name: str) -> dict[str, float]:
    """Multipliers of `AugmentPipe` by the name of a set: one group, or the initials of several.

    Example:
        >>> list(augmentations("bg"))
        ['xflip', 'rotate90', 'xint', 'scale', 'rotate', 'aniso', 'xfrac']
        >>> list(augmentations("bgcfnc"))[-3:]
        ['imgfilter', 'noise', 'cutout']
    """
    check_one_of("augpipe", name, get_args(Augmentations))
    groups = [name] if name in GROUPS else [INITIALS[letter] for letter in name]
    if groups.count("color") == 2:  # the second c of bgcfnc
        groups[-1] = "cutout"
    return {kind: 1 for group in groups for kind in GROUPS[group]}
