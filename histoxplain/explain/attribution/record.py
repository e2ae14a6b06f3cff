"""`Attribution`: one map of where a classifier looked, what it means, and how it is saved."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from histoxplain._atomic import replacing_folder
from histoxplain._checks import InputError, check, check_exists
from histoxplain.data import to_uint8
from histoxplain.explain.attribution import colours
from histoxplain.explain.attribution.scores import baseline_of

JSON, ARRAYS = "attribution.json", "arrays.safetensors"


@dataclass(frozen=True, eq=False, kw_only=True)
class Attribution:
    """Which parts of an image speak for a class, according to one method."""

    method: str
    """The method's name: "grad-cam"."""
    case_id: str
    """Which image this is about."""
    original: Tensor
    """The image as it was given, `(C, H, W)` in `[-1, 1]`."""
    map: Tensor
    """A number for each pixel, `(H, W)`: the larger, the more it speaks for `target_class`."""
    signed: bool
    """True: values below 0 speak against the class. False: all values are 0 or more."""
    meaning: str = ""
    """What a value says: "fall of the logit when hidden"."""
    class_names: tuple[str, ...]
    """Names of the K classes."""
    target_class: int
    """The class that the map is about."""
    probabilities: Tensor
    """The classifier's opinion of the image, `(K,)`; of a network with a single output, that output."""
    layer: str | None = None
    """The layer whose map this is; several, of the trunks of an ensemble, with commas. None: the image itself."""
    settings: dict[str, Any] = field(default_factory=dict)
    """How it was made, and what was measured on the way; JSON types only."""
    seconds: float = 0.0
    """Computing time of this image."""

    def __post_init__(self) -> None:
        same = self.map.shape == self.original.shape[1:]
        check(same, "map", "have the size of the image", f"{tuple(self.map.shape)} for {tuple(self.original.shape)}")
        check(self.probabilities.shape == (len(self.class_names),), "probabilities", "have one value a class", "others")
        check(self.signed or bool((self.map >= 0).all()), "map", "be 0 or more where it has no sign", "values below 0")

    @property
    def target_name(self) -> str:
        """The name of `target_class`."""
        return self.class_names[self.target_class]

    @property
    def probability(self) -> float:
        """Of `target_class`."""
        return float(self.probabilities[self.target_class])

    @property
    def limits(self) -> tuple[float, float]:
        """The values at which the colours of its pictures begin and end."""
        return colours.map_limits(self.map, self.signed)

    def overlay(self, limits: tuple[float, float] | None = None) -> np.ndarray:
        """The map over the image in grey, `(H, W, 3)` uint8; see `paint_map` for the colours."""
        return colours.overlay(self.original, self.map, limits or self.limits, self.signed)

    def above(self, share: float) -> Tensor:
        """The pixels that speak most for the class, `(H, W)` bool.

        Args:
            share: of all pixels, 0 to 1; fewer are marked where fewer speak for the class at all.
        """
        count = round(share * self.map.numel())
        if not count:
            return torch.zeros_like(self.map, dtype=torch.bool)
        least = self.map.flatten().topk(count).values[-1]
        return (self.map >= least) & (self.map > 0)

    def kept(self, share: float) -> Tensor:
        """The image with only the pixels of `above(share)`, `(C, H, W)`; of the rest an 8 x 8 impression is left."""
        return torch.where(self.above(share), self.original, baseline_of(self.original[None], "blur")[0])

    def __repr__(self) -> str:
        return f"Attribution({self.case_id!r}, {self.method}, {self.target_name} {self.probability:.0%})"

    def to_json(self) -> dict[str, Any]:
        """The content of `attribution.json`."""
        names = ("method", "case_id", "signed", "meaning", "layer", "seconds", "settings")
        return {name: getattr(self, name) for name in names} | {
            "class_names": list(self.class_names),
            "target_class": self.target_name,
            "probabilities": self.probabilities.tolist(),
            "largest": float(self.map.max()),
            "smallest": float(self.map.min()),
            "files": {"original": "original.png", "map": "map.png", "overlay": "overlay.png", "arrays": ARRAYS},
        }

    def save(self, folder: str | Path) -> Path:
        """Write `attribution.json`, the arrays and PNGs; the folder appears whole or not at all.

        Args:
            folder: where to; an older attribution there is replaced.

        Returns:
            The folder.

        Raises:
            InputError: if the folder holds something else.
        """
        folder = Path(folder)
        check_free(folder)
        with replacing_folder(folder) as part:
            self._write(part)
        return folder

    def _write(self, folder: Path) -> None:
        _picture(self.original).save(folder / "original.png")
        Image.fromarray(colours.paint_map(self.map, self.limits, self.signed)).save(folder / "map.png")
        Image.fromarray(self.overlay()).save(folder / "overlay.png")
        arrays = {name: getattr(self, name) for name in ("original", "map", "probabilities")}
        save_file({name: value.detach().cpu().contiguous() for name, value in arrays.items()}, folder / ARRAYS)
        (folder / JSON).write_text(json.dumps(self.to_json(), indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> Attribution:
        """Read what `save` wrote.

        Raises:
            InputError: if there is no complete attribution in the folder.
        """
        folder = check_exists("folder", folder)
        try:
            content = json.loads((folder / JSON).read_text(encoding="utf-8"))
            names = tuple(content["class_names"])
            kept = ("method", "case_id", "signed", "meaning", "layer", "seconds", "settings")
            target = names.index(content["target_class"])
            arrays = load_file(folder / ARRAYS)
            return cls(class_names=names, target_class=target, **arrays, **{name: content[name] for name in kept})
        except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
            raise InputError(f"`folder` must hold a saved attribution, got {folder}; make it again.") from error

    def _repr_html_(self) -> str:
        """The image and its map side by side, for notebooks."""
        words = f"{escape(self.case_id)}: what speaks for {escape(self.target_name)} ({self.probability:.0%})"
        key = "orange for, blue against" if self.signed else "yellow most, purple less"
        cells = [
            _cell(_picture(self.original), "original"),
            _cell(Image.fromarray(self.overlay()), f"{self.method}: {key}"),
        ]
        row = f"<div style='display:flex;flex-wrap:wrap;gap:8px'>{''.join(cells)}</div>"
        return f"<div><b>{words}</b>{row}</div>"


def check_free(folder: Path) -> None:
    """A folder to save to must be new, empty, or hold an attribution; anything else is not ours to replace."""
    ours = not folder.exists() or (folder / JSON).exists() or (folder.is_dir() and not any(folder.iterdir()))
    check(ours, "folder", "be new or hold an attribution", folder, "choose another folder")


def _picture(x: Tensor) -> Image.Image:
    u8 = to_uint8(x.detach().cpu())
    u8 = u8 if len(u8) == 3 else u8[:1]
    return Image.fromarray(u8[0].numpy() if len(u8) == 1 else u8.permute(1, 2, 0).contiguous().numpy())


def _cell(image: Image.Image, words: str) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    uri = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    style = "width:192px;display:block"
    return f"<figure style='margin:0;font-size:11px'><img style='{style}' src='{uri}'>{escape(words)}</figure>"
