"""Train an encoder for a generator that exists: images to the latents and the detail that draw them.

After StylEx (Lang et al., 2021) and pSp (Richardson et al., 2021), with the generator and the classifier frozen. Half
of each batch is real: its reconstructions must look like the originals, to the eye and to the classifier. The other
half is generated: there the latents are known.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from histoxplain._checks import check
from histoxplain._malloc import keep_freed_memory
from histoxplain.data import fingerprint, open_source, to_unit
from histoxplain.models import Classifier, Generator, load_encoder, save_encoder
from histoxplain.models.checkpoint import load_checkpoint
from histoxplain.models.detail_encoder import DetailEncoder, config_for, encode
from histoxplain.models.feature_encoder import KIND as BESIDE
from histoxplain.train.beside import BesideGenerator
from histoxplain.train.config_encoder import CHANGEABLE, EncoderTrainingConfig
from histoxplain.train.descent import apply_gradients
from histoxplain.train.ema import ema_beta, update_ema
from histoxplain.train.grow import transfer
from histoxplain.train.latents import Latents
from histoxplain.train.loop import STATE, open_run, save_snapshot
from histoxplain.train.losses import reconstruction_loss
from histoxplain.train.origin import origin
from histoxplain.train.run import Run
from histoxplain.train.sampler import subset
from histoxplain.train.samples import save_picture, tiled

FALL = 1 / 3
"""Part of the training over which the learning rate falls."""
RAMP = 0.05
"""The averaged weights' half-life is at most this part of the images seen."""
SHOWN = 8
"""Images on the sample sheet."""


def train_encoder(
    data: str | Path,
    out: str | Path,
    generator: Generator,
    classifier: Classifier,
    config: EncoderTrainingConfig,
    resume: bool = False,
    quiet: bool = False,
    names: dict[str, str] | None = None,
) -> Path:
    """Train an encoder on the training split of a prepared data set.

    Args:
        data: LMDB made by `histoxplain prepare`.
        out: folder for `config.json`, `log.jsonl`, `samples-*.png` (originals above reconstructions),
            `encoder.safetensors` (averaged weights) and `state.pt`.
        generator: the generator, of any origin; it stays as it is.
        classifier: whose opinion reconstructions must keep; it stays as it is.
        config: the settings.
        resume: continue an interrupted training exactly where its last snapshot stands.
        quiet: no progress bar.
        names: what `config.json` says of the generator and the classifier.

    Returns:
        The path of the encoder.

    Raises:
        InputError: on unusable data, networks that do not fit, or an `out` that holds another training.
    """
    keep_freed_memory()
    source = open_source(data, split="train")
    check(len(source) > 0, "data", "have images in its train split", data)
    chosen = subset(len(source), config.subset, config.seed)
    settings = {"data": str(data), **(names or {}), **asdict(config)}
    state = open_run(out, settings, resume, CHANGEABLE, asdict(EncoderTrainingConfig()))
    training = EncoderTraining(source.pixels(chosen), generator, classifier, config, fresh=state is None)
    training.origin = {"data": fingerprint(source)}
    if state is not None:
        training.load_state_dict(state)
    Run(out, training, quiet).train()
    return Path(out) / "encoder.safetensors"


