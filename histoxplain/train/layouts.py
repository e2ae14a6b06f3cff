"""Before the adversarial training: teach encoder and generator where things lie, on small images.

A generator that starts with textures soon draws one layout in many colours, since its low-resolution layers hear the
latent last. As an autoencoder of small images it has nothing else to learn.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from histoxplain._ranks import world
from histoxplain.models.stylegan2.generator import SynthesisNetwork
from histoxplain.train.distributed import average_, mean, mine
from histoxplain.train.loop import progress
from histoxplain.train.losses import reconstruction_loss

SIDE = 16
"""Of the small images, in pixels."""
LR = 0.02
"""At the start; it falls to a tenth along a cosine."""


def learn_layouts(
    synthesis: SynthesisNetwork,
    encoder: nn.Module,
    views: Iterable[tuple[list[Tensor], Tensor]],
    steps: int,
    batch: int = 32,
    quiet: bool = True,
) -> float:
    """Train a generator's blocks up to 16 px and an encoder to restore shrunken images.

    The blocks above fall silent (their colours weigh 0), so that the first images are the small ones enlarged.

    Args:
        synthesis: of a generator with the "skip" architecture.
        encoder: features of images, and the images, to latents `(N, w_dim)`.
        views: batches of these features and of the images `(N, C, R, R)` in [-1, 1]; all are kept in memory, and the
            same in each of several processes.
        steps: how long to train.
        batch: views per step, rounded up to a multiple of the processes.
        quiet: no progress bar.

    Returns:
        The mean error of the last tenth, see `reconstruction_loss`.
    """
    features, images = zip(
        *(([scale.bfloat16() for scale in maps], F.adaptive_avg_pool2d(x, SIDE)) for maps, x in views)
    )
    features, images = [torch.cat(scale) for scale in zip(*features)], torch.cat(images)
    with torch.no_grad():
        for block in synthesis.blocks:
            if block.resolution > SIDE:
                block.torgb.weight.zero_()
    parameters = [*synthesis.parameters(), *encoder.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=LR, betas=(0.9, 0.99), fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1), LR / 10)
    errors, batch = [], -(-batch // world()) * world()
    with progress(steps, 0, "learn layouts", "step", quiet) as bar:
        for _ in range(steps):
            index = mine(torch.randint(len(images), (batch,), device=images.device))
            real = images[index]
            w = encoder([scale[index].float() for scale in features], real)
            ws = w[:, None].expand(-1, synthesis.config.num_ws, -1)
            small = synthesis.from_styles(synthesis.styles(ws), "none", until=SIDE)
            loss = reconstruction_loss(small, real, octaves=3)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            average_([parameter.grad for parameter in parameters if parameter.grad is not None])
            optimiser.step()
            schedule.step()
            errors.append(mean(loss.detach()).item())
            bar.update(1)
            if len(errors) % 100 == 0:
                bar.set_postfix(error=f"{np.mean(errors[-100:]):.4f}")
    return float(np.mean(errors[-max(steps // 10, 1) :]))
