"""Which concepts a concept model sees in images, how much of each, and what they weigh for a class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from histoxplain._checks import check, check_at_least, check_one_of
from histoxplain.data.source import Source
from histoxplain.explain.explainer import AnyImage, class_index, evaluating
from histoxplain.explain.images import image_of
from histoxplain.models.bundle import check_part
from histoxplain.models.viscoin.config import POOLED

if TYPE_CHECKING:
    from histoxplain.models import Bundle
    from histoxplain.models.viscoin import ConceptModel

BATCH = 32
"""Images that are read at once."""


@dataclass(frozen=True)
class RankedConcept:
    """A concept, and what it adds to a class's logit."""

    number: int
    """From 0."""
    name: str
    importance: float
    """Activation x weight, the mean over the images asked about."""
    activation: float
    """How much of it there is: the maximum over places, the mean over images; 0 or more."""
    weight: float
    """Of Theta, for the class asked about; the mean over images where each is asked about its own class."""
    share: float
    """Of the images asked about, those in which there is any of it, in [0, 1]."""


@dataclass(frozen=True, eq=False)
class ConceptReading:
    """What a concept model sees in some images."""

    ids: tuple[str, ...]
    """N names."""
    groups: tuple[str | None, ...]
    """What each image belongs to (patient, slide); None where nobody knows."""
    activations: Tensor
    """How much there is of each concept: `(N, K)`, 0 or more."""
    probabilities: Tensor
    """The classifier's opinion of the images, `(N, classes)`."""
    predicted: Tensor
    """What the concepts alone say, Theta's probabilities, `(N, classes)`."""
    weights: Tensor
    """Theta's, `(classes, K)`."""
    names: tuple[str, ...]
    """Of the concepts."""
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def of(self, rows: Sequence[int] | int) -> ConceptReading:
        """Some of the images."""
        rows = [rows] if isinstance(rows, int) else list(rows)
        parts = {name: getattr(self, name)[rows] for name in ("activations", "probabilities", "predicted")}
        ids, groups = (tuple(column[i] for i in rows) for column in (self.ids, self.groups))
        return replace(self, ids=ids, groups=groups, **parts)

    def importance(self, target: int | str | None = None) -> Tensor:
        """Activation x weight of every concept in every image, `(N, K)`.

        Args:
            target: the class it is about, by name or number; None takes the classifier's opinion of each image.

        Raises:
            InputError: if there is no such class.
        """
        if target is None:
            return self.activations * self.weights[self.probabilities.argmax(1)]
        return self.activations * self.weights[class_index(target, self.class_names)]

    def ranked(self, target: int | str | None = None) -> list[RankedConcept]:
        """The concepts, those that add most first.

        Args:
            target: a class, for which the images count that the classifier gives to it (all, where it gives none);
                None asks for each image's own class, and all images count.

        Raises:
            InputError: if there is no such class, or no image.
        """
        check(len(self) > 0, "images", "hold at least one image", "none")
        reading, classes = self, self.probabilities.argmax(1)
        if target is not None:
            number = class_index(target, self.class_names)
            mine = (classes == number).nonzero()[:, 0].tolist()
            reading = self.of(mine) if mine else self
            classes = torch.full((len(reading),), number)
        importance = reading.importance(target).mean(0)
        weight, activation = self.weights[classes].mean(0), reading.activations.mean(0)
        share = (reading.activations > 0).float().mean(0)
        return [
            RankedConcept(k, self.names[k], *(float(column[k]) for column in (importance, activation, weight, share)))
            for k in importance.argsort(descending=True, stable=True).tolist()
        ]

    @property
    def fidelity(self) -> float:
        """Share of the images of which the concepts alone say the same as the classifier, in [0, 1]."""
        return float((self.predicted.argmax(1) == self.probabilities.argmax(1)).float().mean())


def concept_model(bundle: Bundle) -> ConceptModel:
    """The bundle's concept model.

    Raises:
        InputError: if it has none.
    """
    check_part(bundle, "concepts", "concepts")
    return bundle.concepts


def concept_number(model: ConceptModel, concept: int | str) -> int:
    """The number of a concept, given by name or number.

    Raises:
        InputError: if there is no such concept.
    """
    if isinstance(concept, int):
        last = len(model.names) - 1
        check(0 <= concept <= last, "concept", f"be a name or a number from 0 to {last}", concept)
        return concept
    check_one_of("concept", concept, model.names)
    return list(model.names).index(concept)


@torch.no_grad()
def read_concepts(
    bundle: Bundle, images: Source | AnyImage | Sequence[AnyImage], *, limit: int | None = None, fit: bool = False
) -> ConceptReading:
    """Read the concepts of an image, of several, or of a data set, a batch at a time.

    Args:
        bundle: with a concept model.
        images: a data set, for instance `hx.data.open_source("lung128.lmdb", "test")`; or what `Explainer.explain`
            takes.
        limit: read so many at most.
        fit: crop, resize and convert images of another size or kind instead of refusing them.

    Raises:
        InputError: if the bundle has no concepts, or an image is not what was expected.
    """
    model = concept_model(bundle)
    check_at_least("limit", 1 if limit is None else limit, 1)
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    names: list[str] = []
    groups: list[str | None] = []
    with evaluating(bundle.classifier, bundle.generator, model):
        for batch in _batches(images, limit):
            x = torch.stack([image_of(image, bundle, fit=fit, name=name) for image, name, _ in batch])
            x = x.to(model.theta.weight.device)
            phi = F.adaptive_avg_pool2d(model.maps(x), POOLED)
            seen = phi.amax((2, 3)), bundle.classifier.probabilities(x), model.predict(phi).softmax(1)
            parts.append(tuple(part.float().cpu() for part in seen))
            names += [name for _, name, _ in batch]
            groups += [group for _, _, group in batch]
    check(bool(names), "images", "hold at least one image", "none")
    columns = (torch.cat(column) for column in zip(*parts))
    weights = model.theta.weight.detach().float().cpu()
    return ConceptReading(tuple(names), tuple(groups), *columns, weights, model.names, tuple(bundle.class_names))


def _batches(
    images: Source | AnyImage | Sequence[AnyImage], limit: int | None
) -> Iterator[list[tuple[AnyImage, str, str | None]]]:
    """Images with their names and groups, `BATCH` at a time."""
    if isinstance(images, Source):
        count = len(images) if limit is None else min(limit, len(images))
        for rows in torch.arange(count).split(BATCH):
            yield [(images[i], images.rows[i].id, images.rows[i].group) for i in rows.tolist()]
        return
    several = isinstance(images, list | tuple) or (isinstance(images, Tensor) and images.ndim == 4)
    listed = (list(images) if several else [images])[:limit]
    for start in range(0, len(listed), BATCH):
        rows = enumerate(listed[start : start + BATCH], start)
        yield [(image, named(image, i), getattr(image, "group", None)) for i, image in rows]


def named(image: AnyImage, index: int) -> str:
    """What to call an image: its id, its file's stem, or its number from 1."""
    from histoxplain.explain.explainer import _name

    return _name(image, index)