class EncoderTraining(BesideGenerator):
    """An encoder, its optimiser and everything a resumed training needs to continue exactly.

    Args:
        pixels: uint8 images `(N, C, R, R)`.
        generator: what the encoder is for.
        classifier: whose opinion it keeps.
        config: the settings.
        fresh: start from `config.start_from`, which a snapshot need not.
    """

    title = "train encoder"
    parts = ("E", "ema", "opt")
    headline = ("image", "kept", "images_per_second")

    def __init__(
        self,
        pixels: Tensor,
        generator: Generator,
        classifier: Classifier,
        config: EncoderTrainingConfig,
        fresh: bool = True,
    ) -> None:
        super().__init__(pixels, generator, classifier, config)
        torch.manual_seed(config.seed)
        self.latents = Latents(self.G, config.seed)
        self.E = self._encoder(fresh)
        self.ema = deepcopy(self.E).eval().requires_grad_(False)
        self.opt = torch.optim.Adam(self.E.parameters(), lr=config.lr, betas=(0.9, 0.99), fused=True)

    def _encoder(self, fresh: bool) -> DetailEncoder:
        config = self.config
        E = DetailEncoder(config_for(self.G, config.width, config.depth))
        E.latent.out.weight.data.mul_(self.latents.deviation)
        E.latent.out.bias.data.copy_(self.latents.means.mean(0).cpu())
        if fresh and config.start_from is not None:
            start_encoder(E, config.start_from)
        return E.to(self.device).set_precision(config.precision).train()

    def prepare(self, quiet: bool) -> None:
        """Nothing comes before the first step."""

    def step(self) -> None:
        """One step of the encoder."""
        config = self.config
        generated = config.batch // 2 if config.latent_weight else 0
        real = self.halves.real(config.batch - generated)
        fake, drawn = self.halves.generated(generated)
        found = self.E(torch.cat([real, fake]))
        loss = self._real_loss(real, found[: len(real)])
        if generated:
            again = (found[len(real) :] - drawn).abs().mean() / self.latents.deviation
            self._note("latent", again)
            loss = loss + config.latent_weight * again
        self.opt.param_groups[0]["lr"] = config.lr * self._rate()
        apply_gradients(loss, self.opt)
        self.steps += 1
        self.images_seen += config.batch
        update_ema(self.ema, self.E, ema_beta(config.batch, config.ema_kimg, self.images_seen, RAMP))

    def _rate(self) -> float:
        """The learning rate's share: 1, and falling at the end."""
        left = 1 - self.images_seen / (1000 * self.config.kimg)
        return min(1.0, max(left, 0.0) / FALL)

    def _real_loss(self, real: Tensor, ws: Tensor) -> Tensor:
        config = self.config
        found = encode(self.G, self.E, real, ws)
        drawn = found.images
        with torch.autocast(self.device.type, self.autocast, enabled=self.autocast != torch.float32):
            with torch.no_grad():
                before = self.C(real).float().log_softmax(1)
                wanted = self.perceptual.embed(real) if config.perceptual_weight else []
            opinion = self.C(drawn).float().log_softmax(1)
            seen = self.perceptual.embed(drawn) if config.perceptual_weight else []
        terms = {
            "image": reconstruction_loss(drawn, real) / 2,
            "consistency": F.kl_div(opinion, before, log_target=True, reduction="batchmean"),
            "pull": self.latents.unusual(ws, before.argmax(1)).mean(),
        }
        if seen:
            terms["perceptual"] = self.perceptual.between([x.float() for x in seen], [x.float() for x in wanted]).mean()
        if found.detail is not None:
            terms["detail"] = found.effort.mean()
        for name, value in terms.items():
            self._note(name, value)
        self._note("kept", (opinion.argmax(1) == before.argmax(1)).float().mean())
        return sum(getattr(config, f"{name}_weight") * value for name, value in terms.items())

    @torch.no_grad()
    def show(self, out: Path) -> None:
        """Write `samples-<kimg>.png`: originals, and below them their reconstructions."""
        chosen = np.linspace(0, len(self.pixels) - 1, min(SHOWN, len(self.pixels))).astype(int)
        real = to_unit(self.pixels[torch.from_numpy(chosen)].to(self.device))
        drawn = encode(self.G, self.ema, real).images
        save_picture(out / f"samples-{self.images_seen // 1000:06d}.png", tiled(torch.cat([real, drawn]), 2))

    def save(self, out: Path, log_lines: int) -> None:
        """Write the averaged encoder and the state for a resume."""
        save_encoder(out / "encoder.safetensors", self.ema, self.meta)
        save_snapshot(out / STATE, {**self.state_dict(), "log_lines": log_lines})


def start_encoder(E: DetailEncoder, path: str | Path) -> None:
    """Fill an encoder from another one, or its way to W from the encoder of a projected GAN.

    Raises:
        InputError: if there is none.
    """
    file = origin(path, "encoder")
    check(file is not None, "start_from", "hold an encoder", path)
    found = load_checkpoint(file)
    fresh = transfer(E.latent, found.state) if found.kind == BESIDE else transfer(E, load_encoder(file, "cpu"))
    print(f"Encoder: from {file}" + (f", {len(fresh)} tensors starting fresh" if fresh else ""))
