"""Generated images to explain, of every pair of classes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from histoxplain._checks import InputError, check_at_least
from histoxplain.explain.explainer import class_index, evaluating
from histoxplain.explain.images import quantised
from histoxplain.explain.latent_space import draw, one_hot, sample_z
from histoxplain.models.bundle import check_part

if TYPE_CHECKING:
    from histoxplain.models import Bundle

TRIES = 8
"""Batches drawn before giving up on samples that the classifier gives to their class."""


@dataclass(frozen=True, eq=False)
class Generated:
    """Samples, and what to turn them into."""

    z: Tensor
    """Noise, `(N, z_dim)`."""
    ws: Tensor
    """Latents, `(N, num_ws, w_dim)`."""
    sources: tuple[int, ...]
    """The classifier's opinion of each, which is also its label."""
    targets: tuple[int, ...]
    """The class to ask for."""
    ids: tuple[str, ...]
    """A name for each, such as "generated-1-benign-to-squamous"."""

    def __len__(self) -> int:
        return len(self.ids)


@torch.no_grad()
def _samples(bundle: Bundle, label: int, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """`count` latents of a class that the classifier gives to it, in the order they were drawn."""
    G, kept_z, kept_ws = bundle.generator, [], []
    size = max(8, 2 * count)
    for attempt in range(TRIES):
        z = sample_z(G, size, 1000 * (seed + 1) * (label + 1) + attempt)
        ws = G.mapping(z, one_hot([label] * size, G))
        right = bundle.classifier.probabilities(quantised(draw(G, ws))).argmax(1) == label
        kept_z.append(z[right])
        kept_ws.append(ws[right])
        if sum(map(len, kept_z)) >= count:
            return torch.cat(kept_z)[:count], torch.cat(kept_ws)[:count]
    name, drawn = bundle.class_names[label], TRIES * size
    raise InputError(
        f"`bundle` must draw {name} that its classifier recognises, got {bundle.name}: {drawn} tries in vain."
    )


def generate_pairs(bundle: Bundle, each: int = 1, seed: int = 0, target: int | str | None = None) -> Generated:
    """`each` samples for every ordered pair of classes; the classifier agrees with their label.

    Args:
        bundle: the networks.
        each: samples a pair.
        seed: draws them.
        target: only pairs that lead to this class.
    """
    check_part(bundle, "generator", "images by class")
    check_at_least("each", each, 1)
    names = bundle.class_names
    pairs = list(permutations(range(len(names)), 2))
    if target is not None:
        pairs = [pair for pair in pairs if pair[1] == class_index(target, names)]
    wanted = {a: each * sum(pair[0] == a for pair in pairs) for a in {pair[0] for pair in pairs}}
    with evaluating(bundle.generator, bundle.classifier):
        drawn = {a: _samples(bundle, a, count, seed) for a, count in wanted.items()}
    z, ws, ids, used = [], [], [], dict.fromkeys(wanted, 0)
    rows = [pair for _ in range(each) for pair in pairs]
    for i, (a, b) in enumerate(rows):
        z.append(drawn[a][0][used[a]])
        ws.append(drawn[a][1][used[a]])
        ids.append(f"generated-{i + 1}-{names[a]}-to-{names[b]}")
        used[a] += 1
    sources, targets = zip(*rows)
    return Generated(torch.stack(z), torch.stack(ws), sources, targets, tuple(ids))
