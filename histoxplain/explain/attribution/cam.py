"""Maps of a layer, by torchcam: what its channels see, weighted by what they mean for the score."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histoxplain._checks import check_at_least
from histoxplain.explain.attribution.layers import as_maps
from histoxplain.explain.attribution.scores import Scores
from histoxplain.explain.attribution.task import Task, torchcam


def grad_cam(task: Task) -> Tensor:
    """Channels of the layer, weighted by the mean gradient of the score (Selvaraju et al., 2017)."""
    return _gradient_cam(task, "GradCAM")


def layer_cam(task: Task) -> Tensor:
    """Channels of the layer, weighted place by place by the gradient where it is positive (Jiang et al., 2021)."""
    return _gradient_cam(task, "LayerCAM")


def _gradient_cam(task: Task, kind: str) -> Tensor:
    """Maps of several layers, the trunks of an ensemble, add up: each is a share of the same score."""
    extractor = torchcam(kind)
    with extractor(task.scores, [one.module for one in task.layers], reshape_transform=_places(task)) as cam:
        scores = task.scores(task.x.clone().requires_grad_())
        maps = cam(task.targets.tolist(), scores, normalized=False)
    cells = max(h * w for _, h, w in (one.shape for one in task.layers))
    return sum(_enlarged(one * (one[0].numel() / cells), task.x) for one in maps)


def score_cam(task: Task, *, channels: int | None = None) -> Tensor:
    """Channels of the layer, weighted by the score of the image that they let through (Wang et al., 2020).

    Maps of several layers are averaged, each brought to a largest value of 1. Every channel costs a look of the
    classifier; `channels` takes only those that vary most over the image (Li et al., "Faster Score-CAM", 2020).
    """
    check_at_least("channels", 1 if channels is None else channels, 1)
    extractor = torchcam("ScoreCAM")
    model = _Hidden(task.scores, task.baseline)
    options = {"batch_size": task.batch_size, "reshape_transform": _places(task, channels)}
    with extractor(model, [one.module for one in task.layers], **options) as cam, torch.no_grad():
        model(task.x - task.baseline)
        maps = cam(task.targets.tolist(), normalized=len(task.layers) > 1)
    return sum(_enlarged(one, task.x) for one in maps) / len(maps)


class _Hidden(nn.Module):
    """Takes images as what stands out from the baseline, so that what is multiplied by 0 becomes the baseline."""

    def __init__(self, scores: Scores, baseline: Tensor) -> None:
        super().__init__()
        self.scores, self.baseline = scores, baseline

    def forward(self, x: Tensor) -> Tensor:
        return self.scores(x + self.baseline)


def _places(task: Task, channels: int | None = None) -> Callable[[Tensor], Tensor]:
    def places(output: Tensor) -> Tensor:
        maps = as_maps(output, *task.x.shape[-2:])
        if channels is None:
            return maps
        most = maps.flatten(2).var(2).topk(min(channels, maps.shape[1])).indices
        return maps[torch.arange(len(maps))[:, None], most]

    return places


def _enlarged(maps: Tensor, x: Tensor) -> Tensor:
    return F.interpolate(maps[:, None].float(), size=x.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
