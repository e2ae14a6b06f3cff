"""What people hand in, a file that may be anything or a generated example, as one image of the bundle's kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from PIL import Image
from torch import Tensor

from histoxplain._checks import InputError, check_one_of
from histoxplain.data.dicom import WINDOW, holds_dicom
from histoxplain.data.transforms import UnreadableImageError, open_picture
from histoxplain.explain import draw, generate_pairs, image_of, quantised
from histoxplain.explain.images import channels_of

if TYPE_CHECKING:
    from histoxplain.models import Bundle

KINDS = ("PNG", "JPEG", "TIFF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom")
"""Endings that the page offers; what counts is what is in the file."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How large a file may be."""

    megabytes: float = 20.0
    """Of the file."""
    megapixels: float = 40.0
    """Of the image in it, which may be much larger than its file."""

    @property
    def bytes(self) -> int:
        """Of the file."""
        return int(self.megabytes * 1024**2)


@dataclass(frozen=True, eq=False, kw_only=True)
class Picture:
    """One image to ask about."""

    name: str
    """Of the file, without folders."""
    image: Tensor
    """`(C, R, R)` in `[-1, 1]`, as the bundle's networks take it."""
    bundle: str
    """The bundle it was made for."""
    note: str = ""
    """What was done to it, in a sentence."""
    sample: tuple[Tensor, Tensor] | None = None
    """Latents and noise of a generated one."""
    seed: int = 0
    """That drew a generated one."""

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return PurePosixPath(self.name).stem or "image"


def file_name(name: str) -> str:
    r"""The last part of whatever a browser calls a file.

    Example:
        >>> file_name("C:\\Users\\me\\tile.png"), file_name("../../a.png"), file_name("")
        ('tile.png', 'a.png', 'image')
    """
    return PurePosixPath(PureWindowsPath(name).name).name or "image"


def read_picture(file: str | Path, bundle: Bundle, name: str | None = None, limits: Limits | None = None) -> Picture:
    """An image file as the bundle takes it: the central square, resized and in the right colours.

    Args:
        file: PNG, JPEG, TIFF or DICOM, whatever its name.
        bundle: whose networks will look at it.
        name: what its owner calls it.
        limits: how large it may be.

    Raises:
        InputError: if it is no such image, damaged, too large or too small; the message names no folder.
    """
    file, limits = Path(file), limits or Limits()
    name = file_name(name or file.name)
    _check_size(file, name, limits)
    try:
        picture = open_picture(file)
    except UnreadableImageError as error:
        raise UnreadableImageError(name, error.reason) from None
    plain = picture.copy()
    plain.info = {}
    image = image_of(plain, bundle, fit=True, name=name)
    return Picture(name=name, image=image, bundle=bundle.name, note=_note(picture, bundle))


def _check_size(file: Path, name: str, limits: Limits) -> None:
    if file.stat().st_size > limits.bytes:
        raise InputError(f"`image` must be a file of at most {limits.megabytes:g} MB, got more; cut out a tile.")
    if holds_dicom(file):
        return
    try:
        with Image.open(file, formats=KINDS) as opened:
            width, height = opened.size
    except Image.DecompressionBombError:
        width = height = 10**6
    except (OSError, SyntaxError, ValueError):
        raise UnreadableImageError(name, f"not {', '.join(KINDS)} or DICOM") from None
    if width * height > limits.megapixels * 1e6:
        most = f"`image` must have at most {limits.megapixels:g} million pixels"
        raise InputError(f"{most}, got more in {name}; cut out a tile.")


def _note(picture: Image.Image, bundle: Bundle) -> str:
    """What was done to a picture, in a sentence; empty where nothing was."""
    side, done = bundle.resolution, []
    if picture.width != picture.height:
        done.append("cut to its central square")
    if min(picture.size) != side:
        done.append(f"{'shrunk' if min(picture.size) > side else 'enlarged'} to {side} x {side} pixels")
    wanted = "L" if channels_of(bundle) == 1 else "RGB"
    if picture.mode != wanted:
        done.append("turned grey" if wanted == "L" else "given three colours, all equal")
    words = f"Your image was {' and '.join(done)}." if done else ""
    window = picture.info.get(WINDOW)
    return f"{words} Brightness: {window}.".strip() if window else words


def example_picture(bundle: Bundle, label: str, seed: int = 0) -> Picture:
    """A generated image of a class, which `histoxplain explain --generated 1 --seed SEED` draws as well.

    Args:
        bundle: with a generator.
        label: the class.
        seed: which.

    Raises:
        InputError: if the bundle has no generator or no such class.
    """
    names = list(bundle.class_names)
    check_one_of("label", label, names)
    source = names.index(label)
    other = names[source - 1]
    drawn = generate_pairs(bundle, 1, seed, other)
    at = drawn.sources.index(source)
    ws, z = drawn.ws[at], drawn.z[at]
    image = quantised(draw(bundle.generator, ws[None]))[0].cpu()
    name = f"generated-{label}-{seed}"
    note = "Drawn by the generator; no such patient exists."
    return Picture(name=name, image=image, bundle=bundle.name, note=note, sample=(ws, z), seed=seed)
