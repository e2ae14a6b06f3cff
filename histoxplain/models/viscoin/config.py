"""What rebuilds a concept model, except its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from histoxplain._checks import check, check_at_least, check_one_of

Support = Literal["features", "encoder"]
SUPPORTS = ("features", "encoder")
POOLED = 3
"""Side to which concept maps are pooled."""


@dataclass(frozen=True, kw_only=True)
class ConceptConfig:
    """The shape of a `ConceptModel`, most of which follows from its classifier and generator; see `config_for`."""

    class_names: tuple[str, ...]
    """The classifier's, in the order of its logits."""
    concepts: int = 24
    """How many concepts, K."""
    stages: tuple[tuple[str, int], ...] = ()
    """Layers of the classifier that are looked at: name in `classifier.named_modules()`, and channels; finest first."""
    sides: tuple[int, ...] = ()
    """Sides of their maps, in pixels."""
    grid: int = 7
    """Side of the concept maps before they are pooled to 3 x 3."""
    width: int = 512
    """Channels taken from each stage."""
    num_ws: int = 14
    """Latents for each image that the generator takes."""
    w_dim: int = 512
    """Length of one."""
    first_ws: int = 0
    """The first latent that concepts move."""
    last_ws: int | None = None
    """The latent after the last one that concepts move; None moves all that follow the first."""
    support: Support = "features"
    """What says that which concepts leave out: "features" of the classifier, for the latents that concepts do not
    move, as published; or the generator's "encoder", whose latents are taken less what concepts say of them."""
    residue: float = 1.0
    """How much of what an encoder says is taken, from 0 to 1."""
    detail: float = 0.0
    """How much of an encoder's detail is taken, from 0 to 1; see `encode`."""
    bounded: float = 0.98
    """Latents end where this share of the generator's own samples do, by distance from the mean: more of a concept than
    can be drawn looks like much of it, not like a caricature. 1 lets them go anywhere, as published."""
    names: tuple[str, ...] = ()
    """What people call the concepts; "" for those without a name. None at all are as many as there are concepts."""

    def __post_init__(self) -> None:
        for name in ("class_names", "sides", "names"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "stages", tuple((str(name), int(channels)) for name, channels in self.stages))
        object.__setattr__(self, "last_ws", self.num_ws if self.last_ws is None else self.last_ws)
        object.__setattr__(self, "names", self.names or ("",) * self.concepts)
        for name in ("concepts", "grid", "width", "num_ws", "w_dim"):
            check_at_least(name, getattr(self, name), 1)
        check(len(self.class_names) >= 2, "class_names", "name at least 2 classes", len(self.class_names))
        check(len(self.stages) == len(self.sides) >= 1, "stages", "be one or more, with as many sides", self.stages)
        check_one_of("support", self.support, SUPPORTS)
        inside = 0 <= self.first_ws < self.last_ws <= self.num_ws
        check(inside, "first_ws", f"come before last_ws within 0 to {self.num_ws}", (self.first_ws, self.last_ws))
        for name in ("residue", "detail"):
            check(0 <= getattr(self, name) <= 1, name, "lie in 0 to 1", getattr(self, name))
        check(0 < self.bounded <= 1, "bounded", "lie above 0 and up to 1", self.bounded)
        check(len(self.names) == self.concepts, "names", f"be {self.concepts}, one a concept", len(self.names))


def renamed(names: Sequence[str], changes: Mapping[int, str]) -> tuple[str, ...]:
    """Names with some of them changed.

    Raises:
        InputError: for a concept that does not exist, or a name given to two.

    Example:
        >>> renamed(("", "", ""), {1: "lumen"})
        ('', 'lumen', '')
    """
    for k in changes:
        check(0 <= k < len(names), "names", f"be of concepts 0 to {len(names) - 1}", k)
    changed = tuple(str(changes.get(k, name)).strip() for k, name in enumerate(names))
    given = [name for name in changed if name]
    check(len(set(given)) == len(given), "names", "differ from each other", given)
    return changed
