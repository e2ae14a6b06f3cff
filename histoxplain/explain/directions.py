"""Directions of W that mean something: class boundaries, class differences, principal axes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from histoxplain._atomic import replacing
from histoxplain._checks import InputError, check, check_at_least, check_exists, check_one_of
from histoxplain.explain.explainer import evaluating
from histoxplain.explain.latent_space import BATCH, device_of, draw, latent_space, one_hot, principal_axes, sample_z

if TYPE_CHECKING:
    from histoxplain.models import Bundle

FORMAT = "histoxplain.directions/1"
KINDS = ("boundary", "difference", "principal")


@dataclass(frozen=True, eq=False)
class Directions:
    """Named steps in W; adding one moves latents by one standard deviation along it.

    Example:
        >>> found = Directions(("towards benign",), torch.tensor([[0.0, 2.0]]), torch.tensor([0.9]), "boundary")
        >>> found["towards benign"].tolist()
        [0.0, 2.0]
    """

    names: tuple[str, ...]
    """What each direction leads to."""
    vectors: Tensor
    """Steps, `(D, w_dim)`; the length of each is one standard deviation of the samples along it."""
    scores: Tensor
    """How good each is, `(D,)`: R2 of a boundary, separation d' of a class difference, share of a principal axis."""
    kind: str
    """"boundary", "difference" or "principal"."""

    def __post_init__(self) -> None:
        check_one_of("kind", self.kind, KINDS)
        ok = len(self.names) == len(self.vectors) == len(self.scores)
        check(ok, "names", "name every direction", f"{len(self.names)} names of {len(self.vectors)} directions")

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        return zip(self.names, self.vectors)

    def __getitem__(self, key: str | int) -> Tensor:
        """The step of a direction, by name or number: `(w_dim,)`."""
        if isinstance(key, int):
            return self.vectors[key]
        check_one_of("direction", key, self.names)
        return self.vectors[self.names.index(key)]

    def save(self, path: str | Path) -> Path:
        """Write to one safetensors file, whole or not at all."""
        metadata = {"format": FORMAT, "kind": self.kind, "names": json.dumps(self.names)}
        tensors = {"vectors": self.vectors.contiguous(), "scores": self.scores.contiguous()}
        with replacing(path) as part:
            save_file(tensors, part, metadata=metadata)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Directions:
        """Read what `save` wrote.

        Raises:
            InputError: if the file is missing, damaged or something else.
        """
        path = check_exists("path", path)
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                check(metadata.get("format") == FORMAT, "path", "hold directions", path, "find them again")
                vectors, scores = file.get_tensor("vectors"), file.get_tensor("scores")
        except (OSError, SafetensorError) as error:
            raise InputError(
                f"`path` must be a whole safetensors file, got {path}; find the directions again."
            ) from error
        return cls(tuple(json.loads(metadata["names"])), vectors, scores, metadata["kind"])


def _unit(direction: Tensor, w: Tensor) -> Tensor:
    """The direction, as long as one standard deviation of `w` along it."""
    direction = direction.double() / direction.double().norm().clamp_min(1e-12)
    return (direction * (w.double() @ direction).std()).float()


def _pattern(values: Tensor, w: Tensor) -> Tensor:
    """How `w` moves on average while `values` `(N,)` rises by one standard deviation."""
    values = values.double() - values.double().mean()
    return (values @ (w - w.mean(0)).double() / len(w) / values.std(unbiased=False).clamp_min(1e-12)).float()


def boundary_directions(w: Tensor, logits: Tensor, class_names: Sequence[str], alpha: float = 1.0) -> Directions:
    """Ways across linear boundaries: ridge regression of each class's lead over the mean of the others on W.

    After InterFaceGAN (Shen et al., 2020), with the classifier's logits in place of labels. The boundary's normal leads
    to where no latents are, so its pattern is taken (Haufe et al., On the Interpretation of Weight Vectors, 2014): how
    latents move on average while the fitted lead rises by one standard deviation.

    Args:
        w: latents, `(N, w_dim)`.
        logits: the classifier's opinion of their images, `(N, K)`.
        class_names: K names.
        alpha: ridge penalty, for latents scaled to unit variance.

    Example:
        >>> w = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> found = boundary_directions(w, torch.stack([w[:, 0], -w[:, 0]], 1), ["a", "b"])
        >>> [round(x, 4) for x in found["towards a"].abs().tolist()]
        [0.7071, 0.0]
    """
    from sklearn.linear_model import Ridge

    check(len(w) == len(logits) and len(w) > 1, "w", "have one row an image, at least 2", f"{len(w)} and {len(logits)}")
    centre, spread = w.mean(0), w.std(0).clamp_min(1e-8)
    inputs = ((w - centre) / spread).double().numpy()
    vectors, scores = [], []
    for k in range(len(class_names)):
        others = [j for j in range(len(class_names)) if j != k]
        lead = (logits[:, k] - logits[:, others].mean(1)).double().numpy()
        fit = Ridge(alpha=alpha).fit(inputs, lead)
        vectors.append(_pattern(torch.from_numpy(fit.predict(inputs)), w))
        scores.append(float(fit.score(inputs, lead)))
    names = tuple(f"towards {name}" for name in class_names)
    return Directions(names, torch.stack(vectors), torch.tensor(scores), "boundary")


