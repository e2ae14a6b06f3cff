"""Measure an explanation method: how often the classifier changes its mind, and what that takes.

DATA is an LMDB made by `histoxplain prepare` (its test split is used), a folder of images, or the word "generated" for
samples of the bundle's own generator, all pairs of classes in turn. An interrupted run goes on where it stopped.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

if TYPE_CHECKING:
    from torch import Tensor

    from histoxplain.cli.explain import Job
    from histoxplain.data import Source
    from histoxplain.explain import Explanation
    from histoxplain.metrics import FeatureSet
    from histoxplain.models import Bundle

GENERATED = "generated"
REAL_LIMIT = 500
"""Real images of the target classes that the Fréchet and kernel distances compare with, at most."""


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain evaluate`."""

    data: Annotated[Positional[str], arg(metavar="DATA")]
    """Prepared LMDB, image folder, or "generated"."""
    bundle: str = "lung-histology"
    """Name of a bundle under checkpoints/, or its folder."""
    method: Literal["latent"] = "latent"
    """The method to measure."""
    limit: int = 30
    """How many images, spread evenly over the classes."""
    out: Path = Path("outputs/evaluation.json")
    """JSON file to write."""
    target: str | None = None
    """The class asked for; by default every other class in turn, so that all pairs are covered."""
    count: int = 1
    """Counterfactuals an image; diversity needs more than 1."""
    split: Literal["auto", "train", "validation", "test", "all"] = "auto"
    """Which part of an LMDB; auto is the test split where there is one."""
    threshold: float = 0.5
    """Probability that a saved counterfactual must reach to count as valid."""
    fit: bool = False
    """Crop, resize and convert images of another size or kind instead of refusing them."""
    seed: int = 0
    """Fixes every draw."""
    features: str = "auto"
    """What the Fréchet and kernel distances are measured in; see `histoxplain measure --help`."""
    batch_size: int = 4
    """Images searched at the same time."""
    keep: bool = False
    """Keep the explanations in a folder beside OUT."""

    def __call__(self) -> None:
        """Measure, write the figures and print them."""
        from histoxplain._atomic import replacing
        from histoxplain._checks import check, check_at_least
        from histoxplain._ranks import join, rank
        from histoxplain.cli.explain import run
        from histoxplain.cli.measure import chosen_features
        from histoxplain.explain import make_explainer
        from histoxplain.metrics import feature_net
        from histoxplain.models import load_bundle

        join()
        check_at_least("limit", self.limit, 1)
        check_at_least("count", self.count, 1)
        check(not self.out.is_dir(), "out", "be a JSON file", f"the folder {self.out}", "name a file in it")
        source = None if self.data == GENERATED else open_split(self.data, self.split)
        if source is not None and self.features != "auto":
            feature_net(self.features)  # fetched, or refused, before the search and not after it
        bundle = load_bundle(self.bundle)
        options = {"threshold": self.threshold, "batch_size": self.batch_size, "fit": self.fit}
        explainer = make_explainer(self.method, bundle, **options)
        jobs = generated_jobs(bundle, self) if source is None else real_jobs(explainer, source, self)
        features = chosen_features() if source is not None and self.features == "auto" else self.features
        folder = self.out.with_name(self.out.name + ".explanations")
        done = run(explainer, jobs, _Folder(self, folder))
        if rank() > 0:
            return
        asked = {e.target_class for e in done}
        real = None if source is None else real_features_of(source, bundle, asked, self.fit, features)
        figures = {"method": self.method, "data": self.data} | measure(done, bundle, real)
        with replacing(self.out) as part:
            part.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        if not self.keep:
            shutil.rmtree(folder)
        print(json.dumps(figures, indent=1))


class _Folder:
    """The command with another `out`: where the explanations go."""

    def __init__(self, command: Command, out: Path) -> None:
        self.command, self.out = command, out

    def __getattr__(self, name: str) -> Any:
        return getattr(self.command, name)


def open_split(data: str, split: str) -> Source:
    """The part of the data to measure on: `split`, or for "auto" the test split where there is one."""
    from histoxplain.data import open_source

    if split != "auto":
        return open_source(data, None if split == "all" else split)
    everything = open_source(data)
    return open_source(data, "test") if "test" in everything.splits else everything


def spread(labels: Sequence[int], limit: int) -> list[int]:
    """Positions of at most `limit` cases, the classes in turn.

    Example:
        >>> spread([0, 0, 0, 1, 1, 1], 4)
        [0, 1, 3, 4]
    """
    turns: dict[int, int] = {}
    order = []
    for i, label in enumerate(labels):
        turns[label] = turns.get(label, 0) + 1
        order.append((turns[label], label, i))
    return sorted(i for _, _, i in sorted(order)[:limit])


