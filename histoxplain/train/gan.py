"""Train a conditional StyleGAN2-ADA."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from histoxplain._checks import check
from histoxplain._device import resolve_device
from histoxplain._malloc import keep_freed_memory
from histoxplain._ranks import first, rank, world
from histoxplain.data import fingerprint, open_source, to_unit
from histoxplain.models.stylegan2 import Discriminator, Generator, save_discriminator, save_generator
from histoxplain.ops.convolution_layer import layers_in_parts
from histoxplain.train.ada import AdaptiveAugment
from histoxplain.train.config_gan import GANConfig
from histoxplain.train.descent import apply_gradients, lazy_adam
from histoxplain.train.distributed import (
    average_,
    begin,
    copy_from_first_,
    gather,
    joint_draws,
    mean,
    mine,
)
from histoxplain.train.ema import ema_beta, update_ema
from histoxplain.train.loop import STATE, open_run, save_snapshot
from histoxplain.train.losses import (
    discriminator_loss,
    generator_loss,
    layout_correlation,
    path_length_penalty,
    path_lengths,
    r1_penalty,
)
from histoxplain.train.networks import freeze, make_discriminator, make_generator
from histoxplain.train.origin import shape_of
from histoxplain.train.recorded import Recorded
from histoxplain.train.run import Run
from histoxplain.train.sampler import endless, subset
from histoxplain.train.samples import save_samples

CHANGEABLE = ("kimg", "snapshot_kimg", "tick_kimg", "device", "precision", "data", "wandb")


def train_gan(
    data: str | Path, out: str | Path, config: GANConfig, resume: bool | str | Path = False, quiet: bool = False
) -> Path:
    """Train a generator and a discriminator on the training split of a prepared data set.

    Args:
        data: LMDB made by `histoxplain prepare`.
        out: folder for `config.json`, `log.jsonl`, `samples-*.png`, `generator.safetensors` (the average),
            `discriminator.safetensors` and `state.pt`.
        config: the settings.
        resume: continue an interrupted training exactly where its last snapshot stands; or the checkpoint, ours or
            somebody else's, from whose networks and in whose shape to start a new one (see `GANConfig.start_from`).
        quiet: no progress bar.

    Returns:
        The path of the averaged generator.

    Raises:
        InputError: on unusable data, settings, or an `out` that holds another training.
        RankError: if another process of several ended; the last snapshot continues.

    Under torchrun the processes share each batch, and the first one writes; see `train.distributed`.
    """
    keep_freed_memory()
    begin(config.device)
    if not isinstance(resume, bool):
        config, resume = replace(config, start_from=str(resume), **shape_of(resume)), False
    source = open_source(data, split="train")
    check(len(source) > 0, "data", "have images in its train split", data)
    chosen = subset(len(source), config.subset, config.seed)
    settings = {"data": str(data), **asdict(config)}
    state = first(lambda: open_run(out, settings, resume, CHANGEABLE, asdict(GANConfig())))
    begun = config if state is None else replace(config, start_from=None)  # a snapshot holds the networks
    pixels, labels, names = source.pixels(chosen), source.labels[chosen], source.class_names
    if config.label_classifier is not None:
        labels, names = opinions(pixels, config.label_classifier, resolve_device(config.device))
    training = _kind(config)(pixels, labels, names, begun)
    training.origin = {"data": fingerprint(source)}
    if state is not None:
        training.load_state_dict(state)
    copy_from_first_(training.tensors())
    Run(out, training, quiet).train()
    return Path(out) / "generator.safetensors"


def _kind(config: GANConfig) -> type[GANTraining]:
    if config.discriminator == "projected" and config.reconstruct_weight:
        from histoxplain.train.stylex_projected import ProjectedStylExTraining

        return ProjectedStylExTraining
    if config.discriminator == "projected":
        from histoxplain.train.projected import ProjectedTraining

        return ProjectedTraining
    if config.reconstruct_weight:
        from histoxplain.train.stylex import StylExTraining

        return StylExTraining
    return GANTraining


class GANTraining:
    """Two networks, their optimisers and everything a resumed training needs to continue exactly.

    Args:
        pixels: uint8 images `(N, C, R, R)`.
        labels: class indices `(N,)`, or probabilities `(N, K)`.
        class_names: the classes; fewer than two train without labels.
        config: the settings.
    """

    title = "train gan"
    headline = ("p", "loss_g", "loss_d", "images_per_second")

    def __init__(self, pixels: Tensor, labels: Any, class_names: tuple[str, ...], config: GANConfig) -> None:
        self.config, self.pixels, self.batch = config, pixels, _batch_of_each(config)
        self.device = resolve_device(config.device)
        self.class_names = tuple(class_names) if len(class_names) > 1 else ()
        labels = torch.as_tensor(labels)
        if labels.ndim == 1:
            labels = F.one_hot(labels.clamp_min(0), max(len(class_names), 1))
        self.labels = labels.float() if self.class_names else None
        self.rng = torch.Generator(self.device).manual_seed(config.seed)
        torch.manual_seed(config.seed)
        self._build()
        freeze(self.D, config.freeze_d)
        self.trained_d = [parameter for parameter in self.D.parameters() if parameter.requires_grad]
        self.opt_g = _adam(self._trained_by_g(), config.lr, config.pl_interval if config.pl_weight else 0)
        self.opt_d = _adam([self.D], config.lr_d or config.lr, config.r1_interval)
        self.augment = AdaptiveAugment(config, self.device)
        self.guides = _load_guides(config, self.device)
        self.pl_mean = torch.zeros([], device=self.device)
        self.images_seen, self.shown, self.steps, self.log_lines = 0, 0, 0, 0
        self.order = endless(len(pixels), config.seed, rank(), world())
        self.sums: dict[str, list[Tensor]] = {}
        self._record()
        self.origin: dict[str, str] = {}  # what checkpoints say of the data

    def _build(self) -> None:
        self.G, self.D = self._generator(), self._discriminator()
        self.ema = deepcopy(self.G).eval().requires_grad_(False)

    def _record(self) -> None:
        """What a step calls again and again."""
        mapping, synthesis = self.G.mapping, self.G.synthesis
        self._mapping = Recorded(mapping, mapping.parameters())
        self._synthesis = Recorded(self._with_noise, synthesis.parameters())
        self._path_lengths = Recorded(self._lengths, synthesis.parameters())
        self._opinion = Recorded(self.D, self.D.parameters())
        self._both_opinions = Recorded(partial(self.D, batches=2), self.D.parameters())
        self._recorded_slope = Recorded(self._squared_slope, self.D.parameters())

    def _trained_by_g(self) -> list[nn.Module]:
        """Networks that the generator's optimiser trains."""
        return [self.G]

    def _placed(self, make: Callable[..., Any]) -> Any:
        """A network of `networks`, where and how precisely it is trained."""
        channels, resolution = self.pixels.shape[1:3]
        network = make(self.config, resolution, channels, self.class_names)
        return network.to(self.device).set_precision(self.config.precision).train()

    def _generator(self) -> Generator:
        return self._placed(make_generator)

    def _discriminator(self) -> Discriminator:
        return self._placed(make_discriminator)

    def prepare(self, quiet: bool) -> None:
        """What comes once before the first step: nothing here."""

    def step(self) -> None:
        """One step of the generator and of the discriminator, with their regularisers when they are due."""
        config = self.config
        real, c = self.real, self.real_c = self._reals()
        self._update_generator()
        if config.pl_weight and self.steps % config.pl_interval == 0:
            self._regularise_path_length()
        self._update_discriminator(real, c)
        if config.r1_interval and self.steps % config.r1_interval == 0:
            self._regularise_r1(real, c)
        self.steps += 1
        self.images_seen += config.batch
        self._share_figures()
        half_life = config.batch * 10 / 32 if config.ema_kimg is None else config.ema_kimg
        self._average(ema_beta(config.batch, half_life, self.images_seen, config.ema_rampup))
        self.augment.adapt(self.steps)

    def _share_figures(self) -> None:
        """What the step found out by this process's images, by all images; afterwards all processes agree."""
        average_([*(values[-1] for values in self.sums.values()), *self.augment.signs[-1:], self.G.mapping.w_avg])

    def _average(self, beta: float) -> None:
        update_ema(self.ema, self.G, beta)

    def _reals(self) -> tuple[Tensor, Tensor | None]:
        """The next batch: images in [-1, 1], flipped and turned as configured, and their one-hot labels."""
        index = torch.tensor([next(self.order) for _ in range(self.batch)])
        self.shown += self.config.batch
        real = to_unit(self.pixels[index].to(self.device))
        with joint_draws():
            if self.config.mirror:
                flip = torch.rand(len(real), generator=self.rng, device=self.device) < 0.5
                real = torch.where(flip[:, None, None, None], real.flip(3), real)
            if self.config.quarter_turns:
                turns = torch.randint(4, (len(real),), generator=self.rng, device=self.device).tolist()
                real = torch.stack([image.rot90(turn, (1, 2)) for image, turn in zip(real, turns)])
        return real, None if self.labels is None else self.labels[index].to(self.device)

    def _fake_latents(self, batch: int) -> tuple[Tensor, Tensor | None]:
        """`ws` of random noise and labels drawn from the data, some mixed from two."""
        z = mine(torch.randn(2, batch * world(), self.config.z_dim, generator=self.rng, device=self.device), 1)
        c = None
        with joint_draws():
            if self.labels is not None:
                index = torch.randint(len(self.labels), (batch,), generator=self.rng, device=self.device)
                c = self.labels[index.cpu()].to(self.device)
            mixed = torch.rand(batch, generator=self.rng, device=self.device) < self.config.style_mixing
            cutoff = torch.randint(1, self.G.num_ws, (batch,), generator=self.rng, device=self.device)
        both = self._mapping(z.flatten(0, 1), None if c is None else c.repeat(2, 1))
        ws, others = both.chunk(2)
        if self.G.training:
            self.G.mapping.update_average(ws[:, 0])
        beyond = torch.arange(self.G.num_ws, device=self.device) >= cutoff[:, None]
        return torch.where((beyond & mixed[:, None])[:, :, None], others, ws), c

    def _fakes(self, batch: int) -> tuple[Tensor, Tensor | None]:
        ws, c = self._fake_latents(batch)
        return self._draw(ws), c

    def _draw(self, ws: Tensor) -> Tensor:
        """Images of latents, with random noise."""
        with joint_draws():
            return self._synthesis(ws)

    def _with_noise(self, ws: Tensor) -> Tensor:
        return self.G.synthesis(ws, noise_mode="random", generator=self.rng)

    def _augmented(self, images: Tensor) -> Tensor:
        with joint_draws():
            return self.augment(images, self.rng)

    def _judge(self, images: Tensor, c: Tensor | None) -> Tensor:
        return self._opinion(self._augmented(images), c)

    _fooled = staticmethod(generator_loss)
    _told_apart = staticmethod(discriminator_loss)

    def _update_generator(self) -> None:
        self._train_discriminator(False)
        fake, c = self._fakes(self.batch)
        loss = self._fooled(self._judge(fake, c))
        self._note("loss_g", loss)
        apply_gradients(loss + self._extra_loss(fake, c), self.opt_g)
        self._train_discriminator(True)

    def _train_discriminator(self, wanted: bool) -> None:
        for parameter in self.trained_d:
            parameter.requires_grad_(wanted)

    def _extra_loss(self, fake: Tensor, c: Tensor | None) -> Tensor:
        """What the generator is asked for beside fooling the discriminator."""
        loss = torch.zeros([], device=self.device)
        if self.config.layout_weight:
            alike = layout_correlation(gather(fake))
            self._note("layout", alike)
            loss = loss + self.config.layout_weight * alike
        if self.guides and self.steps % self.config.guide_interval == 0:
            opinions = [guide(fake) for guide in self.guides]
            self._note("guided", torch.stack([x.argmax(1) == c.argmax(1) for x in opinions]).float().mean())
            doubt = torch.stack([F.cross_entropy(x, c) for x in opinions]).mean()
            loss = loss + self.config.guide_weight * self.config.guide_interval * doubt
        return loss

    def _regularise_path_length(self) -> None:
        ws, _ = self._fake_latents(max(self.batch // 2, 1))
        with joint_draws():
            lengths = self._path_lengths(ws)
        penalty, self.pl_mean = path_length_penalty(lengths, self.pl_mean, average=mean(lengths.mean()))
        self._note("path_length", self.pl_mean)
        apply_gradients(penalty.mean() * self.config.pl_weight * self.config.pl_interval, self.opt_g)

    def _lengths(self, ws: Tensor) -> Tensor:
        with layers_in_parts():
            images = self._with_noise(ws)
            return path_lengths(images, ws, torch.randn(images.shape, generator=self.rng, device=self.device))

    def _update_discriminator(self, real: Tensor, c: Tensor | None) -> None:
        real_logits, fake_logits = self._opinions(real, c)
        loss = self._told_apart(real_logits, fake_logits)
        self.augment.watch(real_logits)
        self._note("loss_d", loss)
        self._note("sign_real", real_logits.sign().mean())
        self._note("sign_fake", fake_logits.sign().mean())
        apply_gradients(loss, self.opt_d)

    def _opinions(self, real: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """The discriminator's opinions of reals and of new fakes, from one pass over both."""
        with torch.no_grad():
            fake, fake_c = self._fakes(self.batch)
        fake, real = self._augmented(fake), self._augmented(real)
        labels = None if c is None else torch.cat([c, fake_c])
        return self._both_opinions(torch.cat([real, fake]), labels).chunk(2)

    def _regularise_r1(self, real: Tensor, c: Tensor | None) -> None:
        slope = self._squared_slope if self.augment.p else self._recorded_slope
        penalty = slope(real, c).mean()
        self._note("r1", penalty)
        gamma = self.config.gamma_at(real.shape[-1])
        apply_gradients(penalty * gamma / 2 * self.config.r1_interval, self.opt_d)

    def _squared_slope(self, real: Tensor, c: Tensor | None = None) -> Tensor:
        real = real.detach().requires_grad_(True)
        with layers_in_parts():
            return r1_penalty(real, self._judge(real, c))

    def _note(self, name: str, value: Tensor) -> None:
        self.sums.setdefault(name, []).append(value.detach())

    def report(self, seconds: float, rate: float) -> dict[str, Any]:
        """Means since the last report, for the log and the progress bar."""
        means = {name: torch.stack(values).mean().item() for name, values in self.sums.items()}
        self.sums = {}
        speed = {"seconds": seconds, "images_per_second": rate}
        return {"kimg": self.images_seen / 1000, **speed, "p": self.augment.p, **means}

    def show(self, out: Path) -> None:
        """Write a grid of samples."""
        save_samples(out, self.ema, self.images_seen)

    def save(self, out: Path, log_lines: int) -> None:
        """Write the averaged generator, the discriminator and the state for a resume."""
        meta = {**self.origin, "images_seen": self.images_seen, "augment_p": self.augment.p}
        save_generator(out / "generator.safetensors", self.ema, meta)
        save_discriminator(out / "discriminator.safetensors", self.D, meta)
        save_snapshot(out / STATE, {**self.state_dict(), "log_lines": log_lines})

    def _parts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("G", "D", "ema", "opt_g", "opt_d", "augment")}

    def tensors(self) -> list[Tensor]:
        """Of the networks; the same in every process."""
        networks = [part for part in self._parts().values() if isinstance(part, nn.Module)]
        return [x for network in networks for x in network.state_dict().values()]

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes while training."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        counters = {"images_seen": self.images_seen, "shown": self.shown, "steps": self.steps}
        return {**state, **counters, "pl_mean": self.pl_mean, "rng": self.rng.get_state(), "sums": self.sums}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.images_seen, self.steps, self.sums = state["images_seen"], state["steps"], state["sums"]
        self.pl_mean = state["pl_mean"].to(self.device)
        self.rng.set_state(state["rng"])
        self.log_lines = state.get("log_lines", 0)
        self.shown = state.get("shown", self.images_seen)
        self.order = endless(len(self.pixels), self.config.seed, rank(), world(), self.shown // world())


@torch.no_grad()
def opinions(pixels: Tensor, classifier: str | Path, device: torch.device) -> tuple[Tensor, tuple[str, ...]]:
    """A classifier's probabilities of images, uint8 `(N, C, R, R)`, as labels `(N, K)`, and the names of its classes.

    Raises:
        InputError: if it cannot be read or takes images of other channels.
    """
    from histoxplain.models.classifier import load_classifier

    judge = load_classifier(classifier).to(device)
    check(judge.channels == pixels.shape[1], "classifier", f"take {pixels.shape[1]} channels", judge.channels)
    found = [judge.probabilities(to_unit(some.to(device))).cpu() for some in pixels.split(32)]
    return torch.cat(found), judge.class_names


def _batch_of_each(config: GANConfig) -> int:
    """Images of a step for each process."""
    n, least = world(), 2 if config.reconstruct_weight else 1
    whole = config.batch % n == 0 and config.batch >= least * n
    check(n == 1 or whole, "batch", f"be a multiple of {least * n} for {n} processes", config.batch)
    group = min(config.mbstd_group, config.batch // n)
    fits = config.batch // n % group == 0 or config.discriminator == "projected"
    check(fits, "mbstd_group", f"divide the {config.batch // n} images of each process", config.mbstd_group)
    return config.batch // n


def _adam(networks: list[nn.Module], lr: float, interval: int) -> torch.optim.Adam:
    lr, betas = lazy_adam(lr, interval)
    parameters = [parameter for network in networks for parameter in network.parameters() if parameter.requires_grad]
    return torch.optim.Adam(parameters, lr=lr, betas=betas, eps=1e-8, fused=True)


def _load_guides(config: GANConfig, device: torch.device) -> list[nn.Module]:
    if not config.guide_weight:
        return []
    from histoxplain.models.classifier import load_classifier

    return [load_classifier(path).to(device) for path in config.guide]
