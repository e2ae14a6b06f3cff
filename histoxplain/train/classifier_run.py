"""A classifier's training in its folder: steps, epochs, what is judged best, and a state that continues exactly."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histoxplain._checks import check
from histoxplain._device import resolve_device, resolve_precision
from histoxplain._ranks import rank, world
from histoxplain.metrics.classification import classification_report, fit_temperature
from histoxplain.models.architectures import is_installed
from histoxplain.models.classifier import Classifier, ClassifierConfig, save_classifier
from histoxplain.models.ensemble import StackedNetwork
from histoxplain.train.calibration import predict_logits
from histoxplain.train.config_classifier import ClassifierTraining
from histoxplain.train.distributed import average_, copy_from_first_, joint_draws, mean, mine, share_batch_norm
from histoxplain.train.imbalance import balanced_order, class_weights
from histoxplain.train.jitter import jitter
from histoxplain.train.loop import STATE, JsonLog, progress, save_snapshot
from histoxplain.train.pixels import LabelledPixels

BEST = "classifier.safetensors"


@dataclass
class Progress:
    """How far a training is."""

    epoch: int = 0
    step: int = 0
    images: int = 0
    rate: float = 1.0
    """Factor on the learning rate, lowered when the validation loss stalls."""
    lowest_loss: float = float("inf")
    stalled: int = 0
    """Epochs since the validation loss was lowest, or the rate was lowered."""
    best: float = -1.0
    best_loss: float = float("inf")
    best_epoch: int = 0
    log_lines: int = 0

    def judge(self, report: dict[str, Any], config: ClassifierTraining) -> bool:
        """Take note of an epoch's validation report; whether it is the best so far."""
        accuracy, loss = report["balanced_accuracy"], report["nll"]
        self.stalled = 0 if loss < self.lowest_loss else self.stalled + 1
        self.lowest_loss = min(loss, self.lowest_loss)
        if self.stalled >= config.reduce_after:
            self.rate, self.stalled = self.rate * config.reduce_by, 0
        better = (accuracy, -loss) > (self.best, -self.best_loss)
        if better:
            self.best, self.best_loss, self.best_epoch = accuracy, loss, self.epoch
        return better

    def done(self, config: ClassifierTraining) -> bool:
        """Whether all epochs are over, or patience is."""
        return self.epoch >= config.epochs or self.epoch - self.best_epoch >= config.patience


