"""Do the verdicts survive what happens to images every day? Saving with 8 bits, JPEG, and a shift by one pixel.

An explanation must; adversarial patterns often do not (Kurakin et al., *Adversarial Examples in the Physical World*,
2016, for JPEG; Azulay & Weiss, 2019, for shifts).
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from histoxplain.data import to_uint8, to_unit
from histoxplain.explain.images import quantised
from histoxplain.explain.reliability.check import Check
from histoxplain.explain.reliability.opinions import probabilities_of, shifted
from histoxplain.explain.reliability.words import listed

if TYPE_CHECKING:
    from histoxplain.explain import Explanation

NAME, QUESTION = "stable", "Do the verdicts survive saving, JPEG and a shift by 1 pixel?"
QUALITY = 90
SAVED = "saved with 8 bits"


def as_jpeg(x: Tensor, quality: int = QUALITY) -> Tensor:
    """Images `(N, C, H, W)` as they come back from a JPEG file, in `[-1, 1]`.

    Args:
        x: images; 1 or 3 channels.
        quality: of the file, 1 to 95.

    Example:
        >>> as_jpeg(torch.zeros(1, 3, 16, 16)).unique().tolist()
        [0.003921627998352051]
    """
    return to_unit(torch.stack([_through_jpeg(u8, quality) for u8 in to_uint8(x.detach().cpu())])).to(x.device)


def _through_jpeg(u8: Tensor, quality: int) -> Tensor:
    array = u8[0].numpy() if len(u8) == 1 else u8.permute(1, 2, 0).contiguous().numpy()
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as picture:
        back = np.array(picture)
    return torch.from_numpy(back.reshape(*u8.shape[1:], -1)).permute(2, 0, 1)


def disturbed(x: Tensor) -> dict[str, Tensor]:
    """Images `(N, C, H, W)` after each disturbance, by its name; all of them start from the 8-bit image."""
    saved = quantised(x)
    return {SAVED: saved, f"JPEG, quality {QUALITY}": as_jpeg(saved), **shifted(saved)}


def check_stable(explanation: Explanation, classifier: Any, device: torch.device | str = "cpu") -> Check:
    """Whether the classifier keeps to its verdict on the original and on every counterfactual.

    A counterfactual's verdict is that it is the target, with the probability that the record asks for.

    Args:
        explanation: the record.
        classifier: the one that is explained.
        device: where it computes.
    """
    e = explanation
    views = disturbed(torch.cat([e.original[None], e.counterfactuals]).to(device))
    p = probabilities_of(classifier, torch.cat(list(views.values()))).unflatten(0, (len(views), -1))  # (views, 1+M, K)
    best, towards = p.argmax(2), p[:, 1:, e.target_class]
    kept = (best[:, 1:] == e.target_class) & (towards >= e.threshold)
    lost = [[name for name, ok in zip(views, column) if not ok] for column in kept.T.tolist()]
    fickle = [name for name, k in zip(views, best[:, 0].tolist()) if k != e.source_class]
    figures = {
        "disturbances": list(views),
        "original_kept": len(views) - len(fickle),
        "counterfactuals": [
            {"kept": len(views) - len(some), "lost": some, "lowest": round(low, 4)}
            for some, low in zip(lost, towards.amin(0).tolist())
        ],
    }
    doubts = (f"the classifier takes the original for another class once it is {_when(fickle)}",) if fickle else ()
    return Check(NAME, QUESTION, _words(e, fickle, lost), doubts, _doubtful(e, lost), figures)


def _doubtful(e: Explanation, lost: list[list[str]]) -> dict[int, str]:
    target = e.class_names[e.target_class]
    found = {}
    for i, names in enumerate(lost):
        if not e.valid[i]:
            found[i] = f"the classifier itself is not convinced of {target}"
        elif names:
            found[i] = f"the classifier is no longer convinced once it is {_when(names)}"
    return found


def _when(names: list[str]) -> str:
    """Disturbances in words; all shifts together are one."""
    shifts = [name.removeprefix("shifted 1 pixel ") for name in names if name.startswith("shifted")]
    words = [name.replace("JPEG,", "saved as JPEG,") for name in names if not name.startswith("shifted")]
    return listed([*words, *([f"shifted 1 pixel {listed(shifts)}"] if shifts else [])]).replace(" and ", " or ")


def _words(e: Explanation, fickle: list[str], lost: list[list[str]]) -> str:
    first = "the original's does" if not fickle else "the original's does not"
    reached = [names for names, valid in zip(lost, e.valid.tolist()) if valid]
    firm = sum(not names for names in reached)
    return first + (f"; {firm} of {len(reached)} changes' do" if reached else "")
