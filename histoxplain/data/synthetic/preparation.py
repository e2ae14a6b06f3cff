"""Synthetic tissue as prepared data, with the masks of what is diseased."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from histoxplain._checks import check_at_least
from histoxplain.data.case import Case
from histoxplain.data.collection import Candidate, Collection
from histoxplain.data.masks import to_mask
from histoxplain.data.order import Order
from histoxplain.data.preparation import carry_out
from histoxplain.data.report import Report
from histoxplain.data.source import Row
from histoxplain.data.synthetic.cases import CLASS_NAMES, causes_of, name_of, paint_case, tissue
from histoxplain.data.synthetic.causes import EXTENT
from histoxplain.data.transforms import to_picture, to_uint8

SOURCE = "synthetic"
"""What such data call their source."""


def prepare_tissue(
    destination: str | Path,
    n: int,
    resolution: int = 64,
    *,
    share: float = 0.5,
    extent: tuple[float, float] = EXTENT,
    seed: int = 0,
    **options: Any,
) -> Report:
    """Write synthetic tissue as `prepare` writes images: classes "healthy" and "diseased", with true masks.

    Args:
        destination: what to write; the report goes to `destination` + ".report.json".
        n: how many images; they are those of `tissue` with the same arguments.
        resolution: side of the images, in pixels; a power of two, but for npz.
        share: share of diseased images, 0 to 1.
        extent: the least and the largest share of a diseased image that is diseased.
        seed: of the tissue, and of the split into train, validation and test.
        options: format, fractions, channels, overwrite, workers and progress, as in `prepare`.

    Raises:
        InputError: if an argument is wrong, or the destination exists.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     report = prepare_tissue(f"{folder}/tissue.lmdb", 10, 32, progress=False)
        >>> report.count, report.masks, list(report.classes)
        (10, 10, ['healthy', 'diseased'])
    """
    check_at_least("n", n, 1)
    order = Order(destination, resolution, seed=seed, **options)
    tissue(0, resolution, share=share, extent=extent)  # refuses odd arguments
    painted = lru_cache(64)(lambda i: paint_case(causes_of((seed, i), share, extent), resolution, (seed, i)))
    candidates = []
    for i in range(n):
        name, diseased = name_of((seed, i)), causes_of((seed, i), share, extent).extent > 0
        candidates.append(Candidate(Row(name, int(diseased), group=name), *pictures(painted, i)))
    return carry_out(order, Collection(candidates, list(CLASS_NAMES)), SOURCE, filter="painted")


def pictures(painted: Callable[[int], Case], i: int) -> tuple[Callable[[], Image.Image], Callable[[], Image.Image]]:
    """How to load the image and the mask of a case, of which one is asked for after the other."""
    return lambda: to_picture(to_uint8(painted(i).image)), lambda: to_mask(painted(i).mask.numpy())