def generated_jobs(bundle: Bundle, command: Command) -> list[Job]:
    """`limit` samples, all pairs of classes in turn."""
    from histoxplain.cli.explain import Job
    from histoxplain.explain import generate_pairs

    classes = len(bundle.class_names)
    pairs = classes - 1 if command.target is not None else classes * (classes - 1)
    samples = generate_pairs(bundle, -(-command.limit // pairs), command.seed, command.target)
    rows = zip(samples.ids, samples.targets, samples.ws, samples.z)
    return [Job(name, t, sample=(ws, z)) for name, t, ws, z in rows][: command.limit]


def real_jobs(explainer: Any, source: Source, command: Command) -> list[Job]:
    """`limit` cases of a source; those that the classifier already gives to `target` are passed over."""
    import torch

    from histoxplain._checks import InputError
    from histoxplain.cli.explain import Job, names_of
    from histoxplain.explain import evaluating, image_of
    from histoxplain.explain.explainer import class_index

    bundle = explainer.bundle
    asked = None if command.target is None else class_index(command.target, bundle.class_names)
    positions = spread(source.labels.tolist(), command.limit if asked is None else len(source))
    cases = [source[i] for i in positions]
    x = torch.stack([image_of(case, bundle, fit=command.fit, name=case.id) for case in cases])
    with evaluating(bundle.classifier):
        sources = explainer.probabilities(x).argmax(1).tolist()
    names = names_of([Path(case.id.replace("/", "-") or f"case-{i}") for i, case in zip(positions, cases)])
    jobs, turns = [], dict.fromkeys(range(len(bundle.class_names)), 0)
    for name, image, opinion in zip(names, x, sources):
        others = [k for k in range(len(bundle.class_names)) if k != opinion and asked in (None, k)]
        if others:
            jobs.append(Job(name, others[turns[opinion] % len(others)], image))
            turns[opinion] += 1
    if not jobs:
        raise InputError(
            f"`target` must be another class than the classifier's own, got {command.target!r} for all data."
        )
    return jobs[: command.limit]


def real_features_of(
    source: Source, bundle: Bundle, classes: set[int], fit: bool, features: str | None = None
) -> FeatureSet | None:
    """Features of real images of the target classes; None where labels or images are too few.

    Args:
        source: where they come from, at most `REAL_LIMIT` of them.
        bundle: what they are brought to the size of.
        classes: numbers of the target classes.
        fit: crop, resize and convert images of another size or kind.
        features: see `metrics.feature_net`.
    """
    import torch

    from histoxplain.explain import image_of
    from histoxplain.metrics import FEATURES, feature_net, gather_features

    wanted = {
        source.class_names.index(bundle.class_names[k]) for k in classes if bundle.class_names[k] in source.class_names
    }
    labels = source.labels.tolist()
    positions = [i for i, label in enumerate(labels) if label in wanted]
    positions = [positions[i] for i in spread([labels[i] for i in positions], REAL_LIMIT)]
    if len(positions) < 2:
        return None
    batches = (
        torch.stack([image_of(source[i], bundle, fit=fit) for i in positions[k : k + 32]])
        for k in range(0, len(positions), 32)
    )
    return gather_features(batches, feature_net(features or FEATURES), keep=REAL_LIMIT)


def measure(done: Sequence[Explanation], bundle: Bundle, real: FeatureSet | None = None) -> dict[str, Any]:
    """The figures of `histoxplain evaluate`.

    Args:
        done: explanations.
        bundle: with its independent oracle, if it has one.
        real: features of real images of the target classes, of `gather_features`.

    Returns:
        `images`; `flip_rate`, the share of counterfactuals (those not found count against it) that are valid;
        `oracle_flip_rate`, the share that the independent oracle gives to the target too; `l1`, `perceptual` and
        `sparsity` against the original; `diversity`, the mean perceptual distance between counterfactuals of one image;
        `perceptual_features`, what these distances are measured in; `fid` and `kid` between counterfactuals and
        `real_images` real ones, in `features` of images brought to size by `resize`, with the `covariance` named;
        `seconds_per_image`. None stands for what could not be measured.
    """
    import torch

    from histoxplain import metrics

    asked = sum(int(e.settings.get("count", len(e))) for e in done)
    x = torch.cat([e.counterfactuals for e in done])
    original = torch.cat([e.original[None].expand_as(e.counterfactuals) for e in done])
    targets = torch.tensor([e.target_class for e in done for _ in range(len(e))])
    oracle = None
    if bundle.oracle is not None:
        oracle = float((opinions(bundle.oracle, x) == targets).sum()) / asked
    several = [metrics.mean_pairwise_distance(e.counterfactuals) for e in done if len(e) > 1]
    space = metrics.space_of(metrics.feature_net()) if real is None else real.space
    fake = None
    if real is not None and len(x) > 1:
        fake = metrics.gather_features(x, metrics.feature_net(space.name), keep=len(x))
    with torch.no_grad():
        perceptual = torch.cat([metrics.perceptual_distance(a, b) for a, b in zip(original.split(32), x.split(32))])
    return {
        "images": len(done),
        "flip_rate": sum(int(e.valid.sum()) for e in done) / asked,
        "oracle_flip_rate": oracle,
        "l1": float(metrics.l1_distance(original, x).mean()),
        "perceptual": float(perceptual.mean()),
        "sparsity": float(metrics.sparsity(original, x).mean()),
        "diversity": sum(several) / len(several) if several else None,
        "fid": metrics.frechet_distance(real, fake) if fake is not None else None,
        "kid": metrics.kernel_distance(real, fake) if fake is not None else None,
        "features": space.name,
        "resize": space.resize,
        "covariance": "divided by N",
        "real_images": len(real) if fake is not None else None,
        "perceptual_features": metrics.FEATURES,
        "seconds_per_image": sum(e.seconds for e in done) / len(done),
        "count": asked // len(done),
        "threshold": done[0].threshold,
        "pairs": pairs_of(done),
    }


def pairs_of(done: Sequence[Explanation]) -> dict[str, dict[str, int]]:
    """For every pair of classes that was asked for, how many images and how many with a valid first counterfactual."""
    table: dict[str, dict[str, int]] = {}
    for e in done:
        name = f"{e.class_names[e.source_class]} to {e.class_names[e.target_class]}"
        entry = table.setdefault(name, {"images": 0, "valid": 0})
        entry["images"] += 1
        entry["valid"] += bool(len(e)) and bool(e.valid[0])
    return dict(sorted(table.items()))


def opinions(classifier: Any, x: Tensor) -> Tensor:
    """The class that a classifier gives to each image, `(N,)`."""
    import torch

    from histoxplain.explain import evaluating

    with evaluating(classifier), torch.no_grad():
        return torch.cat([classifier(some).argmax(1) for some in x.split(32)])
