"""Adaptive discriminator augmentation: augment as strongly as the discriminator overfits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from histoxplain.train.augment import AugmentPipe
from histoxplain.train.config_gan import GANConfig
from histoxplain.train.presets import augmentations

INTERVAL = 4


class AdaptiveAugment:
    """The augmentation pipe and the rule that moves its probability (Karras et al., 2020, section 3).

    Args:
        config: `augment`, `augpipe`, `augment_p`, `ada_target`, `ada_kimg` and `batch` are read.
        device: where images are augmented.
    """

    def __init__(self, config: GANConfig, device: torch.device) -> None:
        self.config, self.p = config, float(config.augment_p)
        self.signs: list[Tensor] = []
        self.pipe = AugmentPipe(**augmentations(config.augpipe)).to(device) if config.augment != "none" else None

    def __call__(self, images: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """Augmented images; the images themselves while p is 0."""
        if self.pipe is None or self.p == 0:
            return images
        self.pipe.p.fill_(self.p)
        return self.pipe(images, generator=rng)

    def watch(self, real_logits: Tensor) -> None:
        """Remember how sure the discriminator is of reals."""
        self.signs.append(real_logits.detach().sign().mean())

    def adapt(self, step: int) -> None:
        """Every fourth step: move p towards the target, within [0, 1]."""
        if step % INTERVAL:
            return
        sign = torch.stack(self.signs).mean().item() if self.signs else 0.0
        self.signs = []
        if self.config.augment == "ada":
            self.p = next_p(self.p, sign, self.config.ada_target, self.config.batch, self.config.ada_kimg)

    def state_dict(self) -> dict[str, Any]:
        """P and the signs seen since it last moved."""
        return {"p": self.p, "signs": self.signs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.p, self.signs = state["p"], state["signs"]


def next_p(p: float, sign_real: float, target: float = 0.6, batch: int = 64, ada_kimg: float = 500) -> float:
    """The next augmentation probability; unlike the reference's it never leaves [0, 1].

    Args:
        p: probability so far.
        sign_real: mean sign of the discriminator's logits for reals since the last call.
        target: the value to hold it at.
        batch: images per step.
        ada_kimg: thousands of images in which p may move by 1.

    Example:
        >>> next_p(0, sign_real=0.9)
        0.000512
    """
    direction = (sign_real > target) - (sign_real < target)
    return min(max(p + direction * batch * INTERVAL / (ada_kimg * 1000), 0.0), 1.0)
