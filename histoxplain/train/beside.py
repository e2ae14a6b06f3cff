"""What trainings of a network beside a frozen generator have in common."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from histoxplain._device import resolve_device, resolve_precision
from histoxplain.metrics.perceptual import PerceptualDistance
from histoxplain.models import Classifier, Generator
from histoxplain.train.config_encoder import EncoderTrainingConfig
from histoxplain.train.config_viscoin import ViscoinConfig
from histoxplain.train.halves import Halves, check_networks_fit


class BesideGenerator:
    """The frozen networks, the images, what is counted, and a state from which a training continues exactly.

    Args:
        pixels: uint8 images `(N, C, R, R)`.
        generator: stays as it is.
        classifier: stays as it is.
        config: the settings.

    Raises:
        InputError: if images and networks do not fit.
    """

    parts: ClassVar[tuple[str, ...]]
    """Names of the networks and optimisers that change."""

    def __init__(
        self,
        pixels: Tensor,
        generator: Generator,
        classifier: Classifier,
        config: EncoderTrainingConfig | ViscoinConfig,
    ) -> None:
        self.config, self.pixels = config, pixels
        self.device = resolve_device(config.device)
        check_networks_fit(pixels, generator, classifier)
        self.G = generator.to(self.device).set_precision(config.precision).eval().requires_grad_(False)
        self.C = classifier.to(self.device).eval().requires_grad_(False)
        self.autocast = resolve_precision(config.precision, self.device)
        self.perceptual = PerceptualDistance().to(self.device).requires_grad_(False)
        self.halves = Halves(pixels, self.G, config.mirror, config.quarter_turns, config.seed)
        self.images_seen, self.steps, self.log_lines = 0, 0, 0
        self.origin: dict[str, str] = {}  # what checkpoints say of the data
        self.sums: dict[str, list[Tensor]] = {}

    @property
    def meta(self) -> dict[str, Any]:
        """What a checkpoint says of the training."""
        return {**self.origin, "images_seen": self.images_seen}

    def _note(self, name: str, value: Tensor) -> None:
        self.sums.setdefault(name, []).append(value.detach())

    def report(self, seconds: float, rate: float) -> dict[str, Any]:
        """Means since the last report, for the log and the progress bar."""
        means = {name: torch.stack(values).mean().item() for name, values in self.sums.items()}
        self.sums = {}
        return {"kimg": self.images_seen / 1000, "seconds": seconds, "images_per_second": rate, **means}

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes while training."""
        parts = {name: getattr(self, name).state_dict() for name in self.parts}
        counters = {name: getattr(self, name) for name in ("images_seen", "steps")}
        return {**parts, **counters, **self.halves.state_dict(), "sums": self.sums}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        for name in self.parts:
            getattr(self, name).load_state_dict(state[name])
        self.images_seen, self.steps = state["images_seen"], state["steps"]
        self.sums, self.log_lines = state["sums"], state.get("log_lines", 0)
        self.halves.load_state_dict(state)
