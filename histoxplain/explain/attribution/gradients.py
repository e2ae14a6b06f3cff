"""Gradients of the score with respect to the image, by captum."""

from __future__ import annotations

from torch import Tensor

from histoxplain._checks import check_at_least
from histoxplain.explain.attribution.task import Task, captum


def integrated_gradients(task: Task, *, steps: int = 32) -> Tensor:
    """The gradient on the way from the baseline, times that way: sums to the score's change (Sundararajan et al.)."""
    check_at_least("steps", steps, 1)
    maps, gap = captum("IntegratedGradients")(task.scores).attribute(
        task.x.clone().requires_grad_(),
        baselines=task.baseline,
        target=task.targets,
        n_steps=steps,
        internal_batch_size=max(task.batch_size, len(task.x)),
        return_convergence_delta=True,
    )
    task.notes = [{"missing of the score's change": round(value, 6)} for value in gap.tolist()]
    return maps.detach().sum(1)


def gradient_shap(task: Task, *, samples: int = 32, noise: float = 0.1) -> Tensor:
    """The same at random points of the way, of images with noise: Shapley values on average (Lundberg & Lee, 2017)."""
    check_at_least("samples", samples, 1)
    check_at_least("noise", noise, 0)
    method, total = captum("GradientShap")(task.scores), 0
    for count in _portions(samples, task.batch_size):
        total += count * method.attribute(
            task.x.clone().requires_grad_(),
            baselines=task.baseline,
            target=task.targets,
            n_samples=count,
            stdevs=noise,
        )
    return total.detach().sum(1) / samples


def _portions(total: int, most: int) -> list[int]:
    return [min(most, total - start) for start in range(0, total, most)]
