"""Measure explanations: how often the classifier changes its mind, what that takes, and how far it can be believed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from histoxplain import metrics
from histoxplain._checks import check
from histoxplain.evaluation.changes import average_changes_of
from histoxplain.evaluation.questions import ask
from histoxplain.evaluation.reality import distances, real_features_of
from histoxplain.evaluation.record import Evaluation
from histoxplain.explain import evaluating, make_explainer
from histoxplain.explain.opinion import logits_of
from histoxplain.explain.record import judge
from histoxplain.explain.reliability.stability import disturbed
from histoxplain.metrics import FeatureSet, Interval, ratio_interval, share_interval

if TYPE_CHECKING:
    from histoxplain.data import Source
    from histoxplain.explain import Explanation
    from histoxplain.models import Bundle

BATCH = 32
CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class Answers:
    """All counterfactuals of some explanations in one row, and which image each belongs to."""

    done: Sequence[Explanation]
    x: Tensor
    """`(M, C, H, W)`."""
    original: Tensor
    owners: Tensor
    """`(M,)`."""
    targets: Tensor
    valid: Tensor

    @classmethod
    def of(cls, done: Sequence[Explanation]) -> Answers:
        """Line up the counterfactuals of explanations."""
        owners = torch.tensor([i for i, e in enumerate(done) for _ in range(len(e))], dtype=torch.int64)
        return cls(
            done,
            torch.cat([e.counterfactuals for e in done]),
            torch.cat([e.original[None].expand_as(e.counterfactuals) for e in done]),
            owners,
            torch.tensor([done[i].target_class for i in owners.tolist()], dtype=torch.int64),
            torch.cat([e.valid.bool() for e in done]),
        )

    def sums(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of a value over the counterfactuals of each image, and of how many; NaN counts for neither."""
        fine = values.isfinite()
        return tuple(
            torch.zeros(len(self.done), dtype=torch.float64).index_add_(0, self.owners, part.double())
            for part in (torch.where(fine, values, 0.0), fine)
        )

    def of_valid(self, function: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
        """`function(images, originals, targets)` of the valid ones, in batches; NaN for the others."""
        values = torch.full((len(self.x),), math.nan, dtype=torch.float64)
        for rows in self.valid.nonzero()[:, 0].split(BATCH):
            if len(rows):
                values[rows] = function(self.x[rows], self.original[rows], self.targets[rows]).double().cpu()
        return values


def evaluate(
    bundle: Bundle,
    source: Source,
    method: str = "latent",
    limit: int = 30,
    target: int | str | None = None,
    count: int = 1,
    seed: int = 0,
    features: str | None = None,
    **options: Any,
) -> Evaluation:
    """Explain images of a data set and measure the explanations, at once; `histoxplain evaluate` does it in steps.

    Args:
        bundle: the classifier to explain and the generator to draw with.
        source: the data, for instance `hx.data.open_source("lung128.lmdb", "test")`.
        method: a name in `hx.explain.METHODS`.
        limit: how many images, the classes in turn.
        target: the class asked for; None asks for every other class in turn.
        count: counterfactuals an image.
        seed: fixes every draw.
        features: what the Fréchet and kernel distances are measured in; see `hx.metrics.feature_net`.
        options: of the method's explainer.
    """
    explainer = make_explainer(method, bundle, assess=False, **options)  # what is measured is measured here
    questions = ask(explainer, source, limit, target)
    done = explainer.explain(questions.images, list(questions.targets), count, seed, questions.ids)
    real = real_features_of(source, bundle, questions.targets, explainer.fit, features)
    return measure_explanations(done, bundle, real, data=type(source).__name__)


def measure_explanations(
    done: Sequence[Explanation],
    bundle: Bundle,
    real: FeatureSet | None = None,
    *,
    data: str = "",
    options: Mapping[str, Any] | None = None,
    morphometry: bool = True,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Evaluation:
    """All figures of a method that can be had without knowing the truth, each with a bootstrap interval over images.

    `flip_rate` is the share of counterfactuals (those not found count against it) that are valid as saved;
    `oracle_flip_rate` the share that the independent oracle gives to the target too; `stability` the share of valid
    ones that stay valid as JPEG and shifted by a pixel; `minimality` how much of a valid change is needed
    (`metrics.needed_share`). `l1`, `perceptual` and `sparsity` are against the original; `diversity` is the mean
    perceptual distance between counterfactuals of one image; `fid` and `kid` are between counterfactuals and real
    images of the target classes. `composition_*` says what the method does to an image when nothing is to change: how
    far the reconstruction is from the original, and whether the classifier keeps its class (0 and 1 for methods that
    start from the image itself). Translations also have `cycle_error` and `identity_error`, see `explain.Translation`.

    Args:
        done: explanations of one method, at least one.
        bundle: with its classifier and, if it has one, its independent oracle.
        real: features of real images of the target classes, of `real_features_of`.
        data: what to call the data.
        options: of the method, to be noted.
        morphometry: measure what changed in the pathologist's units, too.
        confidence: of the intervals.
        seed: fixes the draws of the bootstrap.

    Raises:
        InputError: if there is nothing to measure.
    """
    check(len(done) > 0, "done", "hold at least one explanation", 0)
    a = Answers.of(done)
    asked = torch.tensor([max(int(e.settings.get("count", len(e))), 1) for e in done])

    def share(values: Tensor, wholes: Tensor | None = None) -> Interval:
        parts, counts = a.sums(values)
        return share_interval(parts, counts if wholes is None else wholes, confidence, seed=seed)

    def mean(values: Tensor) -> Interval:
        return ratio_interval(*a.sums(values), confidence, seed=seed)

    oracle = None if bundle.oracle is None else (opinions(bundle.oracle, a.x) == a.targets).double()
    perceptual = perceptual_distances(a.original, a.x)
    figures = {"flip_rate": share(a.valid.double(), asked)}
    if oracle is not None:
        figures["oracle_flip_rate"] = share(oracle, asked)
    figures |= {
        "stability": share(a.of_valid(survivor(bundle.classifier, done[0].threshold))),
        "minimality": mean(a.of_valid(needed(bundle.classifier, done[0].threshold))),
        "l1": mean(metrics.l1_distance(a.original, a.x)),
        "perceptual": mean(perceptual),
        "sparsity": mean(metrics.sparsity(a.original, a.x)),
        "diversity": diversity(done, confidence, seed),
        "seconds_per_image": ratio_interval(torch.tensor([e.seconds for e in done]), None, confidence, seed=seed),
    }
    figures |= composition(done, bundle.classifier, confidence, seed)
    figures |= errors_of(done, confidence, seed)
    space = metrics.space_of(metrics.feature_net()) if real is None else real.space
    if real is not None and len(a.x) > 1:
        fake = metrics.gather_features(a.x, metrics.feature_net(space.name), keep=len(a.x))
        figures |= distances(real, fake, a.owners, len(done), confidence, seed)
    facts = {"features": space.name, "resize": space.resize, "covariance": "divided by N"}
    facts |= {"real_images": len(real) if "fid" in figures else None, "perceptual_features": metrics.FEATURES}
    return Evaluation(
        method=done[0].method,
        data=data,
        bundle=bundle.name,
        images=len(done),
        count=int(asked.sum()) // len(done),
        threshold=done[0].threshold,
        confidence=confidence,
        figures={name: figure for name, figure in figures.items() if math.isfinite(figure.value)},
        facts=facts | {"options": dict(options or {})},
        pairs=pairs_of(a, oracle),
        changes=average_changes_of(done, confidence, seed) if morphometry else {},
        cases=cases_of(a, oracle, perceptual),
    )


def errors_of(done: Sequence[Explanation], confidence: float = CONFIDENCE, seed: int = 0) -> dict[str, Interval]:
    """Means of the `cycle_error` and `identity_error` that records of translations note; nothing for other methods."""
    noted = {name: [e.settings.get(name) for e in done] for name in ("cycle_error", "identity_error")}
    return {
        name: ratio_interval(torch.tensor(values, dtype=torch.float64), None, confidence, seed=seed)
        for name, values in noted.items()
        if None not in values
    }


@torch.no_grad()
def opinions(classifier: Any, x: Tensor) -> Tensor:
    """The class that a classifier gives to each image, `(N,)`.

    Raises:
        InputError: if its answers are not finite.
    """
    with evaluating(*([classifier] if isinstance(classifier, nn.Module) else [])):
        found = [logits_of(classifier, some).argmax(1).cpu() for some in x.split(BATCH) if len(some)]
    return torch.cat(found) if found else torch.zeros(0, dtype=torch.int64)


@torch.no_grad()
def perceptual_distances(a: Tensor, b: Tensor) -> Tensor:
    """`metrics.perceptual_distance` in batches, `(N,)`."""
    found = [metrics.perceptual_distance(p, q) for p, q in zip(a.split(BATCH), b.split(BATCH)) if len(p)]
    return torch.cat(found) if found else torch.zeros(0)


def survivor(classifier: Any, threshold: float) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Whether images stay valid under all that `explain.reliability` disturbs them by: 1 or 0."""

    def survives(x: Tensor, _: Tensor, targets: Tensor) -> Tensor:
        with evaluating(classifier):
            verdicts = [judge(classifier, view, targets, threshold)[2] for view in disturbed(x).values()]
        return torch.stack(verdicts).all(0)

    return survives


def needed(classifier: Any, threshold: float) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """How much of each change is needed; see `metrics.needed_share`."""

    def share(x: Tensor, original: Tensor, targets: Tensor) -> Tensor:
        with evaluating(classifier):
            return metrics.needed_share(original, x, lambda y, i: judge(classifier, y, targets[i], threshold)[2])

    return share


def diversity(done: Sequence[Explanation], confidence: float, seed: int) -> Interval:
    """Mean perceptual distance between counterfactuals of one image, where there are several."""
    several = [metrics.mean_pairwise_distance(e.counterfactuals) for e in done if len(e) > 1]
    return ratio_interval(torch.tensor(several), None, confidence, seed=seed) if several else Interval(math.nan)


def composition(done: Sequence[Explanation], classifier: Any, confidence: float, seed: int) -> dict[str, Interval]:
    """What the null edit does to the images: how far reconstructions are from originals, and whether they are kept."""
    original, null = torch.stack([e.original for e in done]), torch.stack([e.reference for e in done])
    kept = opinions(classifier, null) == torch.tensor([e.source_class for e in done])
    return {
        "composition_l1": ratio_interval(metrics.l1_distance(original, null), None, confidence, seed=seed),
        "composition_perceptual": ratio_interval(perceptual_distances(original, null), None, confidence, seed=seed),
        "composition_kept": share_interval(kept.double(), None, confidence, seed=seed),
    }


def pair_name(e: Explanation) -> str:
    """What was asked, as "benign to squamous"."""
    return f"{e.class_names[e.source_class]} to {e.class_names[e.target_class]}"


def pairs_of(a: Answers, oracle: Tensor | None) -> dict[str, dict[str, int]]:
    """For every pair of classes that was asked for, how many images, and how many have a good first answer."""
    table: dict[str, dict[str, int]] = {}
    first = {owner: row for row, owner in reversed(list(enumerate(a.owners.tolist())))}
    for i, e in enumerate(a.done):
        entry = table.setdefault(pair_name(e), {"images": 0, "valid": 0} | ({} if oracle is None else {"oracle": 0}))
        entry["images"] += 1
        if i in first:
            entry["valid"] += int(a.valid[first[i]])
            if oracle is not None:
                entry["oracle"] += int(oracle[first[i]])
    return dict(sorted(table.items()))


def cases_of(a: Answers, oracle: Tensor | None, perceptual: Tensor) -> list[dict[str, Any]]:
    """One row an image: what was asked, and what became of its answers."""
    rows = []
    for i, e in enumerate(a.done):
        mine = (a.owners == i).nonzero()[:, 0]
        row = {"id": e.case_id, "source": e.class_names[e.source_class], "target": e.class_names[e.target_class]}
        row |= {"valid": a.valid[mine].tolist(), "l1": [round(v, 5) for v in e.l1.tolist()]}
        row |= {"perceptual": [round(v, 5) for v in perceptual[mine].tolist()], "seconds": round(e.seconds, 3)}
        rows.append(row if oracle is None else row | {"oracle": [bool(v) for v in oracle[mine].tolist()]})
    return rows
