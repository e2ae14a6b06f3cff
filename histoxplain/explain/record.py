"""`Explanation`, the one record every method returns, and how it is saved."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from histoxplain._atomic import replacing_folder
from histoxplain._checks import InputError, check, check_exists
from histoxplain.data import to_uint8, to_unit
from histoxplain.explain.change import paint_change
from histoxplain.explain.images import quantised
from histoxplain.explain.reliability.words import reliability_html

if TYPE_CHECKING:
    from histoxplain.models import Classifier

JSON, ARRAYS = "explanation.json", "arrays.safetensors"


@dataclass(frozen=True, eq=False, kw_only=True)
class Explanation:
    """What an image would have to look like for the classifier to change its mind.

    All images are 8-bit exact, so that what was judged is what a saved file shows.
    """

    method: str
    """The method's name: "latent"."""
    case_id: str
    """Which image this is about."""
    original: Tensor
    """The image, `(C, H, W)` in `[-1, 1]`."""
    reconstruction: Tensor | None = None
    """The image as the generator can draw it, `(C, H, W)`; None where the method starts from the original itself."""
    counterfactuals: Tensor
    """The changed images, `(M, C, H, W)`, smallest change first."""
    class_names: tuple[str, ...]
    """Names of the K classes."""
    source_class: int
    """The classifier's opinion of the original."""
    target_class: int
    """The class asked for."""
    probabilities_before: Tensor
    """Of the original, `(K,)`."""
    probabilities_after: Tensor
    """Of the counterfactuals, `(M, K)`."""
    valid: Tensor
    """`(M,)` bool: saved with 8 bits and classified again, it is `target_class` with probability >= `threshold`."""
    change: Tensor
    """Signed change of brightness against `reference`, `(M, H, W)` in `[-1, 1]`; positive is lighter."""
    threshold: float = 0.5
    """The probability a counterfactual must reach."""
    latents: dict[str, Tensor] = field(default_factory=dict)
    """Of latent methods: "start" `(num_ws, w_dim)` and "end" `(M, num_ws, w_dim)`, the ends of a straight path.

    Of real images also "detail" `(C, h, w)`, what W+ does not say, and "gain" `(M,)`, how much of it is left at "end".
    """
    masks: Tensor | None = None
    """`(M, H, W)` bool: what was abnormal according to the method; None where it does not say."""
    settings: dict[str, Any] = field(default_factory=dict)
    """How it was made, and what was measured on the way; JSON types only."""
    seconds: float = 0.0
    """Computing time of this image."""
    reliability: dict[str, Any] | None = None
    """How far to trust it, as `Reliability.to_json` gives it: `sentence`, `trusted`, `checks`; None: not assessed."""
    measurements: list[dict[str, Any]] | None = None
    """What each counterfactual changed, as `Comparison.to_dict` gives it; None: not measured."""

    def __post_init__(self) -> None:
        count, classes = len(self.counterfactuals), len(self.class_names)
        check(self.counterfactuals.shape[1:] == self.original.shape, "counterfactuals", "match `original`", self.shapes)
        check(self.change.shape == (count, *self.original.shape[1:]), "change", "be (M, H, W)", self.shapes)
        if self.masks is not None:
            check(self.masks.shape == self.change.shape, "masks", "be (M, H, W), as `change`", self.shapes)
        ok = self.probabilities_after.shape == (count, classes) and self.probabilities_before.shape == (classes,)
        check(ok, "probabilities", "have one value a class", self.shapes)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor, by name."""
        return {name: tuple(value.shape) for name, value in vars(self).items() if isinstance(value, Tensor)}

    @property
    def reference(self) -> Tensor:
        """What the counterfactuals were changed from: the reconstruction where there is one, else the original."""
        return self.original if self.reconstruction is None else self.reconstruction

    @property
    def l1(self) -> Tensor:
        """Mean absolute difference of each counterfactual to the original, `(M,)`, from 0 to 2 (black turned white)."""
        return (self.counterfactuals - self.original).abs().mean((1, 2, 3))

    def __len__(self) -> int:
        return len(self.counterfactuals)

    def __repr__(self) -> str:
        names = self.class_names
        arrow = f"{names[self.source_class]} -> {names[self.target_class]}"
        return f"Explanation({self.case_id!r}, {arrow}, {int(self.valid.sum())} of {len(self)} valid, {self.method})"

    def to_json(self) -> dict[str, Any]:
        """The content of `explanation.json`."""
        after, l1 = self.probabilities_after.tolist(), self.l1.tolist()
        entries = [
            {
                "file": f"counterfactual-{i + 1}.png",
                "change_file": f"change-{i + 1}.png",
                "probabilities_after": after[i],
                "valid": bool(self.valid[i]),
                "l1": l1[i],
            }
            for i in range(len(self))
        ]
        for i, entry in enumerate(entries if self.masks is not None else ()):
            entry["mask_file"] = f"mask-{i + 1}.png"
        return {
            "method": self.method,
            "case_id": self.case_id,
            "source_class": self.class_names[self.source_class],
            "target_class": self.class_names[self.target_class],
            "class_names": list(self.class_names),
            "probabilities_before": self.probabilities_before.tolist(),
            "threshold": self.threshold,
            "seconds": self.seconds,
            "settings": self.settings,
            "counterfactuals": entries,
            "reliability": self.reliability,
            "measurements": self.measurements,
        }

    def save(self, folder: str | Path) -> Path:
        """Write `explanation.json`, the arrays and PNGs; the folder appears whole or not at all.

        Args:
            folder: where to; an older explanation there is replaced.

        Returns:
            The folder.
        """
        folder = Path(folder)
        check_free(folder)
        with replacing_folder(folder) as part:
            self._write(part)
        return folder

    def _write(self, folder: Path) -> None:
        _pil(self.original).save(folder / "original.png")
        if self.reconstruction is not None:
            _pil(self.reconstruction).save(folder / "reconstruction.png")
        content = self.to_json()
        for entry, image, change in zip(content["counterfactuals"], self.counterfactuals, self.change):
            _pil(image).save(folder / entry["file"])
            Image.fromarray(paint_change(change)).save(folder / entry["change_file"])
        for entry, mask in zip(content["counterfactuals"], () if self.masks is None else self.masks):
            Image.fromarray(mask.numpy()).save(folder / entry["mask_file"])
        names = ("probabilities_before", "probabilities_after", "valid", "change", "masks")
        arrays = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        arrays |= {f"latents.{name}": value for name, value in self.latents.items()}
        save_file({k: v.detach().cpu().contiguous() for k, v in arrays.items()}, folder / ARRAYS)
        (folder / JSON).write_text(json.dumps(content, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> Explanation:
        """Read what `save` wrote.

        Raises:
            InputError: if there is no complete explanation in the folder.
        """
        folder = check_exists("folder", folder)
        try:
            return cls._read(folder)
        except (OSError, KeyError, ValueError, SafetensorError) as error:
            raise InputError(
                f"`folder` must hold a saved explanation, got {folder}; explain the image again."
            ) from error

    @classmethod
    def _read(cls, folder: Path) -> Explanation:
        content = json.loads((folder / JSON).read_text(encoding="utf-8"))
        arrays = load_file(folder / ARRAYS)
        names = tuple(content["class_names"])
        rebuilt = folder / "reconstruction.png"
        original = _tensor(folder / "original.png")
        images = [_tensor(folder / entry["file"]) for entry in content["counterfactuals"]]
        return cls(
            original=original,
            reconstruction=_tensor(rebuilt) if rebuilt.exists() else None,
            counterfactuals=torch.stack(images) if images else original[None][:0],
            class_names=names,
            source_class=names.index(content["source_class"]),
            target_class=names.index(content["target_class"]),
            latents={k.partition(".")[2]: v for k, v in arrays.items() if k.startswith("latents.")},
            **{k: v for k, v in arrays.items() if not k.startswith("latents.")},
            **{k: content[k] for k in ("method", "case_id", "threshold", "settings", "seconds")},
            **{k: content.get(k) for k in ("reliability", "measurements")},  # older ones have neither
        )

    def _repr_html_(self) -> str:
        """The explanation as a row of pictures, for notebooks."""
        source, target = (escape(self.class_names[i]) for i in (self.source_class, self.target_class))
        cells = [_cell(self.original, "original", float(self.probabilities_before[self.target_class]), target)]
        if self.reconstruction is not None:
            cells.append(_cell(self.reconstruction, "reconstruction", None, target))
        for i, image in enumerate(self.counterfactuals):
            name = f"counterfactual {i + 1}" + ("" if self.valid[i] else " (not reached)")
            cells.append(_cell(image, name, float(self.probabilities_after[i, self.target_class]), target))
            cells.append(_cell(paint_change(self.change[i]), "change: purple darker, orange lighter", None, target))
            if self.masks is not None:
                cells.append(_cell(self.masks[i][None] * 2.0 - 1, "mask", None, target))
        title = f"<b>{escape(self.case_id)}</b>: {source} &rarr; {target}"
        row = f"<div style='display:flex;flex-wrap:wrap;gap:8px'>{''.join(cells)}</div>"
        return f"<div>{title}{row}{self._said()}</div>"

    def _said(self) -> str:
        """What was measured and how far to trust it, in sentences, as HTML."""
        measured = [one["sentence"] for one in self.measurements or []]
        lines = [f"<p>Change {i + 1}: {escape(words)}</p>" for i, words in enumerate(measured)]
        return "".join(lines) + (reliability_html(self.reliability) if self.reliability is not None else "")


def check_free(folder: Path) -> None:
    """A folder to save to must be new, empty, or hold an explanation; anything else is not ours to replace."""
    ours = not folder.exists() or (folder / JSON).exists() or (folder.is_dir() and not any(folder.iterdir()))
    check(ours, "folder", "be new or hold an explanation", folder, "choose another folder")


def _pil(x: Tensor) -> Image.Image:
    u8 = to_uint8(x.detach().cpu())
    return Image.fromarray(u8[0].numpy() if len(u8) == 1 else u8.permute(1, 2, 0).contiguous().numpy())


def _tensor(path: Path) -> Tensor:
    import numpy as np

    with Image.open(path) as image:
        array = np.array(image)
    return to_unit(torch.from_numpy(array).reshape(*array.shape[:2], -1).permute(2, 0, 1).contiguous())


def data_uri(image: Any) -> str:
    """A PNG data URI of an image tensor `(C, H, W)` in `[-1, 1]` or a uint8 array `(H, W, 3)`."""
    buffer = io.BytesIO()
    (_pil(image) if isinstance(image, Tensor) else Image.fromarray(image)).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _cell(image: Any, name: str, probability: float | None, target: str) -> str:
    text = name if probability is None else f"{name}<br>{target} {probability:.0%}"
    style = "width:128px;image-rendering:auto;display:block"
    return f"<figure style='margin:0;font-size:11px'><img style='{style}' src='{data_uri(image)}'>{text}</figure>"


@torch.no_grad()
def judge(classifier: Classifier, x: Tensor, target: Tensor | int, threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    """Judge images as a user would meet them: saved with 8 bits, then classified.

    Args:
        classifier: maps `(N, C, H, W)` in `[-1, 1]` to probabilities `(N, K)`.
        x: images, unclamped, `(N, C, H, W)`.
        target: the class asked for, one or one an image.
        threshold: the probability it must reach, besides being the most probable class.

    Returns:
        The 8-bit images in `[-1, 1]`, their probabilities `(N, K)` and whether they are valid `(N,)`.
    """
    saved = quantised(x)
    if not len(saved):
        return saved, saved.new_zeros(0, len(classifier.class_names)), torch.zeros(0, dtype=torch.bool)
    p = classifier.probabilities(saved).float()
    target = torch.as_tensor(target, device=p.device).expand(len(p))
    reached = p.gather(1, target[:, None])[:, 0] >= threshold
    return saved, p, (p.argmax(1) == target) & reached
