"""Masks that counterfactual inpainting finds, held against true ones, and beside those of attribution methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from histoxplain import metrics
from histoxplain._checks import check, check_at_least, check_one_of
from histoxplain.evaluation.best_masks import best_of_layers
from histoxplain.evaluation.questions import spread
from histoxplain.explain import (
    choose_threshold,
    difference_map,
    evaluating,
    image_of,
    quantised,
    sufficient_threshold,
)
from histoxplain.explain.segmentation import RULES
from histoxplain.metrics import Interval, ratio_interval, share_interval
from histoxplain.metrics.segmentation import MEASURES

if TYPE_CHECKING:
    from histoxplain.data import Source
    from histoxplain.explain import Inpainting

BASELINES = ("rise", "score-cam", "layer-cam", "grad-cam")
"""What inpainting is held against, as in the paper, and Grad-CAM."""
RISE = {"masks": 1000, "grid": 8, "p": 0.1}
"""As published, but for the number of masks (6000 there)."""
SUFFICIENT = "sufficient"
HALF = 0.5
BATCH = 32


@dataclass(frozen=True)
class MaskRow:
    """How well the masks of one method agree with the truth."""

    method: str
    threshold: str
    """At which threshold, in words."""
    scores: dict[str, Interval]
    """`iou`, `dice`, `precision` and `recall`, means over the abnormal images."""


@dataclass(frozen=True)
class MaskEvaluation:
    """What `measure_masks` found."""

    rows: list[MaskRow]
    """Inpainting first, then the attributions, then a mask of everything."""
    ahead: Interval
    """By how much the IoU of inpainting is larger than that of the best other row, image by image."""
    validity: Interval
    """Share of the abnormal images whose counterfactual moves the classifier's probability by more than 0.8."""
    found: Interval
    """Share of the abnormal images that the classifier finds abnormal; the masks of the others are empty."""
    false_alarms: Interval
    """Share of the normal images whose mask is not empty."""
    abnormal: int
    """How many images are."""
    normal: int
    confidence: float = 0.95

    def table(self) -> str:
        """As readable text."""
        width = max(len(row.method) for row in self.rows)
        head = f"{'masks':<{width}}  " + "  ".join(f"{name:<17}" for name in MEASURES) + "  threshold"
        lines = [head]
        for row in self.rows:
            scores = "  ".join(f"{_said(row.scores[name]):<17}" for name in MEASURES)
            lines.append(f"{row.method:<{width}}  {scores}  {row.threshold}")
        lines += [
            f"ahead of the best other one by {_said(self.ahead)} in IoU",
            f"counterfactual validity {_said(self.validity)}; found abnormal {_said(self.found)} of {self.abnormal}; "
            f"false alarms {_said(self.false_alarms)} of {self.normal}",
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        rows = [
            {"method": row.method, "threshold": row.threshold}
            | {name: interval.to_dict() for name, interval in row.scores.items()}
            for row in self.rows
        ]
        names = ("ahead", "validity", "found", "false_alarms")
        counts = {"abnormal": self.abnormal, "normal": self.normal, "confidence": self.confidence}
        return {"rows": rows, **{name: getattr(self, name).to_dict() for name in names}, **counts}


def _said(interval: Interval) -> str:
    value, low, high = (f"{end:.3f}".replace("0.", ".", 1) for end in (interval.value, interval.low, interval.high))
    return value if "nan" in low else f"{value} ({low}-{high})"


@dataclass(frozen=True, eq=False)
class MaskedImages:
    """Images whose abnormal part is known."""

    x: Tensor
    """`(N, C, R, R)` in `[-1, 1]`, 8-bit exact."""
    truth: Tensor
    """Boolean `(N, R, R)`."""

    @property
    def abnormal(self) -> Tensor:
        """Those with anything abnormal, boolean `(N,)`."""
        return self.truth.flatten(1).any(1)


def measure_masks(
    explainer: Inpainting,
    source: Source,
    limit: int = 100,
    *,
    validation: Source | None = None,
    rule: str = "quantile",
    baselines: Sequence[str] = BASELINES,
    rise_masks: int = RISE["masks"],
    confidence: float = 0.95,
    seed: int = 0,
) -> MaskEvaluation:
    """Hold the masks of inpainting against true ones, and beside attribution maps at their best threshold.

    Inpainting uses a threshold that needs no true mask: its own, or one that labels of validation images choose.
    Images that the classifier finds normal have an empty mask. Attribution maps of the (likeliest) abnormal class get
    the threshold that suits the true masks of these very images best, either a share of each map's peak or a share of
    its pixels, and where they are of a layer the best layer, too (the last of each size is tried): no more can be had
    from them by one threshold.

    Args:
        explainer: of a bundle with an inpainter.
        source: images with masks.
        limit: how many images, the classes in turn.
        validation: other images, whose labels or classification choose the threshold; None takes the explainer's.
        rule: of the choice, see `explain.choose_threshold`; "sufficient", which asks the classifier and no label, is
            `explain.sufficient_threshold`.
        baselines: names in `explain.ATTRIBUTIONS`.
        rise_masks: random masks an image, of RISE.
        confidence: of the bootstrap intervals over images.
        seed: fixes every draw.

    Raises:
        InputError: if images have no masks or masks of another shape, or none is abnormal.
    """
    settings, said = explainer.mask, "its own"
    images = masked_images(explainer, source, limit)
    sick = images.abnormal
    check(bool(sick.any()), "data", "hold an abnormal image, one whose mask is not empty", f"none in {len(sick)}")
    if validation is not None:
        threshold, count = threshold_of(explainer, validation, limit, rule)
        settings = replace(settings, threshold=threshold)
        said = f"{count} others ({rule})"
    maps, before, after = changes(explainer, images.x)
    masks = settings(maps, before >= HALF)
    truth = images.truth[sick]
    scores = [metrics.segmentation_scores(masks[sick], truth)]
    names, thresholds = [explainer.method], [f"{settings.threshold:.3f}, {said}"]
    target = likeliest_abnormal(explainer, images.x[sick])
    for method in baselines:
        options = RISE | {"masks": rise_masks} if method == "rise" else {}
        best, threshold = best_of_layers(explainer.bundle, images.x[sick], truth, method, target, seed, **options)
        scores.append(best)
        names.append(method)
        thresholds.append(threshold)
    scores.append(metrics.segmentation_scores(torch.ones_like(truth), truth))
    names.append("everything")
    thresholds.append("")

    def mean(values: Tensor) -> Interval:
        return ratio_interval(values, None, confidence, seed=seed)

    def share(values: Tensor) -> Interval:
        return share_interval(values.double(), None, confidence, seed=seed) if len(values) else Interval(float("nan"))

    rival = max(scores[1:], key=lambda one: float(one["iou"].mean()))
    return MaskEvaluation(
        rows=[
            MaskRow(name, threshold, {measure: mean(one[measure]) for measure in MEASURES})
            for name, threshold, one in zip(names, thresholds, scores)
        ],
        ahead=mean(scores[0]["iou"] - rival["iou"]),
        validity=share(metrics.counterfactual_validity(before, after)[sick]),
        found=share(before[sick] >= HALF),
        false_alarms=share(masks[~sick].flatten(1).any(1)),
        abnormal=int(sick.sum()),
        normal=int((~sick).sum()),
        confidence=confidence,
    )


def masked_images(explainer: Inpainting, source: Source, limit: int) -> MaskedImages:
    """At most `limit` images of a source, the classes in turn, with their masks.

    Raises:
        InputError: if there is none, or one has no mask or a mask of another shape.
    """
    check_at_least("limit", limit, 1)
    check(len(source) > 0, "data", "hold at least one image", 0, "choose another split")
    x, truth = [], []
    for i in spread(source.labels.tolist(), limit):
        case = source[i]
        image = image_of(case, explainer.bundle, fit=explainer.fit, name=case.id)
        check(
            case.mask is not None, "data", "hold a mask for every image", f"none for {case.id}", "prepare it with masks"
        )
        shape, wanted = tuple(case.mask.shape), tuple(image.shape[1:])
        check(
            shape == wanted, "masks", f"be as large as the images, {wanted}", f"{shape} for {case.id}", "prepare both"
        )
        x.append(image)
        truth.append(case.mask)
    return MaskedImages(torch.stack(x), torch.stack(truth))


def labelled_images(explainer: Inpainting, source: Source, limit: int) -> tuple[Tensor, Tensor]:
    """At most `limit` images of a source and whether each is labelled abnormal; masks are not asked for."""
    places = [i for i in spread(source.labels.tolist(), limit) if source.labels[i] >= 0]
    cases = [source[i] for i in places]
    check(bool(cases), "data", "hold labelled images to choose a threshold by", "none")
    x = torch.stack([image_of(case, explainer.bundle, fit=explainer.fit, name=case.id) for case in cases])
    return x, torch.tensor([case.label != explainer.only for case in cases])


def threshold_of(explainer: Inpainting, source: Source, limit: int, rule: str) -> tuple[float, int]:
    """The threshold that a rule chooses without any true mask, and by how many images."""
    check_one_of("rule", rule, (*RULES, SUFFICIENT))
    x, labels = labelled_images(explainer, source, limit)
    if rule != SUFFICIENT:
        return choose_threshold(changes(explainer, x)[0], labels, rule, settings=explainer.mask), len(x)
    with evaluating(*explainer.networks), torch.no_grad():
        found = torch.cat([explainer.probabilities(some).cpu() for some in x.split(BATCH)])
        x = x[found[:, explainer.only] < HALF]
        check(len(x) > 0, "data", "hold images that the classifier finds abnormal", "none")
        made = torch.cat([quantised(explainer.bundle.inpainter(some)) for some in x.split(BATCH)])

        def is_normal(images: Tensor) -> Tensor:
            p = torch.cat([explainer.probabilities(some) for some in images.split(BATCH)])
            return p[:, explainer.only] >= HALF

        return sufficient_threshold(x, made, is_normal, settings=explainer.mask), len(x)


@torch.no_grad()
def changes(explainer: Inpainting, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How much each pixel changes, `(N, H, W)`, and how abnormal images are before and after, `(N,)`; on the CPU."""
    bundle, parts = explainer.bundle, []
    device = next((weight.device for weight in bundle.inpainter.parameters()), torch.device("cpu"))
    with evaluating(*explainer.networks):
        for some in x.split(BATCH):
            some = some.to(device)
            made = quantised(bundle.inpainter(some))
            opinions = [1 - explainer.probabilities(one)[:, explainer.only] for one in (some, made)]
            parts.append([one.cpu() for one in (difference_map(some, made), *opinions)])
    return tuple(torch.cat(part) for part in zip(*parts))


def likeliest_abnormal(explainer: Inpainting, x: Tensor) -> list[int]:
    """Of each image, the class that the classifier finds likeliest besides the normal one."""
    with torch.no_grad(), evaluating(explainer.bundle.classifier):
        p = torch.cat([explainer.bundle.classifier.probabilities(some).float().cpu() for some in x.split(BATCH)])
    p[:, explainer.only] = -1
    return p.argmax(1).tolist()