def difference_directions(w: Tensor, labels: Tensor, class_names: Sequence[str]) -> Directions:
    """From one class's mean to another's, for every ordered pair; the score is the separation d' along it.

    Args:
        w: latents, `(N, w_dim)`.
        labels: their classes, `(N,)`.
        class_names: K names; classes without latents are left out.

    Example:
        >>> w = torch.tensor([[0.0, 0.1], [0.0, -0.1], [2.0, 0.1], [2.0, -0.1]])
        >>> difference_directions(w, torch.tensor([0, 0, 1, 1]), ["a", "b"]).names
        ('a to b', 'b to a')
    """
    present = [k for k in range(len(class_names)) if (labels == k).any()]
    check(len(present) > 1, "labels", "hold at least 2 classes", len(present))
    names, vectors, scores = [], [], []
    for a, b in permutations(present, 2):
        step = w[labels == b].mean(0) - w[labels == a].mean(0)
        along = [w[labels == k] @ (step / step.norm().clamp_min(1e-12)) for k in (a, b)]
        spread = torch.stack([x.var(unbiased=False) for x in along]).mean().sqrt().clamp_min(1e-6)
        names.append(f"{class_names[a]} to {class_names[b]}")
        vectors.append(_unit(step, w))
        scores.append(float((along[1].mean() - along[0].mean()) / spread))
    return Directions(tuple(names), torch.stack(vectors), torch.tensor(scores), "difference")


def principal_directions(w: Tensor, count: int = 10) -> Directions:
    """Principal axes of W (GANSpace, Härkönen et al., 2020), the widest first; the score is the share of variance.

    Example:
        >>> w = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> round(principal_directions(w, 1).scores.item(), 2)
        0.9
    """
    check_at_least("count", count, 1)
    centred = w - w.mean(0)
    axes, _ = principal_axes(centred)
    share = (centred @ axes.T).var(0, unbiased=False)
    share = share / share.sum().clamp_min(1e-12)
    count = min(count, len(axes))
    names = tuple(f"axis {i + 1}" for i in range(count))
    return Directions(names, torch.stack([_unit(a, w) for a in axes[:count]]), share[:count], "principal")


def find_directions(bundle: Bundle, kind: str = "boundary", samples: int = 512, seed: int = 0) -> Directions:
    """Directions of a bundle's generator.

    Args:
        bundle: the generator and the classifier.
        kind: "boundary" (draws and classifies `samples` images), "difference" or "principal".
        samples: how many latents, over all classes.
        seed: draws the latents.
    """
    check_one_of("kind", kind, KINDS)
    check_at_least("samples", samples, 10)
    G, names = bundle.generator, bundle.class_names
    labels = torch.arange(samples, device=device_of(G)) % len(names)
    with evaluating(G, bundle.classifier), torch.no_grad():
        w = G.mapping(sample_z(G, samples, seed), one_hot(labels, G))[:, 0]
        if kind == "principal":
            return principal_directions(w)
        if kind == "difference" and G.c_dim:
            return difference_directions(w, labels, names)
        space = latent_space(bundle)
        shown = w[: max(samples - len(space.w), 0)]
        images = draw(G, shown[:, None].expand(-1, G.num_ws, -1))
        logits = torch.cat([space.logits, *(bundle.classifier(x).float() for x in images.split(BATCH))])
    w = torch.cat([space.w, shown])
    return (
        boundary_directions(w, logits, names)
        if kind == "boundary"
        else difference_directions(w, logits.argmax(1), names)
    )
