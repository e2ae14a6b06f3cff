"""Train concepts for a classifier and a generator that exist, both frozen (VisCoIN, Parekh et al., 2024).

Half of each batch is real, half generated. The concepts must predict the classifier's opinion, be few in an image, and
draw it again, to the eye and to the classifier. Beyond the paper, the classifier's opinion of an image drawn of changed
concepts must be the one that the changed concepts predict.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from histoxplain._checks import check
from histoxplain._malloc import keep_freed_memory
from histoxplain.data import fingerprint, open_source
from histoxplain.models import Classifier, ConceptModel, DetailEncoder, Encoder, Generator, save_concepts
from histoxplain.models.detail import detailed
from histoxplain.models.detail_encoder import encode
from histoxplain.models.viscoin.model import config_for, pooled
from histoxplain.models.viscoin.stages import stage_maps
from histoxplain.train.beside import BesideGenerator
from histoxplain.train.config_viscoin import CHANGEABLE, ViscoinConfig
from histoxplain.train.descent import apply_gradients
from histoxplain.train.ema import ema_beta, update_ema
from histoxplain.train.encoder import FALL, RAMP
from histoxplain.train.halves import Halves
from histoxplain.train.loop import STATE, open_run, save_snapshot
from histoxplain.train.moved import Move
from histoxplain.train.run import Run
from histoxplain.train.sampler import subset
from histoxplain.train.viscoin_losses import (
    changed_concepts,
    fidelity_loss,
    orthogonality_loss,
    place_loss,
    redundancy_loss,
    sparsity_loss,
)
from histoxplain.train.viscoin_sheets import save_sheets

NETWORK = "concepts.safetensors"
MEASURED = 128
"""Images, half real and half generated, on which the classifier's features are measured before training."""
SETTLED = 512
"""Images, half real and half generated, on which what is usual at a place is measured for the averaged weights."""
BATCH = 32


def train_viscoin(
    data: str | Path,
    out: str | Path,
    classifier: Classifier,
    generator: Generator,
    config: ViscoinConfig,
    *,
    encoder: Encoder | DetailEncoder | None = None,
    resume: bool = False,
    quiet: bool = False,
    names: dict[str, str | None] | None = None,
) -> Path:
    """Train concepts on the training split of a prepared data set.

    Args:
        data: LMDB made by `histoxplain prepare`.
        out: folder for `config.json`, `log.jsonl`, `samples-*.png` (originals, reconstructions, and what concepts alone
            draw), `concepts-*.png` (see `viscoin_sheets`), `concepts.safetensors` (averaged weights) and `state.pt`.
        classifier: whose opinion the concepts predict; it stays as it is.
        generator: draws the concepts, of any origin; it stays as it is.
        config: the settings.
        encoder: the generator's, if there is one.
        resume: continue an interrupted training exactly where its last snapshot stands.
        quiet: no progress bar.
        names: what `config.json` says of the networks.

    Returns:
        The path of the concepts.

    Raises:
        InputError: on unusable data, networks that do not fit, or an `out` that holds another training.
    """
    keep_freed_memory()
    source = open_source(data, split="train")
    check(len(source) > 0, "data", "have images in its train split", data)
    chosen = subset(len(source), config.subset, config.seed)
    settings = {"data": str(data), **(names or {}), **asdict(config)}
    state = open_run(out, settings, resume, CHANGEABLE, asdict(ViscoinConfig()))
    training = ViscoinTraining(source.pixels(chosen), classifier, generator, config, encoder)
    training.origin = {"data": fingerprint(source)}
    if state is not None:
        training.load_state_dict(state)
    Run(out, training, quiet).train()
    return Path(out) / NETWORK


