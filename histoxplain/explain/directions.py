"""`Directions`: named steps in W, whoever found them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from histoxplain._checks import InputError, check, check_one_of
from histoxplain.explain.direction_file import load_fields, save_fields
from histoxplain.explain.latent_space import draw

if TYPE_CHECKING:
    from histoxplain.models import Generator

FORMAT = "histoxplain.directions/1"
KINDS = ("boundary", "difference", "gradient", "principal", "eigen")


@dataclass(frozen=True, eq=False)
class Directions:
    """Named steps in W; adding one moves latents by one standard deviation along it.

    Example:
        >>> import torch
        >>> found = Directions(("towards benign",), torch.tensor([[0.0, 2.0]]), torch.tensor([0.9]), "boundary")
        >>> found["towards benign"].tolist()
        [0.0, 2.0]
    """

    names: tuple[str, ...]
    """What each direction leads to."""
    vectors: Tensor
    """Steps, `(D, w_dim)`; the length of each is one standard deviation of the samples along it."""
    scores: Tensor
    """How good each is, `(D,)`: R2 of a boundary, separation d' of a class difference, agreement of images on a
    gradient, share of a principal or eigen axis; once a classifier chose among them, the mean effect of a step."""
    kind: str
    """"boundary", "difference", "gradient", "principal" or "eigen"."""

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

    def only(self, *names: str) -> Directions:
        """These alone, in this order.

        Raises:
            InputError: if there is no direction of that name.
        """
        for name in names:
            check_one_of("direction", name, self.names)
        which = [self.names.index(name) for name in names]
        return Directions(names, self.vectors[which], self.scores[which], self.kind)

    def moved(self, generator: Generator, ws: Tensor, which: int | str, step: float = 1.0) -> Tensor:
        """Images that many steps along a direction: `(N, C, R, R)`, unclamped; `ws` `(N, num_ws, w_dim)`."""
        return draw(generator, ws + step * self[which].to(ws))

    def save(self, path: str | Path) -> Path:
        """Write to one safetensors file, whole or not at all."""
        return save_fields(path, self, FORMAT)

    @classmethod
    def load(cls, path: str | Path) -> Directions:
        """Read what `save` wrote.

        Raises:
            InputError: if the file is missing, damaged or something else.
        """
        fields = load_fields(path, FORMAT, "directions")
        try:
            return cls(**fields)
        except TypeError as error:
            raise InputError(f"`path` must be a whole file of directions, got {path}.") from error


def one_deviation(direction: Tensor, w: Tensor) -> Tensor:
    """The direction `(w_dim,)`, as long as one standard deviation of `w` `(N, w_dim)` along it.

    Example:
        >>> import torch
        >>> one_deviation(torch.tensor([5.0, 0.0]), torch.tensor([[-1.0, 0.0], [1.0, 0.0]])).tolist()
        [1.4142135381698608, 0.0]
    """
    direction = direction.double() / direction.double().norm().clamp_min(1e-12)
    return (direction * (w.double() @ direction).std()).float()
