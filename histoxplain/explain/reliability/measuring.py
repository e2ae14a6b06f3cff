"""Measuring what images of a bundle's own kind are like, so that others can be told from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from tqdm import tqdm

from histoxplain._checks import check, check_at_least
from histoxplain.data import Source, open_source, split_groups
from histoxplain.explain.explainer import evaluating
from histoxplain.explain.images import image_of
from histoxplain.explain.invert import invert
from histoxplain.explain.reliability.familiarity import FEATURES, features_of, fit_gaussians, mahalanobis
from histoxplain.explain.reliability.opinions import device_of
from histoxplain.explain.reliability.reconstruction import reconstruction_error
from histoxplain.models.reference import Reference

if TYPE_CHECKING:
    from histoxplain.models import Bundle

MOST = 4096
"""Images of each part that are looked at, at most."""
BATCH = 8
LEAST = 20
"""Images that a part must have."""


def measure_reference(
    bundle: Bundle,
    source: Source | str | Path,
    *,
    redrawn: int = 256,
    fit: bool = False,
    name: str = "",
    kept: Reference | None = None,
    progress: bool = False,
) -> Reference:
    """Measure images of a bundle's own kind.

    The Gaussians are fitted to the training split. Distances and reconstruction errors, which other images are compared
    with, are measured on the validation split: what networks have learnt by heart is nearer and redrawn better than any
    new image of the same kind. Data without splits is halved by groups.

    Args:
        bundle: the networks.
        source: the data that they were trained on, a source or where it lies.
        redrawn: how many images to redraw with `invert`; 0 leaves them out, as does a bundle without a generator.
        fit: crop, resize and convert images of another size or kind.
        name: what to call the data; by default the name of its file or folder.
        kept: measured before on the same data: only the reconstructions, which change with generator and encoder, are
            measured again.
        progress: show progress bars.

    Raises:
        InputError: if there is no data, or too little of it, or `kept` is of other data.
    """
    check_at_least("redrawn", redrawn, 0)
    name = name or (Path(source).stem if isinstance(source, str | Path) else type(source).__name__)
    source = source if isinstance(source, Source) else open_source(source)
    known, others, parts = parts_of(source)
    rule, got = f"have {LEAST} images to learn from and {LEAST} others", f"{len(known)} and {len(others)}"
    check(min(len(known), len(others)) >= LEAST, "source", rule, got, "add more images, or groups of them")
    same = kept is None or (len(known) == kept.images and f"{name}: {parts}" == kept.data)
    check(same, "kept", f"be of {name}: {parts}, {len(known)} images", kept, "measure all of it again")
    draws = getattr(bundle, "generator", None) is not None
    errors = redrawing_errors(bundle, source, evenly(others, redrawn * draws), fit, progress).sort().values
    how = f"{len(errors)} images redrawn by the default inversion" if draws else "no generator to redraw with"
    how += ", which begins at the bundle's encoder" if getattr(bundle, "encoder", None) is not None else ""
    if kept is not None:
        return replace(kept, errors=errors, inversion=how)
    gaussians = fit_gaussians(
        _features(bundle, source, known, fit, "known images", progress), source.labels[known].tolist()
    )
    away = mahalanobis(_features(bundle, source, others, fit, "other images", progress), **gaussians)
    facts = {"data": f"{name}: {parts}", "images": len(known), "features": FEATURES, "inversion": how}
    return Reference(**gaussians, distances=away.sort().values, errors=errors, **facts)


def parts_of(source: Source) -> tuple[list[int], list[int], str]:
    """Numbers of the cases to fit to and of others, at most `MOST` of each, and how they were parted."""
    splits = source.splits
    if "train" in splits and set(splits) - {"train"}:
        rest = "validation" if "validation" in splits else "test"
        words = f"{rest} split against training split"
    else:
        rest, words = "validation", "one half against the other"
        splits = split_groups(source.labels.tolist(), source.groups, (0.5, 0.5, 0))
    known, others = ([i for i, split in enumerate(splits) if split == wanted] for wanted in ("train", rest))
    return evenly(known, MOST), evenly(others, MOST), words


def evenly(numbers: Sequence[int], count: int) -> list[int]:
    """At most `count` of the numbers, evenly spread.

    Example:
        >>> evenly([3, 5, 7, 9], 2)
        [3, 7]
    """
    return [numbers[k * len(numbers) // count] for k in range(count)] if count < len(numbers) else list(numbers)


def _batches(
    bundle: Bundle, source: Source, rows: Sequence[int], fit: bool, what: str, progress: bool
) -> Iterator[Tensor]:
    device = device_of(bundle.classifier)
    with tqdm(total=len(rows), desc=what, unit="image", disable=not progress, leave=False) as bar:
        for start in range(0, len(rows), BATCH):
            some = rows[start : start + BATCH]
            yield torch.stack([image_of(source[i], bundle, fit=fit, name=source.rows[i].id) for i in some]).to(device)
            bar.update(len(some))


def _features(bundle: Bundle, source: Source, rows: Sequence[int], fit: bool, what: str, progress: bool) -> Tensor:
    return torch.cat([features_of(x) for x in _batches(bundle, source, rows, fit, what, progress)])


def redrawing_errors(
    bundle: Bundle, source: Source, rows: Sequence[int], fit: bool = False, progress: bool = False
) -> Tensor:
    """Errors of the reconstructions of some cases, as a search would start from them: `(n,)`."""
    errors = []
    for x in _batches(bundle, source, rows, fit, "redrawing", progress):
        with evaluating(bundle.generator, bundle.classifier):
            errors.append(reconstruction_error(x, invert(bundle, x).images).cpu())
    return torch.cat(errors) if errors else torch.zeros(0)
