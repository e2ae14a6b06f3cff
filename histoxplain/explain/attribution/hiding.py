"""What becomes of the score as parts of the image are hidden, by captum and RISE; all of it works on black boxes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from histoxplain._checks import check_at_least, check_between
from histoxplain._optional import require
from histoxplain.explain.attribution.rise import rise
from histoxplain.explain.attribution.task import EXTRA, Task, captum


@torch.no_grad()
def occlusion(task: Task, *, patch: int | None = None, stride: int | None = None) -> Tensor:
    """The fall of the score as a square is hidden (Zeiler & Fergus, 2014); a pixel has the mean of its squares."""
    patch = max(1, task.side // 8) if patch is None else patch
    check_between("patch", patch, 1, task.side)
    stride = max(1, patch // 2) if stride is None else stride
    check_between("stride", stride, 1, patch)
    channels = task.x.shape[1]
    found = captum("Occlusion")(task.scores).attribute(
        task.x,
        sliding_window_shapes=(channels, patch, patch),
        strides=(channels, stride, stride),
        baselines=task.baseline,
        target=task.targets,
        perturbations_per_eval=task.batch_size,
    )
    task.notes = [{"patch": patch, "stride": stride}] * len(task.x)
    return found[:, 0]


@torch.no_grad()
def lime(task: Task, *, segments: int = 64, samples: int = 500, width: float = 0.25, ridge: float = 1.0) -> Tensor:
    """Weights of a linear model of which parts are shown, fitted near the image (Ribeiro et al., 2016)."""
    check_at_least("width", width, 1e-3)
    check_at_least("ridge", ridge, 0.0)
    models = require("captum._utils.models.linear_model", EXTRA)

    def nearness(image: Tensor, changed: Tensor, shown: Tensor, **_: Any) -> Tensor:
        cosine_distance = 1 - shown.float().mean().sqrt()
        return torch.exp(-cosine_distance.square() / (2 * width**2))

    method = captum("Lime")(task.scores, models.SkLearnRidge(alpha=ridge), nearness)
    return _by_segments(task, method, segments, samples)


@torch.no_grad()
def kernel_shap(task: Task, *, segments: int = 64, samples: int = 500) -> Tensor:
    """Shapley values of parts of the image, by weighted regression (Lundberg & Lee, 2017)."""
    return _by_segments(task, captum("KernelShap")(task.scores), segments, samples)


def _by_segments(task: Task, method: Any, segments: int, samples: int) -> Tensor:
    check_at_least("segments", segments, 2)
    check_at_least("samples", samples, 4)
    parts = superpixels(task.x[0], segments)
    found = method.attribute(
        task.x,
        baselines=task.baseline,
        target=int(task.targets[0]),
        feature_mask=parts.to(task.x.device).expand_as(task.x),
        n_samples=samples,
        perturbations_per_eval=task.batch_size,
    )
    task.notes = [{"segments": int(parts.max()) + 1}]
    return found[:, 0].float()


def superpixels(x: Tensor, count: int) -> Tensor:
    """About `count` patches of similar colour (SLIC, Achanta et al., 2012), numbered from 0; of noise, squares.

    Args:
        x: one image, `(C, H, W)` in `[-1, 1]`.
        count: how many, roughly.

    Returns:
        `(H, W)`, int64.

    Example:
        >>> superpixels(torch.zeros(3, 16, 16), 4).unique().tolist()
        [0, 1, 2, 3]
    """
    from skimage.segmentation import slic

    pixels = ((x[:3] if len(x) >= 3 else x[:1]).float().cpu().clamp(-1, 1) / 2 + 0.5).permute(1, 2, 0).numpy()
    compactness = 10 if len(x) >= 3 else 0.1  # of colours in CIELAB, 0 to 100, and of grey values, 0 to 1
    labels = torch.from_numpy(slic(pixels, n_segments=count, compactness=compactness, sigma=1, channel_axis=-1))
    if len(labels.unique()) < max(2, count // 4):
        cells = max(2, round(count**0.5))
        rows, columns = (torch.arange(side) * cells // side for side in x.shape[1:])
        labels = rows[:, None] * cells + columns
    return labels.unique(return_inverse=True)[1]


def random_parts(task: Task, *, masks: int = 1000, grid: int = 8, p: float = 0.5) -> Tensor:
    """See `rise`."""

    def score(x: Tensor) -> Tensor:
        return task.scores(x)[:, int(task.targets[0])]

    options = {"masks": masks, "grid": grid, "p": p, "seed": task.seed, "batch_size": task.batch_size}
    return rise(score, task.x[0], task.baseline[0], **options)[None]
