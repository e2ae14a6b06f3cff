"""Features of as many images as there are, in the memory of a few."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from histoxplain._checks import check, check_at_least
from histoxplain.metrics.features import FeatureSpace, feature_net


class FeatureSet:
    """Features of a set of images: their number, mean and covariance as running sums, and some of the rows.

    Memory does not grow with the number of images: D x D sums and at most `keep` rows are held.

    Args:
        space: what the features are; distances to sets in another space are refused.
        keep: rows to hold for the kernel distance, drawn at random from all of them, each with the same chance.
        seed: of that draw.

    Example:
        >>> found = FeatureSet(FeatureSpace("size", "none", 1))
        >>> found.add(torch.tensor([[0.0], [2.0]]))
        >>> found.add(torch.tensor([[4.0]]))
        >>> found.count, found.mean.item(), found.covariance(correction=1).item()
        (3, 2.0, 4.0)
    """

    def __init__(self, space: FeatureSpace, keep: int = 0, seed: int = 0) -> None:
        check_at_least("keep", keep, 0)
        self.space, self.keep, self.count = space, keep, 0
        self.rows = torch.empty(0, space.dimensions)
        """The rows held, `(at most keep, D)`, float32, in the order they came."""
        self._keys = torch.empty(0)
        self._rng = torch.Generator().manual_seed(seed)
        self._origin = torch.zeros(space.dimensions, dtype=torch.float64)
        self._sum = torch.zeros(space.dimensions, dtype=torch.float64)
        self._products = torch.zeros(space.dimensions, space.dimensions, dtype=torch.float64)

    def __len__(self) -> int:
        return self.count

    @property
    def shape(self) -> tuple[int, int]:
        """Images and width of their features, `(N, D)`."""
        return self.count, self.space.dimensions

    def __repr__(self) -> str:
        return f"FeatureSet of {self.count} images in {self.space}, {len(self.rows)} rows held"

    def add(self, features: Tensor) -> None:
        """Add features `(n, D)` of further images.

        Sums are taken in float64 around the mean of the first batch, so that large means cost no digits.

        Raises:
            InputError: if they have another width or are not finite.
        """
        width = self.space.dimensions
        check(features.shape[1:] == (width,), "features", f"have shape (n, {width})", tuple(features.shape))
        check(bool(features.isfinite().all()), "features", "be finite", "nan or inf", "look at the images")
        if not len(features):
            return
        rows = features.detach().cpu()
        if not self.count:
            self._origin = rows.double().mean(dim=0)
        centred = rows.double() - self._origin
        self._sum += centred.sum(dim=0)
        self._products.addmm_(centred.T, centred)
        self.count += len(rows)
        self._hold(rows.float())

    def _hold(self, rows: Tensor) -> None:
        """Every row draws a key; the rows with the smallest keys stay."""
        if self.keep:
            rows = torch.cat([self.rows, rows])
            keys = torch.cat([self._keys, torch.rand(len(rows) - len(self.rows), generator=self._rng)])
            stay = keys.topk(min(self.keep, len(keys)), largest=False).indices.sort().values
            self.rows, self._keys = rows[stay], keys[stay]

    @property
    def mean(self) -> Tensor:
        """Mean `(D,)`, float64."""
        return self._origin + self._sum / self.count

    def covariance(self, correction: int = 0) -> Tensor:
        """Covariance `(D, D)`, float64: sums divided by `N - correction`."""
        return (self._products - self._sum.outer(self._sum) / self.count) / (self.count - correction)


@torch.no_grad()
def gather_features(
    images: Tensor | Iterable[Tensor],
    net: Callable[[Tensor], Tensor] | None = None,
    batch: int = 32,
    *,
    keep: int = 0,
    seed: int = 0,
    space: FeatureSpace | None = None,
) -> FeatureSet:
    """Features of many images, batch by batch, of which none is held on to.

    Args:
        images: one tensor `(N, C, H, W)` in `[-1, 1]`, or an iterable of such batches (a generator that streams).
        net: images to features `(n, D)`; `feature_net()` by default.
        batch: images at once, where `images` is a tensor.
        keep: rows to hold for the kernel distance; the Fréchet distance needs none.
        seed: of the choice of these rows.
        space: what the features are called, where `net` is not one of `feature_net`.

    Raises:
        InputError: if there is no image, or nothing tells what the features are.

    Example:
        >>> colour = FeatureSpace("mean colour", "none", 3)
        >>> len(gather_features(torch.zeros(2, 3, 8, 8), lambda x: x.mean(dim=(2, 3)), space=colour))
        2
    """
    found = None
    for x in images.split(batch) if isinstance(images, Tensor) else images:
        net = net or feature_net(device=str(x.device))
        if found is None:
            found = FeatureSet(space or space_of(net), keep, seed)
        found.add(net(x))
    check(found is not None and found.count > 0, "images", "hold at least one image", 0)
    return found


def space_of(net: Callable[[Tensor], Tensor]) -> FeatureSpace:
    """The space of a feature network that says what it is: its `name`, `resize` and `dimensions`.

    Raises:
        InputError: if it does not say.
    """
    facts = [getattr(net, fact, None) for fact in ("name", "resize", "dimensions")]
    way_out = "pass `space=FeatureSpace(name, resize, dimensions)`"
    check(None not in facts, "net", "have a name, a resize and dimensions", type(net).__name__, way_out)
    return FeatureSpace(*facts)


def shared_space(real_features: Tensor | FeatureSet, fake_features: Tensor | FeatureSet) -> FeatureSpace | None:
    """The space of two feature sets; None for two tensors, which do not know theirs.

    Raises:
        InputError: if the spaces differ, or only one side is a feature set.
    """
    spaces = [getattr(features, "space", None) for features in (real_features, fake_features)]
    wanted, found = (str(space) if space else "a tensor of unnamed features" for space in spaces)
    check(wanted == found, "fake_features", f"be like the real ones, {wanted}", found, "measure both in the same")
    return spaces[0]
