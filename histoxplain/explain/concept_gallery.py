"""Concepts by example: the images that have most of each, and one image with more and less of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from histoxplain._checks import check, check_at_least
from histoxplain.data import Case
from histoxplain.explain.concept_change import FACTORS, concept_film, concept_maps
from histoxplain.explain.concepts import ConceptReading, RankedConcept, concept_model, concept_number, read_concepts
from histoxplain.explain.explainer import class_index
from histoxplain.explain.images import image_of, quantised
from histoxplain.explain.latent_space import draw, one_hot, sample_z
from histoxplain.models.bundle import check_part

if TYPE_CHECKING:
    from histoxplain.data import Source
    from histoxplain.explain.explainer import AnyImage
    from histoxplain.explain.interpolate import Film
    from histoxplain.models import Bundle

AMPLIFIED = (1.0, 4.0)
"""What a gallery shows of each image: redrawn as it is, and with four times as much of the concept."""


@dataclass(frozen=True, eq=False)
class ConceptExample:
    """One image, with one of its concepts turned down and up."""

    name: str
    """Of the image."""
    image: Tensor
    """`(C, H, W)` in `[-1, 1]`."""
    opinion: Tensor
    """The classifier's, of this image, `(classes,)`."""
    activation: float
    """How much of the concept there is; 0 or more."""
    map: Tensor
    """Where, `(H, W)`, 0 or more."""
    film: Film
    """What the concept makes of it; `alphas` are the factors."""


@dataclass(frozen=True, eq=False)
class ConceptShown:
    """A concept and the images that show it."""

    concept: RankedConcept
    target: str
    """The class whose weight `concept.weight` is."""
    examples: tuple[ConceptExample, ...]


def concept_gallery(
    bundle: Bundle,
    images: Source | Sequence[AnyImage],
    target: int | str | None = None,
    *,
    concepts: int | Sequence[int | str] = 6,
    each: int = 3,
    factors: Sequence[float] = AMPLIFIED,
    reading: ConceptReading | None = None,
    fit: bool = False,
) -> list[ConceptShown]:
    """The concepts that matter most in a data set, each with the images that have most of it (a global explanation).

    Args:
        bundle: with a concept model.
        images: a data set, for instance `hx.data.open_source("lung128.lmdb", "test")`, or several images.
        target: the class that concepts are to matter for, and that images must be given to; None asks for each image's
            own class, and every concept then stands for the class that its weight is largest for.
        concepts: how many, or which, by name or number.
        each: images a concept; where it is known what images belong to (slide, patient), each from another.
        factors: what to multiply the concept by.
        reading: of these images, where they were read before; saves time.
        fit: see `read_concepts`.

    Returns:
        The most important concept first, or in the order asked for.

    Raises:
        InputError: if there is no such class or concept, no image, or the bundle has no concepts.
    """
    check_at_least("each", each, 1)
    reading = read_concepts(bundle, images, fit=fit) if reading is None else reading
    model, shown = concept_model(bundle), []
    mine = set(range(len(reading)))
    if target is not None:
        number = class_index(target, reading.class_names)
        mine = set((reading.probabilities.argmax(1) == number).nonzero()[:, 0].tolist()) or mine
    for one in chosen(reading.ranked(target), concepts, model):
        label = int(reading.weights[:, one.number].argmax()) if target is None else number
        best = [i for i in reading.activations[:, one.number].argsort(descending=True).tolist() if i in mine]
        rows = of_different_groups(best, reading.groups, each)
        examples = [_example(bundle, images[i], reading, i, one.number, factors, label, fit) for i in rows]
        weight = float(reading.weights[label, one.number])
        ranked = RankedConcept(**{**vars(one), "weight": weight})
        shown.append(ConceptShown(ranked, reading.class_names[label], tuple(examples)))
    return shown


def concepts_of_image(
    bundle: Bundle,
    image: AnyImage,
    target: int | str | None = None,
    *,
    concepts: int | Sequence[int | str] = 5,
    factors: Sequence[float] = FACTORS,
    fit: bool = False,
) -> list[ConceptShown]:
    """The concepts that matter most in one image, with what less and more of each makes of it (a local explanation).

    Args:
        bundle: with a concept model.
        image: what `Explainer.explain` takes.
        target: the class that concepts are to matter for; None takes the classifier's own opinion.
        concepts: how many, or which, by name or number.
        factors: what to multiply each concept by.
        fit: see `read_concepts`.

    Raises:
        InputError: if there is no such class or concept, or the bundle has no concepts.
    """
    reading = read_concepts(bundle, [image], fit=fit)
    label = int(reading.probabilities[0].argmax()) if target is None else class_index(target, reading.class_names)
    name = reading.class_names[label]
    return [
        ConceptShown(one, name, (_example(bundle, image, reading, 0, one.number, factors, label, fit),))
        for one in chosen(reading.ranked(label), concepts, concept_model(bundle))
    ]


@torch.no_grad()
def generated_cases(bundle: Bundle, count: int, seed: int = 0) -> list[Case]:
    """Samples of a bundle's generator, the classes in turn, with the label that each was drawn for, and a name.

    Args:
        bundle: with a generator.
        count: how many.
        seed: same seed, same machine: same images.

    Raises:
        InputError: if the bundle has no generator.
    """
    check_part(bundle, "generator", "samples")
    check_at_least("count", count, 1)
    G, names = bundle.generator, bundle.class_names
    labels = torch.arange(count) % len(names)
    x = quantised(draw(G, G.mapping(sample_z(G, count, seed), one_hot(labels, G)))).cpu()
    return [Case(x[i], k, f"{names[k]} {i // len(names) + 1}") for i, k in enumerate(labels.tolist())]


def chosen(ranked: Sequence[RankedConcept], concepts: int | Sequence[int | str], model: object) -> list[RankedConcept]:
    """The first so many of a ranking, or those asked for, in their order."""
    if isinstance(concepts, int):
        check_at_least("concepts", concepts, 1)
        return list(ranked[:concepts])
    by_number = {one.number: one for one in ranked}
    check(len(concepts) > 0, "concepts", "name at least one", "none")
    return [by_number[concept_number(model, one)] for one in concepts]


def of_different_groups(order: Sequence[int], groups: Sequence[str | None], count: int) -> list[int]:
    """The first `count` of an order of which no two belong together; what has no group belongs to nothing.

    Example:
        >>> of_different_groups([3, 0, 1, 2], ["a", "b", None, "a"], 3)
        [3, 1, 2]
    """
    taken: dict[object, int] = {}
    for i in order:
        taken.setdefault(i if groups[i] is None else groups[i], i)
    return list(taken.values())[:count]


def _example(
    bundle: Bundle,
    image: AnyImage,
    reading: ConceptReading,
    row: int,
    concept: int,
    factors: Sequence[float],
    target: int,
    fit: bool,
) -> ConceptExample:
    x = image_of(image, bundle, fit=fit, name=reading.ids[row])
    where = concept_maps(bundle, x[None], [concept])[0, 0].cpu()
    film = concept_film(bundle, x, concept, factors, target)
    amount = float(reading.activations[row, concept])
    return ConceptExample(reading.ids[row], x.cpu(), reading.probabilities[row], amount, where, film)