class ClassifierRun:
    """The networks and numbers that change while training; `snapshot` and `restore` are each other's inverse."""

    def __init__(
        self, model: ClassifierConfig, config: ClassifierTraining, splits: dict[str, LabelledPixels], out: Path
    ) -> None:
        check(config.batch >= world(), "batch", f"be at least {world()}, the processes that share it", config.batch)
        self.config, self.splits, self.out, self.writes = config, splits, out, rank() == 0
        self.device = resolve_device(config.device)
        self.precision = resolve_precision(config.precision, self.device)
        memory = torch.channels_last
        self.classifier = share_batch_norm(fresh(model, config)).to(self.device, memory_format=memory)
        self.averaged = copy.deepcopy(self.classifier).eval().requires_grad_(False)
        self.optimiser = _optimiser(self.classifier, config)
        self.weights = class_weights(splits["train"].labels, len(model.class_names)).to(self.device)
        self.rng = torch.Generator().manual_seed(config.seed)
        self.progress = Progress()
        self.saved_at = time.monotonic()

    def snapshot(self) -> None:
        """Write `state.pt`."""
        state = {
            "classifier": self.classifier.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "progress": asdict(self.progress),
            "rng": self.rng.get_state(),
            "torch_rng": torch.get_rng_state(),
        }
        if self.device.type == "cuda":
            state["cuda_rng"] = torch.cuda.get_rng_state(self.device)
        save_snapshot(self.out / STATE, state)
        self.saved_at = time.monotonic()

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `snapshot` wrote."""
        self.classifier.load_state_dict(state["classifier"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.progress = Progress(**state["progress"])
        self.rng.set_state(state["rng"])
        torch.set_rng_state(state["torch_rng"])
        if "cuda_rng" in state and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda_rng"], self.device)

    def run(self, quiet: bool = False) -> None:
        """Train until the epochs or the patience are over."""
        config, at = self.config, self.progress
        copy_from_first_([*self.classifier.state_dict().values(), *self.averaged.state_dict().values()])
        log = JsonLog(self.out / "log.jsonl", keep=at.log_lines) if self.writes else None
        total = config.epochs * len(self.splits["train"])
        with progress(total, at.images, "classifier", unit="img", quiet=quiet) as bar:
            while not at.done(config):
                loss = self._epoch(bar.update)
                report = self._validate()
                at.epoch += 1
                better = at.judge(report, config)
                bar.set_postfix(loss=f"{loss:.3f}", validation=f"{report['balanced_accuracy']:.3f}")
                if self.writes:
                    self._record(log, loss, report, better)

    def _record(self, log: JsonLog, loss: float, report: dict[str, Any], better: bool) -> None:
        """Write what an epoch came to."""
        at = self.progress
        if better:
            save_classifier(self.out / BEST, self.averaged)
        figures = {name: report[name] for name in ("balanced_accuracy", "auc", "ece", "nll")}
        log.write(epoch=at.epoch, images=at.images, loss=loss, rate=at.rate, best_epoch=at.best_epoch, **figures)
        at.log_lines = log.lines
        self.snapshot()

    def _epoch(self, count: Callable[[int], Any]) -> float:
        """The rest of the current epoch; the mean loss of its steps."""
        train, config, at = self.splits["train"], self.config, self.progress
        order = self._order(torch.Generator().manual_seed(1000 * config.seed + at.epoch))
        least = max(world(), 2)  # batch normalisation needs two images, and each process one
        batches = [b for b in order.split(config.batch) if len(b) >= least]
        losses = []
        self.classifier.train()
        for places in batches[at.step :]:
            x, labels = train.batch(mine(places))
            losses.append(self._step(self._varied(x, len(places)), labels, warm_up=len(batches)))
            at.step += 1
            at.images += len(places)
            count(len(places))
            if self.writes and time.monotonic() - self.saved_at > 60 * config.snapshot_minutes:
                self.snapshot()
        at.step = 0
        return mean(torch.stack(losses)).mean().item() if losses else float("nan")

    def _order(self, rng: torch.Generator) -> Tensor:
        """Which images an epoch shows, in which order."""
        labels = self.splits["train"].labels
        return (
            balanced_order(labels, rng) if self.config.balanced_sampling else torch.randperm(len(labels), generator=rng)
        )

    def _varied(self, x: Tensor, images: int) -> Tensor:
        """Those images of a batch of `images` that are this process's, jittered, where they are needed."""
        config = self.config
        with joint_draws(images):
            x = jitter(
                x,
                self.rng,
                orientations=config.orientations,
                zoom_by=config.zoom,
                colour=config.colour,
                sharpness=config.sharpness,
                noise=config.noise,
            )
        return x.to(self.device, memory_format=torch.channels_last)

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Weighted cross-entropy; its mean over the processes is that of the whole batch."""
        weight = self.weights if self.config.class_weights and not self.config.balanced_sampling else None
        loss = F.cross_entropy(logits, labels, weight, label_smoothing=self.config.label_smoothing)
        mass = torch.ones_like(labels).sum().float() if weight is None else weight[labels].sum()
        return loss * (mass / mean(mass))

    def _step(self, x: Tensor, labels: Tensor, warm_up: int) -> Tensor:
        config, at = self.config, self.progress
        steps = at.epoch * warm_up + at.step + 1
        for group in self.optimiser.param_groups:
            group["lr"] = config.learning_rate * at.rate * min(1.0, steps / warm_up)
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            logits = self.classifier(x)
        loss = self._loss(logits, labels.to(self.device))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        average_([p.grad for p in self.classifier.parameters() if p.grad is not None])
        self.optimiser.step()
        _average(self.averaged, self.classifier, min(config.average, steps / (steps + 10)))
        return loss.detach()

    def _validate(self) -> dict[str, Any]:
        """Figures on the validation split, after calibration: smoothed labels make raw logits too modest."""
        options = {"batch": self.config.batch, "precision": self.precision, "together": True}
        logits, labels = predict_logits(self.averaged, self.splits["validation"], **options)
        return classification_report(logits / fit_temperature(logits, labels), labels, self.averaged.class_names)


def _optimiser(classifier: Classifier, config: ClassifierTraining) -> torch.optim.Optimizer:
    """AdamW; scales and offsets of normalisations and biases are not decayed."""
    trained = [p for p in classifier.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.ndim > 1]
    rest = [p for p in trained if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate)


def fresh(model: ClassifierConfig, config: ClassifierTraining) -> Classifier:
    """A classifier to train, the trunks of a stacked ensemble frozen as the settings say."""
    classifier = Classifier(model)
    if isinstance(classifier.network, StackedNetwork):
        names = classifier.network.names
        start = [bool(config.pretrained) or (config.pretrained is None and is_installed(name)) for name in names]
        frozen = start if config.freeze is None else [config.freeze] * len(names)
        classifier.network.freeze(i for i, stays in enumerate(frozen) if stays)
    return classifier


@torch.no_grad()
def _average(averaged: nn.Module, current: nn.Module, decay: float) -> None:
    """Move the averaged weights and buffers towards the current ones."""
    for kept, now in zip(averaged.state_dict().values(), current.state_dict().values()):
        if kept.is_floating_point():
            kept.lerp_(now, 1 - decay)
        else:
            kept.copy_(now)
