"""Measure a bundle's generator: do its samples show the class asked for, look real, and differ from each other?

DATA is an LMDB made by `histoxplain prepare`: samples are compared with its test split, and two disjoint real sets with
each other, so that the distances have a yardstick. Without DATA only the classifiers' opinions are measured.
Samples are drawn and measured batch by batch: any number of them needs the memory of a few.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

if TYPE_CHECKING:
    from torch import Tensor

    from histoxplain.data import Source
    from histoxplain.metrics import Coverage
    from histoxplain.models import Bundle

BATCH = 25
"""Samples drawn at once."""
KEPT = 2000
"""Images a side whose features are held for the kernel distance and the coverage; the others only count."""
FEW = 40
"""Images a side whose pairwise distances are measured."""


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
    features: str = "auto"
    """What distances are measured in: efficientnet_lite0-imagenet, inception_v3-fid or inception_v3-fid-clean, whose
    weights are fetched (95 MB); auto takes inception_v3-fid where its weights are already on this machine."""
    out: Path | None = None
    """JSON file for the figures."""

    def __call__(self) -> None:
        """Measure, print, and write OUT if asked to."""
        from histoxplain._atomic import replacing
        from histoxplain._checks import check_at_least, check_exists
        from histoxplain.models import load_bundle
        from histoxplain.models.bundle import check_part

        check_at_least("count", self.count, 2)
        if self.data is not None:
            check_exists("data", self.data)
        features = self.features if self.features != "auto" or self.data is None else chosen_features()
        bundle = load_bundle(self.bundle)
        check_part(bundle, "generator", "samples")
        figures = measure(bundle, self.data, self.count, self.truncation_psi, self.seed, features)
        text = json.dumps(figures, indent=2)
        print(text)
        if self.out is not None:
            with replacing(self.out) as part:
                part.write_text(text + "\n", encoding="utf-8")


def chosen_features() -> str:
    """The best features on this machine; where they are not the usual ones, a line on stderr says how to get those."""
    from histoxplain import metrics

    name = metrics.best_features()
    if name != metrics.INCEPTION:
        hint = f"for those of published FIDs give --features {metrics.INCEPTION}, or {metrics.how_to_get_weights()}"
        print(f"histoxplain: distances are in {name} features; {hint}", file=sys.stderr)
    return name


def measure(
    bundle: Bundle, data: Path | None, count: int = 600, psi: float = 1.0, seed: int = 0, features: str | None = None
) -> dict[str, Any]:
    """The figures of `histoxplain measure`; `features` are `metrics.FEATURES` by default.

    Returns:
        `samples`, `truncation_psi`, `seconds_per_image`; `classifier_agreement` and `oracle_agreement`: the share of
        8-bit samples that are given the class asked for, in all and for each class; with data also the figures of
        `Comparison`.
    """
    import torch

    from histoxplain.data import open_source
    from histoxplain.evaluation.measuring import opinions

    judges = {"classifier_agreement": bundle.classifier, "oracle_agreement": bundle.oracle}
    judges = {name: judge for name, judge in judges.items() if judge is not None}
    answers: dict[str, list[Tensor]] = {name: [] for name in judges}
    labels, seconds = torch.arange(count) % len(bundle.class_names), 0.0
    sides = [open_source(data, split=split) for split in ("test", "train")] if data is not None else None
    comparison = Comparison(*sides, count, features) if sides else None
    for images, took in samples(bundle, labels, psi, seed):
        seconds += took
        for name, judge in judges.items():
            answers[name].append(opinions(judge, images.to(next(judge.parameters()).device)).cpu())
        if comparison is not None:
            comparison.add(images)
    return {
        "bundle": bundle.name,
        "samples": count,
        "truncation_psi": psi,
        "seed": seed,
        "seconds_per_image": round(seconds / count, 4),
        **{name: agreement(torch.cat(found), labels, bundle.class_names) for name, found in answers.items()},
        **(comparison.figures(seed) if comparison is not None else {}),
    }


def samples(bundle: Bundle, labels: Tensor, psi: float, seed: int) -> Iterator[tuple[Tensor, float]]:
    """Samples of these classes, batch by batch: images as they would be saved (8-bit, back in [-1, 1]), and seconds.

    Each has random noise of its own, where the generator takes noise beside its latent.
    """
    import torch
    from tqdm import tqdm

    from histoxplain.data import to_uint8, to_unit

    G, rng = bundle.generator, torch.Generator().manual_seed(seed)
    device = next(G.parameters()).device
    noise = torch.Generator(device).manual_seed(seed)
    for part in tqdm(labels.split(BATCH), desc="samples", unit="batch"):
        began = time.perf_counter()
        z = torch.randn(len(part), G.z_dim, generator=rng).to(device)
        c = torch.eye(len(bundle.class_names), device=device)[part.to(device)] if G.c_dim else None
        with torch.no_grad():
            x = G.synthesis(G.mapping(z, c, psi), noise_mode="random", generator=noise)
        images = to_unit(to_uint8(x)).cpu()
        yield images, time.perf_counter() - began


def agreement(answers: Tensor, labels: Tensor, class_names: tuple[str, ...]) -> dict[str, float]:
    """Share of images that were given to their class: "all" and by class name."""
    right = (answers == labels).double()
    by_class = {name: round(right[labels == k].mean().item(), 4) for k, name in enumerate(class_names)}
    return {"all": round(right.mean().item(), 4), **by_class}


class Comparison:
    """Distances between samples and real test images, with disjoint real sets as the yardstick.

    Both sides have the same number of images, so further samples are not looked at. Of each side the sums of the
    features, `KEPT` rows of them and `FEW` images are held.
    """

    def __init__(self, test: Source, train: Source, count: int, features: str | None = None) -> None:
        from histoxplain import metrics

        self.test, self.train, self.images = test, train, min(len(test), len(train), count)
        self.net = metrics.feature_net(features or metrics.FEATURES)
        self.fake = metrics.FeatureSet(metrics.space_of(self.net), KEPT)
        self.few: list[Tensor] = []

    def add(self, images: Tensor) -> None:
        """Look at further samples `(N, C, H, W)` in [-1, 1]."""
        from histoxplain import metrics

        images = images[: self.images - len(self.fake)]
        if len(images):
            self.few += images[: FEW - len(self.few)].clone()
            self.fake.add(metrics.extract_features(images, self.net))

    def figures(self, seed: int) -> dict[str, Any]:
        """`features`, their `resize`, and `covariance`; `frechet_distance` and `kernel_distance` (on `kernel_images` a
        side), `coverage`, `mean_pairwise_distance`, and the same of real images as `..._real`.
        """
        import torch

        from histoxplain import metrics
        from histoxplain.data import to_unit

        rng = torch.Generator().manual_seed(seed)
        picks = [torch.randperm(len(source), generator=rng)[: self.images] for source in (self.test, self.train)]
        real, other = (
            metrics.gather_features(
                (to_unit(source.pixels(part.tolist())) for part in pick.split(BATCH)), self.net, keep=KEPT
            )
            for source, pick in zip((self.test, self.train), picks)
        )
        few = to_unit(self.test.pixels(picks[0][:FEW].tolist()))
        space, fake = self.fake.space, self.fake
        return {
            "features": space.name,
            "resize": space.resize,
            "covariance": "divided by N",
            "images_a_side": self.images,
            "kernel_images": len(fake.rows),
            "frechet_distance": round(metrics.frechet_distance(real, fake), 3),
            "frechet_distance_real": round(metrics.frechet_distance(real, other), 3),
            "kernel_distance": round(metrics.kernel_distance(real, fake), 5),
            "kernel_distance_real": round(metrics.kernel_distance(real, other), 5),
            "coverage": rounded(metrics.coverage(real.rows, fake.rows)),
            "coverage_real": rounded(metrics.coverage(real.rows, other.rows)),
            "mean_pairwise_distance": round(metrics.mean_pairwise_distance(torch.stack(self.few)), 4),
            "mean_pairwise_distance_real": round(metrics.mean_pairwise_distance(few), 4),
        }


def rounded(coverage: Coverage) -> dict[str, float]:
    """Precision, recall, density and coverage, with four digits."""
    return {name: round(value, 4) for name, value in asdict(coverage).items()}
