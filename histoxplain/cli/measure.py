"""Measure a bundle's generator: do its samples show the class asked for, look real, and differ from each other?

DATA is an LMDB made by `histoxplain prepare`: samples are compared with its test split, and two disjoint real sets with
each other, so that the distances have a yardstick. Without DATA only the classifiers' opinions are measured.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

if TYPE_CHECKING:
    from torch import Tensor

    from histoxplain.data import Source
    from histoxplain.models import Bundle, Classifier


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain measure`."""

    data: Annotated[Positional[Path | None], arg(metavar="DATA")] = None
    """Prepared LMDB with a test split; its images of the bundle's resolution."""
    bundle: str = "lung-histology"
    """Name of a bundle under checkpoints/, or its folder."""
    count: int = 600
    """Samples, spread evenly over the classes."""
    truncation_psi: float = 1.0
    """1 draws from all the generator knows; less is safer and duller."""
    seed: int = 0
    """Fixes every draw."""
    out: Path | None = None
    """JSON file for the figures."""

    def __call__(self) -> None:
        """Measure, print, and write OUT if asked to."""
        from histoxplain._atomic import replacing
        from histoxplain._checks import check_at_least, check_exists
        from histoxplain.models import load_bundle

        check_at_least("count", self.count, 2)
        if self.data is not None:
            check_exists("data", self.data)
        bundle = load_bundle(self.bundle)
        figures = measure(bundle, self.data, self.count, self.truncation_psi, self.seed)
        text = json.dumps(figures, indent=2)
        print(text)
        if self.out is not None:
            with replacing(self.out) as part:
                part.write_text(text + "\n", encoding="utf-8")


def measure(bundle: Bundle, data: Path | None, count: int = 600, psi: float = 1.0, seed: int = 0) -> dict[str, Any]:
    """The figures of `histoxplain measure`.

    Returns:
        `samples`, `truncation_psi`, `seconds_per_image`; `classifier_agreement` and `oracle_agreement`: the share of
        8-bit samples that are given the class asked for, in all and for each class; with data also `frechet_distance`
        and `kernel_distance` to real test images, the same between disjoint real sets of the same size, `coverage`
        (precision, recall, density, coverage), `mean_pairwise_distance` of samples and of real images.
    """
    from histoxplain.data import open_source

    began = time.perf_counter()
    images, labels = sample(bundle, count, psi, seed)
    figures: dict[str, Any] = {
        "bundle": bundle.name,
        "samples": count,
        "truncation_psi": psi,
        "seed": seed,
        "seconds_per_image": round((time.perf_counter() - began) / count, 4),
        "classifier_agreement": agreement(bundle.classifier, images, labels, bundle.class_names),
    }
    if bundle.oracle is not None:
        figures["oracle_agreement"] = agreement(bundle.oracle, images, labels, bundle.class_names)
    if data is not None:
        test, train = (open_source(data, split=split) for split in ("test", "train"))
        figures |= compare(images, labels, test, train, seed)
    return figures


def sample(bundle: Bundle, count: int, psi: float, seed: int) -> tuple[Tensor, Tensor]:
    """`count` samples, classes in turn: images as they would be saved (8-bit, back in [-1, 1]) and class indices.

    Each has random noise of its own, where the generator takes noise beside its latent.
    """
    import torch
    from tqdm import trange

    from histoxplain.data import to_uint8, to_unit

    G, rng = bundle.generator, torch.Generator().manual_seed(seed)
    device = next(G.parameters()).device
    noise = torch.Generator(device).manual_seed(seed)
    z, labels = torch.randn(count, G.z_dim, generator=rng).to(device), torch.arange(count) % len(bundle.class_names)
    images = []
    with torch.no_grad():
        for start in trange(0, count, 25, desc="samples", unit="batch"):
            part = slice(start, start + 25)
            c = torch.eye(len(bundle.class_names), device=device)[labels[part].to(device)] if G.c_dim else None
            x = G.synthesis(G.mapping(z[part], c, psi), noise_mode="random", generator=noise)
            images.append(to_unit(to_uint8(x)).cpu())
    return torch.cat(images), labels


def agreement(classifier: Classifier, images: Tensor, labels: Tensor, class_names: tuple[str, ...]) -> dict[str, float]:
    """Share of images that a classifier gives to their class: "all" and by class name."""
    from histoxplain.cli.evaluate import opinions

    device = next(classifier.parameters()).device
    right = (opinions(classifier, images.to(device)).cpu() == labels).double()
    by_class = {name: round(right[labels == k].mean().item(), 4) for k, name in enumerate(class_names)}
    return {"all": round(right.mean().item(), 4), **by_class}


def compare(images: Tensor, labels: Tensor, test: Source, train: Source, seed: int) -> dict[str, Any]:
    """Distances between samples and real test images, with disjoint real sets as the yardstick."""
    import torch

    from histoxplain import metrics
    from histoxplain.data import to_unit

    n = min(len(test), len(train), len(images))
    rng = torch.Generator().manual_seed(seed)
    pick = [torch.randperm(len(source), generator=rng)[:n].tolist() for source in (test, train)]
    real, other = (to_unit(source.pixels(rows)) for source, rows in zip((test, train), pick))
    real_f, other_f, fake_f = (metrics.extract_features(x[:n]) for x in (real, other, images))
    few = slice(0, min(n, 40))
    return {
        "features": metrics.FEATURES,
        "images_a_side": n,
        "frechet_distance": round(metrics.frechet_distance(real_f, fake_f), 3),
        "frechet_distance_real": round(metrics.frechet_distance(real_f, other_f), 3),
        "kernel_distance": round(float(metrics.kernel_distance(real_f, fake_f)), 5),
        "kernel_distance_real": round(float(metrics.kernel_distance(real_f, other_f)), 5),
        "coverage": {name: round(value, 4) for name, value in asdict(metrics.coverage(real_f, fake_f)).items()},
        "coverage_real": {name: round(value, 4) for name, value in asdict(metrics.coverage(real_f, other_f)).items()},
        "mean_pairwise_distance": round(metrics.mean_pairwise_distance(images[few]), 4),
        "mean_pairwise_distance_real": round(metrics.mean_pairwise_distance(real[few]), 4),
    }
