"""What a slice browser shows: windowed slices of a volume with coloured overlays, drawn without any widget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from histoxplain._checks import check, check_between
from histoxplain.data.volumes import WINDOWS, Greys, Volume, read_volume

AnyVolume: TypeAlias = Volume | np.ndarray | str | Path
"""A volume, the file or folder of one, or axial slices (Z, H, W)."""
COLOURS = ((230, 85, 13), (49, 130, 189), (49, 163, 84), (222, 45, 180))
"""Of overlays, in their order: orange, blue, green, magenta."""


@dataclass(frozen=True)
class Look:
    """How a slice is shown.

    Args:
        index: number of the slice, from 0 at the feet.
        centre: value that is middle grey.
        width: values from black to white.
        opacity: of overlays, 0 to 1.
        shown: names of the overlays that are shown.
    """

    index: int
    centre: float
    width: float
    opacity: float = 0.4
    shown: tuple[str, ...] = ()


class SliceSession:
    """A volume and its overlays, ready to be drawn slice by slice.

    Args:
        volume: the scan.
        overlays: masks or predictions by name, on the same grid; from 0 (nothing) to 1, labels count as 1.
        side: longer side of the picture, in pixels.

    Raises:
        InputError: if an overlay has another shape.
    """

    def __init__(self, volume: AnyVolume, overlays: Mapping[str, AnyVolume] | None = None, side: int = 448) -> None:
        self.volume, self.side = as_volume(volume), side
        self.overlays = {name: as_volume(overlay, name) for name, overlay in (overlays or {}).items()}
        shape, way_out = self.volume.values.shape, "resample it to the scan's grid"
        for name, overlay in self.overlays.items():
            check(
                overlay.values.shape == shape,
                f"overlays[{name!r}]",
                f"have shape {shape}",
                overlay.values.shape,
                way_out,
            )
        self.colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(self.overlays)}

    @property
    def is_ct(self) -> bool:
        """Whether there is air, in Hounsfield units."""
        return float(self.volume.values.min()) <= -500

    @property
    def window(self) -> tuple[float, float]:
        """Centre and width to begin with: soft tissue for CT, all of [-1, 1], else nearly all values."""
        low, high = float(self.volume.values.min()), float(self.volume.values.max())
        if low >= -1.01 and high <= 1.01:
            return 0.0, 2.0
        if self.is_ct:
            return WINDOWS["soft tissue"]
        own = Greys.parse("percentiles").of_volume(self.volume.values)
        return (own.low + own.high) / 2, own.high - own.low

    @property
    def first(self) -> int:
        """The slice to begin with: where the first overlay is largest, else the middle."""
        if not self.overlays:
            return self.volume.depth // 2
        sizes = self.amounts(next(iter(self.overlays))).sum((0, 1))
        return int(sizes.argmax()) if sizes.any() else self.volume.depth // 2

    def amounts(self, name: str) -> np.ndarray:
        """An overlay (X, Y, Z) from 0 to 1."""
        return np.clip(self.overlays[name].values.astype(np.float32), 0, 1)

    def next_with(self, index: int, names: tuple[str, ...], step: int = 1) -> int:
        """The next slice in a direction on which one of some overlays shows; the same if there is none."""
        z = index + step
        while 0 <= z < self.volume.depth:
            if any((self.overlays[name].values[:, :, z] > 0).any() for name in names):
                return z
            z += step
        return index

    def draw(self, look: Look) -> Image.Image:
        """The slice as RGB picture, with the sides of the patient at its borders.

        Raises:
            InputError: if there is no such slice, or the opacity is not between 0 and 1.
        """
        check_between("index", look.index, 0, self.volume.depth - 1)
        check_between("opacity", look.opacity, 0, 1)
        greys = Greys.of(look.centre, look.width)(self.volume.axial(look.index))
        pixels = enlarge((greys * 127.5 + 127.5).round(), self.size, Image.Resampling.BILINEAR)
        colours = np.repeat(pixels[..., None], 3, 2).astype(np.float32)
        for name in look.shown:
            own = np.clip(self.overlays[name].axial(look.index).astype(np.float32), 0, 1)
            amount = enlarge(own * 255, self.size, Image.Resampling.NEAREST).astype(np.float32) / 255
            inside = amount >= 0.5
            edge = inside & ~ndimage.binary_erosion(inside, iterations=2, border_value=1)
            share = np.maximum(look.opacity * amount, edge * (look.opacity > 0))[..., None]
            colours = (1 - share) * colours + share * np.array(self.colours[name], dtype=np.float32)
        return with_sides(Image.fromarray(colours.round().astype(np.uint8)))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture, in pixels, as the spacing of voxels has it."""
        mm = [n * step for n, step in zip(self.volume.values.shape, self.volume.spacing)][:2]
        return tuple(max(1, round(self.side * length / max(mm))) for length in mm)

    def sentence(self, look: Look) -> str:
        """Which slice it is, and how large each overlay is on it."""
        height = self.volume.affine[2, 2] * look.index + self.volume.affine[2, 3]
        parts = [f"slice {look.index + 1} of {self.volume.depth}, at {height:.0f} mm"]
        x, y, _ = self.volume.spacing
        for name in look.shown:
            pixels = int((self.overlays[name].axial(look.index).astype(np.float32) >= 0.5).sum())
            parts.append(f"{name} {pixels * x * y:,.0f} square mm")
        return "; ".join(parts)


def as_volume(volume: AnyVolume, name: str = "slices") -> Volume:
    """A volume, however it is given."""
    if isinstance(volume, Volume):
        return volume
    return read_volume(volume) if isinstance(volume, str | Path) else Volume.of_slices(np.asarray(volume), name=name)


def enlarge(values: np.ndarray, size: tuple[int, int], filter: Image.Resampling) -> np.ndarray:
    """Values 0 to 255 (H, W) as uint8 of another size (width, height)."""
    return np.asarray(Image.fromarray(values.astype(np.uint8)).resize(size, filter))


def with_sides(picture: Image.Image) -> Image.Image:
    """A picture with R, L, A and P where the patient's right, left, front (anterior) and back (posterior) are."""
    pen, font, (width, height) = ImageDraw.Draw(picture), ImageFont.load_default(size=13), picture.size
    for letter, place in {"R": (4, height / 2 - 8), "L": (width - 12, height / 2 - 8)}.items():
        pen.text(place, letter, fill="yellow", font=font)
    for letter, place in {"A": (width / 2 - 4, 1), "P": (width / 2 - 4, height - 17)}.items():
        pen.text(place, letter, fill="yellow", font=font)
    return picture
