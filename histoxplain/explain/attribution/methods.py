"""The methods by name: which call of captum or torchcam makes the map, what it needs, and what its numbers mean."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histoxplain._checks import check_at_least, check_between, check_one_of
from histoxplain._optional import require
from histoxplain.explain.attribution.layers import Layer, as_maps
from histoxplain.explain.attribution.rise import rise
from histoxplain.explain.attribution.scores import Scores

EXTRA = "attributions"


@dataclass(eq=False)
class Task:
    """What a method is given: images of one size, and what to ask about them."""

    scores: Scores
    x: Tensor
    """`(N, C, H, W)` in `[-1, 1]`."""
    targets: Tensor
    """`(N,)`."""
    baseline: Tensor
    """What hidden parts look like, of the shape of `x`."""
    layers: list[Layer]
    batch_size: int
    seed: int
    notes: list[dict[str, Any]] = field(default_factory=list)
    """What was measured on the way, one dictionary an image."""

    @property
    def side(self) -> int:
        """The shorter side of the images."""
        return min(self.x.shape[-2:])


def _captum(name: str) -> Any:
    return getattr(require("captum.attr", EXTRA), name)


# Maps of a layer (torchcam)


def _grad_cam(task: Task) -> Tensor:
    return _gradient_cam(task, "GradCAM")


def _layer_cam(task: Task) -> Tensor:
    return _gradient_cam(task, "LayerCAM")


def _gradient_cam(task: Task, kind: str) -> Tensor:
    """Maps of several layers, the trunks of an ensemble, add up: each is a share of the same score."""
    extractor = getattr(require("torchcam.methods", EXTRA), kind)
    with extractor(task.scores, [one.module for one in task.layers], reshape_transform=_places(task)) as cam:
        scores = task.scores(task.x.clone().requires_grad_())
        maps = cam(task.targets.tolist(), scores, normalized=False)
    cells = max(h * w for _, h, w in (one.shape for one in task.layers))
    return sum(_enlarged(one * (one[0].numel() / cells), task.x) for one in maps)


def _score_cam(task: Task, *, channels: int | None = None) -> Tensor:
    """Maps of several layers are averaged, each brought to a largest value of 1.

    Every channel costs a look of the classifier; `channels` takes only those that vary most over the image (Li et al.,
    "Faster Score-CAM", 2020).
    """
    check_at_least("channels", 1 if channels is None else channels, 1)
    extractor = require("torchcam.methods", EXTRA).ScoreCAM
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


# Gradients with respect to the image (captum)


def _integrated_gradients(task: Task, *, steps: int = 32) -> Tensor:
    check_at_least("steps", steps, 1)
    maps, gap = _captum("IntegratedGradients")(task.scores).attribute(
        task.x.clone().requires_grad_(),
        baselines=task.baseline,
        target=task.targets,
        n_steps=steps,
        internal_batch_size=max(task.batch_size, len(task.x)),
        return_convergence_delta=True,
    )
    task.notes = [{"missing of the score's change": round(value, 6)} for value in gap.tolist()]
    return maps.detach().sum(1)


def _gradient_shap(task: Task, *, samples: int = 32, noise: float = 0.1) -> Tensor:
    check_at_least("samples", samples, 1)
    check_at_least("noise", noise, 0)
    method, total = _captum("GradientShap")(task.scores), 0
    for count in _portions(samples, task.batch_size):
        total += count * method.attribute(
            task.x.clone().requires_grad_(),
            baselines=task.baseline,
            target=task.targets,
            n_samples=count,
            stdevs=noise,
        )
    return total.detach().sum(1) / samples


def _portions(total: int, most: int) -> list[int]:
    return [min(most, total - start) for start in range(0, total, most)]


# Hiding parts of the image; these work on black boxes


@torch.no_grad()
def _occlusion(task: Task, *, patch: int | None = None, stride: int | None = None) -> Tensor:
    patch = max(1, task.side // 8) if patch is None else patch
    check_between("patch", patch, 1, task.side)
    stride = max(1, patch // 2) if stride is None else stride
    check_between("stride", stride, 1, patch)
    channels = task.x.shape[1]
    found = _captum("Occlusion")(task.scores).attribute(
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
def _lime(task: Task, *, segments: int = 64, samples: int = 500, width: float = 0.25, ridge: float = 1.0) -> Tensor:
    check_at_least("width", width, 1e-3)
    check_at_least("ridge", ridge, 0.0)
    models = require("captum._utils.models.linear_model", EXTRA)

    def nearness(image: Tensor, changed: Tensor, shown: Tensor, **_: Any) -> Tensor:
        cosine_distance = 1 - shown.float().mean().sqrt()
        return torch.exp(-cosine_distance.square() / (2 * width**2))

    method = _captum("Lime")(task.scores, models.SkLearnRidge(alpha=ridge), nearness)
    return _by_segments(task, method, segments, samples)


@torch.no_grad()
def _kernel_shap(task: Task, *, segments: int = 64, samples: int = 500) -> Tensor:
    return _by_segments(task, _captum("KernelShap")(task.scores), segments, samples)


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


def _rise(task: Task, *, masks: int = 1000, grid: int = 8, p: float = 0.5) -> Tensor:
    def score(x: Tensor) -> Tensor:
        return task.scores(x)[:, int(task.targets[0])]

    options = {"masks": masks, "grid": grid, "p": p, "seed": task.seed, "batch_size": task.batch_size}
    return rise(score, task.x[0], task.baseline[0], **options)[None]


@dataclass(frozen=True)
class Method:
    """One way to make a map."""

    title: str
    paper: str
    run: Callable[..., Tensor]
    """A `Task` and options to maps `(N, H, W)`."""
    signed: bool
    """Whether values may be below 0, where something speaks against the class."""
    meaning: str
    """What a value says; `{score}` is what the map explains."""
    gradient: bool = False
    """Needs a network that gradients flow through."""
    layer: bool = False
    """Makes maps of a layer, and so needs a network to look into."""
    together: bool = False
    """Takes several images at once; others take them one by one, and look at several changed copies at once."""
    random: bool = False
    score: str = "logit"
    """What it explains unless told otherwise."""

    @property
    def black_box(self) -> bool:
        """Whether a classifier that is just a callable will do."""
        return not (self.gradient or self.layer)

    def options(self, given: dict[str, Any]) -> dict[str, Any]:
        """The method's own options, those not given at their defaults.

        Raises:
            InputError: if one is unknown.
        """
        known = inspect.signature(self.run).parameters.values()
        defaults = {one.name: one.default for one in known if one.kind is one.KEYWORD_ONLY}
        for name in given:
            check_one_of(f"option of {self.title}", name, defaults or ["left out"])
        return defaults | given


_CAM = {"signed": False, "layer": True, "meaning": "evidence in the layer, in shares of the {score}"}
_PART = {"signed": True, "random": True}
ATTRIBUTIONS: dict[str, Method] = {
    "grad-cam": Method("Grad-CAM", "Selvaraju et al., 2017", _grad_cam, gradient=True, together=True, **_CAM),
    "layer-cam": Method("Layer-CAM", "Jiang et al., 2021", _layer_cam, gradient=True, together=True, **_CAM),
    "score-cam": Method(
        "Score-CAM",
        "Wang et al., 2020",
        _score_cam,
        **_CAM | {"meaning": "activation, weighted by the {score} it keeps"},
    ),
    "integrated-gradients": Method(
        "Integrated gradients",
        "Sundararajan et al., 2017",
        _integrated_gradients,
        True,
        "share of the {score}",
        gradient=True,
        together=True,
    ),
    "gradient-shap": Method(
        "SHAP (gradient)",
        "Lundberg & Lee, 2017",
        _gradient_shap,
        True,
        "share of the {score}, on average over noise",
        gradient=True,
        random=True,
    ),
    "occlusion": Method("Occlusion", "Zeiler & Fergus, 2014", _occlusion, True, "fall of the {score} when hidden"),
    "lime": Method("LIME", "Ribeiro et al., 2016", _lime, meaning="weight of the part in a linear stand-in", **_PART),
    "kernel-shap": Method(
        "SHAP (kernel)", "Lundberg & Lee, 2017", _kernel_shap, meaning="share of the part in the {score}", **_PART
    ),
    "rise": Method(
        "RISE", "Petsiuk et al., 2018", _rise, False, "mean {score} while visible", random=True, score="probability"
    ),
}
"""The methods that `attribute` knows, by name."""
