"""What of a generator must stay as it is: layers, single style channels, or the stain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from histoxplain._checks import check, check_one_of
from histoxplain.explain.moves import GROUPS, layer_groups

if TYPE_CHECKING:
    from histoxplain.models import Generator

STAIN = "stain"
"""Locks the layers that paint colour: every `torgb`, and the convolutions of the two largest resolutions."""


class Lock:
    """The style channels that must not change.

    Args:
        generator: the one they belong to.
        names: one name or several: "coarse", "middle" or "fine" (a third of the layers each), "stain", a layer such as
            "b32.conv0", or one of its channels, "b32.conv0 17" ("up" or "down" after it is ignored, so that the names
            of `StyleCoordinates` can be given).

    Attributes:
        layers: for each layer, in order of use, which of its channels are locked, `(channels,)` bool.

    Raises:
        InputError: if there is no such layer or channel, or nothing is left to change.
    """

    def __init__(self, generator: Generator, names: str | Sequence[str] = ()) -> None:
        self.names = (names,) if isinstance(names, str) else tuple(names)
        self.num_ws = generator.num_ws
        self.layers: dict[str, Tensor] = {}
        self.rows: dict[str, int] = {}
        if not self.names:
            return
        check(hasattr(generator, "styles"), "lock", "be empty for a generator without styles", ", ".join(self.names))
        with torch.no_grad():
            styles = generator.styles(torch.zeros(1, generator.num_ws, generator.w_dim))
        self.rows = rows_of(styles)
        self.layers = {layer: torch.zeros(one.shape[1], dtype=torch.bool) for layer, one in styles.items()}
        for name in self.names:
            self._lock(name, generator.img_resolution)
        check(not all(bool(one.all()) for one in self.layers.values()), "lock", "leave a layer free", "all of them")

    def _lock(self, name: str, resolution: int) -> None:
        layer, _, rest = name.partition(" ")
        groups = layer_groups(self.num_ws)
        if name in GROUPS:
            chosen = [one for one, row in self.rows.items() if groups[row] == GROUPS.index(name)]
        elif name == STAIN:
            chosen = [one for one in self.layers if one.endswith("torgb") or _side(one) >= resolution // 2]
        else:
            check_one_of("lock", layer, [*GROUPS, STAIN, *self.layers])
            channel = rest.removesuffix(" up").removesuffix(" down")
            if rest:
                width = len(self.layers[layer])
                ok = channel.isdigit() and int(channel) < width
                check(ok, "lock", f"name a channel from 0 to {width - 1}", repr(name), f'write "{layer} 0"')
                self.layers[layer][int(channel)] = True
                return
            chosen = [layer]
        for one in chosen:
            self.layers[one][:] = True

    @property
    def styles(self) -> Tensor | None:
        """Which coordinates of StyleSpace may change, `(S,)` bool; None is all of them."""
        return ~torch.cat(list(self.layers.values())) if self.names else None

    def ws(self) -> Tensor | None:
        """Which latents of W+ may change, `(num_ws,)` bool: those that feed no locked layer; None is all of them.

        Raises:
            InputError: if a single channel is locked, which W+ cannot do, or no latent is left.
        """
        if not self.names:
            return None
        free = torch.ones(self.num_ws, dtype=torch.bool)
        for layer, locked in self.layers.items():
            whole = bool(locked.all()) or not bool(locked.any())
            check(whole, "lock", "name whole layers in W+", f"a channel of {layer}", 'use the method "style"')
            if bool(locked.any()):
                free[self.rows[layer]] = False
        check(bool(free.any()), "lock", "leave a latent of W+ free", "all", 'lock less, or use the method "style"')
        return free


def rows_of(styles: Mapping[str, object]) -> dict[str, int]:
    """The row of W+ that feeds each layer: a `torgb` takes that of the next block's first convolution.

    Example:
        >>> rows_of(dict.fromkeys(["b4.conv1", "b4.torgb", "b8.conv0", "b8.conv1", "b8.torgb"]))
        {'b4.conv1': 0, 'b4.torgb': 1, 'b8.conv0': 1, 'b8.conv1': 2, 'b8.torgb': 3}
    """
    rows, row = {}, 0
    for layer in styles:
        rows[layer] = row
        row += not layer.endswith("torgb")
    return rows


def _side(layer: str) -> int:
    """The resolution in a layer's name."""
    digits = layer.partition(".")[0].lstrip("b")
    return int(digits) if digits.isdigit() else 0
