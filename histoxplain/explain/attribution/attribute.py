"""The one call: a classifier, images and a method in, records out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor, nn

from histoxplain._checks import check, check_at_least, check_one_of
from histoxplain.data import Case, read_image, to_unit
from histoxplain.explain.attribution.layers import choose_layers
from histoxplain.explain.attribution.methods import ATTRIBUTIONS, Method
from histoxplain.explain.attribution.record import Attribution
from histoxplain.explain.attribution.scores import SCORES, Scores, baseline_of, opinions, seeded
from histoxplain.explain.attribution.task import Task
from histoxplain.explain.explainer import class_index, evaluating
from histoxplain.explain.images import image_for, pixels_of

if TYPE_CHECKING:
    from histoxplain.data.window import Window
    from histoxplain.explain.explainer import AnyImage, Target
    from histoxplain.models import Bundle


def attribute(
    model: Bundle | nn.Module | Callable[[Tensor], Tensor],
    images: AnyImage | Sequence[AnyImage],
    method: str = "grad-cam",
    target: Target = None,
    *,
    layer: str | Sequence[str] | None = None,
    score: str | None = None,
    baseline: float | str | Tensor = 0.0,
    seed: int = 0,
    batch_size: int = 16,
    class_names: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
    fit: bool = False,
    **options: Any,
) -> Attribution | list[Attribution]:
    """Which parts of images speak for a class, in the eyes of exactly the model that decides.

    Args:
        model: a bundle, whose classifier is explained; a network of images `(N, C, H, W)` in `[-1, 1]` to logits
            `(N, K)`, also an ensemble; or any callable of such images to probabilities `(N, K)`.
        images: a tensor `(C, H, W)` or `(N, C, H, W)` in `[-1, 1]`, which goes to the classifier as it is; a `Case`, a
            file, a PIL image, which must be squares of the classifier's resolution or larger (or see `fit`); or a list.
        method: a name in `ATTRIBUTIONS`. Black boxes take "occlusion", "lime", "kernel-shap" and "rise".
        target: the class, by name or number, or a list with one an image; None takes the classifier's own opinion.
        layer: for the methods that make maps of a layer, its name (the end of it is enough), or several. None: the last
            layer with a map on which the score depends; of an ensemble, that of every trunk. See `spatial_layers`.
        score: what is explained: "logit", "lead" (by how much the class leads the others, its log-odds) or
            "probability"; None is the method's custom, "probability" for "rise" and "logit" for all others.
        baseline: what hidden parts look like: a brightness in `[-1, 1]`, "mean", "blur", or an image.
        seed: fixes every draw.
        batch_size: images, or changed copies of one image, that the classifier looks at together.
        class_names: names of the K classes, for a model that does not know them.
        ids: what to call the images; by default their own names or `image-1`, ...
        fit: crop, resize and convert image files of another size or kind instead of refusing them.
        options: of the method: `channels` (score-cam: look at so many at most); `steps` (integrated-gradients);
            `samples`, `noise` (gradient-shap); `patch`, `stride` (occlusion); `segments`, `samples` (lime,
            kernel-shap), `width`, `ridge` (lime); `masks`, `grid`, `p` (rise).

    Returns:
        A record for a single image, else a list of records, in order.

    Raises:
        InputError: if the method does not fit the model, or the model the image, or an argument is out of range.
        ImportError: if captum or torchcam is not installed; the message says how to install it.

    Example:
        >>> box = lambda x: torch.stack([x[:, 0, 0, 0], 1 - x[:, 0, 0, 0]], 1)  # looks at one pixel only
        >>> found = attribute(box, torch.ones(1, 4, 4), "occlusion", 0, score="probability", patch=2, stride=2)
        >>> found.map[0].round(decimals=4).tolist(), found.signed
        ([1.0, 1.0, 0.0, 0.0], True)
    """
    check_one_of("method", method, ATTRIBUTIONS)
    way = ATTRIBUTIONS[method]
    check_one_of("score", score, [None, *SCORES])
    check_at_least("batch_size", batch_size, 1)
    given, classifier = way.options(options), classifier_of(model)
    _check_suits(method, way, classifier, layer)
    listed = isinstance(images, list | tuple) or (isinstance(images, Tensor) and images.ndim == 4)
    several = list(images) if listed else [images]
    check(bool(several), "images", "hold at least one image", "none")
    names = list(ids) if ids is not None else [_name(image, i) for i, image in enumerate(several)]
    check(len(names) == len(several), "ids", f"name {len(several)} images", len(names))
    x = [opened(model, image, fit, name) for image, name in zip(several, names)]
    plan = _Plan(method, classifier, layer, score or way.score, baseline, seed, batch_size, given)
    settings = {"bundle": model.name} if classifier is not model else {}
    with evaluating(classifier) if isinstance(classifier, nn.Module) else nullcontext():
        found = plan.run(x, target, names, class_names, settings)
    return found if listed else found[0]


def classifier_of(model: Any) -> Any:
    """The classifier of a bundle; anything else is one."""
    return model if isinstance(model, nn.Module) else getattr(model, "classifier", model)


def opened(model: Any, image: Any, fit: bool, name: str, window: Window = None, frame: int | None = None) -> Tensor:
    """One image for the classifier, `(C, H, W)` float32 in `[-1, 1]`: tensors as they are.

    Files become as large as the classifier takes them; `window` and `frame` are those of `hx.explain.image_of`.

    Raises:
        InputError: if it is no image that fits.
    """
    classifier = classifier_of(model)
    channels = getattr(classifier, "channels", None)
    if isinstance(image, Tensor | Case) or not isinstance(image, str | Path | Image.Image):
        return pixels_of(image, name, channels).float()
    resolution = getattr(model, "resolution", None)
    if resolution is not None:
        return image_for(image, channels or 3, resolution, fit=fit, name=name, window=window, frame=frame)
    check(isinstance(image, str | Path), "image", "be a tensor, a `Case` or a file", type(image).__name__)
    return to_unit(read_image(image, channels=channels or 3, window=window, frame=frame))


def _name(image: Any, index: int) -> str:
    if isinstance(image, str | Path):
        return Path(image).stem
    return (image.id if isinstance(image, Case) else "") or f"image-{index + 1}"


def _check_suits(method: str, way: Method, classifier: Any, layer: Any) -> None:
    known = isinstance(classifier, nn.Module)
    check(callable(classifier), "model", "be a bundle, a network or a callable", type(classifier).__name__)
    boxes = ", ".join(name for name, one in ATTRIBUTIONS.items() if one.black_box)
    rule = f"be one of {boxes} for a classifier that is just a callable"
    check(known or way.black_box, "method", rule, repr(method), "give the network itself to look inside")
    rule = f"be left out for {method}, which explains the image itself"
    check(layer is None or way.layer, "layer", rule, repr(layer), "grad-cam, layer-cam and score-cam take one")


@dataclass(frozen=True, eq=False)
class _Plan:
    """Everything about a call but the images."""

    method: str
    classifier: Any
    layer: str | Sequence[str] | None
    score: str
    baseline: float | str | Tensor
    seed: int
    batch_size: int
    options: dict[str, Any]

    @property
    def way(self) -> Method:
        """How the method is done."""
        return ATTRIBUTIONS[self.method]

    @property
    def scores(self) -> Scores:
        """What is explained."""
        return Scores(self.classifier, self.score)

    def run(
        self, x: list[Tensor], target: Any, names: list[str], class_names: Any, settings: dict[str, Any]
    ) -> list[Attribution]:
        """The records of images, in order."""
        device = device_of(self.classifier)
        found: list[Attribution] = []
        for places in _alike(x, self.batch_size if self.way.together else 1):
            batch = torch.stack([x[i] for i in places]).to(device)
            p = opinions(self.classifier, batch)
            classes = names_of(self.classifier, class_names, p.shape[1])
            targets = _targets(target, p, classes, places, len(x))
            start = time.perf_counter()
            maps, layers, notes = self.maps(batch, targets)
            seconds = (time.perf_counter() - start) / len(places)
            for row, i in enumerate(places):
                found.append(
                    Attribution(
                        method=self.method,
                        case_id=names[i],
                        original=x[i].cpu(),
                        map=maps[row],
                        signed=self.way.signed,
                        meaning=self.way.meaning.format(score=self.score),
                        class_names=classes,
                        target_class=int(targets[row]),
                        probabilities=p[row].cpu(),
                        layer=", ".join(layers) or None,
                        settings=settings | self.noted() | (notes[row] if notes else {}),
                        seconds=seconds,
                    )
                )
        return found

    def maps(self, x: Tensor, targets: Tensor) -> tuple[Tensor, list[str], list[dict[str, Any]]]:
        """Maps `(N, H, W)` on the CPU, the names of their layers, and what was measured of each image."""
        self.check_gradient(x)
        layers = choose_layers(self.scores, x[:1], int(targets[0]), self.layer) if self.way.layer else []
        task = Task(self.scores, x, targets, baseline_of(x, self.baseline), layers, self.batch_size, self.seed)
        with seeded(self.seed):
            maps = self.way.run(task, **self.options).detach().float().cpu()
        return maps if self.way.signed else maps.clamp_min(0), [one.name for one in layers], task.notes

    def check_gradient(self, x: Tensor) -> None:
        """Refuse a network that no gradient flows through, where one is needed."""
        if self.way.gradient:
            with torch.enable_grad():
                flows = self.scores(x[:1].clone().requires_grad_()).requires_grad
            way_out = "use occlusion, lime, kernel-shap or rise"
            check(flows, "model", f"let gradients through for {self.method}", "a network that does not", way_out)

    def noted(self) -> dict[str, Any]:
        """The settings, as JSON types."""
        hidden = "an image" if isinstance(self.baseline, Tensor) else self.baseline
        drawn = {"seed": self.seed} if self.way.random else {}
        uses = {} if self.way.layer and self.way.gradient else {"baseline": hidden}
        return {"score": self.score} | uses | drawn | {k: v for k, v in self.options.items() if v is not None}


def _alike(x: list[Tensor], most: int) -> list[list[int]]:
    """Runs of at most `most` neighbours of one shape."""
    runs: list[list[int]] = []
    for i, image in enumerate(x):
        if runs and len(runs[-1]) < most and x[runs[-1][-1]].shape == image.shape:
            runs[-1].append(i)
        else:
            runs.append([i])
    return runs


def _targets(target: Any, p: Tensor, classes: tuple[str, ...], places: list[int], count: int) -> Tensor:
    if target is None:
        return p.argmax(1)
    several = target.tolist() if isinstance(target, Tensor) and target.ndim else target
    several = list(several) if isinstance(several, list | tuple) else [several] * count
    check(len(several) == count, "target", f"name one class for each of {count} images", len(several))
    return torch.tensor([class_index(several[i], classes) for i in places], device=p.device)


def names_of(classifier: Any, given: Sequence[str] | None, count: int) -> tuple[str, ...]:
    """The names of the classes: those given, the classifier's own, or numbers.

    Raises:
        InputError: if there are more or fewer than the classifier gives numbers.
    """
    names = given if given is not None else getattr(classifier, "class_names", None)
    names = tuple(names) if names is not None else tuple(map(str, range(count)))
    check(len(names) == count, "class_names", f"name the {count} classes of the classifier", f"{len(names)} names")
    return names


def device_of(classifier: Any) -> torch.device:
    """Where a classifier computes; a callable without weights: on the CPU."""
    tensors = [*classifier.parameters(), *classifier.buffers()] if isinstance(classifier, nn.Module) else []
    return tensors[0].device if tensors else torch.device("cpu")
