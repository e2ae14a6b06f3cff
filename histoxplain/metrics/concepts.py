"""How good concepts are: whether they predict, are few, and are what a picture shows (Parekh et al., 2021 and 2024)."""

from __future__ import annotations

import torch
from torch import Tensor

from histoxplain._checks import check, check_at_least

THRESHOLD = 0.2
"""Concepts with more than this part of the largest contribution count as relevant, as published."""


def agreement(predicted: Tensor, reference: Tensor) -> float:
    """Share of images that two classifiers put into the same class; with labels as the reference, the accuracy.

    Of concepts and the classifier that they explain this is the fidelity.

    Args:
        predicted, reference: logits or probabilities `(N, classes)`, or class numbers `(N,)`.

    Returns:
        A share, in [0, 1].

    Raises:
        InputError: if the two are not of equally many images, or class numbers have another shape than `(N,)`:
            `(N, 1)` against `(N,)` would compare every image with every other.

    Example:
        >>> logits = torch.tensor([[2.0, 1.0], [0.0, 3.0], [1.0, 5.0], [4.0, 1.0]])
        >>> agreement(logits, torch.tensor([0, 1, 0, 0]))
        0.75
    """
    a, b = (_classes(name, x) for name, x in (("predicted", predicted), ("reference", reference)))
    check(a.shape == b.shape, "reference", f"be of {len(a)} images", len(b))
    check(len(a) > 0, "predicted", "hold at least one image", 0)
    return (a == b).double().mean().item()


def _classes(name: str, x: Tensor) -> Tensor:
    if x.is_floating_point():
        check(x.ndim == 2, name, "have shape (N, classes)", tuple(x.shape))
        return x.argmax(1)
    check(x.ndim == 1, name, "have shape (N,)", tuple(x.shape), "flatten class numbers first")
    return x


def relevance(importance: Tensor) -> Tensor:
    """Each concept's contribution in parts of the largest one, `(N, K)`, in [-1, 1] (FLINT, Parekh et al., 2021).

    Args:
        importance: what each concept adds to the logit of the class asked about, `(N, K)`.

    Example:
        >>> relevance(torch.tensor([[4.0, -2.0, 0.0]])).tolist()
        [[1.0, -0.5, 0.0]]
    """
    return importance / importance.abs().amax(1, keepdim=True).clamp_min(1e-12)


def relevant(importance: Tensor, threshold: float = THRESHOLD) -> Tensor:
    """Which concepts speak for the class with more than `threshold` of the largest contribution: bool `(N, K)`."""
    return relevance(importance) > threshold


def conciseness(importance: Tensor, threshold: float = THRESHOLD) -> float:
    """How many concepts an explanation takes: the mean number of relevant ones (Parekh et al., 2021).

    Example:
        >>> conciseness(torch.tensor([[4.0, 2.0, 0.1], [1.0, 0.1, -1.0]]))
        1.5
    """
    return relevant(importance, threshold).sum(1).double().mean().item()


def concept_sparsity(phi: Tensor) -> float:
    """Share of concepts that are not there at all in an image, in [0, 1], on average.

    Args:
        phi: `(N, K, 3, 3)` or `(N, K)`, 0 or more.

    Example:
        >>> concept_sparsity(torch.tensor([[0.0, 2.0], [0.0, 0.0]]))
        0.75
    """
    return (phi.flatten(2).amax(2) if phi.ndim > 2 else phi).eq(0).double().mean().item()


def most_important(importance: Tensor, count: int) -> Tensor:
    """The `count` concepts of each image that add most to the class: bool `(N, K)`.

    Raises:
        InputError: if there are not so many.

    Example:
        >>> most_important(torch.tensor([[0.1, 3.0, 2.0]]), 2).tolist()
        [[False, True, True]]
    """
    check(0 <= count <= importance.shape[1], "count", f"lie in 0 to {importance.shape[1]}", count)
    place = importance.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return place < count


def any_of_them(images: int, concepts: int, count: int, generator: torch.Generator | None = None) -> Tensor:
    """`count` concepts of each image by chance, out of all: bool `(images, concepts)`."""
    return most_important(torch.rand(images, concepts, generator=generator), count)


def probability_drop(before: Tensor, after: Tensor, target: Tensor) -> Tensor:
    """Faithfulness of each image: by how much the probability of its class falls when concepts are removed.

    Args:
        before: probabilities `(N, classes)` of reconstructions.
        after: of the images drawn without some of their concepts.
        target: the class of each, `(N,)`.

    Returns:
        `(N,)`, in [-1, 1].

    Example:
        >>> probability_drop(torch.tensor([[0.9, 0.1]]), torch.tensor([[0.4, 0.6]]), torch.tensor([0]))
        tensor([0.5000])
    """
    check(before.shape == after.shape, "after", f"have shape {tuple(before.shape)}", tuple(after.shape))
    check(target.shape == before.shape[:1], "target", f"have shape ({len(before)},)", tuple(target.shape))
    return (before - after).gather(1, target[:, None])[:, 0]


def map_correlation(maps: Tensor, others: Tensor) -> Tensor:
    """Correlation, over the places within images, of each concept's maps with others of the same images.

    With maps of the images turned, turned back: 1 where a concept is wherever that is which it is about; near 0 where
    maps have nothing to do with what is at a place. Not in the paper.

    Args:
        maps, others: `(N, K, h, w)`.

    Returns:
        `(K,)`, in [-1, 1]; 0 of a concept whose maps are flat.

    Example:
        >>> maps = torch.tensor([[[[0.0, 1.0], [2.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]]])
        >>> map_correlation(maps, 3 * maps).tolist(), map_correlation(maps, -maps)[0].item()
        ([1.0, 0.0], -1.0)
    """
    check(maps.shape == others.shape, "others", f"have shape {tuple(maps.shape)}", tuple(others.shape))
    a, b = (x - x.mean((2, 3), keepdim=True) for x in (maps.double(), others.double()))
    both, each = (a * b).sum((0, 2, 3)), a.square().sum((0, 2, 3)) * b.square().sum((0, 2, 3))
    return (both / each.clamp_min(1e-24).sqrt()).float()


def concept_consistency(present: Tensor, absent: Tensor, seed: int = 0) -> float:
    """Whether a concept changes different images in the same way (after Parekh et al., 2024).

    A linear classifier learns, on half of the images, to tell those drawn with the concept from the same ones drawn
    without it; its accuracy on the other half counts. 0.5 is chance: what the concept does here says nothing about what
    it does there.

    Args:
        present: features `(N, D)` of images with the concept, N at least 4.
        absent: of the same images without it, row by row.
        seed: halves the images.

    Returns:
        Accuracy, in [0, 1].

    Raises:
        InputError: if there are fewer images, or the two sides do not match.

    Example:
        >>> x = torch.arange(8.0)[:, None].expand(8, 2)
        >>> concept_consistency(x + torch.tensor([0.0, 50.0]), x)
        1.0
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    check(present.shape == absent.shape, "absent", f"have shape {tuple(present.shape)}", tuple(absent.shape))
    check_at_least("present", len(present), 4)
    order = torch.randperm(len(present), generator=torch.Generator().manual_seed(seed))
    learnt, asked = order[: len(order) // 2], order[len(order) // 2 :]

    def both(rows: Tensor) -> tuple[Tensor, Tensor]:
        return torch.cat([present[rows], absent[rows]]).double().cpu(), torch.arange(2).repeat_interleave(len(rows))

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    x, y = both(learnt)
    model.fit(x.numpy(), y.numpy())
    x, y = both(asked)
    return float(model.score(x.numpy(), y.numpy()))
