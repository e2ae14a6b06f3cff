"""`StyleCoordinates`: the style channels that change a classifier's mind, measured on many images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from histoxplain._checks import InputError, check, check_between, check_one_of
from histoxplain.explain.direction_file import load_fields, save_fields
from histoxplain.explain.effects import Measured

if TYPE_CHECKING:
    from histoxplain.models import Generator

FORMAT = "histoxplain.style-coordinates/1"
SIGNS = {1: "up", -1: "down"}


@dataclass(frozen=True, eq=False, kw_only=True)
class StyleCoordinates(Measured):
    """Coordinates of StyleSpace, best first, with what each does to a classifier's opinion of N images.

    A step of 1 along one takes it `shift` of the way from an image's own value to `ends`, the highest or lowest among
    many images; where it is beyond that already, it stays.
    """

    layers: tuple[str, ...]
    """Layer of each, D names."""
    channels: tuple[int, ...]
    """Channel of that layer's style, D numbers."""
    signs: tuple[int, ...]
    """+1 where it goes up, -1 where it goes down."""
    ends: Tensor
    """The end of the range that each goes towards, `(D,)`."""
    effects: Tensor
    """See `Measured`."""
    flipped: Tensor
    """See `Measured`."""
    explained: Tensor
    """`(D, N)` bool: `flipped`, and when chosen one after another, by no better coordinate before."""
    ws: Tensor
    """Latents of the images, `(N, num_ws, w_dim)`."""
    class_names: tuple[str, ...]
    """Names of the K classes."""
    target: int
    """The class asked for."""
    source: int | None = None
    """The class of all images; None where they are of any but the target."""
    shift: float = 1.0
    """How far a step of 1 goes."""
    settings: dict[str, Any] = field(default_factory=dict)
    """How it was found, and what that took; JSON types only."""

    def __post_init__(self) -> None:
        shape, count = (len(self.layers), len(self.ws)), len(self.layers)
        ok = {tuple(x.shape) for x in (self.effects, self.flipped, self.explained)} == {shape}
        check(ok, "effects", f"have shape {shape}, like `flipped` and `explained`", tuple(self.effects.shape))
        ok = len(self.channels) == len(self.signs) == len(self.ends) == count
        check(ok, "channels", f"be {count}, like `signs` and `ends`", len(self.channels))

    def __len__(self) -> int:
        return len(self.layers)

    def __repr__(self) -> str:
        source = "any class" if self.source is None else self.class_names[self.source]
        arrow = f"{source} -> {self.class_names[self.target]}"
        return f"StyleCoordinates({arrow}, {len(self)} explain {self.together:.0%} of {len(self.ws)} images)"

    @property
    def names(self) -> tuple[str, ...]:
        """Such as "b32.conv0 17 up"."""
        parts = zip(self.layers, self.channels, self.signs)
        return tuple(f"{layer} {channel} {SIGNS[sign]}" for layer, channel, sign in parts)

    @property
    def together(self) -> float:
        """Share of the images that at least one of them turns into the target."""
        return float(self.flipped.any(0).float().mean()) if len(self) else 0.0

    def independent(self, image: int, count: int = 3) -> list[int]:
        """The coordinates with the largest effects on one image, each by itself, largest first.

        The independent selection of Lang et al. (2021); `explain_by_subset` is the other one.
        """
        check_between("image", image, 0, len(self.ws) - 1)
        return self.effects[:, image].argsort(descending=True)[:count].tolist()

    def moved(self, generator: Generator, ws: Tensor, which: int | str, step: float = 1.0) -> Tensor:
        """Images with one coordinate changed: `(N, C, R, R)`, unclamped.

        Args:
            generator: the one it was found in.
            ws: latents, `(N, num_ws, w_dim)`.
            which: the coordinate, by number or name.
            step: 0 leaves the images, 1 is what `effects` were measured with.
        """
        if isinstance(which, str):
            check_one_of("direction", which, self.names)
            which = self.names.index(which)
        return self.moved_together(generator, ws, [[which]] * len(ws), step)

    @torch.no_grad()
    def moved_together(
        self, generator: Generator, ws: Tensor, sets: Sequence[Sequence[int]], step: float = 1.0
    ) -> Tensor:
        """Images with several coordinates changed: `sets` holds a list of their numbers for each image; see `moved`."""
        s = {name: rows.clone() for name, rows in generator.styles(ws).items()}
        for row, which in enumerate(sets):
            for i in which:
                style = s[self.layers[i]][row]
                way = self.signs[i] * (float(self.ends[i]) - style[self.channels[i]])
                style[self.channels[i]] += step * self.shift * self.signs[i] * way.clamp_min(0)
        return generator.synthesis_from_styles(s).float()

    def save(self, path: str | Path) -> Path:
        """Write to one safetensors file, whole or not at all."""
        return save_fields(path, self, FORMAT)

    @classmethod
    def load(cls, path: str | Path) -> StyleCoordinates:
        """Read what `save` wrote.

        Raises:
            InputError: if the file is missing, damaged or something else.
        """
        fields = load_fields(path, FORMAT, "style coordinates")
        try:
            return cls(**fields)
        except TypeError as error:
            raise InputError(f"`path` must be a whole file of style coordinates, got {path}.") from error
