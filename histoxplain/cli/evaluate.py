"""Measure an explanation method: how often the classifier changes its mind, what that takes, and whether to believe it.

DATA is an LMDB made by `histoxplain prepare` (its test split is used), a folder of images, the word "generated" for
samples of the bundle's own generator, or the word "synthetic" for tissue whose causes are known, which tells whether
the right things change; all pairs of classes in turn. OUT gets the figures with their intervals, and a PNG beside it
draws them; `histoxplain compare` puts several methods side by side. An interrupted run goes on where it stopped.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

if TYPE_CHECKING:
    from histoxplain.cli.jobs import Job
    from histoxplain.data import Source
    from histoxplain.evaluation import Evaluation, MaskEvaluation
    from histoxplain.explain import Explainer, Explanation
    from histoxplain.models import Bundle

GENERATED, SYNTHETIC = "generated", "synthetic"
REFERENCE = 400
"""Images of other synthetic tissue, half of them diseased, that Fréchet and kernel distances compare with."""


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain evaluate`."""

    data: Annotated[Positional[str], arg(metavar="DATA")]
    """Prepared LMDB, image folder, "generated" or "synthetic"."""
    bundle: str = "lung-histology"
    """Name of a bundle under checkpoints/, or its folder."""
    method: str = "latent"
    """The method to measure; "pixels" is the adversarial baseline that others are to be told from."""
    option: Annotated[tuple[str, ...], arg(metavar="NAME=VALUE")] = ()
    """Options of the method, such as steps=20."""
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
    batch_size: int | None = None
    """Images searched at the same time; by default as many as suit their size."""
    morphometry: bool = True
    """Measure what changed in nuclei, stains and texture, too."""
    masks: bool = False
    """Hold the masks of the method inpainting against those of DATA too, beside RISE, Score-CAM, Layer-CAM and Grad-CAM
    at their best threshold."""
    mask_rule: Literal["quantile", "balanced", "sufficient"] | None = None
    """Choose the masks' threshold by the labels of validation images: what nearly no pixel of normal ones exceeds, or
    what tells abnormal images from normal ones best; or the highest one whose masks are enough, for the classifier, to
    make them normal; by default the bundle's own."""
    rise_masks: int = 1000
    """Random masks an image for RISE; the paper has 6000."""
    keep: bool = False
    """Keep the explanations in a folder beside OUT."""

    def __call__(self) -> None:
        """Measure, write the figures and print them."""
        from histoxplain._checks import check, check_at_least, check_one_of
        from histoxplain._ranks import join, rank
        from histoxplain.cli.jobs import run
        from histoxplain.cli.measure import chosen_features
        from histoxplain.evaluation import real_features_of
        from histoxplain.explain import METHODS, make_explainer, parse_options
        from histoxplain.metrics import feature_net
        from histoxplain.models import load_bundle
        from histoxplain.viz import evaluation_figure

        join()
        check_at_least("limit", self.limit, 1)
        check_at_least("count", self.count, 1)
        check_one_of("method", self.method, METHODS)
        way_out = "only inpainting says what is abnormal"
        check(
            not self.masks or self.method == "inpainting", "masks", "go with --method inpainting", self.method, way_out
        )
        check(not self.out.is_dir(), "out", "be a JSON file", f"the folder {self.out}", "name a file in it")
        options = parse_options(METHODS[self.method], self.option)
        source = None if self.data in (GENERATED, SYNTHETIC) else open_split(self.data, self.split)
        if self.data != GENERATED and self.features != "auto":
            feature_net(self.features)  # fetched, or refused, before the search and not after it
        bundle = load_bundle(self.bundle)
        common = {"threshold": self.threshold, "batch_size": self.batch_size, "fit": self.fit}
        explainer = make_explainer(
            self.method, bundle, **{k: v for k, v in (common | options).items() if v is not None}
        )
        explainer.assess = self.keep  # what evaluation measures it measures itself
        source = self.synthetic(bundle, self.limit) if self.data == SYNTHETIC else source
        masks = self.masks_of(explainer, source) if self.masks and rank() == 0 else None
        jobs = generated_jobs(explainer, self) if source is None else real_jobs(explainer, source, self)
        features = chosen_features() if source is not None and self.features == "auto" else self.features
        folder = self.out.with_name(self.out.name + ".explanations")
        done = run(explainer, jobs, _Folder(self, folder))
        if rank() > 0:
            return
        asked = {e.target_class for e in done}
        others = self.synthetic(bundle, REFERENCE, 2000) if self.data == SYNTHETIC else source
        real = None if others is None else real_features_of(others, bundle, asked, self.fit, features)
        evaluation = self.measured(done, bundle, real, options)
        evaluation = against_truth(evaluation, done, source) if self.data == SYNTHETIC else evaluation
        evaluation = evaluation if masks is None else replace(evaluation, masks=masks.to_dict())
        evaluation.save(self.out)
        picture = self.out.with_suffix(".png")
        evaluation_figure(evaluation).savefig(picture, dpi=150)
        if not self.keep:
            shutil.rmtree(folder)
        print(evaluation.table())
        if masks is not None:
            print(f"\n{masks.table()}")
        print(f"\n-> {self.out}, {picture}")

    def synthetic(self, bundle: Bundle, count: int, other: int = 0) -> Source:
        """Synthetic tissue of the bundle's size; `other` draws different tissue."""
        from histoxplain.evaluation import synthetic_tissue

        return synthetic_tissue(bundle, count, self.seed + other)

    def masks_of(self, explainer: Any, source: Source | None) -> MaskEvaluation:
        """Masks against the true ones, which "generated" images do not have."""
        from histoxplain._checks import check
        from histoxplain.evaluation import measure_masks

        check(source is not None, "data", "hold masks", f'"{GENERATED}"', f'use prepared data or "{SYNTHETIC}"')
        validation = None
        if self.mask_rule is not None:
            drawn = self.synthetic(explainer.bundle, self.limit, 1000) if self.data == SYNTHETIC else None
            validation = drawn or open_split(self.data, "validation")
        rule = {} if self.mask_rule is None else {"rule": self.mask_rule}
        options = {"rise_masks": self.rise_masks, "seed": self.seed, **rule}
        return measure_masks(explainer, source, self.limit, validation=validation, **options)

    def measured(self, done: Sequence[Explanation], bundle: Bundle, real: Any, options: dict[str, Any]) -> Evaluation:
        """All figures that need no truth."""
        from histoxplain.evaluation import measure_explanations

        noted = {"data": self.data, "options": options, "morphometry": self.morphometry, "seed": self.seed}
        return measure_explanations(done, bundle, real, **noted)


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


