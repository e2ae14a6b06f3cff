"""Explanations of synthetic tissue, held against what is really there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from histoxplain import metrics
from histoxplain._checks import check
from histoxplain.data import Case
from histoxplain.evaluation.factors import FACTORS, Factor, true_values, twin
from histoxplain.explain import change_map, compare_explanation, measure_image
from histoxplain.metrics import Interval, ratio_interval, share_interval

if TYPE_CHECKING:
    from histoxplain.explain import Explanation


@dataclass(frozen=True, eq=False)
class Truth:
    """How explanations fare against the truth."""

    figures: dict[str, Interval]
    """By name; see `hold_against_truth`."""
    factors: list[dict[str, Any]]
    """For every known cause and either direction: how it should have changed on average, how it was measured to change,
    and in how many images it clearly went the right and the wrong way."""


@dataclass(frozen=True)
class Move:
    """One known cause in one image."""

    factor: Factor
    towards: str
    true: float
    measured: float
    clear: bool
    """The measured change is more than the noise of measuring."""

    @property
    def right(self) -> bool:
        """It clearly moved the way it should."""
        return self.clear and self.measured * self.true > 0

    @property
    def wrong(self) -> bool:
        """It clearly moved the other way."""
        return self.clear and self.measured * self.true < 0


def hold_against_truth(
    done: Sequence[Explanation], cases: Sequence[Case], confidence: float = 0.95, seed: int = 0
) -> Truth:
    """Measure explanations of synthetic tissue against its known causes and diseased part.

    The first counterfactual of each image counts, valid or not. Where disease is to be taken away, its change map
    (against the reconstruction, where there is one) is held against the diseased part of the original:
    `pointing_game`, best `overlap` over thresholds, and `outside_share` of the change (see `metrics`). `excess` is the
    size of the change, where 1 is that of the true counterfactual. Of the causes that should move (`FACTORS`),
    `causal_share` clearly did, and `causal_direction` of these the right way.

    Args:
        done: explanations of the cases, in their order, towards "healthy" or "diseased".
        cases: made by `hx.data.synthetic.tissue`.
        confidence: of the bootstrap intervals over images.
        seed: fixes their draws.

    Raises:
        InputError: if there is not one case an explanation, or none of them has a counterfactual.
    """
    check(len(done) == len(cases), "cases", f"be one for each of {len(done)} explanations", len(cases))
    rows = [(e, case) for e, case in zip(done, cases) if len(e) and toggles(e, case)]
    check(len(rows) > 0, "done", "hold at least one counterfactual of the other class", "none")
    twins = [twin(case) for _, case in rows]
    moves = [moves_of(e, case, true) for (e, case), true in zip(rows, twins)]
    figures = place_figures(rows, confidence, seed)
    figures["excess"] = ratio_interval(excess(rows, twins), None, confidence, seed=seed)
    right, clear, known = (
        torch.tensor([sum(map(count, some)) for some in moves], dtype=torch.float64)
        for count in (lambda m: m.right, lambda m: m.right or m.wrong, lambda m: True)
    )
    figures["causal_direction"] = share_interval(right, clear, confidence, seed=seed)
    figures["causal_share"] = share_interval(clear, known, confidence, seed=seed)
    return Truth(figures, factor_rows([m for some in moves for m in some]))


def toggles(e: Explanation, case: Case) -> bool:
    """Whether the class that was asked for is not what the tissue really is."""
    return e.class_names[e.target_class] == ("healthy" if case.label else "diseased")


def place_figures(rows: Sequence[tuple[Explanation, Case]], confidence: float, seed: int) -> dict[str, Interval]:
    """Whether the change is where the disease is."""
    sick = [(e, case) for e, case in rows if case.label and bool(case.mask.any())]
    if not sick:
        return {}
    change = torch.stack([e.change[0] for e, _ in sick])
    mask = torch.stack([case.mask for _, case in sick])
    found = {
        "pointing_game": metrics.pointing_game(change, mask),
        "overlap": torch.cat([metrics.best_overlap(c[None], m[None]) for c, m in zip(change, mask)]),
        "outside_share": metrics.outside_share(change, mask),
    }
    hits = share_interval(found.pop("pointing_game"), None, confidence, seed=seed)
    return {"pointing_game": hits} | {k: ratio_interval(v, None, confidence, seed=seed) for k, v in found.items()}


def excess(rows: Sequence[tuple[Explanation, Case]], twins: Sequence[Case]) -> Tensor:
    """Size of each change, in sizes of the true one."""
    sizes = [
        (float(e.change[0].abs().mean()), float(change_map(case.image, true.image).abs().mean()))
        for (e, case), true in zip(rows, twins)
    ]
    return torch.tensor([mine / max(true, 1e-6) for mine, true in sizes], dtype=torch.float64)


def moves_of(e: Explanation, case: Case, true: Case) -> list[Move]:
    """Every known cause that should move in this image and can be measured there, and how it was measured to."""
    before, after = true_values(case), true_values(true)
    seen, measured = measure_image(case.image, "h&e"), compare_explanation(e, "h&e")[0]
    moves = []
    for factor in FACTORS:
        should = factor.measure.change(before[factor.name], after[factor.name])
        if math.isfinite(should + seen[factor.name]) and abs(should) > factor.least:
            found = measured[factor.name]
            moves.append(Move(factor, f"to {true_name(true)}", should, found.change, found.clear))
    return moves


def true_name(case: Case) -> str:
    """The class of synthetic tissue."""
    return "diseased" if case.label else "healthy"


def factor_rows(moves: Sequence[Move]) -> list[dict[str, Any]]:
    """One row for each cause and direction."""
    rows = []
    for factor in FACTORS:
        for towards in sorted({m.towards for m in moves}):
            mine = [m for m in moves if m.factor == factor and m.towards == towards]
            if mine:
                measured = [m.measured for m in mine if math.isfinite(m.measured)]
                rows.append(
                    {
                        "name": factor.name,
                        "label": factor.measure.label,
                        "towards": towards,
                        "true": round(float(np.mean([m.true for m in mine])), 4),
                        "measured": round(float(np.mean(measured)), 4) if measured else None,
                        "right": sum(m.right for m in mine),
                        "wrong": sum(m.wrong for m in mine),
                        "images": len(mine),
                    }
                )
    return rows
