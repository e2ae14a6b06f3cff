"""What is asked of a method: which images of a data set, and what each should become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from histoxplain._checks import InputError, check, check_at_least
from histoxplain.data import Case
from histoxplain.data.source import Row, Source
from histoxplain.data.synthetic import CLASS_NAMES, tissue
from histoxplain.data.synthetic.causes import EXTENT
from histoxplain.explain import evaluating, image_of
from histoxplain.explain.explainer import class_index

if TYPE_CHECKING:
    from histoxplain.explain import Explainer
    from histoxplain.models import Bundle


@dataclass(frozen=True, eq=False)
class Questions:
    """Images, and the class that each should be turned into."""

    ids: tuple[str, ...]
    targets: tuple[int, ...]
    images: Tensor
    """`(N, C, R, R)` in `[-1, 1]`, 8-bit exact."""

    def __len__(self) -> int:
        return len(self.ids)


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


def ask(explainer: Explainer, source: Source, limit: int = 30, target: int | str | None = None) -> Questions:
    """Questions about `limit` cases, the classes in turn; all pairs of classes are asked for in turn.

    Args:
        explainer: whose bundle's classifier says what the images are now, and whose `fit` how they may be brought in.
        source: the data.
        limit: how many images.
        target: the class asked for; images that the classifier already gives to it are passed over. None asks for every
            other class in turn, or for the only one that the explainer knows.

    Raises:
        InputError: if nothing can be asked: there is no case, or `target` is the classifier's opinion of all.
    """
    bundle = explainer.bundle
    target = explainer.only if target is None else target
    check_at_least("limit", limit, 1)
    check(len(source) > 0, "data", "hold at least one image", 0, "choose another split")
    asked = None if target is None else class_index(target, bundle.class_names)
    positions = spread(source.labels.tolist(), limit if asked is None else len(source))
    cases = [source[i] for i in positions]
    x = torch.stack([image_of(case, bundle, fit=explainer.fit, name=case.id) for case in cases])
    with evaluating(bundle.classifier):
        opinions = explainer.probabilities(x).argmax(1).tolist()
    targets = targets_of(opinions, len(bundle.class_names), asked)
    chosen = [i for i, one in enumerate(targets) if one is not None][:limit]
    if not chosen:
        raise InputError(f"`target` must be another class than the classifier's own, got {target!r} for all data.")
    names = tuple(cases[i].id or f"case-{positions[i]}" for i in chosen)
    return Questions(names, tuple(targets[i] for i in chosen), x[chosen])


def targets_of(opinions: Sequence[int], classes: int, asked: int | None) -> list[int | None]:
    """The class to ask for, image by image: `asked`, or each other class in turn; None where there is none.

    Example:
        >>> targets_of([0, 0, 0, 1], 3, None), targets_of([0, 1], 3, 1)
        ([1, 2, 1, 0], [1, None])
    """
    targets: list[int | None] = []
    turns = [0] * classes
    for opinion in opinions:
        others = [k for k in range(classes) if k != opinion and asked in (None, k)]
        targets.append(others[turns[opinion] % len(others)] if others else None)
        turns[opinion] += bool(others)
    return targets


class Cases(Source):
    """Cases in memory as a source.

    Args:
        cases: all of one size.
        class_names: names of their labels.
    """

    def __init__(self, cases: Sequence[Case], class_names: Sequence[str]) -> None:
        rows = [Row(case.id, -1 if case.label is None else case.label, case.group) for case in cases]
        channels, side = (len(cases[0].image), cases[0].resolution) if cases else (3, None)
        super().__init__(rows, class_names, side, channels)
        self.cases = list(cases)

    def __getitem__(self, index: int) -> Case:
        return self.cases[index]


def synthetic_tissue(bundle: Bundle, limit: int = 30, seed: int = 0) -> Cases:
    """Synthetic tissue of the bundle's size, half of it diseased, whose causes and diseased part are known.

    How much of an image is diseased may stand in the bundle's `info`, as "tissue": {"extent": [least, most]}.

    Raises:
        InputError: if the bundle does not tell healthy from diseased tissue in colour.
    """
    check_at_least("limit", limit, 1)
    check_tells_disease(bundle)
    extent = tuple(getattr(bundle, "info", {}).get("tissue", {}).get("extent", EXTENT))
    halves = [tissue(-(-limit // 2), bundle.resolution, 2 * seed + k, share=k, extent=extent) for k in (0, 1)]
    return Cases([case for pair in zip(*halves) for case in pair][:limit], CLASS_NAMES)


def check_tells_disease(bundle: Any) -> None:
    """The bundle must know the classes of synthetic tissue, and colour."""
    names = bundle.class_names
    known = set(CLASS_NAMES) <= set(names)
    way_out = "train one on `hx.data.synthetic.tissue`"
    check(known, "bundle", f"know the classes {' and '.join(CLASS_NAMES)}", ", ".join(names), way_out)
    channels = bundle.classifier.channels
    check(channels == 3, "bundle", "work in colour, as synthetic tissue is", f"{channels} channel", way_out)
