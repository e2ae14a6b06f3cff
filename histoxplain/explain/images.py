"""The door for images: anything a user has in hand becomes one 8-bit-exact tensor of the bundle's size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from torch import Tensor

from histoxplain._checks import check
from histoxplain.data import Case, square, to_uint8, to_unit
from histoxplain.data.dicom import WINDOW
from histoxplain.data.transforms import from_picture, open_picture, to_8_bit, to_channels
from histoxplain.data.window import Window

if TYPE_CHECKING:
    from histoxplain.models import Bundle

_FIT = "or let it be cropped, resized and converted with `fit=True` (`--fit`)"


def quantised(x: Tensor) -> Tensor:
    """Images as they are once saved: rounded to 8 bit, back in `[-1, 1]`.

    Example:
        >>> import torch
        >>> quantised(torch.tensor([2.0, 0.0])).tolist()
        [1.0, 0.003921627998352051]
    """
    return to_unit(to_uint8(x.detach().float()))


def _check_mode(mode: str, name: str, channels: int, fit: bool) -> None:
    wanted = "L" if channels == 1 else "RGB"
    rule = "be 8-bit grey (mode L)" if channels == 1 else "be 8-bit colour (mode RGB)"
    check(fit or mode == wanted, "image", rule, f"mode {mode} in {name}", f"save it as {wanted}, {_FIT}")


def _from_path(path: str | Path, channels: int, fit: bool, window: Window, frame: int | None) -> Tensor:
    picture = open_picture(path, window=window, frame=frame)
    if WINDOW in picture.info:
        mode = picture.mode  # DICOM has no other
    else:
        with Image.open(path) as opened:
            mode = opened.mode
    _check_mode(mode, str(path), channels, fit)
    return from_picture(to_channels(picture, channels))


def _from_pil(picture: Image.Image, name: str, channels: int, fit: bool) -> Tensor:
    _check_mode(picture.mode, name, channels, fit)
    return from_picture(to_channels(to_8_bit(picture), channels))


def _check_size(u8: Tensor, name: str, resolution: int, fit: bool) -> None:
    height, width = u8.shape[-2:]
    ok = fit or (height == width and height >= resolution)
    rule = f"be {resolution} x {resolution} pixels (or a larger square)"
    check(ok, "image", rule, f"{width} x {height} for {name}", f"cut a square tile of that size, {_FIT}")


def image_of(
    image: Tensor | str | Path | Case | Image.Image,
    bundle: Bundle,
    *,
    fit: bool = False,
    name: str = "the image",
    window: Window = None,
    frame: int | None = None,
) -> Tensor:
    """One image as the bundle's networks expect it.

    A larger square is shrunk with the Lanczos filter, as `histoxplain prepare` does. Cropping, enlarging and converting
    colours change the evidence and are therefore done only when asked for.

    Args:
        image: a float tensor in `[-1, 1]` of shape `(C, H, W)` or `(1, C, H, W)`, a `Case`, a PIL image or a file.
        bundle: gives `resolution` and the number of channels.
        fit: crop, resize and convert whatever comes.
        name: what to call the image in messages.
        window: of a DICOM file; the number of its window, from 1, or centre and width.
        frame: of a DICOM file of several frames; the number of one, from 1.

    Returns:
        The image, `(C, R, R)` in `[-1, 1]`, every value one that 8 bits can hold.

    Raises:
        InputError: if the size, mode or kind is not the expected one.
    """
    options = {"fit": fit, "name": name, "window": window, "frame": frame}
    return image_for(image, channels_of(bundle), bundle.resolution, **options)


def channels_of(bundle: Bundle) -> int:
    """Channels of the images that a bundle's networks draw or look at."""
    return bundle.classifier.channels if bundle.generator is None else bundle.generator.img_channels


def image_for(
    image: Tensor | str | Path | Case | Image.Image,
    channels: int,
    resolution: int,
    *,
    fit: bool = False,
    name: str = "the image",
    window: Window = None,
    frame: int | None = None,
) -> Tensor:
    """One image as networks of `channels` channels and `resolution` pixels expect it; see `image_of`."""
    if isinstance(image, str | Path):
        u8, name = _from_path(image, channels, fit, window, frame), str(image)
    elif isinstance(image, Image.Image):
        u8 = _from_pil(image, name, channels, fit)
    else:
        u8 = to_uint8(pixels_of(image, name, channels).cpu())
    _check_size(u8, name, resolution, fit)
    return to_unit(u8 if tuple(u8.shape[-2:]) == (resolution, resolution) else square(u8, resolution))


def pixels_of(image: Any, name: str, channels: int | None) -> Tensor:
    """The tensor `(C, H, W)` in a `Case`, or a tensor itself, as it is.

    Raises:
        InputError: if it is no image with `channels` channels (any number for None) and values in `[-1, 1]`.
    """
    x = image.image if isinstance(image, Case) else image
    way_out = "give a tensor, a file, a `Case` or a PIL image"
    check(isinstance(x, Tensor), "image", "be an image", type(x).__name__, way_out)
    x = x[0] if x.ndim == 4 and len(x) == 1 else x
    ok = x.ndim == 3 and channels in (None, len(x))
    got = f"{tuple(x.shape)} for {name}"
    check(ok, "image", f"have shape ({channels or 'C'}, H, W)", got, "explain several with a list")
    check(
        x.is_floating_point(), "image", "be floating point in [-1, 1]", x.dtype, "use `hx.data.to_unit` on uint8 images"
    )
    ok = bool(x.isfinite().all()) and float(x.abs().max()) <= 1.5
    check(ok, "image", "hold values in [-1, 1]", f"values up to {float(x.abs().max()):g}", "use u / 127.5 - 1")
    return x.detach()
