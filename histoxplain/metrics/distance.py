"""Numbers that know what they were measured in."""

from __future__ import annotations

from typing import Any

from histoxplain._checks import check
from histoxplain.metrics.features import FeatureSpace


class Distance(float):
    """A distance between two sets of images: a float that remembers how it was measured.

    Distances that were measured in different ways cannot be compared with or subtracted from each other; with plain
    numbers they can.

    Args:
        value: the number.
        measure: such as "Fréchet distance, covariance divided by N".
        space: the features it was measured in.
        real_images, fake_images: how many images it was measured on.

    Example:
        >>> clean = FeatureSpace("inception_v3-fid-clean", "299 px, bicubic, antialiased", 2048)
        >>> offline = FeatureSpace("efficientnet_lite0-imagenet", "128 px, bilinear, antialiased", 1280)
        >>> Distance(3.5, "Fréchet distance", clean, 500, 500) < 4
        True
        >>> Distance(3.5, "Fréchet distance", clean, 500, 500) < Distance(9.0, "Fréchet distance", offline, 500, 500)
        Traceback (most recent call last):
        histoxplain._checks.InputError: ...
    """

    def __new__(cls, value: float, measure: str, space: FeatureSpace, real_images: int, fake_images: int) -> Distance:
        self = super().__new__(cls, value)
        self.measure, self.space = measure, space
        self.real_images, self.fake_images = real_images, fake_images
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        return float(self), self.measure, self.space, self.real_images, self.fake_images

    def describe(self) -> dict[str, Any]:
        """What must be said with the number: value, measure, features, resize, real_images, fake_images."""
        return {
            "value": float(self),
            "measure": self.measure,
            "features": self.space.name,
            "resize": self.space.resize,
            "real_images": self.real_images,
            "fake_images": self.fake_images,
        }

    def _like(self, other: Any) -> Any:
        """`other`, if it was measured alike or is a plain number."""
        if isinstance(other, Distance):
            mine, its = (f"{d.measure} in {d.space}" for d in (self, other))
            check(mine == its, "other", f"be a {mine}", its, "measure both alike")
        return other

    def __lt__(self, other: Any) -> bool:
        return super().__lt__(self._like(other))

    def __le__(self, other: Any) -> bool:
        return super().__le__(self._like(other))

    def __gt__(self, other: Any) -> bool:
        return super().__gt__(self._like(other))

    def __ge__(self, other: Any) -> bool:
        return super().__ge__(self._like(other))

    def __eq__(self, other: object) -> bool:
        return super().__eq__(self._like(other))

    def __ne__(self, other: object) -> bool:
        return super().__ne__(self._like(other))

    def __sub__(self, other: Any) -> float:
        return super().__sub__(self._like(other))

    __hash__ = float.__hash__