def generated_jobs(explainer: Explainer, command: Command) -> list[Job]:
    """`limit` samples, all pairs of classes in turn; as images for methods that do not start from latents."""
    from histoxplain.cli.jobs import Job
    from histoxplain.explain import draw, generate_pairs, quantised

    bundle = explainer.bundle
    classes = len(bundle.class_names)
    pairs = classes - 1 if command.target is not None else classes * (classes - 1)
    samples = generate_pairs(bundle, -(-command.limit // pairs), command.seed, command.target)
    rows = list(zip(samples.ids, samples.targets, samples.ws, samples.z))[: command.limit]
    if hasattr(explainer, "explain_latents"):
        return [Job(name, t, sample=(ws, z)) for name, t, ws, z in rows]
    return [Job(name, t, quantised(draw(bundle.generator, ws[None]))[0].cpu()) for name, t, ws, _ in rows]


def real_jobs(explainer: Explainer, source: Source, command: Command) -> list[Job]:
    """`limit` cases of a source; those that the classifier already gives to `target` are passed over."""
    from histoxplain.cli.image_files import names_of
    from histoxplain.cli.jobs import Job
    from histoxplain.evaluation import ask

    questions = ask(explainer, source, command.limit, command.target)
    names = names_of([Path(name.replace("/", "-")) for name in questions.ids])
    return [Job(name, t, image) for name, t, image in zip(names, questions.targets, questions.images)]


def against_truth(evaluation: Evaluation, done: Sequence[Explanation], source: Source) -> Evaluation:
    """The evaluation with what only the truth tells."""
    from histoxplain.evaluation import hold_against_truth

    cases = {case.id: case for case in source}
    known = hold_against_truth(done, [cases[e.case_id] for e in done], evaluation.confidence)
    return replace(evaluation, figures={**evaluation.figures, **known.figures}, factors=known.factors)
