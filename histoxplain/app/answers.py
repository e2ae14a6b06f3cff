"""A picture and a question in, the finished report out: what the page and the HTTP interface share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch

from histoxplain._checks import check, check_at_least, check_one_of
from histoxplain.explain import (
    ATTRIBUTIONS,
    METHODS,
    attribute,
    evaluating,
    film_of,
    make_explainer,
    spatial_layers,
    with_measurements,
)
from histoxplain.explain.images import channels_of
from histoxplain.viz import command_line, provenance_of, report_html

if TYPE_CHECKING:
    from histoxplain.app.pictures import Picture
    from histoxplain.explain import Attribution, Explanation
    from histoxplain.models import Bundle

WAYS = {
    "latent": "a small, realistic change",
    "style": "as few features as possible, each named",
    "concepts": "as few concepts as possible, each named",
    "cyclegan": "the whole image, translated",
    "inpainting": "as if nothing were abnormal",
    "pixels": "single pixels, for comparison: this deceives the classifier and explains nothing",
}
"""Methods that need nothing but an image, in plain words."""
MAPS = {
    "grad-cam": "regions that speak for its answer (Grad-CAM)",
    "occlusion": "what matters when it is hidden (occlusion)",
    "integrated-gradients": "single pixels (integrated gradients)",
}
"""Attributions, in plain words."""
MOST = 6
"""Different changes of one image, at most."""
FRAMES = 7
"""Of the film in the report."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What there is to say about one picture."""

    explanation: Explanation
    maps: list[Attribution]
    report: str
    """A whole HTML page, with its images inside."""


def ways_for(bundle: Bundle) -> dict[str, str]:
    """The methods that a bundle has the networks for, in plain words, the best one first."""
    fit = (name for name in WAYS if name in METHODS)
    has = {n for n in fit if all(getattr(bundle, role, None) is not None for role in METHODS[n].needs)}
    return {name: words for name, words in WAYS.items() if name in has}


def maps_for(bundle: Bundle) -> dict[str, str]:
    """The attributions that suit a bundle's classifier and what is installed, in plain words, the best one first."""
    if not (find_spec("captum") and find_spec("torchcam")):
        return {}
    seen = spatial_layers(bundle.classifier, torch.zeros(1, channels_of(bundle), *2 * (bundle.resolution,)))
    return {name: words for name, words in MAPS.items() if seen or not ATTRIBUTIONS[name].layer}


def opinion(bundle: Bundle, picture: Picture) -> dict[str, float]:
    """The classifier's probabilities of a picture, by class."""
    _check_suits(bundle, picture)
    weight = next(bundle.classifier.parameters(), torch.empty(0))
    with evaluating(bundle.classifier), torch.no_grad():
        p = bundle.classifier.probabilities(picture.image[None].to(weight.device))[0].float()
    return dict(zip(bundle.class_names, p.tolist()))


def answer(
    bundle: Bundle,
    picture: Picture,
    target: str | None = None,
    method: str | None = None,
    count: int = 1,
    seed: int = 0,
    maps: Sequence[str] = (),
    tell: Callable[[float, str], object] = lambda share, words: None,
) -> Answer:
    """Explain one picture.

    Args:
        bundle: the networks that the picture was made for.
        picture: of a file or generated.
        target: the class asked for; by default the runner-up.
        method: a name in `ways_for(bundle)`; by default the first.
        count: how many different changes, up to `MOST`.
        seed: fixes every draw; of a generated picture its own counts.
        maps: names in `maps_for(bundle)`.
        tell: is told how far it is, from 0 to 1, and in words.

    Raises:
        InputError: if the question makes no sense.
    """
    _check_suits(bundle, picture)
    ways = list(ways_for(bundle))
    method = method or ways[0]
    check_one_of("method", method, ways)
    check_at_least("count", count, 1)
    check(count <= MOST, "count", f"be at most {MOST}", count, f"nearest valid is {MOST}")
    for name in maps:
        check_one_of("maps", name, list(maps_for(bundle)) or ["left out"])
    seed = seed if picture.sample is None else picture.seed
    tell(0.1, f"Looking for {count} change{'s' * (count > 1)}")
    explanation = _explained(bundle, picture, target, method, count, seed)
    seen = []
    for i, name in enumerate(maps):
        tell(0.6 + 0.25 * i / len(maps), "Asking where the classifier looked")
        seen.append(attribute(bundle, picture.image, name, ids=[picture.stem], seed=seed))
    tell(0.9, "Writing the report")
    return Answer(explanation, seen, _report(bundle, picture, explanation, seen, seed))


def _check_suits(bundle: Bundle, picture: Picture) -> None:
    same = picture.bundle == bundle.name
    check(same, "image", f"be chosen for {bundle.name}", f"one for {picture.bundle}", "choose the image again")


def _explained(bundle: Bundle, picture: Picture, target: str | None, method: str, count: int, seed: int) -> Explanation:
    explainer, ids = make_explainer(method, bundle), [picture.stem]
    if picture.sample is not None and hasattr(explainer, "explain_latents"):
        ws, z = (one[None] for one in picture.sample)
        found = explainer.explain_latents(ws, target, count, seed, z, ids)
    else:
        found = explainer.explain(picture.image[None], target, count, seed, ids)
    return with_measurements(found[0])


def _report(bundle: Bundle, picture: Picture, e: Explanation, maps: list[Attribution], seed: int) -> str:
    films = {e.case_id: film_of(bundle, e, 0, FRAMES)} if "start" in e.latents and len(e) else {}
    options = {"bundle": bundle.name, "target": e.class_names[e.target_class]}
    options |= {"count": e.settings.get("count", len(e)), "method": e.method, "seed": seed}
    if picture.sample is None:
        command = command_line("explain", [picture.name], **options, fit=True)
    else:
        command = command_line("explain", generated=1, **options)
    made = provenance_of(bundle, command, seed)
    return report_html([e], films, provenance=made, attributions=maps)