class ViscoinTraining(BesideGenerator):
    """A concept model, its optimiser and everything a resumed training needs to continue exactly.

    Args:
        pixels: uint8 images `(N, C, R, R)`.
        classifier: whose opinion the concepts predict.
        generator: what they are shown by.
        config: the settings.
        encoder: the generator's; not used where `config.support` is "features".
    """

    title = "train viscoin"
    parts = ("model", "ema", "opt")
    headline = ("agrees", "active", "images_per_second")

    def __init__(
        self,
        pixels: Tensor,
        classifier: Classifier,
        generator: Generator,
        config: ViscoinConfig,
        encoder: Encoder | DetailEncoder | None = None,
    ) -> None:
        super().__init__(pixels, generator, classifier, config)
        self.encoder = None
        if encoder is not None and config.support != "features":
            self.encoder = encoder.to(self.device).set_precision(config.precision).eval().requires_grad_(False)
        torch.manual_seed(config.seed)
        self.model, self.ema = self._model(), self._model()
        self.ema.eval().requires_grad_(False)
        self.settled = -1
        self.opt = torch.optim.Adam(self.model.parameters(), lr=config.lr, betas=(0.9, 0.99), fused=True)

    def _model(self) -> ConceptModel:
        c, support = self.config, None if self.config.support == "auto" else self.config.support
        shape = {"concepts": c.concepts, "width": c.width, "first_ws": c.first_ws, "last_ws": c.last_ws}
        shape |= {"support": support, "residue": c.residue, "detail": c.detail if self.encoder is not None else 0.0}
        shape |= {"bounded": c.bounded}
        config = config_for(self.C, self.G, self.encoder, **shape)
        return ConceptModel(self.C, self.G, config, self.encoder).to(self.device)

    def prepare(self, quiet: bool) -> None:
        """Measure the classifier's features and the generator's latents."""
        half = MEASURED // 2
        self.model.calibrate(torch.cat([self.halves.real(half), self.halves.generated(half)[0]]), self.config.seed)
        self.ema.load_state_dict(self.model.state_dict())

    def step(self) -> None:
        """One step of the concept model."""
        config = self.config
        fake, drawn = self.halves.generated(config.batch // 2)
        x = torch.cat([fake, self.halves.real(config.batch - len(fake))])
        seen, placed = self._see(x)
        ws, known = self.model.latents(seen.phi, seen.rest), self._known(drawn, x[len(fake) :])
        terms = self._without_images(seen, ws, known) | placed
        if self.images_seen >= 1000 * config.warm_kimg:
            step = 2 if config.follow_weight else 1
            shown = torch.arange(0, len(x), step)
            terms |= self._reconstruction(seen.rows(shown), ws[shown])
            if config.follow_weight:
                beside = seen.rest if self.encoder is None else self.model.omega.left_out(known, seen.phi)
                beside = None if beside is None else beside[shown + 1]
                terms |= self._following(seen.rows(shown + 1), beside, len(fake) // 2)
        for name, value in terms.items():
            self._note(name, value)
        loss = sum(getattr(config, f"{name}_weight") * value for name, value in terms.items())
        self.opt.param_groups[0]["lr"] = config.lr * self._rate()
        apply_gradients(loss, self.opt)
        self.steps += 1
        self.images_seen += config.batch
        update_ema(self.ema, self.model, ema_beta(config.batch, config.ema_kimg, self.images_seen, RAMP))

    def _see(self, x: Tensor) -> tuple[Seen, dict[str, Tensor]]:
        """What the model reads in a batch, and whether its maps go along when images are moved."""
        grid, batch, move = self.model.config.grid, x, None
        if self.config.place_weight:
            move = Move.any(x.shape[2], grid, self.halves.rng)
            batch = torch.cat([x, move.images(x, grid)])
        with self._casting():
            maps, rest, opinion = (None if part is None else part.float() for part in self.model.see(batch))
        n = len(x)
        seen = Seen(x, pooled(maps[:n]), None if rest is None else rest[:n], opinion[:n])
        return seen, {} if move is None else {"place": place_loss(*move.same(maps[:n], maps[n:]))}

    def _rate(self) -> float:
        """The learning rate's share: 1, and falling at the end."""
        left = 1 - self.images_seen / (1000 * self.config.kimg)
        return min(1.0, max(left, 0.0) / FALL)

    def _casting(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.autocast, enabled=self.autocast != torch.float32)

    @torch.no_grad()
    def _known(self, drawn: Tensor, real: Tensor) -> Tensor:
        """The latents of generated images and, with an encoder, after them those that it finds of real ones."""
        return drawn if self.encoder is None else torch.cat([drawn, self.encoder(real)])

    def _without_images(self, seen: Seen, ws: Tensor, known: Tensor) -> dict[str, Tensor]:
        predicted, omega = self.model.predict(seen.phi), self.model.omega
        self._note("agrees", (predicted.argmax(1) == seen.opinion.argmax(1)).float().mean())
        self._note("active", (seen.phi.amax((2, 3)) > 0).float().mean())
        return {
            "fidelity": fidelity_loss(predicted, seen.opinion),
            "sparsity": sparsity_loss(seen.phi),
            "orthogonality": orthogonality_loss(self.model.psi.read.weight),
            "redundancy": redundancy_loss(seen.phi),
            "latent": ((ws[: len(known)] - known) / omega.deviation).abs().mean(),
            "regular": ((ws - omega.mean) / omega.deviation).square().mean(),
        }

    def _reconstruction(self, seen: Seen, ws: Tensor) -> dict[str, Tensor]:
        """How far images drawn of latents are from their originals; with an encoder, latents of the concepts alone."""
        drawn = self.G.synthesis(ws, noise_mode="const").float()
        with self._casting():
            opinion = self.C(drawn).float()
            with torch.no_grad():
                wanted = self.perceptual.embed(seen.x) if self.config.perceptual_weight else []
            found = self.perceptual.embed(drawn) if self.config.perceptual_weight else []
        self._note("kept", (opinion.argmax(1) == seen.opinion.argmax(1)).float().mean())
        terms = {
            "l1": F.l1_loss(drawn, seen.x),
            "mse": F.mse_loss(drawn, seen.x),
            "consistency": fidelity_loss(opinion, seen.opinion),
        }
        if found:
            between = self.perceptual.between([a.float() for a in found], [a.float() for a in wanted])
            terms["perceptual"] = between.mean()
        return terms

    def _following(self, seen: Seen, support: Tensor | None, generated: int) -> dict[str, Tensor]:
        """Whether the classifier says of images of changed concepts what these predict, with any share of support."""
        share = torch.rand(len(seen.x), 1, 1, generator=self.halves.rng, device=self.device)
        support = support if self.encoder is None else self.model.config.residue * share * support
        before = seen.phi.detach()
        with torch.no_grad():
            importance = self.model.importance(before)[torch.arange(len(before)), :, seen.opinion.argmax(1)]
            phi = changed_concepts(before, importance, self.halves.rng)
            predicted = self.model.predict(phi).log_softmax(1)
        with detailed(self.G, self._detail(seen.x, generated)):
            drawn = self.G.synthesis(self.model.latents(phi, support), noise_mode="const").float()
        with self._casting():
            opinion = self.C(drawn).float().log_softmax(1)
        self._note("followed", (opinion.argmax(1) == predicted.argmax(1)).float().mean())
        return {"follow": F.kl_div(opinion, predicted, log_target=True, reduction="batchmean")}

    @torch.no_grad()
    def _detail(self, x: Tensor, generated: int) -> Tensor | None:
        """Any share of the detail of real images, which come after generated ones that have none."""
        if not self.model.config.detail:
            return None
        found = encode(self.G, self.encoder, x[generated:]).detail
        if found is None:
            return None
        share = torch.rand(len(found), 1, 1, 1, generator=self.halves.rng, device=self.device)
        return F.pad(self.model.config.detail * share * found, (0, 0, 0, 0, 0, 0, generated, 0))

    @torch.no_grad()
    def settle(self) -> None:
        """Measure what is usual at every place as the averaged weights read it, always on the same images."""
        if self.settled != self.images_seen:
            with self._casting():
                maps = (stage_maps(self.C, x, self.ema.config.stages)[1] for x in self._typical())
                self.ema.psi.settle(maps)
            self.settled = self.images_seen

    def _typical(self) -> Iterator[Tensor]:
        """Batches of images, half of them real, that are always the same."""
        config = self.config
        chance = Halves(self.pixels, self.G, config.mirror, config.quarter_turns, config.seed)
        for some in torch.arange(SETTLED // 2).split(BATCH):
            yield chance.real(len(some))
            yield chance.generated(len(some))[0]

    def show(self, out: Path) -> None:
        """Write `samples-<kimg>.png` and `concepts-<kimg>.png`; see `viscoin_sheets`."""
        self.settle()
        save_sheets(out, self.ema, self.pixels, self.images_seen)

    def save(self, out: Path, log_lines: int) -> None:
        """Write the averaged concepts and the state for a resume."""
        self.settle()
        save_concepts(out / NETWORK, self.ema, self.meta)
        save_snapshot(out / STATE, {**self.state_dict(), "log_lines": log_lines})


class Seen(NamedTuple):
    """A batch and what the model reads in it."""

    x: Tensor
    phi: Tensor
    rest: Tensor | None
    opinion: Tensor

    def rows(self, index: Tensor) -> Seen:
        """Some of it."""
        return Seen(*(part if part is None else part[index] for part in self))
