"""What is really in synthetic tissue: its nuclei one by one, and how much of each stain every pixel holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histoxplain.data.case import Case
from histoxplain.data.synthetic.cases import ingredients, origin
from histoxplain.data.synthetic.layout import Nuclei
from histoxplain.data.synthetic.paint import Plan, amounts, densities, make_plan, pixels_of


@dataclass(frozen=True, eq=False)
class Truth:
    """What was drawn, before light, camera and 8 bits."""

    nuclei: np.ndarray
    """int32 (R, R): 0 outside nuclei, else the number of the nucleus whose centre is nearest, 1 to `count`."""
    haematoxylin: np.ndarray
    """Optical density (base 10), float32 (R, R)."""
    eosin: np.ndarray
    """Optical density (base 10), float32 (R, R)."""

    @property
    def count(self) -> int:
        """How many nuclei show at least one pixel."""
        return int(self.nuclei.max())


def truth(case: Case) -> Truth:
    """What is really in a synthetic image, to hold measurements against.

    Args:
        case: made by `tissue` or `repaint`.

    Raises:
        InputError: if it was made otherwise.

    Example:
        >>> from histoxplain.data.synthetic import tissue
        >>> known = truth(tissue(1, resolution=64)[0])
        >>> known.nuclei.shape, known.count > 20
        ((64, 64), True)
    """
    causes, seed = origin(case)
    drawn = ingredients(causes, seed)
    plan = make_plan(drawn.layout, case.image.shape[-1])
    stains = amounts(drawn.layout, plan, drawn.nuclei, drawn.flow, drawn.texture)
    h, e = densities(stains, causes.stain) / np.log(10)
    return Truth(owners(drawn.nuclei, plan), h, e)


def owners(nuclei: Nuclei, plan: Plan) -> np.ndarray:
    """The number of the nucleus each pixel belongs to, from 1 without gaps, 0 for none: int32 (R, R)."""
    resolution = len(plan.territory)
    nuclei = nuclei[((nuclei.place > -0.1) & (nuclei.place < 1.1)).all(1)]
    reach = np.maximum(nuclei.along, nuclei.across).max(initial=0)
    best, owner = np.ones((resolution, resolution)), np.zeros((resolution, resolution), dtype=np.int32)
    for i in range(len(nuclei.place)):
        _, at, u, v = pixels_of(nuclei[[i]], plan, int(np.ceil(reach * resolution)) + 1)
        squared = u * u + v * v
        nearer = squared < best[at]
        rows, columns = at[0][nearer], at[1][nearer]
        best[rows, columns], owner[rows, columns] = squared[nearer], i + 1
    return np.unique(np.append(owner.ravel(), 0), return_inverse=True)[1][:-1].reshape(owner.shape).astype(np.int32)
