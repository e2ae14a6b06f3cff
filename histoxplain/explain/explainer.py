"""The one method interface: images in, explanations out. A paper is a small class that overrides `search`."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import torch
from torch import Tensor, nn

from histoxplain._checks import check, check_at_least, check_between, check_one_of
from histoxplain.data import Case
from histoxplain.explain.change import change_map
from histoxplain.explain.images import image_of, quantised
from histoxplain.explain.record import Explanation, judge
from histoxplain.models.bundle import check_part

if TYPE_CHECKING:
    from PIL import Image

    from histoxplain.models import Bundle

Target: TypeAlias = "int | str | Sequence[int | str] | None"
AnyImage: TypeAlias = "Tensor | str | Path | Case | Image.Image"
THRESHOLD = 0.5
"""A counterfactual is valid from this probability of the target class on (and the target must be the most probable)."""

BATCH_SIZE = 16
"""Images of up to 128 px that are searched at the same time."""


@dataclass(frozen=True, eq=False)
class Found:
    """What a search brings back for one image."""

    counterfactuals: Tensor
    """`(M, C, H, W)` in `[-1, 1]`, unclamped, smallest change first; M may be anything from 0 on."""
    reconstruction: Tensor | None = None
    """`(C, H, W)`; None where the search starts from the image itself."""
    latents: dict[str, Tensor] = field(default_factory=dict)
    """As in `Explanation.latents`."""
    masks: Tensor | None = None
    """As in `Explanation.masks`."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What was measured on the way; JSON types only."""


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Put networks into evaluation mode, without gradients of their weights; restored per sub-module on leaving.

    Example:
        >>> layer = nn.Dropout()
        >>> with evaluating(layer):
        ...     print(layer.training)
        False
        >>> layer.training
        True
    """
    parts = [part for module in modules for part in module.modules()]
    weights = [weight for module in modules for weight in module.parameters()]
    modes, wanted = [part.training for part in parts], [weight.requires_grad for weight in weights]
    try:
        for part in parts:
            part.training = False
        for weight in weights:
            weight.requires_grad_(False)
        yield
    finally:
        for part, mode in zip(parts, modes):
            part.training = mode
        for weight, want in zip(weights, wanted):
            weight.requires_grad_(want)


def class_index(target: int | str, class_names: Sequence[str], name: str = "target") -> int:
    """The number of a class given by name or number.

    Raises:
        InputError: if there is no such class.

    Example:
        >>> class_index("benign", ["adenocarcinoma", "benign"])
        1
    """
    if isinstance(target, int) and not isinstance(target, bool) and 0 <= target < len(class_names):
        return target
    check_one_of(name, target, class_names)
    return list(class_names).index(str(target))


def check_fit(bundle: Bundle) -> None:
    """Generator and classifier must work with the same channels, on at least two classes.

    Raises:
        InputError: if they do not.
    """
    count = len(bundle.class_names)
    check(count > 1, "bundle", "have at least 2 classes", f"{count}", "with one class there is nothing to change to")
    seen = getattr(bundle.classifier, "channels", None)
    drawn = getattr(bundle.generator, "img_channels", seen)
    way_out = "pair a generator and a classifier of equal channels"
    check(seen in (None, drawn), "classifier", f"take {drawn} channels, as the generator draws", seen, way_out)


class Explainer(ABC):
    """Turns images into explanations; checks, modes, judging and timing are here, the idea is in `search`.

    Args:
        bundle: the classifier to explain and the generator to draw with.
        threshold: probability that the saved counterfactual must reach to be valid.
        batch_size: images that are searched at the same time; None takes 16 of up to 128 px, fewer of larger ones.
        fit: crop, resize and convert images of another size or kind instead of refusing them.
    """

    method: ClassVar[str]
    """The name in records, files and tables."""
    needs: ClassVar[tuple[str, ...]] = ("generator",)
    """The networks of the bundle that it cannot do without, besides the classifier."""
    only: int | None = None
    """The class that every image becomes, where there is no choice."""
    assess: bool = True
    """Whether records say how far to trust them (see `reliability`), at a small cost."""

    def __init__(
        self, bundle: Bundle, *, threshold: float = THRESHOLD, batch_size: int | None = None, fit: bool = False
    ) -> None:
        check_between("threshold", threshold, 0.0, 1.0)
        for role in self.needs:
            check_part(bundle, role, f"the method {self.method}")
        check_fit(bundle)
        if batch_size is None:
            batch_size = max(1, min(BATCH_SIZE, BATCH_SIZE * 128**2 // bundle.resolution**2))
        check_at_least("batch_size", batch_size, 1)
        self.bundle, self.threshold, self.batch_size, self.fit = bundle, threshold, batch_size, fit

    @property
    def networks(self) -> list[nn.Module]:
        """What it computes with; a classifier that is only a callable is not among them."""
        parts = [getattr(self.bundle, role) for role in (*self.needs, "classifier")]
        return [part for part in parts if isinstance(part, nn.Module)]

    @abstractmethod
    def search(self, x: Tensor, sources: Tensor, targets: Tensor, count: int, seed: int) -> list[Found]:
        """Look for counterfactuals of a batch.

        Args:
            x: images, `(N, C, H, W)`, 8-bit exact, in `[-1, 1]`.
            sources: the classifier's opinion of them, `(N,)`.
            targets: the class asked for, `(N,)`, nowhere equal to `sources`.
            count: how many different ones an image.
            seed: fixes every draw.

        Returns:
            One `Found` an image, with up to `count` counterfactuals.
        """

    def explain(
        self,
        images: AnyImage | Sequence[AnyImage],
        target: Target = None,
        count: int = 1,
        seed: int = 0,
        ids: Sequence[str] | None = None,
    ) -> list[Explanation]:
        """Explain one or several images.

        Args:
            images: a tensor `(N, C, H, W)` or `(C, H, W)` in `[-1, 1]`, a file, a `Case`, a PIL image, or a list.
            target: the class asked for, by name or number, or a list with one an image; None takes each image's
                runner-up class.
            count: how many different counterfactuals an image, at least 1.
            seed: fixes every draw: same seed, same machine, same result.
            ids: what to call the images; by default their own names or `image-1`, ...

        Returns:
            One record an image, in order.

        Raises:
            InputError: if an image, the target or the count is not what was expected.
        """
        check_at_least("count", count, 1)
        check(count == int(count), "count", "be a whole number", count)
        listed = list(images) if isinstance(images, list | tuple) or _is_batch(images) else [images]
        names = list(ids) if ids is not None else [_name(image, i) for i, image in enumerate(listed)]
        check(len(names) == len(listed), "ids", f"name {len(listed)} images", len(names))
        x = [image_of(image, self.bundle, fit=self.fit, name=name) for image, name in zip(listed, names)]
        check(bool(x), "images", "hold at least one image", "none")

        def search(rows: Tensor, sources: Tensor, targets: Tensor) -> list[Found]:
            return self.search(batch[rows], sources, targets, count, seed)

        weights = (weight for network in self.networks for weight in network.parameters())
        batch = torch.stack(x).to(next((weight.device for weight in weights), "cpu"))
        return self._explain(batch, target, names, {"count": count, "seed": seed}, search)

    def _explain(
        self, x: Tensor, target: Target, ids: list[str], settings: dict[str, Any], search: Callable[..., list[Found]]
    ) -> list[Explanation]:
        """Search in batches; `search(rows, sources, targets)` brings back one `Found` a row, `settings` are noted."""
        with evaluating(*self.networks):
            before = self.probabilities(x)
            targets = self.targets(before, target, ids)
            explained = []
            for some in torch.arange(len(x)).split(self.batch_size):
                start = time.perf_counter()
                found = search(some, before[some].argmax(1), targets[some])
                seconds = (time.perf_counter() - start) / len(some)
                for i, one in zip(some.tolist(), found):
                    one = replace(one, settings=settings | one.settings)
                    record = self.record(x[i], before[i], int(targets[i]), one, ids[i], seconds)
                    explained.append(self.assessed(record))
        return explained

    def assessed(self, explanation: Explanation) -> Explanation:
        """The record with its reliability; as it is where `assess` is off."""
        if not self.assess:
            return explanation
        from histoxplain.explain.reliability import assessed

        return assessed(self.bundle, explanation)

    @torch.no_grad()
    def probabilities(self, x: Tensor) -> Tensor:
        """The classifier's opinion of 8-bit images: `(N, K)`.

        Raises:
            InputError: if it is not finite, or not one number a class.
        """
        found = torch.cat([self.bundle.classifier.probabilities(some).float() for some in x.split(32)])
        count = len(self.bundle.class_names)
        given = tuple(found.shape)
        check(given == (len(x), count), "classifier", f"give {count} probabilities an image, one a class", given)
        bad = int((~found.isfinite()).any(1).sum())
        check(not bad, "classifier", "give finite probabilities", f"NaN or infinity for {bad} of {len(x)} images")
        return found

    def targets(self, before: Tensor, target: Target, ids: Sequence[str] = ()) -> Tensor:
        """The class asked of every image, `(N,)`: `target`, or the runner-up for None.

        Raises:
            InputError: if the target is unknown or already the classifier's opinion.
        """
        names, sources = self.bundle.class_names, before.argmax(1)
        if target is None:
            return before.scatter(1, sources[:, None], -1.0).argmax(1)
        listed = target if isinstance(target, list | tuple) else [target] * len(before)
        check(len(listed) == len(before), "target", f"name one class for each of {len(before)} images", len(listed))
        asked = torch.tensor([class_index(one, names) for one in listed], device=before.device)
        for i in torch.nonzero(sources == asked).flatten().tolist()[:1]:
            others = " or ".join(name for k, name in enumerate(names) if k != asked[i])
            what = f"{names[asked[i]]!r}, its opinion of {ids[i] if ids else 'the image'}"
            check(False, "target", "be another class than the classifier's own", what, f"ask for {others}")
        return asked

    def record(
        self, original: Tensor, before: Tensor, target: int, found: Found, case_id: str, seconds: float
    ) -> Explanation:
        """Judge what was found as the user will see it, and write it down."""
        judged = judge(self.bundle.classifier, found.counterfactuals, target, self.threshold)
        saved, after, valid = (tensor.cpu() for tensor in judged)
        original, before = original.cpu(), before.cpu()
        rebuilt = None if found.reconstruction is None else quantised(found.reconstruction).cpu()
        reference = original if rebuilt is None else rebuilt
        settings = {"bundle": self.bundle.name} | found.settings
        return Explanation(
            method=self.method,
            case_id=case_id,
            original=original,
            reconstruction=rebuilt,
            counterfactuals=saved,
            class_names=tuple(self.bundle.class_names),
            source_class=int(before.argmax()),
            target_class=target,
            probabilities_before=before,
            probabilities_after=after,
            valid=valid,
            change=change_map(reference[None], saved),
            threshold=self.threshold,
            latents={name: tensor.cpu() for name, tensor in found.latents.items()},
            masks=None if found.masks is None else found.masks.cpu(),
            settings=settings,
            seconds=seconds,
        )


def _is_batch(images: Any) -> bool:
    return isinstance(images, Tensor) and images.ndim == 4


def _name(image: AnyImage, index: int) -> str:
    if isinstance(image, str | Path):
        return Path(image).stem
    return (image.id if isinstance(image, Case) else "") or f"image-{index + 1}"
