"""How good a concept model is, on a split of a data set: the measures of VisCoIN (Parekh et al., 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from histoxplain import metrics
from histoxplain.data import Case, Source, to_uint8, to_unit
from histoxplain.explain.explainer import evaluating
from histoxplain.models import ConceptModel, Concepts

BATCH = 16
MOST = 5
"""Concepts that are removed one after the other."""
EXAMPLES = 16
"""Images, those with most of it, on which a concept's consistency is measured."""
AMPLIFIED = 2.0
"""Times as much of a concept is drawn there, against none of it."""


@dataclass(frozen=True, eq=False)
class _Read:
    """What is known of all images."""

    labels: Tensor | None
    opinion: Tensor
    predicted: Tensor
    phi: Tensor
    importance: Tensor
    """For the class that the classifier gives each image, `(N, K)`."""

    @property
    def classes(self) -> Tensor:
        """What the classifier says, `(N,)`."""
        return self.opinion.argmax(1)


@torch.no_grad()
def measure_concepts(
    model: ConceptModel,
    source: Source | Sequence[Case],
    *,
    limit: int | None = None,
    consistency: bool = True,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Any]:
    """Measure a concept model on real images; each picture is judged as it would be saved, with 8 bits.

    Args:
        model: the concepts.
        source: images of the generator's size; those without a label count for everything but accuracy.
        limit: use so many of the images, from all over the source.
        consistency: measure that of each concept too, which takes two pictures of 16 images for each.
        seed: fixes which concepts are removed at random.
        progress: show a progress bar.

    Returns:
        `images`; `fidelity`, the share where concepts predict the class that the classifier gives; `accuracy` of the
        classifier and of the concepts; `kept`, the share of reconstructions that the classifier puts into the class of
        the original, in all and by class, and of the images that the concepts draw alone; `l1` (in parts of the full
        range), `perceptual` and `frechet` of reconstructions; `drop`, by how much the probability of the class falls,
        on average, when the 1, 2, ... most important concepts are removed, and `random_drop` when as many of all
        concepts are by chance; `faithfulness`, the median drop when all concepts above .2 of the largest contribution
        are, as published; `conciseness`, how many these are; `sparsity`, the share of concepts that are not there;
        `places`, how well maps go with what they show: the correlation of maps with those of the images turned half
        around, put back (`turned`), or not put back (`unturned`: what lies in the place alone), the mean over concepts,
        and of each (see `metrics.map_correlation`);
        `consistency` of each concept that is there, and their mean (see `metrics.concept_consistency`).

    Raises:
        InputError: if there are no images, or they are of another size.
    """
    rows = torch.linspace(0, len(source) - 1, min(limit or len(source), len(source))).round().long().tolist()
    with evaluating(model, model.classifier, model.generator, *([model.encoder] if model.encoder else [])):
        bar = tqdm(total=len(rows) + model.config.concepts, desc="measure concepts", unit="step", disable=not progress)
        with bar:
            seen, figures = _read_and_draw(model, source, rows, seed, bar)
            figures |= _consistency(model, source, rows, seen, bar) if consistency else {}
    figures |= {
        "fidelity": metrics.agreement(seen.predicted, seen.opinion),
        "conciseness": metrics.conciseness(seen.importance),
        "sparsity": metrics.concept_sparsity(seen.phi),
    }
    if seen.labels is not None:
        named = {"classifier": seen.opinion, "concepts": seen.predicted}
        figures["accuracy"] = {name: metrics.agreement(said, seen.labels) for name, said in named.items()}
    return {"images": len(rows), **figures}


def _read_and_draw(
    model: ConceptModel, source: Source | Sequence[Case], rows: list[int], seed: int, bar: tqdm
) -> tuple[_Read, dict[str, Any]]:
    rng, net = torch.Generator().manual_seed(seed), metrics.feature_net(metrics.FEATURES)
    found: list[_Read] = []
    drawn: dict[str, list[Tensor]] = {}
    sides = {name: metrics.FeatureSet(metrics.space_of(net), len(rows)) for name in ("real", "fake")}
    maps: list[tuple[Tensor, Tensor]] = []
    for start in range(0, len(rows), BATCH):
        x, labels = _images(model, source, rows[start : start + BATCH])
        concepts = model.concepts(x)
        read = _reading(model, concepts, labels)
        images = _saved(model.draw(concepts))
        alone = _saved(model.draw(concepts._replace(support=None, detail=None)))
        per_image = {
            "before": model.classifier(images).softmax(1),
            "alone": model.classifier(alone).softmax(1),
            "l1": metrics.l1_distance(images, x) / 2,
            "perceptual": metrics.perceptual_distance(images, x),
            **_drops(model, concepts, read, images, rng),
        }
        for name, value in per_image.items():
            drawn.setdefault(name, []).append(value.cpu())
        for name, shown in (("real", x), ("fake", images)):
            sides[name].add(net(shown))
        maps.append((model.maps(x).cpu(), model.maps(x.rot90(2, (2, 3))).cpu()))
        found.append(read)
        bar.update(len(x))
    whole = {name: torch.cat(values) for name, values in drawn.items()}
    seen = _Read(*(None if parts[0] is None else torch.cat(parts) for parts in zip(*map(_parts, found))))
    return seen, _figures(model, seen, whole, sides) | {"places": _places(model, *map(torch.cat, zip(*maps)))}


def _parts(read: _Read) -> list[Tensor | None]:
    return list(vars(read).values())


def _figures(
    model: ConceptModel, seen: _Read, whole: dict[str, Tensor], sides: dict[str, metrics.FeatureSet]
) -> dict[str, Any]:
    by_class = {}
    for k, name in enumerate(model.config.class_names):
        mine = seen.classes == k
        if mine.any():
            by_class[name] = metrics.agreement(whole["before"][mine], seen.classes[mine])
    counts = range(1, min(MOST, model.config.concepts) + 1)
    return {
        "kept": {
            "all": metrics.agreement(whole["before"], seen.classes),
            **by_class,
            "concepts_alone": metrics.agreement(whole["alone"], seen.classes),
        },
        "l1": whole["l1"].mean().item(),
        "perceptual": whole["perceptual"].mean().item(),
        "frechet": float(metrics.frechet_distance(sides["real"], sides["fake"])) if len(seen.phi) > 1 else None,
        "drop": {str(count): whole[f"top {count}"].mean().item() for count in counts},
        "random_drop": {str(count): whole[f"any {count}"].mean().item() for count in counts},
        "faithfulness": whole["relevant"].median().item(),
    }


def _places(model: ConceptModel, maps: Tensor, turned: Tensor) -> dict[str, Any]:
    back, stayed = metrics.map_correlation(maps, turned.rot90(2, (2, 3))), metrics.map_correlation(maps, turned)
    each = dict(zip(model.names, back.tolist()))
    return {"turned": back.mean().item(), "unturned": stayed.mean().item(), "concepts": each}


def _images(model: ConceptModel, source: Source | Sequence[Case], rows: list[int]) -> tuple[Tensor, Tensor | None]:
    cases = [source[i] for i in rows]
    x = torch.stack([case.image for case in cases]).to(next(model.parameters()).device)
    known = all(case.label is not None for case in cases)
    return x, torch.tensor([case.label for case in cases]) if known else None


def _reading(model: ConceptModel, concepts: Concepts, labels: Tensor | None) -> _Read:
    classes = concepts.logits.argmax(1)
    importance = model.importance(concepts.phi)[torch.arange(len(classes)), :, classes]
    parts = (concepts.logits, model.predict(concepts.phi), concepts.phi, importance)
    return _Read(labels, *(part.float().cpu() for part in parts))


def _saved(x: Tensor) -> Tensor:
    """Images as they would be saved, in [-1, 1] again."""
    return to_unit(to_uint8(x))


def _drops(
    model: ConceptModel, concepts: Concepts, read: _Read, images: Tensor, rng: torch.Generator
) -> dict[str, Tensor]:
    """By how much the probability of each image's class falls without some of its concepts."""
    before, n, k = model.classifier(images).softmax(1).cpu(), *read.importance.shape
    removed = {"relevant": metrics.relevant(read.importance)}
    for count in range(1, min(MOST, k) + 1):
        removed[f"top {count}"] = metrics.most_important(read.importance, count)
        removed[f"any {count}"] = metrics.any_of_them(n, k, count, rng)
    drops = {}
    for name, mask in removed.items():
        after = model.classifier(_saved(model.draw(concepts.scaled((~mask).float())))).softmax(1).cpu()
        drops[name] = metrics.probability_drop(before, after, read.classes)
    return drops


def _consistency(
    model: ConceptModel, source: Source | Sequence[Case], rows: list[int], seen: _Read, bar: tqdm
) -> dict[str, dict[str, Any]]:
    """Whether each concept changes those images that have most of it in the same way."""
    net, strength, found = metrics.feature_net(metrics.FEATURES), seen.phi.amax((2, 3)), {}
    for k, name in enumerate(model.names):
        bar.update(1)
        have = int((strength[:, k] > 0).sum())
        if have < 4:
            continue
        best = strength[:, k].argsort(descending=True)[: min(EXAMPLES, have)].tolist()
        concepts = model.concepts(_images(model, source, [rows[i] for i in best])[0])
        sides = [net(_saved(model.draw(concepts.scaled({k: factor})))) for factor in (AMPLIFIED, 0.0)]
        found[name] = metrics.concept_consistency(*sides)
    mean = sum(found.values()) / len(found) if found else None
    return {"consistency": {"mean": mean, "concepts": found}}
